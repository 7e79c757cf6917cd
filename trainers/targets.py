"""What a network says about a whole clip: a class, or values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from storage.clips import LABEL, is_listed
from storage.reading import StoreReader
from storage.selection import Selection
from trainers.errors import NothingToTrain
from trainers.metrics import accuracy, ccc, confusion_matrix, macro_f1, need_finite, uar

#: more are a column of ids, or a slip of the pen
MOST_CLASSES = 1_000
#: classes that a message lists
NAMED = 20

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
#: of a clip, as the clips table has it
Label = float | int | str | None
#: of a network's output and what is wanted, both ``(views, …)``, to a scalar
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Target(Protocol):
    """What is wanted of a network's output, and how its answers are scored."""

    @property
    def columns(self) -> int:
        """Numbers per answer."""

    @property
    def monitor(self) -> str:
        """The metric that tells which epoch is best."""

    def truth(self, selection: Selection) -> tuple[torch.Tensor, Bools]:
        """What is wanted of each clip, ``(clips, …)``, and which clips are labelled."""

    def loss(self, output: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """A scalar."""

    def answers(self, output: torch.Tensor) -> torch.Tensor:
        """``(views, columns)`` that may be averaged over a clip's views."""

    def metrics(self, answers: Floats, wanted: torch.Tensor) -> dict[str, float]:
        """Of ``(clips, columns)``, all labelled."""


class Classes:
    """One class of several per clip; the network gives logits (or log probabilities).

    Args:
        label: name of the clip label; names: the classes, in order of the columns.
        loss: of logits ``(views, classes)`` and int64 ``(views,)``.
    """

    monitor = "accuracy"

    def __init__(
        self, label: str, names: Sequence[str], loss: Loss = functional.cross_entropy
    ) -> None:
        self.label, self.names, self._loss = label, tuple(names), loss
        self.columns = len(self.names)

    def truth(self, selection: Selection) -> tuple[torch.Tensor, Bools]:
        """Positions in ``names``, int64, 0 where unlabelled.

        Raises:
            NothingToTrain: a clip has a class that the model doesn't know.
        """
        found = [
            class_place(clip.labels[self.label], self.label, self.names) for clip in selection.clips
        ]
        known = np.array([place is not None for place in found], bool)
        return torch.tensor([place or 0 for place in found]), known

    def loss(self, output: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Cross-entropy, if no other was given."""
        return self._loss(output, wanted)

    def answers(self, output: torch.Tensor) -> torch.Tensor:
        """Probabilities."""
        return output.softmax(-1)

    def metrics(self, answers: Floats, wanted: torch.Tensor) -> dict[str, float]:
        """Accuracy, UAR, macro F1.

        Raises:
            MetricError: an answer isn't a number.
        """
        need_finite(answers, "prediction")
        matrix = confusion_matrix(answers.argmax(1), wanted.numpy(), self.columns)
        return {"accuracy": accuracy(matrix), "uar": uar(matrix), "macro_f1": macro_f1(matrix)}


class Values:
    """Several numbers per clip.

    Args:
        labels: names of the clip labels, in order of the columns.
        loss: of output and labels, both float32 ``(views, labels)``.
    """

    monitor = "ccc_mean"

    def __init__(self, labels: Sequence[str], loss: Loss = functional.mse_loss) -> None:
        self.labels, self._loss = tuple(labels), loss
        self.columns = len(self.labels)

    def truth(self, selection: Selection) -> tuple[torch.Tensor, Bools]:
        """Float32 ``(clips, labels)``; a clip is labelled if it has all of them.

        Raises:
            NothingToTrain: a label is text.
        """
        need_numbers(selection, self.labels)
        both = [selection.clip_label(name) for name in self.labels]
        values = np.stack([values for values, _ in both], 1).astype(np.float32)
        given = np.stack([known for _, known in both], 1) & np.isfinite(values)
        known: Bools = np.logical_and.reduce(given, 1)
        return torch.from_numpy(values), known

    def loss(self, output: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Mean squared error, if no other was given."""
        return self._loss(output, wanted)

    def answers(self, output: torch.Tensor) -> torch.Tensor:
        """The values themselves."""
        return output

    def metrics(self, answers: Floats, wanted: torch.Tensor) -> dict[str, float]:
        """CCC of each label over all clips, and their mean."""
        truth = wanted.double().numpy()
        found = {f"ccc_{n}": ccc(answers[:, i], truth[:, i]) for i, n in enumerate(self.labels)}
        return found | {"ccc_mean": float(np.mean(list(found.values())))}


def need_numbers(selection: Selection, labels: Sequence[str]) -> None:
    """What is learned as a value is one.

    Raises:
        NothingToTrain: a clip label is text; the message has one that is no number.
    """
    for name in labels:
        if name in selection.classes:
            word = next((w for w in selection.classes[name] if not _is_number(w)), "")
            said = word or selection.classes[name][0]
            raise NothingToTrain(
                f"the label {name} is text ({said!r} of some clip), and values are learned from "
                "numbers; correct it (a decimal point, an empty cell where it isn't known) and "
                "ingest again"
            )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def class_names(store: StoreReader, corpus: str, label: str) -> tuple[str, ...]:
    """The words of a clip label in the whole corpus, or ``0 .. highest`` where it holds numbers.

    Raises:
        NothingToTrain: no clip has it, it holds what is no class, or more than ``MOST_CLASSES``.
    """
    rows = [row for row in store.clips(corpus).to_pylist() if is_listed(row)]
    # word -> the first clip that has it
    words: dict[str, str] = {}
    for row in rows:
        word = _word(row.get(LABEL + label), label)
        if word is not None:
            words.setdefault(word, row["clip"])
    if not words:
        raise NothingToTrain(f"no clip of {corpus} has the label {label}")
    of_words = any(isinstance(row.get(LABEL + label), str) for row in rows)
    highest = max(words, key=int) if not of_words else ""
    if highest and int(highest) >= MOST_CLASSES:
        raise NothingToTrain(
            f"the label {label} is {highest} of {words[highest]}: classes are numbered from 0 to "
            f"at most {MOST_CLASSES - 1}; correct it, or give the classes names"
        )
    if len(words) > MOST_CLASSES:
        raise NothingToTrain(
            f"the label {label} has {len(words)} different words, such as {min(words)!r} of "
            f"{words[min(words)]}: at most {MOST_CLASSES} classes can be learned"
        )
    return tuple(sorted(words)) if of_words else tuple(map(str, range(int(highest) + 1)))


def class_place(value: Label, label: str, names: Sequence[str]) -> int | None:
    """Position of a clip's class in ``names``; None is unlabelled.

    Raises:
        NothingToTrain: it is no class, or none of these.
    """
    word = _word(value, label)
    if word is not None and word not in names:
        known = ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")
        raise NothingToTrain(f"{label} has the class {word!r}; the model knows {known}")
    return None if word is None else list(names).index(word)


def _word(value: Label, label: str) -> str | None:
    """A class's name: a word, or a whole number from 0."""
    if value is None or isinstance(value, str):
        return value
    if not (value >= 0 and float(value).is_integer()):
        raise NothingToTrain(
            f"the label {label} is {value} of some clip: classes are words or whole numbers from "
            "0; unlabelled clips have none (an empty cell)"
        )
    return str(int(value))
