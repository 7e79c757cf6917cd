"""Labels of the three ABAW tasks for every frame of some clips, unknown where nobody gave one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.clips import LABEL, is_listed
from storage.errors import NotPublished
from storage.reading import StoreReader
from storage.selection import SelectedClip, Selection
from trainers.control import unlike
from trainers.errors import NothingToTrain

#: what the corpora's adapters call them
VALENCE_AROUSAL = ("valence", "arousal")
EXPRESSION = "expression"
#: what action units can be called
EVERY_UNIT = tuple(f"AU{number}" for number in range(1, 65))
#: follows a task's name in the label of frames whose annotation can't be
OUT_OF_RANGE = "_out_of_range"
#: clip labels with a task's own split, where the tasks' splits differ
SPLITS = {"va": "split_va", "expr": "split_expr", "au": "split_au"}
TASKS = tuple(SPLITS)
MARKS = tuple(task + OUT_OF_RANGE for task in TASKS)

#: None is all of them
Splits = Collection[str] | None

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TaskLabels:
    """Labels of rows; a row may have those of some tasks, or none.

    Attributes:
        va: ``(rows, 2)`` valence and arousal, NaN where unknown.
        expression: ``(rows,)`` class, -1 where unknown.
        units: ``(rows, units)`` 0 or 1, NaN where unknown.
        impossible: ``(rows,)``, where the corpus had an annotation that can't be.
    """

    va: Floats
    expression: Ints
    units: Floats
    impossible: Bools

    @staticmethod
    def unknown(rows: int, units: int) -> TaskLabels:
        """Nothing is known of that many rows."""
        return TaskLabels(
            np.full((rows, 2), np.nan, np.float32),
            np.full(rows, -1, np.int64),
            np.full((rows, units), np.nan, np.float32),
            np.zeros(rows, bool),
        )

    def __len__(self) -> int:
        return len(self.expression)

    def take(self, rows: Ints) -> TaskLabels:
        """Some rows, copied."""
        return TaskLabels(
            self.va[rows], self.expression[rows], self.units[rows], self.impossible[rows]
        )

    def known(self) -> Bools:
        """``(rows,)``, where any label is there."""
        return np.asarray(
            np.isfinite(self.va).any(1) | (self.expression >= 0) | np.isfinite(self.units).any(1)
        )


def joined(labels: Sequence[TaskLabels]) -> TaskLabels:
    """The rows of several, one after the other."""
    return TaskLabels(
        np.concatenate([one.va for one in labels]),
        np.concatenate([one.expression for one in labels]),
        np.concatenate([one.units for one in labels]),
        np.concatenate([one.impossible for one in labels]),
    )


class LabelReader:
    """Labels of a corpus's clips, and which split a clip is of in each task.

    Args:
        units: names of the action units, in the network's order.

    Attributes:
        units_there: those of which the corpus has labels, in order of their number.
    """

    def __init__(self, store: StoreReader, corpus: str, units: Sequence[str]) -> None:
        self._store, self._units = store, tuple(units)
        names = [LABEL + name for name in (*VALENCE_AROUSAL, EXPRESSION, *units, *MARKS)]
        every = [LABEL + name for name in EVERY_UNIT]
        held = store.catalogue(corpus, features=[*names, *every], columns=["feature"])
        there = set(held["feature"].to_pylist())
        self.units_there = tuple(u for u in EVERY_UNIT if LABEL + u in there)
        chosen = [name for name in names if name in there]
        self._results = {
            (r.clip, r.feature.removeprefix(LABEL)): r
            for r in (store.select(chosen, corpus) if chosen else ())
        }
        table = store.clips(corpus)
        own = [name for name in SPLITS.values() if LABEL + name in table.column_names]
        self._own = {task for task, name in SPLITS.items() if name in own}
        rows = [row for row in table.to_pylist() if is_listed(row)]
        self._split = {row["clip"]: row["split"] for row in rows}
        self._splits = {
            row["clip"]: {
                task: row[LABEL + name] if name in own else row["split"]
                for task, name in SPLITS.items()
            }
            for row in rows
        }

    def tasks_in(self, clip: str, splits: Splits) -> tuple[str, ...]:
        """The tasks in which a clip is of one of the splits; all of them where none is given."""
        return tuple(t for t in TASKS if splits is None or self._splits[clip][t] in splits)

    def ids_in(self, splits: Splits) -> list[str] | None:
        """The corpus's clips that are of one of the splits in any task; None where none is given.

        Raises:
            NotPublished: there are none.
        """
        if splits is None:
            return None
        found = [clip for clip in self._split if self._is_in(clip, splits)]
        if not found:
            raise NotPublished(f"the corpus has no clip of {_named(splits)}")
        return found

    def _is_in(self, clip: str, splits: Splits) -> bool:
        return bool(self.tasks_in(clip, splits)) or self._split[clip] in (splits or ())

    def clips_in(self, selection: Selection, splits: Splits) -> tuple[SelectedClip, ...]:
        """Clips that are of one of the splits in any task.

        Raises:
            NotPublished: there are none.
        """
        chosen = tuple(clip for clip in selection.clips if self._is_in(clip.clip, splits))
        if not chosen:
            raise NotPublished(f"no clip of {_named(splits)} has all of the features")
        return chosen

    def uneven(self, clips: Sequence[SelectedClip], rows: Ints, splits: Splits) -> int:
        """How many clips have labels of more or fewer rows than frames; the overlap is read."""
        return sum(
            any(
                (found := self._results.get((clip.clip, name))) is not None and found.rows != count
                for task in self.tasks_in(clip.clip, splits)
                for name in self._of(task)
            )
            for clip, count in zip(clips, rows.tolist(), strict=True)
        )

    def other_units(self) -> list[str]:
        """A line where the corpus's action units aren't those that are learned, or nothing."""
        unknown = [unit for unit in self._units if unit not in self.units_there]
        others = [unit for unit in self.units_there if unit not in self._units]
        if not self.units_there or not (unknown or others):
            return []
        said = [f"{', '.join(unknown)} of no clip"] * bool(unknown)
        said += [f"{', '.join(others)} aren't learned"] * bool(others)
        return [
            f"action units: {'; '.join(said)}; model.units={','.join(self.units_there)} takes "
            "those that the corpus has"
        ]

    def read(self, clip: str, rows: int, splits: Splits) -> TaskLabels:
        """Labels of a clip's first ``rows`` frames, of the tasks in which it is of a split."""
        made = TaskLabels.unknown(rows, len(self._units))
        for task in self.tasks_in(clip, splits):
            for name in (*self._of(task), task + OUT_OF_RANGE):
                found = self._results.get((clip, name))
                if found is None:
                    continue
                stored = self._store.read_result(found)
                count = min(rows, stored.rows)
                values = np.asarray(stored.values[:count], np.float64).reshape(count)
                valid = stored.valid[:count] & np.isfinite(values)
                if name.endswith(OUT_OF_RANGE):
                    made.impossible[:count] |= valid & (values != 0)
                else:
                    self._column(made, name)[:count][valid] = values[valid]
        return made

    def _of(self, task: str) -> tuple[str, ...]:
        return {"va": VALENCE_AROUSAL, "expr": (EXPRESSION,), "au": self._units}[task]

    def _column(self, made: TaskLabels, name: str) -> NDArray[np.generic]:
        if name == EXPRESSION:
            return made.expression
        if name in VALENCE_AROUSAL:
            return made.va[:, VALENCE_AROUSAL.index(name)]
        return made.units[:, self._units.index(name)]


def labels_of(
    reader: LabelReader, clips: Sequence[SelectedClip], rows: Ints, splits: Splits
) -> list[TaskLabels]:
    """The labels of each clip.

    Raises:
        NothingToTrain: no frame has any.
    """
    found = [reader.read(c.clip, n, splits) for c, n in zip(clips, rows.tolist(), strict=True)]
    if not any(one.known().any() for one in found):
        raise NothingToTrain(
            f"no frame of {_named(splits)} is labelled; the labels are frame labels "
            f"{', '.join((*VALENCE_AROUSAL, EXPRESSION))} and action units such as AU12"
        )
    return found


def _named(splits: Splits) -> str:
    return "the corpus" if splits is None else f"split {' or '.join(splits)}"


def of_other_clips(labels: Sequence[TaskLabels], seed: int) -> list[TaskLabels]:
    """A control: each clip gets another's labels, turned round by half, repeated to its length."""
    classes = 1 + max((int(one.expression.max(initial=-1)) for one in labels), default=-1)
    told = np.array([_told(one, classes) for one in labels], np.float64)
    order = unlike(told, np.random.default_rng([seed, 99]))
    made = []
    for own, other in zip(labels, order.tolist(), strict=True):
        given = labels[other]
        index = (np.arange(len(own)) + len(given) // 2) % max(len(given), 1)
        made.append(given.take(index))
    return made


def _told(labels: TaskLabels, classes: int) -> list[float]:
    """Of a clip: mean valence and arousal, share of each expression and unit; NaN if unknown."""
    expression = labels.expression[labels.expression >= 0]
    count = np.bincount(expression, minlength=classes) if len(expression) else [np.nan] * classes
    shares = [float(n) / max(1, len(expression)) for n in count]
    columns = [*labels.va.T, *labels.units.T]
    known = [column[np.isfinite(column)] for column in columns]
    return [*shares, *(float(column.mean()) if len(column) else np.nan for column in known)]


def counted(labels: TaskLabels) -> dict[str, int]:
    """Labelled rows of each task."""
    return {
        "va": int(np.isfinite(labels.va).any(1).sum()),
        "expr": int((labels.expression >= 0).sum()),
        "au": int(np.isfinite(labels.units).any(1).sum()),
    }
