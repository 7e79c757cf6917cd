"""Reading a store: its tables, the result that a configuration wants, and its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.spec import FeatureSpec, Rows
from storage import configurations
from storage.catalogue import published_records, spec_of
from storage.errors import DamagedPart
from storage.groups import bounds_of, columns_of, split
from storage.history import Change, changes
from storage.location import Location
from storage.lookup import DEFAULT, Lookup, Stale
from storage.predicates import Where
from storage.reader import Mode, open_part, read_pieces
from storage.records import Configuration, Node, Published
from storage.schemas import CLIPS
from storage.snapshot import Snapshot
from storage.tags import Tag, tags_of
from storage.trainer_reads import TrainerReads, listed

if TYPE_CHECKING:
    import xarray as xr

    from storage.array import LazyArray


class StoreReader(TrainerReads):
    """The reading half of ``FeatureStore``; every read goes through one snapshot."""

    def __init__(self, location: Location, snapshot: Snapshot | None = None) -> None:
        self.location = location
        self.snapshot = snapshot or Snapshot(location)
        self._lookup = Lookup(self.snapshot)
        self._described: dict[tuple[str, str], FeatureSpec] = {}

    @property
    def root(self) -> str:
        """Path or URL of the store."""
        return self.location.url

    @property
    def storage_options(self) -> dict[str, str]:
        """What opens a remote store, besides its URL."""
        return dict(self.location.storage_options)

    @property
    def versions(self) -> dict[str, int]:
        """Version of each table that a read sees now."""
        return self.snapshot.versions

    # --- clips ----------------------------------------------------------------------------

    def corpora(self) -> list[str]:
        """Names of the corpora, in order."""
        return self._lookup.corpora()

    def clips(self, corpus: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """The clips of one corpus or of all, in order of corpus and clip id.

        Args:
            columns: these only, ``corpus`` and ``clip`` among them.

        Raises:
            UnknownCorpus: with the nearest name.
        """
        if corpus is not None:
            self._lookup.check_corpus(corpus)
        table = self.snapshot["clips"]
        # a store that was made before a column came has none of it yet
        later = [n for n in columns or () if n in CLIPS.names and n not in table.schema.names]
        names = None if columns is None else [n for n in columns if n not in later]
        rows = table.read(where_of(corpus=corpus), names)
        for name in later:
            rows = rows.append_column(name, pa.nulls(len(rows), CLIPS.field(name).type))
        return rows.sort_by([("corpus", "ascending"), ("clip", "ascending")])

    def clip(self, clip: str, corpus: str | None = None) -> dict[str, Any]:
        """The row of one clip.

        Raises:
            UnknownCorpus, UnknownClip: with the nearest name.
        """
        corpus = self._lookup.corpus_of(clip, corpus)
        row: dict[str, Any] = (
            self.snapshot["clips"].read({"corpus": corpus, "clip": clip}).to_pylist()[0]
        )
        return row

    def features(self, corpus: str | None = None) -> list[str]:
        """Names of the features, and of ``label.<name>``, that any clip has a result of.

        Raises:
            UnknownCorpus: with the nearest name.
        """
        if corpus is not None:
            self._lookup.check_corpus(corpus)
        return sorted(self.catalogue(corpus, columns=["feature"])["feature"].unique().to_pylist())

    # --- the catalogue --------------------------------------------------------------------

    def catalogue(
        self,
        corpus: str | None = None,
        clip: str | None = None,
        features: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Catalogue rows, all that were ever published, superseded ones too."""
        where = where_of(corpus=corpus, clip=clip, feature=features)
        return self.snapshot["catalogue"].read(where, columns)

    def published(
        self,
        *,
        corpus: str | None = None,
        clips: Sequence[str] | None = None,
        features: Sequence[str] | None = None,
        fingerprints: Sequence[str] | None = None,
    ) -> list[Published]:
        """The records of catalogue rows, superseded ones too, oldest first."""
        where = where_of(corpus=corpus, clip=clips, feature=features, fingerprint=fingerprints)
        return published_records(self.snapshot["catalogue"].read(where))

    def select(
        self,
        features: Sequence[str],
        corpus: str | None = None,
        *,
        split: str | None = None,
        clips: Sequence[str] | None = None,
        variant: str | None = None,
        stale: Stale = "raise",
    ) -> list[Published]:
        """What ``read`` would use, for all clips at once: in order of corpus, clip, feature.

        Clips that have no result of a feature are left out, and so are those that the last ingest
        of their corpus didn't list, unless ``clips`` names them. Read with ``read_result``.

        Raises:
            UnknownCorpus, UnknownVariant, StaleResult; NotPublished if no clip has a feature.
        """
        return self._lookup.many(listed(features), corpus, split, clips, variant, stale)

    def rows(
        self,
        clip: str,
        feature: str,
        *,
        corpus: str | None = None,
        variant: str | None = None,
        stale: Stale = "raise",
    ) -> Published:
        """The published result that ``read`` would use; same arguments, same errors."""
        return self._lookup.one(clip, feature, corpus, variant, stale)

    def current(
        self, clip: str, corpus: str | None = None, variant: str | None = None
    ) -> list[Published]:
        """Of each feature that a clip has, the published result, else the newest (stale) one."""
        return self._lookup.current(clip, corpus, variant)

    def failures(
        self,
        corpus: str | None = None,
        clip: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """All failures ever recorded, computed since or not; logs are most of their bytes."""
        return self.snapshot["failures"].read(where_of(corpus=corpus, clip=clip), columns)

    def runs(self) -> pa.Table:
        """The runs, oldest first."""
        return self.snapshot["runs"].read().sort_by("started")

    def tags(self) -> list[Tag]:
        """The tags as they are now, in order of time, whatever the store is open at."""
        return tags_of(self.location)

    def log(self, limit: int | None = None) -> list[Change]:
        """What was committed to the tables up to the point of this read, newest first.

        Args:
            limit: so many; all if None.
        """
        return changes(self.snapshot, self.tags(), limit)

    # --- configurations -------------------------------------------------------------------

    def configuration(self, name: str = DEFAULT) -> Configuration | None:
        """The newest version of a configuration, or None."""
        found = configurations.newest(self.snapshot["configurations"].read({"name": name}))
        return found[1] if found else None

    def configuration_named(self, identity: str) -> str | None:
        """The name under which a configuration is kept now, if it is; a run's own name last."""
        rows = self.snapshot["configurations"].read(columns=["name", "id", "version"]).to_pylist()
        newest = {r["name"]: r["id"] for r in sorted(rows, key=lambda r: r["version"])}
        names = [name for name, held in newest.items() if held == identity]
        return min(names, key=lambda name: (":" in name, name), default=None)

    def wanted(self, variant: str | None = None) -> Configuration | None:
        """The configuration that ``read`` resolves; None if the store has no default one yet.

        Raises:
            UnknownVariant: with the nearest name.
        """
        return self._lookup.configuration(variant)

    def earlier_nodes(self) -> dict[str, Node]:
        """Extractor key -> node, of all configurations that the store ever had."""
        rows = self.snapshot["configurations"].read(columns=["nodes"])
        nodes = [n for text in rows["nodes"].to_pylist() for n in configurations.nodes_of(text)]
        return {node.extractor_key: node for node in nodes}

    # --- reading rows ---------------------------------------------------------------------

    def read(
        self,
        clip: str,
        feature: str,
        start: int | None = None,
        stop: int | None = None,
        *,
        corpus: str | None = None,
        variant: str | None = None,
        stale: Stale = "raise",
        mode: Mode = "preadv",
    ) -> Rows:
        """Rows ``[start, stop)`` of a clip's feature, as the configuration wants it.

        Args:
            feature: its name, or ``<feature>.<group>`` for a group of its columns, such as
                ``openface.gaze``.
            corpus: needed where several corpora have a clip of that id.
            variant: name of the configuration; the default one if None.
            stale: ``"allow"`` gives the newest result if the wanted one isn't published.
            mode: ``"mmap"`` for warm local caches; see ``storage.reader``.

        Raises:
            UnknownCorpus, UnknownClip, UnknownVariant, NotPublished, StaleResult, DamagedPart;
            UnknownGroup: the feature has no such group. ValueError: ``start`` or ``stop`` is
            negative, or ``start`` after ``stop``.
        """
        _check_range(start or 0, stop)
        feature, group = split(feature)
        found = self.rows(clip, feature, corpus=corpus, variant=variant, stale=stale)
        bounds = None if group is None else bounds_of(self.spec(found), group)
        rows = self.read_result(found, start or 0, stop, mode=mode)
        return rows if bounds is None else columns_of(rows, bounds)

    def read_result(
        self,
        published: Published,
        start: int = 0,
        stop: int | None = None,
        *,
        mode: Mode = "preadv",
    ) -> Rows:
        """Rows ``[start, stop)`` of a result that is known already: no look-up."""
        return read_pieces(
            self.location,
            published.feature,
            published.pieces,
            start,
            stop,
            spec=None if published.pieces else self.spec(published),
            t0=published.t0,
            step=published.step,
            mode=mode,
        )

    def spec(self, published: Published) -> FeatureSpec:
        """What the feature of a result is.

        Raises:
            DamagedPart: neither its part nor the extractors table tells.
        """
        key = (published.extractor_key, published.feature)
        if key not in self._described:
            self._described[key] = self._find_spec(published)
        return self._described[key]

    def part_info(self, published: Published) -> dict[str, Any]:
        """The feature's name, rate, dims, dtype, columns, units and whether it is ragged."""
        return asdict(self.spec(published))

    def array(
        self,
        feature: str,
        corpus: str | None = None,
        split: str | None = None,
        *,
        variant: str | None = None,
        stale: Stale = "raise",
    ) -> LazyArray:
        """What ``select`` gives of a feature, as one lazy array in order of corpus and clip id."""
        from storage.array import lazy_array

        found = self.select([feature], corpus, split=split, variant=variant, stale=stale)
        return lazy_array(self.location, self.spec(found[0]), found)

    def to_xarray(
        self,
        clip: str | None = None,
        features: Sequence[str] = (),
        corpus: str | None = None,
        *,
        variant: str | None = None,
        stale: Stale = "raise",
    ) -> xr.Dataset:
        """Features of one clip, or of all clips lazily, as a labelled dataset.

        See ``storage.labelled`` for dimensions and coordinates.

        Raises:
            ValueError: no feature is named.
        """
        if not features:
            raise ValueError("to_xarray needs features: name one at least, features=['mfcc_mel']")
        from storage.labelled import clip_dataset, corpus_dataset

        if clip is None:
            return corpus_dataset(self, listed(features), corpus, variant, stale)
        return clip_dataset(self, clip, listed(features), corpus, variant, stale)

    def _find_spec(self, published: Published) -> FeatureSpec:
        feature, key = published.feature, published.extractor_key
        if published.pieces:
            return open_part(self.location, feature, published.pieces[0].part).spec
        rows = self.snapshot["extractors"].read({"extractor_key": key, "feature": feature})
        if len(rows):
            return spec_of(rows["spec"][0].as_py())
        raise DamagedPart(
            f"{published.corpus}/{published.clip}: {feature} has no rows, and nothing tells what "
            "it is; publish it again"
        )


def _check_range(start: int, stop: int | None) -> None:
    for name, row in (("start", start), ("stop", stop)):
        if row is not None and row < 0:
            raise ValueError(
                f"{name} is {row}, but rows are counted from 0 on; store.rows(clip, feature).rows "
                "tells how many there are"
            )
    if stop is not None and stop < start:
        raise ValueError(f"start {start} lies after stop {stop}; give [start, stop)")


def where_of(**values: str | Sequence[str] | None) -> Where:
    return {name: value for name, value in values.items() if value is not None}
