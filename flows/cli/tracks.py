"""tracks show, override and clear: who is who, and corrections by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.app import tracks_app
from flows.cli.options import (
    At,
    Corpus,
    Json,
    Store,
    Variant,
    count,
    out,
    print_json,
    styled,
    table,
)


@tracks_app.command("show")
def show(
    store: Store,
    clip: Annotated[str | None, typer.Option("--clip", help="One clip; default all.")] = None,
    corpus: Corpus = None,
    at: At = None,
    variant: Variant = None,
    json: Json = False,
) -> None:
    """Per clip its tracks, the largest first: frames, size, place, and how often the subject."""
    from flows.tracks import tracks
    from storage import FeatureStore

    found = tracks(FeatureStore.open(store, read_only=True, at=at), clip, corpus, variant)
    if json:
        print_json([entry.to_json() for entry in found])
        return
    columns = ("track", "frames", "first", "last", "subject in", "width", "x")
    for entry in found:
        made = table(*columns, numbers=columns)
        for t in entry.tracks:
            numbers = (t.track, t.frames, t.first, t.last, t.subject)
            made.add_row(*map(str, numbers), f"{t.width:.0f} px", f"{t.x:.0f}")
        rest = f" of {entry.corpus}: {count(entry.frames, 'frame')}"
        out.print(styled((entry.clip, "bold"), rest))
        out.print(made)
        for one in entry.overrides:
            last = "the end" if one.last is None else one.last
            who = "nobody" if one.track < 0 else f"track {one.track}"
            out.print(f"  corrected: frames {one.first} to {last} are {who}")
    if not found:
        out.print("no tracks yet: affectstore extract --features tracks,face_track makes them")


@tracks_app.command("override")
def override(
    file: Annotated[Path, typer.Argument(help="CSV with the columns clip, frames, track.")],
    store: Store,
    corpus: Corpus = None,
    json: Json = False,
) -> None:
    """Keep corrections of who is the subject; only the clips they change are planned again."""
    from flows.corrections import override_tracks
    from storage import FeatureStore

    _report(override_tracks(FeatureStore.open(store), file, corpus), json)


@tracks_app.command("clear")
def clear(
    store: Store,
    clip: Annotated[str, typer.Option("--clip", help="The clip.")],
    corpus: Corpus = None,
    json: Json = False,
) -> None:
    """Forget a clip's corrections."""
    from flows.corrections import clear_overrides
    from storage import FeatureStore

    _report(clear_overrides(FeatureStore.open(store), clip, corpus), json)


def _report(changed: list[tuple[str, str]], json: bool) -> None:
    if json:
        print_json([{"corpus": corpus, "clip": clip} for corpus, clip in changed])
        return
    for corpus, clip in changed:
        out.print(f"{clip} of {corpus}")
    told = f"{count(len(changed), 'clip')} changed"
    out.print(f"{told}; affectstore plan shows what that touches" if changed else "no change")
