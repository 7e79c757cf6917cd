"""The store: clips, published results and their rows, under one path or URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from features.canonical import H
from features.spec import FeatureSpec, Rows
from storage import configurations, store_file, tags
from storage.catalogue import (
    counted,
    extractor_table,
    failure_table,
    published_table,
    run_table,
    said_of,
    spec_of,
)
from storage.clips import upsert
from storage.clock import after
from storage.errors import DamagedPart, ReadOnlyStore, StoreExists
from storage.layout import METADATA, part_key
from storage.local import check_writable
from storage.location import Location
from storage.part import PartWriter
from storage.reader import open_part
from storage.reading import StoreReader
from storage.records import Configuration, Failure, Published, Run
from storage.snapshot import At, Snapshot
from storage.tags import Tag


class FeatureStore(StoreReader):
    """A store, open for reading and, unless ``read_only``, for writing.

    Safe to share between threads; pickled, it opens itself again where it arrives.
    """

    def __init__(
        self,
        location: Location,
        *,
        read_only: bool = False,
        snapshot: Snapshot | None = None,
    ) -> None:
        super().__init__(location, snapshot)
        self.read_only = read_only or self.snapshot.pinned is not None

    # --- making and opening ---------------------------------------------------------------

    @classmethod
    def create(
        cls,
        root: str | os.PathLike[str],
        *,
        exist_ok: bool = False,
        storage_options: Mapping[str, str] | None = None,
    ) -> FeatureStore:
        """Make an empty store; any number of processes may try at once.

        Args:
            exist_ok: open the store if there is one already.

        Raises:
            StoreExists: a store, or something else, is there. NotAStore: a file is in the way.
            WrongFormat: ``exist_ok``, and the store there has another format.
        """
        location = Location.parse(os.fspath(root), storage_options)
        if not location.exists(store_file.STORE_FILE):
            store_file.refuse_foreign(location)
            # the tables first: whoever sees store.json sees a whole store
            Snapshot(location).create()
            if store_file.write(location):
                return cls(location)
        if not exist_ok:
            raise StoreExists(f"{location.url} is a store already")
        return cls.open(root, storage_options=storage_options)

    @classmethod
    def open(
        cls,
        root: str | os.PathLike[str],
        *,
        read_only: bool = False,
        at: At | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> FeatureStore:
        """Open the store at a path or URL.

        Args:
            at: read it as it was at a tag, a version of the catalogue or a moment, given as such
                or as text (see ``Snapshot.at``), or at each table's own version; such a store is
                read-only.

        Raises:
            NotAStore: there is none. WrongFormat: it was written in another format.
            UnknownVersion, WrongTag: there is no such point in its history.
        """
        location = Location.parse(os.fspath(root), storage_options)
        store_file.check(location)
        snapshot = None if at is None else Snapshot.at(location, at)
        return cls(location, read_only=read_only, snapshot=snapshot)

    def __repr__(self) -> str:
        mode = ", read_only=True" if self.read_only else ""
        at = f", at={self.snapshot.pinned}" if self.snapshot.pinned is not None else ""
        return f"FeatureStore({self.root!r}{mode}{at})"

    def __reduce__(self) -> tuple[object, ...]:
        pinned = self.snapshot.pinned
        return (_reopen, (self.root, self.read_only, pinned, self.storage_options))

    # --- writing --------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Raises ReadOnlyStore or StoreFull where nothing could be written, before work begins."""
        self._check_writable()
        if self.location.is_local:
            check_writable(self.location.path, 1)

    def upsert_clips(
        self, corpus: str, table: pa.Table, *, complete: bool = False, revive: bool = False
    ) -> None:
        """Add or change clips by id, in one atomic commit; nothing is ever deleted.

        Args:
            table: ``clip``, ``uri``, ``media_key`` and any other columns of the clips table, and
                labels as ``label.<name>``. Columns that it lacks keep what is known.
            complete: the corpus's clips that it lacks become ``missing``.
            revive: take in clips that were forgotten; else their rows are left out.

        Unchanged clips make no new version.
        """
        self._check_writable()
        upsert(self.snapshot["clips"], corpus, table, complete=complete, revive=revive)

    def writer(
        self,
        spec: FeatureSpec,
        description: Mapping[str, object] | None = None,
        codec: str | None = None,
    ) -> PartWriter:
        """A writer of new parts of one feature; its clips count once ``commit`` names them."""
        self._check_writable()
        return PartWriter(self.location, spec, description=description or {}, codec=codec)

    def commit(self, published: Sequence[Published], failures: Sequence[Failure] = ()) -> None:
        """Publish results: one atomic append; their parts' writers are closed before.

        Raises:
            DamagedPart: a part isn't there; nothing was published.
            StoreFull: no space is left; nothing was published.
        """
        self._check_writable()
        if published:
            self._check_parts(published)
            self._describe(published)
            note = {"what": said_of(published)} | self.snapshot.note
            self.snapshot["catalogue"].append(published_table(published), note)
        if failures:
            note = {"what": counted(len(failures), "result") + " in quarantine"}
            self.snapshot["failures"].append(failure_table(failures), note)

    def publish(
        self,
        clip: str,
        spec: FeatureSpec,
        rows: Rows,
        *,
        corpus: str | None = None,
        extractor_key: str | None = None,
        run: str = "manual",
    ) -> Published:
        """Publish rows that no extractor of ours made, such as labels (``label.<name>``).

        The fingerprint is made of the name and the content. Rows that are the clip's newest
        already aren't written again.

        Raises:
            UnknownCorpus, UnknownClip: with the nearest name.
        """
        corpus = self._lookup.corpus_of(clip, corpus)
        key = extractor_key or H("published", spec.name)
        with self.writer(spec, {"extractor_key": key, "run": run}) as writer:
            writer.begin()
            writer.append(rows)
            stored = writer.finish()
            fingerprint = H("published", spec.name, stored.content)
            known = self.published(corpus=corpus, clips=[clip], features=[spec.name])
            last = known[-1] if known else None
            place = (fingerprint, stored.t0, stored.step)
            if last is not None and (last.fingerprint, last.t0, last.step) == place:
                writer.discard()
                return last
        result = stored.published(
            corpus,
            clip,
            spec.name,
            fingerprint=fingerprint,
            extractor_key=key,
            run=run,
            time=after(r.time for r in known),
        )
        self.describe([spec], key, {"run": run})
        self.commit([result])
        return result

    def describe(
        self,
        specs: Sequence[FeatureSpec],
        extractor_key: str,
        description: Mapping[str, object] | None = None,
    ) -> None:
        """Record what features an extractor makes; ``commit`` does so from the parts it names.

        Needed only where no part tells: a feature of which every result has no rows.
        """
        self._check_writable()
        entries = {
            (extractor_key, spec.name): (spec, description or {})
            for spec in specs
            if (extractor_key, spec.name) not in self._described
        }
        if not entries:
            return
        rows = self.snapshot["extractors"].read({"extractor_key": extractor_key})
        for row in rows.to_pylist():
            self._described[extractor_key, row["feature"]] = spec_of(row["spec"])
        fresh = {key: value for key, value in entries.items() if key not in self._described}
        if fresh:
            self.snapshot["extractors"].append(extractor_table(fresh))
            self._described |= {key: spec for key, (spec, _) in fresh.items()}

    def record_run(self, run: Run) -> None:
        """Add a run's record."""
        self._check_writable()
        said = f"run {run.run} {run.state}: {run.published} published, {run.failed} failed"
        self.snapshot["runs"].append(run_table(run), {"what": said})

    def save_configuration(self, configuration: Configuration) -> int:
        """Keep a configuration, if it differs from the current one of its name; its version."""
        return self.change_configuration(configuration.name, lambda _: configuration)

    def change_configuration(
        self, name: str, change: Callable[[Configuration | None], Configuration | None]
    ) -> int:
        """Keep what ``change`` makes of the newest configuration of a name; its version.

        Of several that change one at the same time, each is given what the one before it kept.
        """
        version = configurations.change(self.location, name, change, self._check_writable)
        self.snapshot["configurations"].reload()
        return version

    def delete_configuration(self, name: str) -> None:
        """Take a variant out of the newest version; its results stay until gc is to take them.

        Raises:
            UnknownVariant: there is none, or it is the default one, which every store has.
        """
        self._check_writable()
        configurations.delete(self.location, name)
        self.snapshot["configurations"].reload()

    # --- tags -----------------------------------------------------------------------------

    def tag(self, name: str, message: str = "", *, at: At | None = None, move: bool = False) -> Tag:
        """Name the versions of all tables, so that they are kept and can be read again.

        Args:
            at: an earlier point in the store's history; without it, now.
            move: let an existing tag stand for these versions from now on.

        Raises:
            WrongTag, TagExists; UnknownVersion: ``at`` isn't there, or isn't kept any more.
        """
        self._check_writable()
        tags.check_name(name)
        snapshot = Snapshot.at(self.location, tags.NOW if at is None else at)
        if at is not None:
            snapshot.check()
        return tags.set_tag(self.location, name, snapshot.versions, message, move=move)

    def delete_tag(self, name: str) -> Tag:
        """Take a tag's name back; nothing else is deleted until gc.

        Raises:
            UnknownVersion: there is no such tag.
        """
        self._check_writable()
        return tags.delete_tag(self.location, name)

    def _check_parts(self, published: Sequence[Published]) -> None:
        """Raises DamagedPart if a result names a part that isn't there."""
        parts = {(p.part, r.feature): r for r in published for p in r.pieces}
        for (part, feature), result in parts.items():
            if not self.location.exists(f"{part_key(feature, part)}/{METADATA}"):
                raise DamagedPart(
                    f"{result.corpus}/{result.clip}: part {part} of {feature} isn't there, so "
                    "nothing was published; close the writer before the commit"
                )

    def _describe(self, published: Sequence[Published]) -> None:
        """Record the extractors of results whose parts tell what they hold."""
        fresh: dict[tuple[str, str], Published] = {}
        for result in published:
            key = (result.extractor_key, result.feature)
            if result.pieces and key not in self._described:
                fresh.setdefault(key, result)
        for result in fresh.values():
            part = open_part(self.location, result.feature, result.pieces[0].part)
            self.describe([part.spec], result.extractor_key, part.description)

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyStore(f"{self!r} is open for reading only; open it without read_only, at")


def _reopen(
    root: str, read_only: bool, at: dict[str, int] | None, storage_options: dict[str, str]
) -> FeatureStore:
    return FeatureStore.open(root, read_only=read_only, at=at, storage_options=storage_options)
