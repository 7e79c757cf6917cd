"""Whether a feature that the settings name has rows of the shape that a network takes."""

from __future__ import annotations

from collections.abc import Sequence

from storage.selection import Selection
from trainers.errors import WrongSetting


def need_dims(selection: Selection, feature: str, wanted: Sequence[int | None], taker: str) -> None:
    """The feature's rows have that shape.

    Args:
        wanted: a number per axis; None takes any.
        taker: what takes them.

    Raises:
        WrongSetting: they haven't; the message has both shapes.
    """
    dims = selection.specs[feature].dims
    fits = [want in (None, size) for want, size in zip(wanted, dims, strict=False)]
    if len(dims) != len(wanted) or not all(fits):
        shown = ", ".join("any" if size is None else str(size) for size in wanted)
        raise WrongSetting(
            f"{feature} has rows of shape {dims}; {taker} takes ({shown}): choose another feature "
            "(affectstore recipes show RECIPE lists the settings)"
        )
