"""Finding the published result that a read asks for, in a store of any size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from features.spelling import nearest
from storage.clips import FORGOTTEN, LABEL, listed
from storage.configurations import newest
from storage.errors import NotPublished, StaleResult, UnknownVariant
from storage.outcomes import Key, Outcome, outcomes
from storage.places import Places
from storage.records import Configuration, Published
from storage.resolve import CLIP_COLUMNS, closure
from storage.snapshot import Snapshot

#: corpus and clip
Name = tuple[str, str]
Stale = Literal["raise", "allow"]
DEFAULT = "default"
#: clips that a process looks up one by one, before it looks up those beside them too
ALONE = 4
#: blocks of clips that are remembered
REMEMBERED = 512


class Lookup:
    """Resolves (clip, feature) against a snapshot; remembers until a table changes."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._lock = threading.RLock()
        self._seen: tuple[int, ...] = ()
        self._places = Places(snapshot)
        self._alone: set[Name] = set()
        self._blocks: OrderedDict[tuple[object, ...], dict[Key, Outcome]] = OrderedDict()

    def corpora(self) -> list[str]:
        """Names of the corpora, in order."""
        with self._lock:
            self._refresh()
            return self._places.corpora()

    def corpus_of(self, clip: str, corpus: str | None = None) -> str:
        """The clip's corpus.

        Raises:
            UnknownCorpus, UnknownClip: with the nearest name, or with all corpora that have it.
        """
        with self._lock:
            self._refresh()
            return self._places.corpus_of(clip, corpus)

    def check_corpus(self, corpus: str) -> None:
        """Raises UnknownCorpus, with the nearest name, if the store has no such corpus."""
        with self._lock:
            self._refresh()
            self._places.check_corpus(corpus)

    def one(
        self, clip: str, feature: str, corpus: str | None, variant: str | None, stale: Stale
    ) -> Published:
        """The result that a read of one clip's feature uses.

        Raises:
            UnknownCorpus, UnknownClip, UnknownVariant, NotPublished, StaleResult.
        """
        with self._lock:
            corpus = self.corpus_of(clip, corpus)
            block = self._block(variant, corpus, feature, self._together(clip, corpus))
        outcome = block[corpus, clip, feature]
        if outcome.published is None and self._forgotten(corpus, clip):
            raise NotPublished(
                f"{corpus}/{clip} was forgotten, since consent was withdrawn: nothing of it is kept"
            )
        return self._chosen((corpus, clip, feature), outcome, stale, variant)

    def many(
        self,
        features: Sequence[str],
        corpus: str | None,
        split: str | None,
        clips: Sequence[str] | None,
        variant: str | None,
        stale: Stale,
    ) -> list[Published]:
        """All published results of the features, in order of corpus, clip and ``features``.

        Clips that lack a feature are left out, and those that the last ingest of their corpus
        didn't list, unless ``clips`` names them.

        Raises:
            UnknownCorpus, UnknownVariant, StaleResult; NotPublished if no clip has a feature.
        """
        if corpus is not None:
            self.check_corpus(corpus)
        given = {"corpus": corpus, "clip": clips, "split": split}
        where: dict[str, str | Sequence[str]] = {k: v for k, v in given.items() if v is not None}
        rows = self._snapshot["clips"].read(where, (*CLIP_COLUMNS, "state", "problem"))
        rows = rows if clips is not None else listed(rows)
        if not len(rows):
            asked = ", ".join(f"{name} {value!r}" for name, value in where.items())
            raise NotPublished(f"no clip has {asked}" if where else "the store has no clips")
        if where.pop("split", None) is not None:
            where["clip"] = pc.unique(rows["clip"]).to_pylist()
        known = self._outcomes(rows, where, features, variant)
        found: list[Published] = []
        for feature in features:
            keys = sorted(key for key in known if key[2] == feature)
            usable = [
                k
                for k in keys
                if known[k].published
                or known[k].state == "stale"
                or (stale == "allow" and known[k].latest)
            ]
            if not usable:
                self._chosen(keys[0], known[keys[0]], stale, variant)
            found += [self._chosen(k, known[k], stale, variant) for k in usable]
        order = {feature: i for i, feature in enumerate(features)}
        return sorted(found, key=lambda r: (r.corpus, r.clip, order[r.feature]))

    def current(self, clip: str, corpus: str | None, variant: str | None) -> list[Published]:
        """For each feature that a clip has: the published result, else the newest one."""
        corpus = self.corpus_of(clip, corpus)
        where = {"corpus": corpus, "clip": clip}
        own = self._snapshot["catalogue"].read(where, ["feature"])
        features = sorted(pc.unique(own["feature"]).to_pylist())
        rows = self._snapshot["clips"].read(where, CLIP_COLUMNS)
        known = self._outcomes(rows, where, features, variant)
        found = [outcome.published or outcome.latest for outcome in known.values()]
        return sorted((r for r in found if r is not None), key=lambda r: r.feature)

    def configuration(self, name: str | None) -> Configuration | None:
        """The newest version of a configuration.

        Raises:
            UnknownVariant: a name was given and there is none of it.
        """
        table = self._snapshot["configurations"]
        found = newest(table.read({"name": name or DEFAULT}))
        if found is None and name is not None:
            known = sorted(set(table.read(columns=["name"])["name"].to_pylist()))
            raise UnknownVariant(
                f"there is no configuration {name!r}{nearest(name, known)} "
                f"(here: {', '.join(known) or 'none yet'})"
            )
        return found[1] if found else None

    def _refresh(self) -> None:
        """Forget what a newer version of a table has made old; the lock is held."""
        tables = ("clips", "catalogue", "configurations", "failures")
        seen = tuple(self._snapshot[name].version for name in tables)
        if seen == self._seen:
            return
        if seen[:1] != self._seen[:1]:
            self._places = Places(self._snapshot)
        self._blocks.clear()
        self._seen = seen

    def _together(self, clip: str, corpus: str) -> list[str]:
        """The clips to look up with this one: most processes read very few, or all of them."""
        if len(self._alone) < ALONE:
            self._alone.add((corpus, clip))
        if (corpus, clip) in self._alone:
            return [clip]
        return self._places.beside(clip, corpus)

    def _block(
        self, variant: str | None, corpus: str, feature: str, clips: Sequence[str]
    ) -> Mapping[Key, Outcome]:
        """The outcomes of one feature for clips of a corpus; the lock is held."""
        key = (variant, corpus, feature, clips[0], len(clips))
        if key not in self._blocks:
            where: dict[str, str | Sequence[str]] = {"corpus": corpus, "clip": clips}
            rows = self._snapshot["clips"].read(where, CLIP_COLUMNS)
            self._blocks[key] = self._outcomes(rows, where, [feature], variant)
            while len(self._blocks) > REMEMBERED:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(key)
        return self._blocks[key]

    def _outcomes(
        self,
        clips: pa.Table,
        where: Mapping[str, str | Sequence[str]],
        features: Sequence[str],
        variant: str | None,
    ) -> dict[Key, Outcome]:
        return outcomes(self._snapshot, self.configuration(variant), clips, where, features)

    def _chosen(self, key: Key, outcome: Outcome, stale: Stale, variant: str | None) -> Published:
        if outcome.published is not None:
            return outcome.published
        corpus, clip, feature = key
        if stale == "allow" and outcome.latest is not None:
            return outcome.latest
        if outcome.state == "stale" and outcome.latest is not None:
            raise StaleResult(
                f"{corpus}/{clip}: {feature} is published, but not as the configuration "
                f"{variant or DEFAULT!r} wants it now (run {outcome.latest.run}); "
                f"affectstore plan --features {feature} tells why, affectstore extract --features "
                f"{feature} computes it again, stale='allow' reads what is there"
            )
        if outcome.state == "quarantined":
            raise NotPublished(
                f"{corpus}/{clip}: {feature} is in quarantine: {self._why(*key, variant)}; "
                "affectstore failures shows the log, affectstore retry runs it again"
            )
        raise NotPublished(
            f"{corpus}/{clip}: {feature} was never published{self._hint(feature, variant)}"
        )

    def _why(self, corpus: str, clip: str, feature: str, variant: str | None) -> str:
        """The newest failure of the feature, else of what it was waiting for."""
        configuration = self.configuration(variant)
        nodes = closure(configuration.nodes if configuration else (), [feature])
        where = {"corpus": corpus, "clip": clip, "feature": [node.feature for node in nodes]}
        rows = self._snapshot["failures"].read(where).to_pylist()
        own = [row for row in rows if row["feature"] == feature] or rows
        last = max(own, key=lambda row: row["time"])
        upstream = "" if last["feature"] == feature else f"{last['feature']} failed with "
        return f"{upstream}{last['code']}: {last['message']}"

    def _forgotten(self, corpus: str, clip: str) -> bool:
        rows = self._snapshot["clips"].read({"corpus": corpus, "clip": clip}, ["state"])
        return FORGOTTEN in rows["state"].to_pylist()

    def _hint(self, feature: str, variant: str | None) -> str:
        """What to do where a clip lacks a feature."""
        configuration = self.configuration(variant)
        made = {node.feature for node in configuration.nodes} if configuration else set()
        extract = f"; affectstore extract --features {feature} computes it"
        if feature in made:
            return extract
        held = self._snapshot["catalogue"].read(columns=["feature"])["feature"]
        published = set(pc.unique(held).to_pylist())
        if feature not in published:
            return nearest(feature, made | published) or extract
        if feature.startswith(LABEL):
            return "; other clips have that label: ingest this one's, or choose another split"
        return extract
