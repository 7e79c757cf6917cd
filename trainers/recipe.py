"""What a recipe is: the features it needs, its training, its evaluation, its predictions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from features.spelling import nearest
from storage.reading import StoreReader
from trainers.errors import UnknownRecipe
from trainers.listing import BUILT_IN, names, theirs
from trainers.loop import Progress
from trainers.settings import Settings


@dataclass(frozen=True)
class Context:
    """What a recipe works on.

    Attributes:
        folder: of the run; checkpoints and models lie there.
        features: what the recipe reads, as ``Recipe.features`` chose.
        variant: the configuration whose results are read; None is the default one.
        weights: of what ``Recipe.pretrained`` names, the safetensors files that are there.
    """

    store: StoreReader
    corpus: str
    settings: Settings
    folder: Path
    features: tuple[str, ...]
    variant: str | None = None
    progress: Progress = field(default_factory=Progress)
    weights: Mapping[str, Path] = field(default_factory=dict)

    def say(self, notes: Iterable[str]) -> None:
        """Tell the person, a line each."""
        for note in notes:
            self.progress.say(note)


@dataclass(frozen=True)
class Outcome:
    """What a training gave.

    Attributes:
        metrics: of the validation split, by the best model.
        history: one entry per epoch (or per grid point).
        notes: what must be known to judge the figures, one line each.
        parameters: numbers that are learned.
        scored: what the metrics are of, where that isn't the validation split.
    """

    metrics: Mapping[str, float]
    history: Sequence[Mapping[str, float]]
    notes: Sequence[str]
    parameters: int
    details: Mapping[str, Any] = field(default_factory=dict)
    scored: str | None = None


@dataclass(frozen=True)
class Sheet:
    """A text file per clip of one task of a challenge.

    Attributes:
        header: of the file; columns: of the predictions that go into it.
    """

    header: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Predictions:
    """A table of predictions, in the order of the corpus's submission format.

    Attributes:
        columns: names; rows: one tuple per frame or utterance; None is not asked for.
        notes: what must be known before they are handed in, one line each.
        sheets: folder of a task -> its files, where a challenge wants several of a clip.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    notes: Sequence[str] = ()
    sheets: Mapping[str, Sheet] = field(default_factory=dict)


class Recipe(Protocol):
    """One seed system, or a part of it that stands alone."""

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    #: what the authors report, a line each
    published: ClassVar[tuple[str, ...]]
    kind: ClassVar[type[Settings]]

    def features(self, settings: Settings, known: Collection[str]) -> tuple[str, ...]:
        """The features it reads.

        Args:
            known: those that can be extracted here, or are published already.

        Raises:
            WrongSetting: none of the alternatives is known.
        """

    def labels(self, settings: Settings) -> tuple[str, ...]:
        """The labels it learns."""

    def pretrained(self, settings: Settings) -> tuple[str, ...]:
        """Names in the weights registry that its networks start from, where they are there."""

    def train(self, context: Context) -> Outcome:
        """Learn from the training split, or go on where a killed run stopped."""

    def evaluate(self, context: Context, split: str) -> Mapping[str, float]:
        """Metrics of a split by the trained model in the run's folder.

        What they don't cover, such as clips without features, is said by ``context.say``.
        """

    def predict(self, context: Context, split: str | None) -> Predictions:
        """Predictions of a split, or of all clips, labelled or not."""


#: what a recipe of another package must have
MEMBERS = (
    *("name", "title", "source", "published", "kind", "features", "labels", "pretrained"),
    *("train", "evaluate", "predict"),
)


@runtime_checkable
class Binding(Protocol):
    """A recipe that needs features made otherwise than by default."""

    def extractor_settings(self, settings: Settings) -> tuple[str, ...]:
        """``EXTRACTOR.PARAM=VALUE`` or ``EXTRACTOR.SLOT=FEATURE``; what a user sets overrules."""


@dataclass(frozen=True)
class Read:
    """What a training reads of one corpus.

    Attributes:
        labels: of frames, of clips, or both; those that the corpus lacks are passed over.
        splits: of the clips; a clip counts that is of one of them, by its own split or by a label
            ``split_…`` that is read. None is all clips.
        variant: the configuration whose results are read.
    """

    corpus: str
    features: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...] | None
    variant: str | None = None


@runtime_checkable
class Reading(Protocol):
    """A recipe whose training reads other than its features and labels of both its splits."""

    def reads(self, context: Context) -> tuple[Read, ...]:
        """All that its training reads; if any of it changes, the run is another one."""


@runtime_checkable
class Starting(Protocol):
    """A recipe whose training may start from networks of other runs."""

    def starts(self, settings: Settings) -> Mapping[str, Path]:
        """Setting that names the run -> its network's file, whether it is there or not."""


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UnknownRecipe: there is none; the message has the nearest. Or a package declares it, but
            it can't be used.
    """
    if name in BUILT_IN:
        made: Recipe = import_module(BUILT_IN[name].module).RECIPE
        return made
    found = theirs().get(name)
    if found is None:
        raise UnknownRecipe(
            f"no recipe is named {name!r}{nearest(name, names())}; "
            "affectstore recipes list shows all"
        )
    try:
        made = found.load()
    except Exception as error:  # a package's import may raise whatever it likes
        raise UnknownRecipe(
            f"recipe {name} ({_origin(found)}) can't be imported: {type(error).__name__}: "
            f"{error}; correct or uninstall its package"
        ) from error
    lacking = [member for member in MEMBERS if not hasattr(made, member)]
    if lacking:
        raise UnknownRecipe(
            f"recipe {name} ({_origin(found)}) lacks {', '.join(lacking)}; correct its package"
        )
    return made


def _origin(entry: EntryPoint) -> str:
    """What an entry point names, and the package that declares it."""
    return f"{entry.value}, package {entry.dist.name}" if entry.dist else entry.value
