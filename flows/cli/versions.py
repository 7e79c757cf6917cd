"""tag, tags, log and diff: naming points of a store's history, and comparing them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from flows.cli.app import VERSIONS, app
from flows.cli.options import At, Corpus, Json, Store, count, err, out, print_json, table, warn
from flows.cli.upkeep import OnlyFeatures, names_of

#: changes that ``log`` prints unless told otherwise
SHOWN = 20
#: where the store is read when no second point is named
NOW = "now"
#: the configuration that a read gives
DEFAULT = "default"


@app.command("tag", rich_help_panel=VERSIONS)
def tag(
    name: Annotated[str, typer.Argument(help="Begins with a letter; letters, digits, . _ -")],
    store: Store,
    message: Annotated[str, typer.Option("--message", "-m", help="What it is for.")] = "",
    at: At = None,
    move: Annotated[
        bool, typer.Option("--move", help="Let an existing tag stand for this from now on.")
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Take the name back; gc may then remove the rest.")
    ] = False,
    json: Json = False,
) -> None:
    """Name the store as it is now (or was --at), so that it stays readable."""
    from storage import FeatureStore

    if delete and (move or message or at):
        raise typer.BadParameter("--delete goes with no other option", param_hint="--delete")
    opened = FeatureStore.open(store)
    made = opened.delete_tag(name) if delete else opened.tag(name, message, at=at, move=move)
    if json:
        print_json(asdict(made))
        return
    stood = "stood for" if delete else "stands for"
    out.print(f"{name} {stood} catalogue version {made.versions['catalogue']}")


@app.command("tags", rich_help_panel=VERSIONS)
def tags(store: Store, json: Json = False) -> None:
    """The tags, oldest first."""
    from storage import FeatureStore

    found = FeatureStore.open(store, read_only=True).tags()
    if json:
        print_json([asdict(entry) for entry in found])
        return
    made = table("tag", "version", "time (UTC)", "message", numbers=("version",))
    for entry in found:
        version, time = entry.versions["catalogue"], f"{entry.time:%Y-%m-%d %H:%M:%S}"
        made.add_row(entry.name, str(version), time, entry.message)
    if found:
        out.print(made)
    else:
        out.print("no tags yet: affectstore tag NAME --store … sets one")


@app.command("log", rich_help_panel=VERSIONS)
def log(
    store: Store,
    at: At = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="So many; 0 for all.", min=0)] = SHOWN,
    json: Json = False,
) -> None:
    """What was committed to the store, newest first; version or time can be given as --at."""
    from storage import FeatureStore

    # one more than is shown tells whether there are older ones
    found = FeatureStore.open(store, read_only=True, at=at).log(limit + 1 if limit else None)
    shown = found[:limit] if limit else found
    if json:
        print_json([asdict(entry) for entry in shown])
        return
    made = table("version", "time (UTC)", "what", "tags", numbers=("version",))
    for entry in shown:
        version = str(entry.version) if entry.table == "catalogue" else ""
        time = entry.time.replace(tzinfo=None).isoformat("T", "milliseconds")
        made.add_row(version, time, entry.what, ", ".join(entry.tags))
    out.print(made)
    if len(shown) < len(found):
        err.print("there are older changes; --limit 0 shows all")


@app.command("diff", rich_help_panel=VERSIONS)
def diff(
    a: Annotated[str, typer.Argument(help="A tag, a version, a time, or now.")],
    store: Store,
    b: Annotated[str, typer.Argument(help="Another one.")] = NOW,
    features: OnlyFeatures = None,
    corpus: Corpus = None,
    variant: Annotated[
        str | None,
        typer.Option(
            "--variant",
            help="Compare what a read of this configuration (default, or a variant) gives; "
            "without it, the newest results, whatever configuration made them.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="Compare two configurations: B is read under this one, A under --variant or "
            "default.",
        ),
    ] = None,
    detail: Annotated[bool, typer.Option("--detail", help="Name the clips and frames.")] = False,
    json: Json = False,
) -> None:
    """Clips and rows added, changed and removed from A to B, and how large the change is."""
    from flows.differences import differences
    from storage import FeatureStore

    points = [FeatureStore.open(store, read_only=True, at=at) for at in (a, b)]
    facts = differences(points[0], points[1], names_of(features), corpus, variant, against)
    if against is not None:
        variant = variant or DEFAULT
    under = {"variant": variant, "against": against}
    if json:
        print_json({"from": a, "to": b} | under | facts)
        return
    differing = [f for f in facts["features"] if f["changed"] or f["added"] or f["removed"]]
    if not differing:
        sides = ((a, variant), (b, against or variant))
        one, other = (f"{point} under {name}" if name else point for point, name in sides)
        out.print(f"no difference between {one} and {other}")
    else:
        _print_differing(differing, detail)
    for point, features_ in ((a, facts["not_read"]["a"]), (b, facts["not_read"]["b"])):
        if features_:
            _warn_of_newest(point, features_)


def _warn_of_newest(point: str, features: dict[str, int]) -> None:
    told = ", ".join(f"{name} ({count(clips, 'clip')})" for name, clips in features.items())
    warn(
        f"as of {point}, what was computed last isn't what a read gives, of {told}; --variant "
        f"{DEFAULT} compares what a read gives"
    )


def _print_differing(differing: list[dict[str, Any]], detail: bool) -> None:
    from storage.catalogue import counted

    _print_features(differing)
    for f in differing:
        for why, clips in f["why"].items():
            out.print(f"{f['feature']}: {why} ({counted(clips, 'clip')})", soft_wrap=True)
        if detail:
            _print_clips(f)
    if not detail:
        out.print("--detail names the clips and frames")


def _print_features(features: list[dict[str, Any]]) -> None:
    numbers = ("same", "share", "max abs", "mean abs", "cosine")
    made = table("feature", "clips", "same", "rows", *numbers[1:], numbers=numbers)
    for f in features:
        made.add_row(
            f["feature"],
            _signed(*(len(f[change]) for change in ("changed", "added", "removed"))),
            f"{f['same']:,}",
            _signed(f["rows_changed"], f["rows_added"], f["rows_removed"]),
            f"{100 * f['share']:.3g} %",
            *(_number(f[name]) for name in ("max_abs", "mean_abs", "cosine")),
        )
    out.print(made)
    out.print("~ changed, + added, - removed; share of changed rows among those of both")


def _signed(changed: int, added: int, removed: int) -> str:
    """``~3 +2``: what there is none of is left out."""
    counts = {"~": changed, "+": added, "-": removed}
    return " ".join(f"{sign}{n:,}" for sign, n in counts.items() if n) or "0"


def _print_clips(f: dict[str, Any]) -> None:
    if not f["why"]:
        _line(f"{f['feature']}:")
    for change in ("added", "removed"):
        for entry in f[change]:
            _line(f"  {entry['corpus']}/{entry['clip']}: {change}")
    for clip in f["changed"]:
        _line(f"  {clip['corpus']}/{clip['clip']}: {'; '.join(_told(clip))}")


def _told(clip: dict[str, Any]) -> list[str]:
    """What changed in one clip, in words."""
    told: list[str] = []
    if clip["rows_changed"]:
        spans = _spans(clip["rows"], clip["block"], clip["rows_compared"])
        told.append(f"rows {spans} ({clip['rows_changed']:,} of {clip['rows_compared']:,})")
    for word in ("added", "removed"):
        if n := clip[f"rows_{word}"]:
            told.append(f"{count(n, 'row')} {word}")
    for name, word in (("lost", "no longer valid"), ("gained", "valid now")):
        if clip[name]:
            told.append(f"{clip[name]:,} {word}")
    if clip["items"] is not None and clip["items"][0] != clip["items"][1]:
        told.append(f"items {clip['items'][0]:,}→{clip['items'][1]:,}")
    if clip["max_abs"] is not None:
        told.append(f"max {_number(clip['max_abs'])}, mean {_number(clip['mean_abs'])}")
    if clip["cosine"] is not None:
        told.append(f"cosine {_number(clip['cosine'])}, least {_number(clip['least_cosine'])}")
    if not clip["alike"]:
        told.append("rows of another shape or type")
    if clip["moved"]:
        before, after = clip["before"], clip["after"]
        told.append(f"first row at {before['t0']:.6g} s→{after['t0']:.6g} s")
    return told


def _spans(rows: list[int], block: int, stop: int) -> str:
    """``[3, 4, 5, 9]`` -> ``3-5, 9``; of a waveform, the samples of its blocks."""
    import numpy as np

    from storage.compare import runs

    told = []
    for first, last in runs(np.asarray(rows, np.int64) // block):
        start, final = first * block, min(last * block, stop) - 1
        told.append(f"{start}-{final}" if final > start else str(start))
    return ", ".join(told)


def _line(text: str) -> None:
    out.print(text, soft_wrap=True)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
