"""Features as files that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast, get_args

import pyarrow as pa

from features.spelling import shortened
from flows.export_clips import CannotExport, Clips
from flows.export_formats import FORMATS, WRITERS, Written
from storage import FeatureStore
from storage.catalogue import counted
from storage.clips import LABEL, listed
from storage.errors import NotPublished, StaleResult
from storage.groups import split
from storage.records import Published

#: clips whose newest result isn't the wanted one: refuse, leave them out, or write what is there
Stale = Literal["error", "skip", "allow"]
#: why a clip is left out that ``stale`` skips
STALE = "stale"
#: corpus and clip of one that is left out, and why
LeftOut = Callable[[str, str, str], None]


def stale_of(text: str) -> Stale:
    """``--stale`` as it was typed (CannotExport otherwise)."""
    if text not in get_args(Stale):
        raise CannotExport(f"--stale {text}: choose error, skip or allow")
    return cast(Stale, text)


def export(
    store: FeatureStore,
    feature: str,
    to: Path,
    *,
    clip: str | None = None,
    corpus: str | None = None,
    variant: str | None = None,
    stale: Stale = "error",
    left_out: LeftOut = lambda corpus, clip, why: None,
) -> list[Written]:
    """Write a feature, or ``<feature>.<group>``, of one clip or of all clips.

    ``.npy`` of several clips is their rows one after the other; tables have the columns corpus,
    clip, row, time, valid and then the values. WAV and images want one file or folder per clip:
    with several clips, ``to`` is a folder of them; of several corpora, each has a folder in it.
    Clips are read one at a time. ``variant``: what that configuration of the store gives, instead
    of the default one. Clips that the last ingest of their corpus didn't list are written only
    where ``clip`` names one.

    Args:
        stale: what happens to clips of which only results are published that the configuration
            doesn't want (any more).
        left_out: told of each clip that isn't written: ``STALE`` if it is skipped as ``stale``
            says, else why nothing of the feature is published for it. Labels are written of the
            clips that have some; the others are no concern of theirs.

    Raises:
        CannotExport: the feature doesn't fit the format, or nothing of it is published.
        StaleResult: of some clips there are none but stale results, and ``stale`` is ``error``.
        NotPublished: nothing is published of the one ``clip`` that was asked for.
        UnknownClip, UnknownCorpus: with the nearest name.
    """
    suffix = to.suffix.lower()
    if suffix not in WRITERS:
        raise CannotExport(f"--to {to}: unknown format; write {FORMATS}")
    base, _ = split(feature)
    results = _chosen(store, base, clip, corpus, variant, stale, left_out)
    clips = Clips(store, results, feature)
    to.parent.mkdir(parents=True, exist_ok=True)
    return WRITERS[suffix](clips, to, feature)


def _chosen(
    store: FeatureStore,
    feature: str,
    clip: str | None,
    corpus: str | None,
    variant: str | None,
    stale: Stale,
    left_out: LeftOut,
) -> list[Published]:
    """The results to write, in order of corpus and clip; nothing of them is read."""
    names = _names(store, feature, clip, corpus)
    found, unwanted = list[Published](), list[tuple[str, StaleResult]]()
    for owner, name in names:
        try:
            reads: Literal["allow", "raise"] = "allow" if stale == "allow" else "raise"
            found.append(store.rows(name, feature, corpus=owner, variant=variant, stale=reads))
        except NotPublished as error:
            if clip is not None:
                raise
            left_out(owner, name, str(error).removeprefix(f"{owner}/{name}: "))
        except StaleResult as error:
            if stale == "skip":
                left_out(owner, name, STALE)
            else:
                unwanted.append((f"{owner}/{name}", error))
    if len(unwanted) == 1 and len(names) == 1:
        raise unwanted[0][1]
    if unwanted:
        raise StaleResult(
            f"{counted(len(unwanted), 'clip')} of {len(names)} have no {feature} as it is wanted "
            f"now: {shortened(name for name, _ in unwanted)}; "
            f"affectstore extract --features {feature} computes it, "
            "--stale skip leaves them out, --stale allow writes what is there"
        )
    if not found:
        raise CannotExport(
            f"nothing of {feature} is published here; affectstore status shows what is"
        )
    return found


def _names(
    store: FeatureStore, feature: str, clip: str | None, corpus: str | None
) -> list[tuple[str, str]]:
    """Corpus and clip of those that are asked for, in their order."""
    if clip is not None:
        return [(store.clip(clip, corpus)["corpus"], clip)]
    rows = listed(store.clips(corpus, columns=("corpus", "clip", "state", "problem")))
    names = _pairs(rows)
    if feature.startswith(LABEL):
        names &= _pairs(store.catalogue(corpus, features=[feature], columns=["corpus", "clip"]))
    return sorted(names)


def _pairs(rows: pa.Table) -> set[tuple[str, str]]:
    return set(zip(rows["corpus"].to_pylist(), rows["clip"].to_pylist(), strict=True))
