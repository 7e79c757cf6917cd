"""The settings of peng2018, with the paper's values where it states them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from trainers.models.vnet import Channels
from trainers.settings import ModelSettings, Settings, TrainSettings

Stage = Literal["vnet", "anet", "joint"]
Loss = Literal["mse", "ccc"]


class Train(TrainSettings):
    """Of VNet and ANet, and, where a name begins with ``joint_``, of the joint network."""

    epochs: int = Field(default=30, ge=1, description="of VNet (paper) and of ANet (ours)")
    batch: int = Field(default=32, ge=1, description="clips per step (paper; ANet: ours)")
    lr: float = Field(default=0.01, gt=0, description="of SGD for VNet (paper)")
    anet_lr: float = Field(default=0.01, gt=0, description="of SGD for ANet (ours, as VNet's)")
    lr_steps: tuple[int, ...] = Field(
        default=(8, 16, 24), description="epochs after which the rate is divided by 10 (paper)"
    )
    loss: Loss = Field(default="mse", description="mean squared error (paper), or minus CCC")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of SGD, all stages (paper)")
    weight_decay: float = Field(default=5e-4, ge=0, description="of SGD, all stages (paper)")
    clip_norm: float = Field(
        default=20.0, ge=0, description="gradient norm is clipped there (paper); 0 = not"
    )
    patience: int = Field(
        default=0, ge=0, description="epochs without a better CCC; 0 = never stop (paper)"
    )
    joint_epochs: int = Field(default=30, ge=1, description="of the joint network (paper)")
    joint_batch: int = Field(default=6, ge=1, description="clips per step (paper)")
    joint_lr: float = Field(default=0.001, gt=0, description="of SGD (paper)")
    joint_lr_every: int = Field(
        default=7, ge=1, description="epochs between two divisions of the rate by 10 (paper)"
    )
    joint_loss: Loss = Field(default="ccc", description="minus the sum of both CCC (paper), or mse")
    vnet: str = Field(
        default="", description="run folder of a VNet that joint training starts from"
    )
    anet: str = Field(
        default="", description="run folder of an ANet that joint training starts from"
    )
    from_scratch: bool = Field(
        default=False, description="joint training without networks that were trained alone"
    )

    @model_validator(mode="after")
    def _has_concordance(self) -> Train:
        """Of one clip there is none: nothing would be learned."""
        for stage, loss, batch in (
            ("", self.loss, self.batch),
            ("joint_", self.joint_loss, self.joint_batch),
        ):
            if loss == "ccc" and batch < 2:
                raise ValueError(f"train.{stage}loss=ccc needs train.{stage}batch=2 or more")
        return self

    def of(self, stage: Stage) -> Train:
        """These settings with the stage's own epochs, batch, rate and loss as the plain ones."""
        if stage == "vnet":
            return self
        if stage == "anet":
            return self.model_copy(update={"lr": self.anet_lr})
        falls = tuple(range(self.joint_lr_every, self.joint_epochs, self.joint_lr_every))
        return self.model_copy(
            update={
                "epochs": self.joint_epochs,
                "batch": self.joint_batch,
                "lr": self.joint_lr,
                "lr_steps": falls,
                "loss": self.joint_loss,
            }
        )


class Model(ModelSettings):
    """Which networks, on what."""

    part: Literal["all", "vnet", "anet", "joint"] = Field(
        default="all", description="all: VNet, ANet, then both jointly; or one of these alone"
    )
    vnet: Literal["features", "crops"] = Field(
        default="features", description="VNet on stored sphereface rows, or training it on crops"
    )
    faces_feature: str = Field(
        default="", description="feature of VNet; empty: sphereface, or face_112x96 for crops"
    )
    maps_feature: str = Field(default="stft_map", description="feature of ANet")
    frames: int = Field(default=16, ge=1, description="faces of a clip per step, N_V (paper)")
    maps: int = Field(default=4, ge=1, description="maps of a clip per step, N_A (paper)")
    test_frames: Literal["centres", "random"] = Field(
        default="centres",
        description="of each segment when scoring: its centre (ours), or any (authors' code)",
    )
    channels: Channels = Field(
        default="bgr", description="colours as SphereFace was trained on (ours), or rgb (authors)"
    )
    scale: float = Field(default=1.0, gt=0, le=1, description="widths times this; 1 is the paper's")
    pretrained: bool = Field(
        default=True, description="start from weights of the registry where they are there"
    )


class PengSettings(Settings):
    """``train.*`` and ``model.*`` of this recipe."""

    train: Train = Train()
    model: Model = Model()
