"""Copying a store, or a part of it, to another place: checked by hash, resumed where it stopped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from storage import configurations
from storage.clips import FORGOTTEN, forgotten
from storage.compact import PART_BYTES, PART_CLIPS
from storage.errors import DamagedPart, WrongFormat
from storage.feature_names import check_features
from storage.layout import METADATA, PartHeader, part_key
from storage.part import StoredClip
from storage.reach import distinct
from storage.reader import PartReader
from storage.reading import StoreReader
from storage.records import Configuration, Node, Published
from storage.schemas import CLIPS
from storage.store import FeatureStore
from storage.verify import chunk_rows

#: called with (results copied, results to copy)
Tell = Callable[[int, int], None]
#: what tells a result in the catalogue, its place in time and when it was published included
_Key = tuple[object, ...]


@dataclass
class Copied:
    """What was copied.

    Attributes:
        there: results that the target had already.
        damaged: results that differ from their hash, or can't be read, and were left out.
        configurations: names that were copied or brought up to date; kept: names that the
            target has another state of than the source ever had.
        changed: (corpus, clip) of clips that the target had with another medium, or another cut:
            they are what the source says from now on.
    """

    clips: int = 0
    results: int = 0
    there: int = 0
    bytes: int = 0
    damaged: list[tuple[str, str, str]] = field(default_factory=list)
    configurations: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    changed: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """The facts, for ``copy --json``."""
        return dict(vars(self))


def copy(
    source: StoreReader,
    target: FeatureStore,
    *,
    features: Collection[str] | None = None,
    corpus: str | None = None,
    tell: Tell | None = None,
) -> Copied:
    """Copy clips, their results and the configurations; the target keeps what it has.

    Rows are written anew, in large parts, and compared with their content hashes on the way: no
    byte of another corpus, feature or forgotten clip goes along. Every part is committed once it
    is full, so that a copy that was broken off goes on from there. What is copied is what
    ``source`` shows: opened at a tag, that tag's state. History, tags and failures stay behind.

    Args:
        features: these only. Configurations then keep the extractors whose inputs go along;
            of the other features the newest result counts in the target.
        corpus: that one only.

    Raises:
        UnknownCorpus; ReadOnlyStore; StoreFull; NotPublished: ``source`` has no result of one of
            ``features``.
    """
    check_features(source, features)
    done = Copied()
    corpora = source.corpora() if corpus is None else [corpus]
    wanted: set[tuple[str, str]] = set()
    for name in corpora:
        wanted |= _copy_clips(source, target, name, done)
    done.clips = len(wanted)
    _copy_configurations(source, target, features, done)
    results = _results(source, corpora, features, wanted)
    held = target.published(features=sorted({r.feature for r in results}))
    known = {_key(r) for r in held}
    todo = [r for r in results if _key(r) not in known]
    done.there = len(results) - len(todo)
    # published again, as labels are that were changed back: the rows lie there already
    rows = {(r.fingerprint, r.content): r.pieces for r in held}
    again = [r for r in todo if (r.fingerprint, r.content) in rows]
    target.commit([replace(r, pieces=rows[r.fingerprint, r.content]) for r in again])
    done.results += len(again)
    todo = [r for r in todo if (r.fingerprint, r.content) not in rows]
    groups: defaultdict[tuple[str, str], list[Published]] = defaultdict(list)
    for result in todo:
        groups[result.feature, result.extractor_key].append(result)
    for _, group in sorted(groups.items()):
        for batch in _batches(group):
            _copy_batch(source, target, batch, done)
            if tell is not None:
                tell(done.results, len(again) + len(todo))
    return done


def _copy_clips(
    source: StoreReader, target: FeatureStore, corpus: str, done: Copied
) -> set[tuple[str, str]]:
    """Upsert the clips that neither store has forgotten; which those are."""
    rows = source.clips(corpus).drop_columns(["corpus", "time"])
    rows = rows.filter(pc.fill_null(pc.not_equal(rows["state"], FORGOTTEN), True))
    if corpus in target.corpora():
        there = target.clips(corpus, columns=("corpus", "clip", "media_key", "state"))
        gone = forgotten(there)
        rows = rows.filter(pc.invert(pc.is_in(rows["clip"], value_set=gone)))
        done.changed += [(corpus, clip) for clip in _of_other_media(rows, there)]
    known = {*CLIPS.names, *target.snapshot["clips"].schema.names}
    empty = [n for n in rows.column_names if n not in known and rows[n].null_count == len(rows)]
    target.upsert_clips(corpus, rows.drop_columns(empty))
    return {(corpus, clip) for clip in rows["clip"].to_pylist()}


def _of_other_media(rows: pa.Table, there: pa.Table) -> list[str]:
    """Clips that both tables have, with different media."""
    places = pc.index_in(rows["clip"], value_set=there["clip"].combine_chunks())
    differ = pc.not_equal(rows["media_key"], there["media_key"].combine_chunks().take(places))
    found: list[str] = rows["clip"].filter(pc.fill_null(differ, False)).to_pylist()
    return found


def _results(
    source: StoreReader,
    corpora: Sequence[str],
    features: Collection[str] | None,
    wanted: set[tuple[str, str]],
) -> list[Published]:
    """The results to copy, of each key the newest, in order of clip."""
    found: dict[tuple[str, str, str, str], Published] = {}
    for corpus in corpora:
        rows = source.catalogue(corpus, features=None if features is None else sorted(features))
        for result in distinct(rows):
            if (result.corpus, result.clip) in wanted:
                key = (result.corpus, result.clip, result.feature, result.fingerprint)
                found[key] = result
    return sorted(found.values(), key=lambda r: (r.feature, r.corpus, r.clip, r.time))


def _batches(group: Iterable[Published]) -> Iterable[list[Published]]:
    batch: list[Published] = []
    size = 0
    for result in group:
        if batch and (size + result.bytes > PART_BYTES or len(batch) >= PART_CLIPS):
            yield batch
            batch, size = [], 0
        batch.append(result)
        size += result.bytes
    if batch:
        yield batch


def _copy_batch(
    source: StoreReader, target: FeatureStore, batch: Sequence[Published], done: Copied
) -> None:
    ready: list[Published] = []
    filled = [r for r in batch if r.pieces]
    header = next(filter(None, (_header(source, r) for r in filled)), None)
    if header is not None:
        ready += _copy_rows(source, target, header, filled, done)
    else:
        done.damaged += [(r.corpus, r.clip, r.feature) for r in filled]
    empty = [r for r in batch if not r.pieces]
    for result in empty:
        target.describe([source.spec(result)], result.extractor_key)
    target.commit(ready + empty)
    done.results += len(ready) + len(empty)
    done.bytes += sum(r.bytes for r in ready)


def _header(source: StoreReader, result: Published) -> PartHeader | None:
    """What the result's first part says of itself, None if it can't be read."""
    key = part_key(result.feature, result.pieces[0].part)
    try:
        header = PartHeader.parse(source.location.read_bytes(f"{key}/{METADATA}"), key)
    except (FileNotFoundError, ValueError, WrongFormat):
        return None
    return header if header.spec.name == result.feature else None


def _copy_rows(
    source: StoreReader,
    target: FeatureStore,
    header: PartHeader,
    batch: Sequence[Published],
    done: Copied,
) -> list[Published]:
    """Write the rows into the target; the results as they lie there."""
    ready: list[Published] = []
    stored: dict[tuple[object, ...], StoredClip] = {}
    with target.writer(header.spec, header.description, header.layout.codec.name) as writer:
        for result in batch:
            if result.pieces not in stored:
                writer.begin()
                try:
                    for piece in result.pieces:
                        reader = PartReader(source.location, result.feature, piece.part)
                        step = chunk_rows(header.spec)
                        for start in range(piece.row_start, piece.row_stop, step):
                            writer.append(reader.read(start, min(piece.row_stop, start + step)))
                except DamagedPart:
                    writer.abort()
                    done.damaged.append((result.corpus, result.clip, result.feature))
                    continue
                if writer.content != result.content:
                    writer.abort()
                    done.damaged.append((result.corpus, result.clip, result.feature))
                    continue
                stored[result.pieces] = writer.finish()
            ready.append(replace(result, pieces=stored[result.pieces].pieces))
    return ready


def _copy_configurations(
    source: StoreReader, target: FeatureStore, features: Collection[str] | None, done: Copied
) -> None:
    """Copy every version of the configurations that the target lacks.

    One whose state in the target the source never had was changed there, and stays.
    """
    rows = source.snapshot["configurations"].read().sort_by("version")
    for name in sorted(set(rows["name"].to_pylist())):
        of_name = rows.filter(pc.field("name") == name)
        found = [configurations.newest(of_name.slice(i, 1)) for i in range(len(of_name))]
        versions = [_closed(one[1], features) for one in found if one is not None]
        held = target.configuration(name)
        if held is not None:
            if configurations.same(held, versions[-1]):
                continue
            places = [i for i, version in enumerate(versions) if version.id == held.id]
            made = {node.feature for node in versions[-1].nodes}
            if not places or not made >= {node.feature for node in held.nodes}:
                done.kept.append(name)
                continue
            versions = versions[places[-1] :]
        for version in versions:
            target.save_configuration(version)
        done.configurations.append(name)


def _closed(configuration: Configuration, features: Collection[str] | None) -> Configuration:
    """The configuration without extractors whose inputs don't go along."""
    if features is None:
        return configuration
    kept: list[Node] = []
    made = {node.feature for node in configuration.nodes}
    for node in configuration.nodes:
        there = {n.feature for n in kept}
        inputs = {f for _, f in node.inputs}
        if node.feature in features and all(f in there for f in inputs & made):
            kept.append(node)
    return replace(configuration, nodes=tuple(kept))


def _key(result: Published) -> _Key:
    return (
        *(result.corpus, result.clip, result.feature, result.fingerprint, result.content),
        *(result.t0, result.step, result.time),
    )
