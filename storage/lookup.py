"""Finding the published result that a read asks for, in a store of any size."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from storage.catalogue import published_records
from storage.clips import nearest
from storage.configurations import newest
from storage.errors import NotPublished, StaleResult, UnknownClip, UnknownCorpus, UnknownVariant
from storage.records import Configuration, Node, Published
from storage.resolve import CATALOGUE_COLUMNS, CLIP_COLUMNS, FAILURE_COLUMNS, closure, resolve
from storage.snapshot import Snapshot

Stale = Literal["raise", "allow"]
Key = tuple[str, str, str]

DEFAULT = "default"
#: clips in order of id that are looked up together: one costs about as much as all of them
BLOCK = 256
#: blocks that are remembered
REMEMBERED = 512


@dataclass(frozen=True)
class Outcome:
    """What a store knows of one (clip, feature) under one configuration.

    Attributes:
        state: published, stale, missing or quarantined.
        published: the result of the wanted fingerprint.
        latest: the newest result of that clip and feature, whatever its fingerprint.
    """

    state: str
    published: Published | None
    latest: Published | None


class Lookup:
    """Resolves (clip, feature) against a snapshot; remembers until a table changes."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._lock = threading.RLock()
        self._seen: tuple[int, ...] = ()
        self._names: dict[str, pa.ChunkedArray] = {}
        self._places: dict[tuple[str | None, str], tuple[str, int]] = {}
        self._blocks: OrderedDict[tuple[str | None, str, str, int], dict[Key, Outcome]] = (
            OrderedDict()
        )

    def corpora(self) -> list[str]:
        """Names of the corpora, in order."""
        with self._lock:
            self._refresh()
            return list(self._names)

    def place(self, clip: str, corpus: str | None = None) -> tuple[str, int]:
        """The clip's corpus and its number in order of id.

        Raises:
            UnknownCorpus, UnknownClip: with the nearest name, or with all corpora that have it.
        """
        with self._lock:
            self._refresh()
            key = (corpus, clip)
            if key not in self._places:
                self._places[key] = self._search(clip, corpus)
            return self._places[key]

    def check_corpus(self, corpus: str) -> None:
        """Raises UnknownCorpus, with the nearest name, if the store has no such corpus."""
        known = self.corpora()
        if corpus not in known:
            raise UnknownCorpus(
                f"there is no corpus {corpus!r}{nearest(corpus, known)} "
                f"(here: {', '.join(known) or 'none yet'})"
            )

    def one(
        self, clip: str, feature: str, corpus: str | None, variant: str | None, stale: Stale
    ) -> Published:
        """The result that a read of one clip's feature uses.

        Raises:
            UnknownCorpus, UnknownClip, UnknownVariant, NotPublished, StaleResult.
        """
        with self._lock:
            corpus, number = self.place(clip, corpus)
            block = self._block(variant, corpus, feature, number // BLOCK)
        return self._chosen((corpus, clip, feature), block[corpus, clip, feature], stale, variant)

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

        Clips that lack a feature are left out.

        Raises:
            UnknownCorpus, UnknownVariant, StaleResult; NotPublished if no clip has a feature.
        """
        if corpus is not None:
            self.check_corpus(corpus)
        given = {"corpus": corpus, "clip": clips, "split": split}
        where: dict[str, str | Sequence[str]] = {k: v for k, v in given.items() if v is not None}
        rows = self._snapshot["clips"].read(where, CLIP_COLUMNS)
        if not len(rows):
            raise NotPublished(f"no clip matches {where}" if where else "the store has no clips")
        if where.pop("split", None) is not None:
            where["clip"] = pc.unique(rows["clip"]).to_pylist()
        outcomes = self._outcomes(rows, where, features, variant)
        found: list[Published] = []
        for feature in features:
            keys = sorted(key for key in outcomes if key[2] == feature)
            usable = [
                k
                for k in keys
                if outcomes[k].published
                or outcomes[k].state == "stale"
                or (stale == "allow" and outcomes[k].latest)
            ]
            if not usable:
                self._chosen(keys[0], outcomes[keys[0]], stale, variant)
            found += [self._chosen(k, outcomes[k], stale, variant) for k in usable]
        order = {feature: i for i, feature in enumerate(features)}
        return sorted(found, key=lambda r: (r.corpus, r.clip, order[r.feature]))

    def current(self, clip: str, corpus: str | None, variant: str | None) -> list[Published]:
        """For each feature that a clip has: the published result, else the newest one."""
        corpus, _ = self.place(clip, corpus)
        where = {"corpus": corpus, "clip": clip}
        own = self._snapshot["catalogue"].read(where, ["feature"])
        features = sorted(pc.unique(own["feature"]).to_pylist())
        rows = self._snapshot["clips"].read(where, CLIP_COLUMNS)
        outcomes = self._outcomes(rows, where, features, variant).values()
        found = [outcome.published or outcome.latest for outcome in outcomes]
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

    def _search(self, clip: str, corpus: str | None) -> tuple[str, int]:
        if corpus is not None:
            self.check_corpus(corpus)
        names = self._names if corpus is None else {corpus: self._names[corpus]}
        numbers = {c: pc.index(clips, clip).as_py() for c, clips in names.items()}
        found = [c for c, number in numbers.items() if number >= 0]
        if not found:
            hint = nearest(clip, [n for clips in names.values() for n in clips.to_pylist()])
            raise UnknownClip(f"there is no clip {clip!r}{f' in {corpus}' if corpus else ''}{hint}")
        if len(found) > 1:
            raise UnknownClip(f"clip {clip!r} is in {' and '.join(found)}: say corpus=…")
        return found[0], numbers[found[0]]

    def _refresh(self) -> None:
        """Forget what a newer version of a table has made old; the lock is held."""
        tables = ("clips", "catalogue", "configurations", "failures")
        seen = tuple(self._snapshot[name].version for name in tables)
        if seen == self._seen:
            return
        if seen[:1] != self._seen[:1]:
            rows = self._snapshot["clips"].read(columns=["corpus", "clip"])
            rows = rows.sort_by([("corpus", "ascending"), ("clip", "ascending")])
            self._names = {
                corpus: rows.filter(pc.field("corpus") == corpus)["clip"]
                for corpus in pc.unique(rows["corpus"]).to_pylist()
            }
            self._places.clear()
        self._blocks.clear()
        self._seen = seen

    def _block(
        self, variant: str | None, corpus: str, feature: str, number: int
    ) -> Mapping[Key, Outcome]:
        """The outcomes of one feature for a run of clips of a corpus; the lock is held."""
        key = (variant, corpus, feature, number)
        if key not in self._blocks:
            names = self._names[corpus].slice(number * BLOCK, BLOCK).to_pylist()
            where: dict[str, str | Sequence[str]] = {"corpus": corpus, "clip": names}
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
        """What is known of each clip in ``clips`` (all that match ``where``) and feature."""
        catalogue = self._snapshot["catalogue"]
        configuration = self.configuration(variant)
        nodes = closure(configuration.nodes if configuration else (), features)
        history = _by_key(catalogue.read({**where, "feature": list(features)}))
        resolved = self._resolved(nodes, clips, where) if nodes else None
        made = {node.feature for node in nodes}
        found: dict[Key, Outcome] = {}
        for corpus, clip in _pairs(clips):
            for feature in features:
                results = history.get((corpus, clip, feature), [])
                if feature not in made and results:
                    found[corpus, clip, feature] = Outcome("published", results[-1], results[-1])
                elif feature not in made:
                    found[corpus, clip, feature] = Outcome("missing", None, None)
        if resolved is None:
            return found
        wanted = resolved.filter(pc.field("feature").isin(list(features)))
        others = wanted.filter((pc.field("state") == "published") & ~pc.field("own"))
        elsewhere = {r.fingerprint: r for r in self._by_fingerprint(others)}
        for row in wanted.to_pylist():
            key = (row["corpus"], row["clip"], row["feature"])
            results = history.get(key, [])
            latest = results[-1] if results else None
            result: Published | None = None
            if row["state"] == "published" and row["own"]:
                result = [r for r in results if r.fingerprint == row["fingerprint"]][-1]
            elif row["state"] == "published":
                other = elsewhere[row["fingerprint"]]
                result = replace(other, corpus=row["corpus"], clip=row["clip"])
            found[key] = Outcome(row["state"], result, latest)
        return found

    def _resolved(
        self, nodes: Sequence[Node], clips: pa.Table, where: Mapping[str, str | Sequence[str]]
    ) -> pa.Table:
        """States of the nodes, with results of other clips taken in as far as they fit."""
        catalogue = self._snapshot["catalogue"]
        names = sorted({n.feature for n in nodes} | {f for n in nodes for _, f in n.inputs})
        rows = catalogue.read({**where, "feature": names}, CATALOGUE_COLUMNS)
        failures = self._snapshot["failures"].read({**where, "feature": names}, FAILURE_COLUMNS)
        asked: set[str] = set()
        while True:
            resolved = resolve(nodes, clips, rows, failures)
            unpublished = resolved.filter(pc.field("state") != "published")["fingerprint"]
            missing = set(unpublished.drop_null().to_pylist()) - asked
            if not missing:
                return resolved
            asked |= missing
            elsewhere = {"feature": names, "fingerprint": sorted(missing)}
            others = catalogue.read(elsewhere, CATALOGUE_COLUMNS)
            if not len(others):
                return resolved
            rows = pa.concat_tables([rows, others])

    def _by_fingerprint(self, rows: pa.Table) -> list[Published]:
        if not len(rows):
            return []
        keys = pc.unique(rows["fingerprint"]).to_pylist()
        return published_records(self._snapshot["catalogue"].read({"fingerprint": keys}))

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
                f"{corpus}/{clip}: {feature} is in quarantine: {self._why(corpus, clip, feature)}; "
                "affectstore failures shows the log, affectstore retry runs it again"
            )
        hint = self._hint(feature, variant)
        raise NotPublished(
            f"{corpus}/{clip}: {feature} was never published"
            + (hint or f"; affectstore extract --features {feature} computes it")
        )

    def _why(self, corpus: str, clip: str, feature: str) -> str:
        """The newest failure of the feature, else of what it was waiting for."""
        rows = self._snapshot["failures"].read({"corpus": corpus, "clip": clip}).to_pylist()
        own = [row for row in rows if row["feature"] == feature] or rows
        last = max(own, key=lambda row: row["time"])
        upstream = "" if last["feature"] == feature else f"{last['feature']} failed with "
        return f"{upstream}{last['code']}: {last['message']}"

    def _hint(self, feature: str, variant: str | None) -> str:
        configuration = self.configuration(variant)
        made = {node.feature for node in configuration.nodes} if configuration else set()
        if feature in made:
            return ""
        published = self._snapshot["catalogue"].read(columns=["feature"])["feature"]
        return nearest(feature, made | set(pc.unique(published).to_pylist()))


def _by_key(rows: pa.Table) -> dict[Key, list[Published]]:
    found: dict[Key, list[Published]] = defaultdict(list)
    for result in published_records(rows):
        found[result.corpus, result.clip, result.feature].append(result)
    return found


def _pairs(clips: pa.Table) -> Iterable[tuple[str, str]]:
    return zip(clips["corpus"].to_pylist(), clips["clip"].to_pylist(), strict=True)
