"""What guo2018 can be told; defaults are the paper's where it gives any."""

from __future__ import annotations

from typing import Literal, cast

from pydantic import Field, field_validator

from trainers.fusion import STEP
from trainers.models.lstm_head import LSTM_INIT
from trainers.settings import ModelSettings, Settings, TrainSettings

Part = Literal["faces", "provided", "svm", "shortterm", "maps"]
#: models a to e, in the paper's order
PARTS: tuple[Part, ...] = ("faces", "provided", "svm", "shortterm", "maps")


class Train(TrainSettings):
    """Of all parts; the SVM takes splits, seed, folds and the control alone."""

    epochs: int = Field(default=30, ge=1, description="most epochs of a stage, not of maps (ours)")
    batch: int = Field(default=16, ge=1, description="clips per step (ours; maps: paper)")
    lr: float = Field(default=1e-3, gt=0, description="of faces, provided, shortterm (ours)")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of SGD (ours)")
    classes_lr: float = Field(
        default=10.0,
        gt=0,
        description="learning rate of VGG-Face's new last layer, times lr (paper)",
    )
    patience: int = Field(
        default=10, ge=0, description="epochs without a better accuracy (ours); 0 = never stop"
    )
    fer_corpus: str = Field(
        default="",
        description="FER-2013 in this store (adapter fer2013), for stage 1; none: skipped",
    )
    fer_epochs: int = Field(default=10, ge=1, description="epochs of stage 1 on FER-2013 (ours)")
    maps_lr: float = Field(default=1e-3, gt=0, description="of maps (paper)")
    maps_iterations: int = Field(
        default=10_000, ge=1, description="steps of a stage of maps, to a whole epoch (paper)"
    )
    maps_decay: int = Field(
        default=3_000, ge=1, description="steps after which the rate of maps is a tenth (paper)"
    )
    maps_weight_decay: float = Field(default=0.002, ge=0, description="of maps (paper)")
    folds: int = Field(default=5, ge=2, description="of the SVM's cross-validation (ours)")
    solver: Literal["auto", "sklearn", "torch"] = Field(
        default="auto", description="of the SVM; auto: torch on a GPU, else sklearn"
    )
    fusion_step: float = Field(
        default=STEP, gt=0, le=1, description="distance of two fusion weights (paper)"
    )
    refit: bool = Field(
        default=True, description="train again on train + val, for splits beyond them (paper)"
    )

    @field_validator("fusion_step")
    @classmethod
    def _divides(cls, value: float) -> float:
        if abs(round(1 / value) * value - 1) > 1e-9:
            raise ValueError("1 must be a multiple of it, such as .05")
        return value


class Model(ModelSettings):
    """Which models, from what."""

    parts: tuple[Part, ...] = Field(
        default=PARTS, min_length=1, description="models, by commas: " + ", ".join(PARTS)
    )
    label: str = Field(default="emotion", description="clip label with the classes")
    pretrained: bool = Field(
        default=True, description="start from vggface16 and bninception-imagenet, if added (paper)"
    )
    scale: float = Field(default=1.0, gt=0, le=1, description="widths times this; 1 is the paper's")
    face: str = Field(default="face_eyes_224", description="feature of faces (model a)")
    provided: str = Field(default="faces_provided", description="feature of provided (model b)")
    audio: str = Field(default="opensmile_is10", description="clip feature of svm (model c)")
    shortterm: str = Field(default="shortterm_34", description="feature of models d and e")
    fps: float = Field(default=60.0, gt=0, description="frame rate of the faces (paper)")
    every: int = Field(default=8, ge=1, description="frames from face to face (paper)")
    length: int = Field(default=16, ge=1, description="faces of a sequence (paper)")
    stride: int = Field(default=8, ge=1, description="faces between test sequences (ours)")
    size: int = Field(default=224, ge=32, description="pixels of a face in the network (paper)")
    dropout: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="before VGG-Face's last layers (ours: as it was trained)",
    )
    maps: int = Field(default=8, ge=1, description="maps of a sequence (paper)")
    maps_stride: int = Field(default=4, ge=1, description="maps between test sequences (ours)")
    map_size: int = Field(
        default=224, ge=32, multiple_of=32, description="pixels of a map in the network (ours)"
    )
    lstm_init: float = Field(
        default=LSTM_INIT, gt=0, description="LSTM weights start uniform in ± this (paper)"
    )
    kernel: Literal["both", "linear", "rbf"] = Field(
        default="both", description="of the SVM's grid"
    )

    @field_validator("parts")
    @classmethod
    def _once(cls, value: tuple[Part, ...]) -> tuple[Part, ...]:
        """In the paper's order, each once."""
        return tuple(part for part in PARTS if part in value)


class GuoSettings(Settings):
    """``train.*`` and ``model.*`` of this recipe."""

    train: Train = Train()
    model: Model = Model()


def of(settings: Settings) -> GuoSettings:
    """The recipe's own settings."""
    return cast(GuoSettings, settings)
