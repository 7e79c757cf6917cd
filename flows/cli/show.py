"""status, failures and inspect: what a store holds."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer
from rich.text import Text

from flows.cli.app import EVERYDAY, app
from flows.cli.options import (
    NARROW,
    ROOMY,
    At,
    Corpus,
    Json,
    Store,
    Variant,
    count,
    duration,
    out,
    print_json,
    size,
    styled,
    table,
)

#: features that a line of those not extracted yet names
MOST_NAMED = 8
#: failures that are shown one by one; nobody reads more, and printing 40,000 takes seconds
MOST_FAILURES = 200


@app.command(rich_help_panel=EVERYDAY)
def status(
    store: Store,
    corpus: Corpus = None,
    at: At = None,
    variant: Variant = None,
    json: Json = False,
) -> None:
    """Per corpus and feature: published, stale, missing, quarantined, rows, bytes."""
    from flows.status import status as facts_of
    from storage import FeatureStore

    opened = FeatureStore.open(store, read_only=True, at=at)
    if corpus is not None:
        opened.clips(corpus, columns=("corpus", "clip"))
    facts = facts_of(opened, variant)
    if corpus is not None:
        facts = {"corpora": {corpus: facts["corpora"][corpus]}}
    if json:
        print_json(facts)
        return
    for name, entry in facts["corpora"].items():
        left = f", {entry['unlisted']:,} more not listed any more" if entry["unlisted"] else ""
        out.print(styled((name, "bold"), f": {count(entry['clips'], 'clip')}{left}"))
        rows = ["rows"] if out.width >= NARROW else []
        columns = ("published", "stale", "missing", "quarantined", *rows, "size")
        made = table("feature", *columns, numbers=columns)
        untouched = [
            name
            for name, f in entry["features"].items()
            if f["missing"] and not f["published"] + f["stale"]
        ]
        for feature, f in entry["features"].items():
            if feature in untouched:
                continue
            made.add_row(
                "  " + feature,
                _count(f["published"], "green"),
                _count(f["stale"], "yellow"),
                _count(f["missing"], "yellow"),
                _count(f["quarantined"], "red"),
                *[f"{f['rows']:,}" for _ in rows],
                size(f["bytes"]),
            )
        if made.row_count:
            out.print(made)
        if len(untouched) > MOST_NAMED:
            more = f"  {len(untouched)} more not extracted yet: affectstore plan"
            out.print(styled((more, "dim")))
        elif untouched:
            more = f"  not extracted yet: {', '.join(untouched)}"
            out.print(styled((more, "dim")), soft_wrap=True)
    if not facts["corpora"]:
        out.print("no clips yet: affectstore ingest SOURCE --store … --corpus NAME adds some")


@app.command(rich_help_panel=EVERYDAY)
def failures(store: Store, corpus: Corpus = None, at: At = None, json: Json = False) -> None:
    """What is in quarantine, and why. Exit code 0 in any case."""
    from flows.configured import DEFAULT
    from flows.quarantine import quarantine
    from storage import FeatureStore

    rows = quarantine(FeatureStore.open(store, read_only=True, at=at), corpus)
    if json:
        print_json(rows)
        return
    if not rows:
        out.print("nothing is in quarantine")
        return
    several = len({r["corpus"] for r in rows}) > 1
    causes: dict[tuple[str, str, int, str], list[str]] = {}
    for r in rows:
        clip = f"{r['corpus']}/{r['clip']}" if several else r["clip"]
        cause = (clip, r["code"], r["attempts"], r["message"])
        causes.setdefault(cause, []).append(r["feature"])
    shown = list(causes.items())
    for (clip, code, attempts, message), features in shown[:MOST_FAILURES]:
        out.print(styled((clip, "bold"), f": {', '.join(features)}"), soft_wrap=True)
        out.print(f"  {code}, {count(attempts, 'attempt')}: {message}", soft_wrap=True)
    more = Counter(code for (_, code, _, _), _ in shown[MOST_FAILURES:])
    if more:
        told = ", ".join(f"{number:,} of {code}" for code, number in more.most_common())
        out.print(f"and {more.total():,} more: {told}; --json shows all", soft_wrap=True)
    out.print("--json shows the logs; affectstore retry --store … tries them again")
    for name, settings in {
        r["configuration"]: r["settings"] for r in rows if r["configuration"] != DEFAULT
    }.items():
        values = ", ".join(f"{e}.{p}={v}" for e, some in settings.items() for p, v in some.items())
        number = sum(r["configuration"] == name for r in rows)
        out.print(f"{number} of them under {values}: add --variant {name}", soft_wrap=True)
    again = [r["again"] for r in rows if r["again"] is not None]
    if again:
        first = f"{min(again):%Y-%m-%d %H:%M} UTC"
        out.print(f"{len(again)} of them may be over by themselves: extract tries from {first} on")


@app.command(rich_help_panel=EVERYDAY)
def inspect(
    clip: Annotated[str, typer.Argument(help="Clip id, such as the path without extension.")],
    store: Store,
    corpus: Corpus = None,
    at: At = None,
    variant: Variant = None,
    json: Json = False,
) -> None:
    """One clip: media, timeline, features, shapes, validity, provenance."""
    from flows.status import inspect as facts_of
    from storage import FeatureStore

    facts = facts_of(FeatureStore.open(store, read_only=True, at=at), clip, corpus, variant)
    if json:
        print_json(facts)
    else:
        _print_clip(facts)


@app.command(rich_help_panel=EVERYDAY)
def picture(
    clip: Annotated[str, typer.Argument(help="Clip id.")],
    store: Store,
    to: Annotated[str, typer.Option("--to", help="The PNG to write.")],
    corpus: Corpus = None,
    at: At = None,
    variant: Variant = None,
    json: Json = False,
) -> None:
    """Draw one clip: frames with boxes, aligned faces, mel and MFCC, labels, validity."""
    from pathlib import Path

    from flows.picture import clip_picture
    from storage import FeatureStore

    opened = FeatureStore.open(store, read_only=True, at=at)
    row = opened.clip(clip, corpus)
    path = clip_picture(opened, clip, row["corpus"], Path(to), variant)
    if json:
        print_json({"corpus": row["corpus"], "clip": clip, "picture": str(path)})
        return
    out.print(str(path), soft_wrap=True)


def _count(n: int, colour: str) -> Text:
    return styled((str(n), colour if n else "dim"))


def _print_clip(facts: dict[str, Any]) -> None:
    rest = f" of {facts['corpus']}: {facts['uri']}"
    out.print(styled((facts["clip"], "bold"), rest), soft_wrap=True)
    if facts["problem"]:
        out.print(styled((f"  {facts['problem']}", "red")), soft_wrap=True)
    video, audio = facts["video"], facts["audio"]
    if video:
        rate = "" if video["fps"] is None else f", {video['fps']:.3f} fps on average"
        out.print(f"  video {video['video_codec']} {video['width']}x{video['height']}{rate}")
    out.print(
        f"  audio {audio['audio_codec']} {audio['audio_rate']} Hz, {audio['audio_channels']} ch"
        if audio
        else "  no audio track"
    )
    if facts["frames"]:
        out.print(
            f"  timeline {facts['frames']} frames, {facts['first_time']:.3f} s "
            f"to {facts['last_time']:.3f} s"
        )
    elif facts["duration"]:
        out.print(f"  {duration(facts['duration'])} as the headers say; timeline not read yet")
    for key in ("subject", "split"):
        if facts[key]:
            out.print(f"  {key} {facts[key]}")
    for name, value in facts["labels"].items():
        out.print(f"  label {name} = {value}")
    if not facts["features"]:
        out.print("  no feature is published yet")
        return
    roomy = out.width >= ROOMY
    made = table("feature", "shape", "dtype", "valid", "extractor", numbers=("valid",))
    if roomy:
        made.add_column("fingerprint")
        made.add_column("computed")
    for name, f in facts["features"].items():
        cells = (
            "  " + name,
            "x".join(str(d) for d in f["shape"]),
            f["dtype"],
            f"{100 * f['valid_share']:.1f} %",
            f["extractor"] or "-",
        )
        when = f["time"][:19].replace("T", " ")
        made.add_row(*cells, *((f["fingerprint"][:12], when) if roomy else ()))
    out.print(made)
