"""copy and forget: a store, or a part of it, elsewhere; every trace of a clip gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from features.spelling import shortened
from flows.cli.app import UPKEEP, app
from flows.cli.counting import counting
from flows.cli.options import At, Corpus, Json, Store, count, err, out, print_json, size, warn
from flows.cli.upkeep import OnlyFeatures, names_of

if TYPE_CHECKING:
    from storage import FeatureStore

#: clips named in one line; --json names all
NAMED_CLIPS = 10


@app.command(rich_help_panel=UPKEEP)
def copy(
    source: Annotated[str, typer.Argument(help="Path or URL of the store to copy.")],
    target: Annotated[str, typer.Argument(help="Path or URL of the copy; made if there is none.")],
    at: At = None,
    features: OnlyFeatures = None,
    corpus: Corpus = None,
    json: Json = False,
) -> None:
    """Copy a store or some of it, checked by hash; run it again to go on where it stopped."""
    from storage import FeatureStore
    from storage.copy import copy as copy_store

    opened = FeatureStore.open(source, read_only=True, at=at)
    made = FeatureStore.create(target, exist_ok=True)
    with counting("copy", "results", quiet=json) as tell:
        done = copy_store(opened, made, features=names_of(features), corpus=corpus, tell=tell)
    if json:
        print_json(done.to_json())
    else:
        there = f", {done.there:,} were there" if done.there else ""
        out.print(
            f"{count(done.clips, 'clip')}, {count(done.results, 'result')} copied "
            f"({size(done.bytes)}){there}"
        )
        if left := _left_behind(opened, features):
            warn(
                f"left behind: {', '.join(left)}; read gives what was copied, but "
                "status of the copy calls it stale"
            )
        if done.changed:
            named = ", ".join(f"{c}/{clip}" for c, clip in done.changed[:NAMED_CLIPS])
            more = ", …" if len(done.changed) > NAMED_CLIPS else ""
            warn(
                f"{count(len(done.changed), 'clip')} had another medium or cut in the copy, and "
                f"reads what the source's has from now on: {named}{more}"
            )
        for name in done.kept:
            warn(
                f"the copy keeps its own configuration {name}, which wants other results than the "
                "source's newest one"
            )
        for c, clip, feature in done.damaged:
            warn(f"{c}/{clip}: {feature} is damaged in {source} and was left out")
    if done.damaged:
        raise typer.Exit(1)


def _left_behind(source: FeatureStore, features: str | None) -> list[str]:
    """What the chosen features read and that isn't chosen with them."""
    chosen, configuration = names_of(features), source.wanted()
    if chosen is None or configuration is None:
        return []
    nodes = [node for node in configuration.nodes if node.feature in chosen]
    return sorted({read for node in nodes for _, read in node.inputs} - set(chosen))


@app.command(rich_help_panel=UPKEEP)
def forget(
    store: Store,
    clip: Annotated[str | None, typer.Option("--clip", help="Id of one clip.")] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="All clips of a subject.")
    ] = None,
    corpus: Corpus = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    json: Json = False,
) -> None:
    """Remove a clip's rows and bytes for good, under tags too: consent was withdrawn."""
    from storage import FeatureStore
    from storage.errors import UnknownClip, UnknownCorpus
    from storage.forget import find_clips, remains
    from storage.forget import forget as remove
    from storage.unnamed import tombstones

    if (clip is None) == (subject is None):
        raise typer.BadParameter("give either --clip or --subject")
    opened = FeatureStore.open(store)
    try:
        clips = find_clips(opened, clip=clip, subject=subject, corpus=corpus)
    except UnknownClip as error:
        # a forget of that subject that was broken off left tombstones, which don't name it
        if isinstance(error, UnknownCorpus) or not remains(opened.location, tombstones(opened)):
            raise
        clips = []
        err.print(f"{error}, but a forget was broken off: finishing it", soft_wrap=True)
    if clips and not yes:
        named = shortened(map("/".join, clips), most=NAMED_CLIPS)
        err.print(f"to forget: {named}", soft_wrap=True)
        typer.confirm("This can't be undone, in no version and under no tag. Go on?", abort=True)
    done = remove(opened, clips)
    if json:
        print_json(done.to_json())
        return
    out.print(
        f"{count(len(done.clips), 'clip')} forgotten: {count(done.wiped, 'part')} wiped, "
        f"{done.removed:,} removed, {count(done.files, 'table file')} rewritten",
        soft_wrap=True,
    )
    for c, name in done.shared:
        warn(
            f"{c}/{name} has the same recording and keeps its results: "
            "forget it too if it shows the same person"
        )
    for feature, part in done.damaged:
        warn(
            f"part {part} of {feature} was damaged and is removed whole: "
            "affectstore repair, then extract"
        )
    if done.young:
        warn(
            f"{done.young:,} parts of runs under way may hold rows: "
            "forget again when those runs are over"
        )
    out.print("affectstore verify proves it; the media files themselves are not touched")
