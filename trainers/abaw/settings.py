"""kuhnke2020's settings: the paper's values are defaults, its ablations are other values."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from trainers.abaw.pseudo import Pseudo
from trainers.settings import ModelSettings, Settings, TrainSettings

#: action units of the first ABAW challenge, in its order
UNITS = ("AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25")


class Train(TrainSettings):
    """Adam at 1e-3, 10 x 32 frames a step, filter, pseudo labels and refit are the paper's."""

    epochs: int = Field(default=30, ge=0, description="most epochs (ours); 0 = train nothing")
    epoch_frames: int = Field(
        default=32_000, ge=2, description="frames between two validations (ours); 100 steps"
    )
    batch: int = Field(default=32, ge=2, description="frames of a part of a step (paper)")
    accumulate: int = Field(default=10, ge=1, description="parts whose gradients make one step")
    lr: float = Field(default=1e-3, gt=0, description="of Adam (paper)")
    patience: int = Field(
        default=6, ge=0, description="epochs without a better score (ours); 0 = never"
    )
    val_stride: int = Field(
        default=10, ge=1, description="every n-th labelled frame is scored after an epoch (ours)"
    )
    refit: bool = Field(
        default=True, description="afterwards train on train + val, to predict other splits (paper)"
    )
    refit_share: float = Field(
        default=1.25, gt=0, description="steps of that by those of the best epoch (paper)"
    )
    filter: bool = Field(
        default=True, description="drop frames whose labels contradict each other (paper)"
    )
    pseudo: Pseudo = Field(
        default="V",
        description="labels made of others: of V, A, E; the paper's best is V; none",
    )
    ccc_divide: bool = Field(
        default=False, description="divide the CCC loss by its frames too (the paper's letter)"
    )
    flip: float = Field(default=0.5, ge=0, le=1, description="share of mirrored clips (code)")
    hue: float = Field(default=10.0, ge=0, description="largest shift, of 180 (code)")
    saturation: float = Field(default=25.0, ge=0, description="largest shift, of 255 (code)")
    value: float = Field(default=20.0, ge=0, description="largest shift, of 255 (code)")
    threads: int = Field(default=4, ge=0, description="that read and change pictures ahead")

    @field_validator("load")
    @classmethod
    def _always_streams(cls, load: str) -> str:
        if load not in ("auto", "stream"):
            raise ValueError(
                "crops don't fit into memory: rows are read when needed; leave it auto"
            )
        return load


class Model(ModelSettings):
    """The two streams, what they see, and where they start."""

    streams: Literal["both", "visual", "aural"] = Field(
        default="both", description="both, or one alone (paper's ablations)"
    )
    mask: bool = Field(default=True, description="landmarks as a fourth channel (ablation: false)")
    alignment: Literal["landmarks", "provided"] = Field(
        default="landmarks",
        description="faces by our landmarks, or the corpus's own (ablation; needs mask=false)",
    )
    start: Literal["pretrained", "scratch", "released"] = Field(
        default="pretrained",
        description="public weights where they are there, none, or the authors' trained ones",
    )
    frames: int = Field(default=8, ge=1, description="faces of a clip (paper)")
    dilation: int = Field(default=6, ge=1, description="frames between two of them (paper)")
    fps: float = Field(
        default=0.0, ge=0, description="clock of these frames, such as 30; 0 = decoded ones (code)"
    )
    border: Literal["auto", "centred", "released"] = Field(
        default="auto", description="rule for sound near a clip's borders; auto: as start"
    )
    bands: Literal["auto", "last", "first"] = Field(
        default="auto",
        description="maps are 1001 x 64 (paper), or 64 x 1001 (code); auto: as start",
    )
    au_threshold: Literal["auto", "sigmoid", "released"] = Field(
        default="auto", description="a unit is seen if its sigmoid (released: raw output) is > .5"
    )
    scale: float = Field(default=1.0, gt=0, le=1, description="widths times this (paper: 1)")
    side: Literal[112, 56, 28] = Field(default=112, description="of the faces, px (paper: 112)")
    expressions: int = Field(default=7, ge=2, le=8, description="7, or 8 of later challenges")
    units: tuple[str, ...] = Field(
        default=UNITS, min_length=1, description="action units, AU1,AU2,…"
    )

    @model_validator(mode="after")
    def _fits(self) -> Model:
        if self.alignment == "provided" and self.mask and self.streams != "aural":
            raise ValueError(
                "provided faces are aligned otherwise than the mask; set model.mask=false too"
            )
        own = (self.streams, self.mask, self.scale, self.side, self.expressions, self.units)
        if self.start == "released" and own != ("both", True, 1.0, 112, 7, UNITS):
            raise ValueError("the released weights are of both streams, with mask, at full size")
        return self

    @property
    def released(self) -> bool:
        """What is ``auto`` is as in the authors' code."""
        return self.start == "released"


class KuhnkeSettings(Settings):
    """``train.*`` and ``model.*`` of this recipe."""

    train: Train = Train()
    model: Model = Model()
