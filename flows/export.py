"""Features as files that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast, get_args

from flows.export_clips import CannotExport, Clips
from flows.export_formats import FORMATS, WRITERS, Written
from storage import FeatureStore
from storage.catalogue import counted
from storage.errors import NotPublished, StaleResult
from storage.groups import split
from storage.records import Published

#: clips whose newest result isn't the wanted one: refuse, leave them out, or write what is there
Stale = Literal["error", "skip", "allow"]
#: (corpus, clip) of a clip that is left out
LeftOut = Callable[[str, str], None]


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
    left_out: LeftOut = lambda corpus, clip: None,
) -> list[Written]:
    """Write a feature, or ``<feature>.<group>``, of one clip or of all clips.

    ``.npy`` of several clips is their rows one after the other; tables have the columns corpus,
    clip, row, time, valid and then the values. WAV and images want one file or folder per clip:
    with several clips, ``to`` is a folder of them; of several corpora, each has a folder in it.
    Clips are read one at a time. ``variant``: what that configuration of the store gives, instead
    of the default one.

    Args:
        stale: what happens to clips of which only results are published that the configuration
            doesn't want (any more); ``left_out`` is told of those that are skipped.

    Raises:
        CannotExport: the feature doesn't fit the format.
        StaleResult, NotPublished: a clip has no wanted result, and ``stale`` says nothing of it.
        UnknownClip: there is nothing to write.
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
    if clip is not None:
        names = [(store.clip(clip, corpus)["corpus"], clip)]
    else:
        rows = store.catalogue(corpus, features=[feature], columns=["corpus", "clip"])
        pairs = zip(rows["corpus"].to_pylist(), rows["clip"].to_pylist(), strict=True)
        names = sorted(set(pairs))
    found, lacking = list[Published](), list[tuple[str, StaleResult | NotPublished]]()
    for owner, name in names:
        try:
            reads: Literal["allow", "raise"] = "allow" if stale == "allow" else "raise"
            found.append(store.rows(name, feature, corpus=owner, variant=variant, stale=reads))
        except (StaleResult, NotPublished) as error:
            if stale == "skip":
                left_out(owner, name)
            else:
                lacking.append((f"{owner}/{name}", error))
    if len(lacking) == 1 and len(names) == 1:
        raise lacking[0][1]
    if lacking:
        named = ", ".join(name for name, _ in lacking[:5])
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise type(lacking[0][1])(
            f"{counted(len(lacking), 'clip')} of {len(names)} have no {feature} as it is wanted "
            f"now: {named}{more}; affectstore extract --features {feature} computes it, "
            "--stale skip leaves them out, --stale allow writes what is there"
        )
    if not found:
        raise CannotExport(
            f"nothing of {feature} is published here; affectstore status shows what is"
        )
    return found
