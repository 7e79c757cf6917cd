"""The store's Delta tables: atomic writes, reads that touch few files, versions."""

from __future__ import annotations

import atexit
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from storage.commits import NOTE, Commits, refuse_emptied
from storage.errors import (
    Conflict,
    NotAStore,
    ReadOnlyStore,
    StoreError,
    StoreFull,
    UnknownVersion,
    first_line,
    one_line,
)
from storage.forked import opening
from storage.local import check_writable
from storage.location import Location
from storage.predicates import Where, as_sql, matching, pruning
from storage.remote import answered, of_object_store
from storage.schemas import SCHEMAS

#: rows per Parquet row group; each has its own range of clips to skip by
ROW_GROUP = 16_384
READ_ATTEMPTS = 3
#: bytes below which a file is worth merging: half of what Delta aims at
SMALL_FILE = 50 << 20
#: row groups that a stream decodes ahead of its reader
READAHEAD = 8
COMMIT_ATTEMPTS = 12
LONGEST_PAUSE = 2.0
#: for so long a remote table's version is believed, since each look at it is a request
FRESH_SECONDS = 1.0
#: what Arrow's threads get at the end of a process that read a remote table
SETTLE_SECONDS = 0.1
#: free bytes that a commit wants to see: those of most commits, checkpoints included
LEAST_SPACE = 64 << 10
#: how the system says that it doesn't let us, in what delta-rs says
_FORBIDDEN = ("os error 13)", "os error 1)", "os error 30)")
#: Delta's own retries of an append that another writer overtook
DELTA_RETRIES = 20


class Table:
    """One Delta table under the store's root; follows its newest version unless pinned.

    A commit of another process is seen by the next read, in a remote store within a second.
    Safe to use from several threads.
    """

    def __init__(self, location: Location, name: str, version: int | None = None) -> None:
        self.name = name
        self.pinned = version
        self._location = location
        self._uri = location.delta_uri(name)
        self._options = dict(location.storage_options)
        self._files: SubTreeFileSystem | None = None
        if location.is_local:
            self._files = SubTreeFileSystem(f"{location.url}/{name}", LocalFileSystem())
        else:
            _settle_at_exit()
        self._delta: DeltaTable | None = None
        self._looked = 0.0
        self._lock = threading.RLock()

    def create(self) -> None:
        """Make the empty table; does nothing if it is there, whoever made it."""
        try:
            DeltaTable.create(
                self._uri,
                SCHEMAS[self.name],
                mode="ignore",
                name=self.name,
                configuration={"delta.enableExpiredLogCleanup": "false"},
                storage_options=self._options,
            )
        except (DeltaError, OSError) as error:
            if not DeltaTable.is_deltatable(self._uri, self._options):
                raise _translated(error, self._uri) from error

    @property
    def version(self) -> int:
        """The version that a read would see now."""
        with self._lock:
            return self._current().version()

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of the version that a read would see now."""
        with self._lock:
            return pa.schema(self._current().schema().to_arrow())

    @property
    def commits(self) -> Commits:
        """What Delta's log says of the versions up to the one that a read would see now."""
        return Commits(self._location, self.name, self.version)

    def read(self, where: Where | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows that match, from the files whose value ranges allow them."""
        where = where or {}
        if any(not isinstance(v, str) and not v for v in where.values()):
            return self.schema.empty_table().select(columns or self.schema.names)
        names = None if columns is None else list(columns)
        for attempt in range(READ_ATTEMPTS):
            try:
                return self._dataset(where).to_table(columns=names, filter=matching(where))
            except FileNotFoundError as error:
                # a compaction or clean-up took the file after this version was looked up
                if self.pinned is not None or attempt == READ_ATTEMPTS - 1:
                    raise StoreError(
                        f"{self._uri}: a file of version {self.version} is gone; "
                        "affectstore verify tells what is missing"
                    ) from error
                self.reload()
            except (OSError, pa.ArrowException) as error:
                raise self._unreadable(error) from error
        raise AssertionError("unreachable")

    def _unreadable(self, error: Exception) -> StoreError:
        """The error to raise when rows can't be read: it names the file at fault."""
        where = self._uri
        if of_object_store(where, error):
            return answered(self._location.url, self.name, error)
        for fragment in self._dataset({}).get_fragments():
            try:
                fragment.to_table()
            except (OSError, pa.ArrowException) as own:
                where, error = f"{self._uri}/{fragment.path}", own
        if isinstance(error, PermissionError):
            return _forbidden(one_line(error))
        return StoreError(f"{where} can't be read ({first_line(error)}): restore it from a copy")

    def batches(self, where: Where, columns: Sequence[str]) -> pa.RecordBatchReader:
        """The rows that match as a stream, for tables that are larger than memory.

        Only of a pinned table, whose files stay: a stream can't begin again.
        """
        if self.pinned is None:
            raise ValueError(f"{self._uri}: pin a version before you stream it")
        how = {"batch_readahead": READAHEAD, "fragment_readahead": 1}
        scanner = self._dataset(where).scanner(list(columns), filter=matching(where), **how)
        return scanner.to_reader()

    def fixed(self) -> Table:
        """The table as a read would see it now, whatever is committed from now on."""
        return Table(self._location, self.name, self.version)

    def append(self, rows: pa.Table, note: Mapping[str, str] | None = None) -> None:
        """Add rows in one atomic commit; other writers may commit at the same time.

        ``note`` is what the commit says of itself in Delta's log.
        """
        self._retry(lambda delta: self._write(delta, rows, "append", DELTA_RETRIES, note))

    def replace(
        self, rows: pa.Table, where: Where, based_on: int, note: Mapping[str, str] | None = None
    ) -> None:
        """Put ``rows`` in the place of those that match, if nobody committed since ``based_on``.

        New columns are added to the table.

        Raises:
            Conflict: somebody did; read again.
        """
        self._swap(rows, based_on, note, predicate=as_sql(where), schema_mode="merge")

    def rewrite(self, rows: pa.Table, based_on: int, note: Mapping[str, str] | None = None) -> None:
        """Put ``rows``, whose schema may differ, in the place of the whole table.

        Raises:
            Conflict: somebody committed since ``based_on``; read again.
        """
        self._swap(rows, based_on, note, predicate=None, schema_mode="overwrite")

    # not by Delta's own optimize: it marks its commit as one that changes no data, and a writer
    # that replaces the same files may then commit after it, so that every row is there twice
    def merge_files(self, note: Mapping[str, str] | None = None) -> int:
        """Merge small files into large ones in one commit that changes no row.

        Returns:
            How many files it replaced.

        Raises:
            Conflict: other processes commit without a pause.
        """
        for attempt in range(COMMIT_ATTEMPTS):
            now = self.fixed()
            with now._lock:
                files = pa.table(now._current().get_add_actions(flatten=True))
            small = pc.sum(pc.less(files["size_bytes"], SMALL_FILE)).as_py() or 0
            if small < 2:
                return 0
            try:
                self._swap(now.batches({}, now.schema.names), now.version, note)
                return len(files)
            except Conflict:
                if attempt == COMMIT_ATTEMPTS - 1:
                    raise
                pause(attempt)
        raise AssertionError("unreachable")

    def reload(self) -> None:
        """Forget what is known of the table's versions."""
        with self._lock:
            self._delta = None

    def _swap(
        self,
        rows: pa.Table | pa.RecordBatchReader,
        based_on: int,
        note: Mapping[str, str] | None,
        **how: str | None,
    ) -> None:
        delta = DeltaTable(self._uri, version=based_on, storage_options=self._options)
        try:
            newest = DeltaTable(self._uri, storage_options=self._options).version()
            if newest != based_on:
                raise Conflict(f"{self._uri} moved on from version {based_on} to {newest}")
            self._check_writable()
            self._write(delta, rows, "overwrite", 0, note, **how)
        except CommitFailedError as error:
            raise Conflict(f"{self._uri} moved on from version {based_on}: {error}") from error
        except (DeltaError, OSError) as error:
            raise _translated(error, self._uri) from error
        finally:
            # whatever came of it, the next read must look again
            self.reload()

    def _check_writable(self) -> None:
        if self._location.is_local:
            check_writable(self._location.path / self.name, LEAST_SPACE)

    def _write(
        self,
        delta: DeltaTable,
        rows: pa.Table | pa.RecordBatchReader,
        mode: str,
        retries: int,
        note: Mapping[str, str] | None,
        **more: str | None,
    ) -> None:
        write_deltalake(  # type: ignore[call-overload]
            delta,
            rows,
            mode=mode,
            writer_properties=_writer_properties(),
            commit_properties=_commit_properties(note, retries),
            **more,
        )

    def _retry(self, write: Callable[[DeltaTable], None]) -> None:
        for attempt in range(COMMIT_ATTEMPTS):
            try:
                with self._lock:
                    delta = self._current()
                    self._check_writable()
                    write(delta)
                return
            except CommitFailedError as error:
                if attempt == COMMIT_ATTEMPTS - 1:
                    raise Conflict(
                        f"{self._uri}: other writers were faster {COMMIT_ATTEMPTS} times; try again"
                    ) from error
                self.reload()
                pause(attempt)
            except (DeltaError, OSError) as error:
                raise _translated(error, self._uri) from error

    def _dataset(self, where: Where) -> pds.Dataset:
        opening(self._uri)
        with self._lock:
            return self._current().to_pyarrow_dataset(
                filesystem=self._files, file_pruning_predicate=pruning(where) or None
            )

    def _current(self) -> DeltaTable:
        """The table at its pinned or newest version; the lock is held."""
        try:
            if self._delta is None:
                opening(self._uri)
                delta = DeltaTable(self._uri, self.pinned, self._options)
                refuse_emptied(self._location, self.name, delta.version())
                self._delta, self._looked = delta, time.monotonic()
            elif self.pinned is None and self._outdated(self._delta):
                opening(self._uri)
                self._delta.update_incremental()
                self._looked = time.monotonic()
        except TableNotFoundError as error:
            raise NotAStore(f"{self._uri} is missing: the store isn't whole") from error
        except (DeltaError, OSError) as error:
            if of_object_store(self._uri, error):
                raise answered(self._location.url, self.name, error) from error
            if not isinstance(error, DeltaError):
                raise _forbidden(one_line(error)) from error
            said = first_line(error)
            # the log is JSON, so that what isn't sound Parquet is a checkpoint
            if any(word in str(error).lower() for word in ("checkpoint", "parquet")):
                raise StoreError(
                    f"{self._uri}: the log's checkpoint is lost or damaged ({said}); the log is "
                    f"whole without it: delete {self.name}/_delta_log/_last_checkpoint and "
                    f"{self.name}/_delta_log/*.checkpoint.parquet"
                ) from error
            Commits(self._location, self.name, sys.maxsize).all()  # names a damaged commit
            if self.pinned is None:
                raise StoreError(
                    f"{self._uri} can't be opened ({said}); restore its _delta_log from a copy"
                ) from error
            raise UnknownVersion(
                f"version {self.pinned} of the {self.name} isn't here, or isn't kept any more; "
                f"affectstore log lists those that are ({said})"
            ) from error
        return self._delta

    def _outdated(self, delta: DeltaTable) -> bool:
        """Whether there may be a newer version: locally a look at one file tells for sure."""
        if not self._location.is_local:
            return time.monotonic() - self._looked > FRESH_SECONDS
        return self._location.exists(f"{self.name}/_delta_log/{delta.version() + 1:020d}.json")


# A thread of Arrow's that lets go of a Python buffer while the interpreter ends aborts the process.
# Local files are read without Python in between; a remote file's buffers are Python's.
@cache
def _settle_at_exit() -> None:
    """Let Arrow's threads finish with what they hold before the interpreter ends."""
    atexit.register(time.sleep, SETTLE_SECONDS)


def _writer_properties() -> WriterProperties:
    return WriterProperties(max_row_group_size=ROW_GROUP, compression="ZSTD")


def _commit_properties(note: Mapping[str, str] | None, retries: int) -> CommitProperties:
    said = {NOTE + name: text for name, text in (note or {}).items()}
    return CommitProperties(said or None, max_commit_retries=retries)


def pause(attempt: int) -> None:
    """Wait for a random time that grows with each attempt, so that writers stop colliding."""
    time.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.02 * 2**attempt)))


def _translated(error: Exception, uri: str) -> StoreError:
    text, said = str(error), first_line(error)
    if of_object_store(uri, error):
        url, _, name = uri.rpartition("/")
        return answered(url, name, error)
    if any(words in text for words in _FORBIDDEN):
        return ReadOnlyStore(
            f"{uri} can't be written to ({one_line(error)}): check its owner, its permissions and "
            "how it is mounted"
        )
    if "os error 28" in text or "No space left" in text:
        return StoreFull(f"no space is left where {uri} lies; nothing was committed: {said}")
    return StoreError(f"{uri} can't be written: {one_line(error)}")


def _forbidden(said: str) -> StoreError:
    return StoreError(f"{said}: check whose the store is and what its permissions are")
