"""The store's methods for trainers; torch is imported when one is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack, cast

if TYPE_CHECKING:
    from storage.batches import Tail, Windows
    from storage.reading import StoreReader
    from storage.training import ClipTable, TrainerOptions


def listed(names: Sequence[str]) -> Sequence[str]:
    """The names; a text, which Python takes for a sequence of letters, is one name."""
    return [names] if isinstance(names, str) else names


class TrainerReads:
    """Mixed into ``StoreReader``."""

    def windows(
        self,
        features: Sequence[str],
        length: int,
        stride: int,
        corpus: str | None = None,
        split: str | None = None,
        *,
        labels: Sequence[str] = (),
        tail: Tail = "anchor",
        **how: Unpack[TrainerOptions],
    ) -> Windows:
        """Windows of ``length`` rows every ``stride``.

        Args:
            labels: names of frame or clip labels, without ``label.``.
            tail: what becomes of rows that no whole window reaches; see ``lay_windows``.
            how: see ``storage.training.TrainerOptions``.

        Raises:
            UnknownLabel, NotPublished, StaleResult, UnknownCorpus. TypeError: there is no such
            option. ValueError: no features, or an option has a value that it can't have.
        """
        from storage.training import windows

        store = cast("StoreReader", self)
        names = listed(labels)
        return windows(store, listed(features), length, stride, corpus, split, names, tail, how)

    def sequences(
        self,
        features: Sequence[str],
        corpus: str | None = None,
        split: str | None = None,
        *,
        labels: Sequence[str] = (),
        **how: Unpack[TrainerOptions],
    ) -> Windows:
        """Whole clips as padded, masked batches; arguments and errors as ``windows``."""
        from storage.training import sequences

        store = cast("StoreReader", self)
        return sequences(store, listed(features), corpus, split, listed(labels), how)

    def clip_rows(
        self,
        features: Sequence[str],
        corpus: str | None = None,
        split: str | None = None,
        *,
        labels: Sequence[str] = (),
        clips: Sequence[str] | None = None,
        variant: str | None = None,
    ) -> ClipTable:
        """Clip features as arrays ``(clips, *dims)``, with clip labels.

        Raises:
            UnknownLabel, UnknownCorpus, StaleResult; NotPublished also for a feature that isn't
            of rate ``clip``.
        """
        from storage.training import clip_rows

        store, given = cast("StoreReader", self), None if clips is None else listed(clips)
        return clip_rows(store, listed(features), corpus, split, listed(labels), given, variant)
