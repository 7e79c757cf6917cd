"""Hand corrections: which track is the subject's, in which frames of a clip."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from features.errors import RequestError

#: the clip attribute that holds a clip's corrections, as JSON text
ATTRIBUTE = "tracks"
#: stands in a correction for: nobody is the subject in these frames
NOBODY = -1

AGAIN = "give them again by affectstore tracks override FILE"


@dataclass(frozen=True)
class Override:
    """In frames ``first`` to ``last``, both included, the subject is ``track``, or nobody (-1).

    ``last`` None: to the end of the clip.
    """

    first: int
    last: int | None
    track: int


def to_attribute(overrides: Iterable[Override]) -> str:
    """The text that stands among the clip's attributes; equal corrections give equal texts."""
    return json.dumps([[o.first, o.last, o.track] for o in overrides], separators=(",", ":"))


def from_attribute(text: str) -> tuple[Override, ...]:
    """The corrections of one clip, in their order; a later one wins.

    Raises:
        RequestError: the text isn't what ``to_attribute`` writes.
    """
    try:
        return tuple(Override(int(a), None if b is None else int(b), int(c))
                     for a, b, c in json.loads(text))  # fmt: skip
    except (ValueError, TypeError):
        raise RequestError(
            f"the attribute tracks holds no corrections: {text!r}; {AGAIN}"
        ) from None


def check_overrides(
    overrides: Sequence[Override], tracks: Iterable[int], name: str, frames: int
) -> None:
    """That the corrections speak of frames and tracks that the clip has.

    Raises:
        RequestError: one doesn't: it was a slip, or the detections have changed since.
    """
    known = set(tracks)
    for one in overrides:
        end = one.first if one.last is None else one.last
        if end >= frames:
            raise RequestError(
                f"{name}: a correction of its tracks reaches to frame {end}, "
                f"its last is {frames - 1}; {AGAIN}"
            )
        if one.track != NOBODY and one.track not in known:
            raise RequestError(
                f"{name}: a correction names track {one.track}, which it doesn't have "
                f"(affectstore tracks show lists them); {AGAIN}"
            )
