"""What a configuration wants, and what of it is published: feature by feature, no clip loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias

import duckdb
import numpy as np
import pyarrow as pa

from features.canonical import canonical_json
from storage.database import database
from storage.errors import StoreError, first_line
from storage.keys import clocked_sql, declared_attrs, fingerprint_sql
from storage.predicates import Where
from storage.records import Node
from storage.remote import answered, of_object_store

#: columns that ``resolve`` reads of the tables it is given
CLIP_COLUMNS = ("corpus", "clip", "media_key", "attrs")
CATALOGUE_COLUMNS = ("corpus", "clip", "feature", "fingerprint", "content", "t0", "step", "time")
FAILURE_COLUMNS = ("corpus", "clip", "feature", "fingerprint")

#: the catalogue: a table, or what gives (where, columns) -> batches of one version of it
Catalogue: TypeAlias = pa.Table | Callable[[Where, Sequence[str]], pa.RecordBatchReader]

RESOLVED = pa.schema(
    [
        ("corpus", pa.string()),
        ("clip", pa.string()),
        ("feature", pa.string()),
        ("state", pa.string()),
        ("fingerprint", pa.string()),
        ("own", pa.bool_()),
    ]
)
_PLACED = clocked_sql("r.content", "r.t0", "r.step")
#: before a text that is no sha256, so that it can't be taken for the 32 bytes of one
_OTHER = "-" * 33


def resolve(
    nodes: Sequence[Node], clips: pa.Table, catalogue: Catalogue, failures: pa.Table
) -> pa.Table:
    """The state of every (clip, feature) of a configuration: see ``Resolution``.

    Returns:
        A table with the schema ``RESOLVED``, one row per clip and node.
    """
    found = []
    with Resolution(nodes, clips, catalogue, failures) as resolution:
        for node in resolution.states():
            found.append(
                resolution.db.execute(
                    f"""SELECT c.corpus, c.clip, {quote(node.feature)} AS feature, s.state,
                        {unpacked("s.fingerprint")} AS fingerprint, s.own
                    FROM state s JOIN clips c USING (id)"""
                )
                .to_arrow_table()
                .cast(RESOLVED)
            )
    return pa.concat_tables(found) if found else RESOLVED.empty_table()


class Resolution(AbstractContextManager["Resolution"]):
    """Resolves a configuration's features one after the other, in one DuckDB database.

    The catalogue is read once, as a stream. Of a result are kept the clip's number, feature, time,
    and fingerprint and content hash as bytes: about 100 bytes; what doesn't fit in memory goes to
    a temporary folder.

    Attributes:
        db: holds ``clips`` (id, corpus, clip, media_key, attrs: the given rows, numbered from 0)
            and ``results`` (id, null of a clip that isn't among them; feature, a number;
            fingerprint; placed, content and clock, null where nothing reads it; time; what
            ``keep`` names).
        clips: how many were given.
        codes: feature -> its number in ``results``.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        clips: pa.Table,
        catalogue: Catalogue,
        failures: pa.Table,
        also: Sequence[str] = (),
        keep: Sequence[str] = (),
        all_keys: bool = True,
    ) -> None:
        """
        Args:
            nodes: in topological order, closed under inputs (labels and features that no node
                makes count as published by their newest catalogue row).
            clips, catalogue, failures: at least the columns named above.
            also: further features whose rows ``results`` shall have, for whoever looks there.
            keep: further columns of the catalogue that ``results`` shall have.
            all_keys: False leaves the fingerprint out of ``state`` for features of which there
                is nothing at all, where only the state counts: it is most of the time that they
                take.
        """
        self.nodes, self.clips = tuple(nodes), len(clips)
        self._read = {feature for node in nodes for _, feature in node.inputs}
        named = {*(node.feature for node in nodes), *self._read, *also}
        self.codes = {f: i for i, f in enumerate(sorted(named))}
        self.db = database()
        numbers = pa.array(np.arange(len(clips), dtype=np.int32))
        self.db.register("clips", clips.select(list(CLIP_COLUMNS)).append_column("id", numbers))
        codes = {
            "feature": pa.array(self.codes, pa.string()),
            "code": pa.array(self.codes.values(), pa.int16()),
            "is_read": pa.array([f in self._read for f in self.codes]),
        }
        self.db.register("codes", pa.table(codes))
        self._read_catalogue(catalogue, keep)
        self.db.register("failures_in", failures.select(list(FAILURE_COLUMNS)))
        self.db.execute(
            f"""CREATE TABLE failed AS
            SELECT DISTINCT c.id, f.code AS feature, {packed("x.fingerprint")} AS fingerprint
            FROM failures_in x JOIN codes f USING (feature) JOIN clips c USING (corpus, clip)"""
        )
        self._nothing: set[int] = set()
        if not all_keys:
            some = self.db.execute("SELECT feature FROM results UNION SELECT feature FROM failed")
            self._nothing = {*self.codes.values()} - {code for (code,) in some.fetchall()}

    def __exit__(self, *_: object) -> None:
        self.db.close()

    def _read_catalogue(self, catalogue: Catalogue, keep: Sequence[str]) -> None:
        extra = [packed("r.content") + " AS content" if n == "content" else f"r.{n}" for n in keep]
        columns = (*CATALOGUE_COLUMNS, *(n for n in keep if n not in CATALOGUE_COLUMNS))
        rows = batches(catalogue, {"feature": list(self.codes)}, columns)
        self.db.register("catalogue_in", rows)
        read = f"""CREATE TABLE results AS SELECT c.id, f.code AS feature,
                {packed("r.fingerprint")} AS fingerprint,
                CASE WHEN f.is_read THEN {packed(_PLACED)} END AS placed,
                {", ".join(("r.time", *extra))}
            FROM catalogue_in r JOIN codes f USING (feature) LEFT JOIN clips c USING (corpus, clip)
            """
        try:
            self.db.execute(read)
        except duckdb.Error as error:
            if "arrow_scan" not in str(error):
                raise
            # what Arrow says of a damaged file comes through the database as text
            if of_object_store("://", error):
                raise answered("the store", "catalogue", error) from error
            raise StoreError(
                f"the catalogue can't be read ({first_line(error)}): affectstore verify names what "
                "is damaged; restore that from a copy"
            ) from error
        self.db.unregister("catalogue_in")

    def states(self, nodes: Sequence[Node] | None = None) -> Iterator[Node]:
        """Resolve the nodes in turn; while one is at hand, the table ``state`` holds its clips.

        ``nodes`` are some of those given, in topological order, and all that they read.

        One row per clip:

        - ``id``: the clip's number; ``state``: ``published``, ``stale`` (only other fingerprints
          exist), ``missing`` or ``quarantined`` (itself, or something it reads, failed with this
          very key).
        - ``fingerprint``: the wanted one; null where an input isn't published yet, so that
          nobody can know it: a plan calls those ``maybe``.
        - ``placed``: content and clock of the published result, if another node reads it;
          ``own``: it was published for this clip and not for another one with the same media.
        """
        nodes = self.nodes if nodes is None else nodes
        left = [feature for node in nodes for _, feature in node.inputs]
        for feature in sorted({*left} - {node.feature for node in nodes}):
            self._keep_unbound(feature)
        for node in nodes:
            self._resolve(node)
            if node.feature in left:
                self.db.execute(
                    f"""CREATE TABLE {_table(node.feature)} AS
                    SELECT id, placed, state = 'quarantined' AS blocked FROM state
                    WHERE state IN ('published', 'quarantined')"""
                )
            yield node
            for _, feature in node.inputs:
                left.remove(feature)
                if feature not in left:
                    self.db.execute(f"DROP TABLE {_table(feature)}")

    def _resolve(self, node: Node) -> None:
        inputs = sorted(node.inputs)
        contents = [unpacked(f"u{i}.placed") for i in range(len(inputs))]
        attrs, joins = "'{}'", ""
        if node.attrs:
            attrs, joins = "a.canonical", self._attrs_join(node)
        key = fingerprint_sql(node, "c.media_key", attrs, contents)
        joins += " ".join(
            f" LEFT JOIN {_table(feature)} u{i} ON u{i}.id = c.id"
            for i, (_, feature) in enumerate(inputs)
        )
        blocked = " OR ".join(f"u{i}.blocked" for i in range(len(inputs))) or "false"
        code = self.codes[node.feature]
        if code in self._nothing:
            self.db.execute(
                f"""CREATE OR REPLACE TABLE state AS
                SELECT c.id, NULL::BLOB AS fingerprint, NULL::BLOB AS placed, false AS own,
                    CASE WHEN {blocked} THEN 'quarantined' ELSE 'missing' END AS state
                FROM clips c {joins}"""
            )
            return
        self.db.execute(
            f"""CREATE OR REPLACE TABLE state AS
            WITH wanted AS MATERIALIZED (
                SELECT c.id, unhex({key}) AS fingerprint, coalesce({blocked}, false) AS blocked
                FROM clips c {joins}
            ), own AS MATERIALIZED (
                SELECT w.id, arg_max(r.placed, r.time) AS placed
                FROM wanted w JOIN results r ON r.id = w.id AND r.fingerprint = w.fingerprint
                WHERE r.feature = {code} GROUP BY w.id
            ), others AS (
                SELECT r.fingerprint, arg_max(r.placed, r.time) AS placed FROM results r
                WHERE r.feature = {code}
                    AND r.fingerprint IN (SELECT fingerprint FROM wanted ANTI JOIN own USING (id))
                GROUP BY r.fingerprint
            ), known AS (
                SELECT DISTINCT r.id FROM results r WHERE r.feature = {code}
                    AND r.id IN (SELECT id FROM wanted ANTI JOIN own USING (id))
            )
            SELECT w.id, w.fingerprint, coalesce(o.placed, e.placed) AS placed,
                o.id IS NOT NULL AS own,
                CASE WHEN o.id IS NOT NULL OR e.fingerprint IS NOT NULL THEN 'published'
                    WHEN f.fingerprint IS NOT NULL OR w.blocked THEN 'quarantined'
                    WHEN k.id IS NOT NULL THEN 'stale'
                    ELSE 'missing' END AS state
            FROM wanted w
            LEFT JOIN own o ON o.id = w.id
            LEFT JOIN others e ON e.fingerprint = w.fingerprint
            LEFT JOIN known k ON k.id = w.id
            LEFT JOIN failed f ON f.feature = {code} AND f.id = w.id
                AND f.fingerprint = w.fingerprint"""
        )

    def _keep_unbound(self, feature: str) -> None:
        """A feature that no node makes: its newest row counts, whatever its key."""
        self.db.execute(
            f"""CREATE TABLE {_table(feature)} AS
            SELECT id, arg_max(placed, time) AS placed, false AS blocked FROM results
            WHERE feature = {self.codes[feature]} AND id IS NOT NULL GROUP BY id"""
        )

    def _attrs_join(self, node: Node) -> str:
        """Map each distinct attribute text to the canonical JSON of what the node declares."""
        texts = [row[0] for row in self.db.execute("SELECT DISTINCT attrs FROM clips").fetchall()]
        canonical = [
            canonical_json(declared_attrs(node, json.loads(t) if t else {})) for t in texts
        ]
        rows = {
            "attrs": pa.array(texts, pa.string()),
            "canonical": pa.array(canonical, pa.string()),
        }
        self.db.register("attrs_in", pa.table(rows))
        return "JOIN attrs_in a ON a.attrs IS NOT DISTINCT FROM c.attrs"


def closure(nodes: Iterable[Node], features: Iterable[str]) -> list[Node]:
    """The nodes that make the features and all that they read, in their order."""
    made = {node.feature: node for node in nodes}
    wanted: set[str] = set()
    waiting = [f for f in features if f in made]
    while waiting:
        feature = waiting.pop()
        if feature not in wanted:
            wanted.add(feature)
            waiting += [f for _, f in made[feature].inputs if f in made]
    return [node for feature, node in made.items() if feature in wanted]


def batches(
    catalogue: Catalogue, where: Where, columns: Sequence[str]
) -> pa.RecordBatchReader | pa.Table:
    """The columns of a catalogue, of at least the rows that match."""
    if isinstance(catalogue, pa.Table):
        return catalogue.select(list(columns))
    return catalogue(where, columns)


def packed(text: str) -> str:
    """SQL that gives the text of a hash in half its length; other texts stay as they are."""
    other = f"encode('{_OTHER}' || {text})"
    return (
        f"CASE WHEN regexp_full_match({text}, '[0-9a-f]{{64}}') THEN unhex({text}) ELSE {other} END"
    )


def unpacked(data: str) -> str:
    """SQL that undoes ``packed``."""
    other = f"substr(decode({data}), {len(_OTHER) + 1})"
    return f"CASE WHEN octet_length({data}) = 32 THEN lower(hex({data})) ELSE {other} END"


def quote(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _table(feature: str) -> str:
    return '"of ' + feature.replace('"', '""') + '"'
