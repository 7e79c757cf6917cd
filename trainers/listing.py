"""The recipes of this project: where each is, and what a list says of it. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

ENTRY_POINTS = "affectstore.recipes"


@dataclass(frozen=True)
class Listed:
    """A recipe before its module, and torch with it, is imported.

    Attributes:
        module: has the recipe as RECIPE.
        title: what it is, a few words; source: the publication.
    """

    module: str
    title: str
    source: str


BUILT_IN: Mapping[str, Listed] = {
    "rasipuram2020": Listed(
        "trainers.recipes.rasipuram2020",
        "GRU fusion of sound, expression and face pose; valence, arousal",
        "S. Rasipuram, J. H. Bhat, A. Maitra: Multi-modal sequence-to-sequence model for "
        "continuous affect prediction in the wild, FG 2020 workshops (ABAW)",
    ),
    "guo2018": Listed(
        "trainers.recipes.guo2018",
        "Faces (VGG-LSTM) and sound (SVM, LSTMs), fused; one emotion per clip",
        "X. Guo, L. F. Polanía, K. E. Barner: Audio-video emotion recognition in the wild using "
        "deep hybrid networks, 2018",
    ),
    "guo2018_svm": Listed(
        "trainers.recipes.guo2018_svm",
        "SVM on 1582 openSMILE functionals; one emotion per clip",
        "X. Guo, L. F. Polanía, K. E. Barner: Audio-video emotion recognition in the wild using "
        "deep hybrid networks, 2018 (model c of five)",
    ),
    "peng2018": Listed(
        "trainers.recipes.peng2018",
        "BiLSTM on faces and VGG on spectrum maps; arousal, valence per clip",
        "S. Peng, L. Zhang, Y. Ban, M. Fang, S. Winkler: A deep network for arousal-valence "
        "emotion prediction with acoustic-visual cues, 2018 (OMG-Emotion challenge)",
    ),
    "birhala2020": Listed(
        "trainers.recipes.birhala2020",
        "N audio-visual networks over temporal segments; one emotion per clip",
        "A. Birhala, C. N. Ristea, A. Radoi, L. C. Dutu: Temporal aggregation of audio-visual "
        "modalities for emotion recognition, TSP 2020",
    ),
    "kuhnke2020": Listed(
        "trainers.recipes.kuhnke2020",
        "two-stream aural-visual network; valence, arousal, expression, units",
        "F. Kuhnke, L. Rumberg, J. Ostermann: Two-stream aural-visual affect analysis in the wild, "
        "FG 2020 workshops (ABAW)",
    ),
}


def names() -> list[str]:
    """The recipes: ours, then those of packages that declare an entry point."""
    return [*BUILT_IN, *sorted(theirs())]


def theirs() -> dict[str, EntryPoint]:
    """The recipes of other packages."""
    return {e.name: e for e in entry_points(group=ENTRY_POINTS) if e.name not in BUILT_IN}
