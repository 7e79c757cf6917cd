"""Models a, b, d and e of guo2018: features, networks and stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from torch import nn

from storage.selection import TIMELINE, Selection
from trainers import pretrained
from trainers.guo2018 import fer, views
from trainers.guo2018.optimizers import decaying_sgd, sgd
from trainers.guo2018.settings import GuoSettings, of
from trainers.guo2018.stages import Dims, Stage
from trainers.models.inception_lstm import InceptionLstm, MapClassifier
from trainers.models.lstm_head import classes_layer
from trainers.models.scaling import ZScore
from trainers.models.shortterm_lstm import ShorttermLstm
from trainers.models.vgg_lstm import FaceClassifier, VggLstm
from trainers.recipe import Context

#: weights in the registry that model e starts from
MAP_WEIGHTS = "bninception-imagenet"


@dataclass(frozen=True)
class Faces:
    """Model a (aligned faces) or b (provided ones): FER-2013, then faces, then sequences."""

    name: str
    feature: str
    dims: ClassVar[Dims] = (None, None, 3)

    @property
    def features(self) -> tuple[str, ...]:
        """The faces, and their times."""
        return (self.feature, TIMELINE)

    def started(self, context: Context, classes: Sequence[str]) -> tuple[nn.Module, str]:
        """VGG-Face, trained on FER-2013 if there is one; both parts share that stage."""
        net, note = fer.stage_one(context)
        if tuple(classes) != fer.EMOTIONS:
            net.net.fc8 = classes_layer(net.net.fc7.out_features, len(classes))
        return net, note

    def stages(
        self, context: Context, selection: Selection, scaling: ZScore, classes: int
    ) -> Sequence[Stage]:
        """Single faces, then sequences of 16, end to end."""
        settings = of(context.settings)
        model, train = settings.model, settings.train

        def faces(net: nn.Module | None) -> nn.Module:
            return net or fer.classifier(settings, classes)

        def sequences(net: nn.Module | None) -> nn.Module:
            return VggLstm(cast(FaceClassifier, net), classes, model.lstm_init)

        return (
            Stage(
                "faces",
                faces,
                views.single_faces(self.feature, model),
                sgd(train, faster="net.fc8."),
                lambda batches: train.epochs,
                train.patience,
            ),
            Stage(
                "lstm",
                sequences,
                views.face_sequences(self.feature, model),
                sgd(train),
                lambda batches: train.epochs,
                train.patience,
            ),
        )


@dataclass(frozen=True)
class Shortterm:
    """Model d: one LSTM over a clip's short-term features."""

    feature: str
    name: str = "shortterm"
    dims: ClassVar[Dims] = (None,)

    @property
    def features(self) -> tuple[str, ...]:
        """The rows of sound."""
        return (self.feature,)

    def started(self, context: Context, classes: Sequence[str]) -> tuple[None, str]:
        """From nothing, as the paper."""
        return None, ""

    def stages(
        self, context: Context, selection: Selection, scaling: ZScore, classes: int
    ) -> Sequence[Stage]:
        """One."""
        settings = of(context.settings)
        model, train = settings.model, settings.train
        longest = max(clip.results[self.feature].rows for clip in selection.clips)

        def build(net: nn.Module | None) -> nn.Module:
            return ShorttermLstm(scaling, classes, model.scale, model.lstm_init)

        sampler = views.whole_sound(self.feature, longest)
        return (
            Stage("lstm", build, sampler, sgd(train), lambda batches: train.epochs, train.patience),
        )


@dataclass(frozen=True)
class Maps:
    """Model e: BN-Inception on maps, then an LSTM over eight of them."""

    feature: str
    name: str = "maps"
    dims: ClassVar[Dims] = (None,)

    @property
    def features(self) -> tuple[str, ...]:
        """The rows that maps are cut from."""
        return (self.feature,)

    def started(self, context: Context, classes: Sequence[str]) -> tuple[None, str]:
        """The first stage starts from ImageNet itself."""
        return None, _start_of_maps(context)

    def stages(
        self, context: Context, selection: Selection, scaling: ZScore, classes: int
    ) -> Sequence[Stage]:
        """Single maps, then sequences of eight, end to end."""
        settings = of(context.settings)
        model, train = settings.model, settings.train

        def maps(net: nn.Module | None) -> nn.Module:
            made = MapClassifier(scaling, classes, model.scale, model.map_size)
            if model.pretrained:
                pretrained.start(context, made.net, MAP_WEIGHTS, skip=("last_linear.",))
            return made

        def sequences(net: nn.Module | None) -> nn.Module:
            made = cast(MapClassifier, net)
            return InceptionLstm(made, classes, model.scale, model.lstm_init)

        def epochs(batches: int) -> int:
            return math.ceil(train.maps_iterations / batches)

        optimizer = decaying_sgd(train)
        single = views.single_maps(self.feature)
        several = views.map_sequences(self.feature, model)
        return (
            Stage("maps", maps, single, optimizer, epochs, 0),
            Stage("lstm", sequences, several, optimizer, epochs, 0),
        )


def _start_of_maps(context: Context) -> str:
    if not of(context.settings).model.pretrained:
        return "maps: from scratch, as model.pretrained=false asks"
    there = MAP_WEIGHTS in context.weights
    return f"maps: {'starts from' if there else 'from scratch, without'} weights {MAP_WEIGHTS}"


def networks(settings: GuoSettings) -> dict[str, Faces | Shortterm | Maps]:
    """The parts that are networks, of those that are asked for."""
    model = settings.model
    made: dict[str, Callable[[], Faces | Shortterm | Maps]] = {
        "faces": lambda: Faces("faces", model.face),
        "provided": lambda: Faces("provided", model.provided),
        "shortterm": lambda: Shortterm(model.shortterm),
        "maps": lambda: Maps(model.shortterm),
    }
    return {part: make() for part, make in made.items() if part in model.parts}
