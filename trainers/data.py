"""What a run is trained on, written down when it begins: ``read.csv`` in its folder.

A row per clip and what is read of it: features and frame labels by their content, clip labels,
split and subject by their value; and one per network of another run that training starts from.
A run that goes on must find the same again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from storage.catalogue import counted
from storage.clips import LABEL, is_listed
from storage.reading import StoreReader
from storage.records import Published
from storage.selection import read_digest
from trainers.errors import RunMismatch
from trainers.files import publish
from trainers.recipe import Context, Read, Reading, Recipe, Starting

READ = "read.csv"
SPLIT, SUBJECT = "split", "subject"
#: names of clip labels that hold the split of one task
TASK_SPLIT = LABEL + "split_"
#: what the folder of a run has that learned nothing yet
EMPTY = ("config.json", "tensorboard", READ)
#: clips that a message names
NAMED = 3
#: corpus and clip of what is of none
OF_NO_CLIP = {("", "")}


@dataclass(frozen=True, order=True)
class Item:
    """One thing that is read of one clip; all text, as the file has it.

    Attributes:
        corpus, clip: empty of the network of another run that training starts from.
        feature: its name, ``label.<name>``, ``split`` or ``subject``; of a network the setting.
        content: hash of a result's content, or of a network's file; the value, as JSON, of what
            lies in the clips table.
        fingerprint, extractor_key, t0, step: of a result; empty for the others.
    """

    corpus: str
    clip: str
    feature: str
    fingerprint: str
    content: str
    extractor_key: str = ""
    t0: str = ""
    step: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is of."""
        return self.corpus, self.clip, self.feature

    @property
    def data(self) -> tuple[str, ...]:
        """What numbers depend on."""
        return self.content, self.t0, self.step


@dataclass(frozen=True)
class Data:
    """All that a run reads, in order."""

    items: tuple[Item, ...]

    @property
    def digest(self) -> str:
        """Equal for equal data."""
        return read_digest("data", [[*item.key, *item.data] for item in self.items])

    def of(self, feature: str) -> list[Item]:
        """What is read of one feature or label."""
        return [item for item in self.items if item.feature == feature]


def hold(made: Recipe, context: Context) -> Data:
    """Write down what a run that begins reads, or check that it is what the run began with.

    Raises:
        RunMismatch: something changed since; the message names it. Or it isn't known what the run
            began with.
        NotPublished, StaleResult, UnknownCorpus: a feature can't be read.
    """
    now, path = data_of(made, context), context.folder / READ
    if has_learned(context.folder):
        then = held(context.folder)
        if changes := _changes(then, now):
            raise RunMismatch(
                f"the data changed since {context.folder} began: {'; '.join(changes)}; choose "
                "another folder (--to) to train on what is there now, or remove this one"
            )
        return then
    publish(path, _text(now))
    return now


def has_learned(folder: Path) -> bool:
    """Whether the run in a folder has come to anything; else, as for want of labels, it may begin
    anew."""
    return any(not p.name.startswith(".") and p.name not in EMPTY for p in folder.iterdir())


def held(folder: Path) -> Data:
    """What the run in a folder began with.

    Raises:
        RunMismatch: its file is missing or damaged.
    """
    path = folder / READ
    names = [field.name for field in fields(Item)]
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        if rows[0] != names:
            raise ValueError("its columns are others")
        return Data(tuple(Item(*row) for row in rows[1:]))
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise RunMismatch(
            f"{path} doesn't tell what the run was trained on ({error}); choose another folder "
            "(--to)"
        ) from error


def reads_of(made: Recipe, context: Context) -> tuple[Read, ...]:
    """Which features, labels and splits a run's training reads, of which corpora."""
    if isinstance(made, Reading):
        return made.reads(context)
    train = context.settings.train
    splits = (train.split, train.val_split)
    labels = made.labels(context.settings)
    return (Read(context.corpus, context.features, labels, splits, context.variant),)


def splits_of(row: Mapping[str, Any], labels: Iterable[str]) -> set[Any]:
    """The splits that a clip is of: its own, and those of single tasks among the labels.

    Args:
        row: of the clips' table. labels: its columns that are read.
    """
    return {row[name] for name in (SPLIT, *labels) if name == SPLIT or name.startswith(TASK_SPLIT)}


def data_of(made: Recipe, context: Context) -> Data:
    """What a run reads of the store as it is now."""
    reads = reads_of(made, context)
    found = {item.key: item for read in reads for item in _items(context.store, read)}
    found |= {item.key: item for item in _networks(made, context)}
    return Data(tuple(found[key] for key in sorted(found)))


def label_facts(data: Data) -> dict[str, dict[str, object]]:
    """Label -> of how many clips it was read, and a digest of what was read."""
    names = sorted({i.feature for i in data.items if i.feature.startswith(LABEL)})
    return {
        name.removeprefix(LABEL): {
            "clips": len(items := data.of(name)),
            "per": "frame" if any(item.fingerprint for item in items) else "clip",
            "fingerprints": read_digest(name, [i.fingerprint or i.content for i in items]),
        }
        for name in names
    }


def _networks(made: Recipe, context: Context) -> Iterator[Item]:
    """Those of other runs that are there; a recipe refuses what it can't do without."""
    starts = made.starts(context.settings) if isinstance(made, Starting) else {}
    for setting, path in starts.items():
        if path.is_file():
            with path.open("rb") as file:
                yield Item("", "", setting, "", hashlib.file_digest(file, "sha256").hexdigest())


def _items(store: StoreReader, read: Read) -> Iterator[Item]:
    table = store.clips(read.corpus)
    labels = [LABEL + name for name in read.labels]
    columns = [name for name in labels if name in table.column_names]
    chosen = {}
    for row in table.to_pylist():
        if is_listed(row) and (read.splits is None or splits_of(row, columns) & set(read.splits)):
            chosen[row["clip"]] = row
    for clip, row in chosen.items():
        for name in (SPLIT, SUBJECT, *columns):
            if row[name] is not None:
                yield Item(read.corpus, clip, name, "", json.dumps(row[name]))
    held = store.catalogue(read.corpus, features=labels, columns=["feature", "clip"])
    held = held.filter(pc.is_in(held["clip"], value_set=pa.array(chosen, pa.string())))
    wanted = [*read.features, *sorted(pc.unique(held["feature"]).to_pylist())]
    if chosen:
        # no more clips: what is stale of others is no concern of this training's
        results = store.select(wanted, read.corpus, clips=[*chosen], variant=read.variant)
        yield from map(_item, results)


def _item(result: Published) -> Item:
    t0, step = repr(result.t0), "" if result.step is None else repr(result.step)
    return Item(
        *(result.corpus, result.clip, result.feature, result.fingerprint, result.content),
        *(result.extractor_key, t0, step),
    )


def _text(data: Data) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Item)])
    writer.writerows(astuple(item) for item in data.items)
    return out.getvalue()


def _changes(then: Data, now: Data) -> list[str]:
    """What differs, a few words each; empty if nothing does."""
    one, other = _by_key(then), _by_key(now)
    clips = {key[:2] for key in one} | OF_NO_CLIP
    others = {key[:2] for key in other} | OF_NO_CLIP
    said = []
    for what, found in (("new", others - clips), ("gone", clips - others)):
        if found:
            verb = "is" if len(found) == 1 else "are"
            said.append(f"{counted(len(found), 'clip')} {verb} {what} ({_shown(found)})")
    both = clips & others
    differ: dict[str, set[tuple[str, str]]] = {}
    for key in sorted(one.keys() | other.keys()):
        if key[:2] in both and one.get(key) != other.get(key):
            differ.setdefault(key[2], set()).add(key[:2])
    said += [
        f"{name} of {counted(len(found), 'clip')} ({_shown(found)})" if found - OF_NO_CLIP else name
        for name, found in differ.items()
    ]
    return said


def _by_key(data: Data) -> Mapping[tuple[str, str, str], tuple[str, ...]]:
    return {item.key: item.data for item in data.items}


def _shown(clips: set[tuple[str, str]]) -> str:
    names = ["/".join(clip) for clip in sorted(clips)[:NAMED]]
    return ", ".join(names) + (" …" if len(clips) > NAMED else "")
