"""A recipe's settings: ``train.*`` and ``model.*``, typed, with the paper's values as defaults."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.spelling import nearest
from trainers.errors import WrongSetting

if TYPE_CHECKING:
    from storage.loading import Mode

GROUPS = ("train", "model")
#: seeds of stages and folds are a little above it, and all generators take 32 bits
LAST_SEED = 2**31 - 1


class Group(BaseModel):
    """Settings of one group; unknown names, and numbers that aren't finite, are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )


class TrainSettings(Group):
    """What every neural recipe's training can be told; recipes set their own defaults."""

    split: str = Field(default="train", description="split that is learned from")
    val_split: str = Field(default="val", description="split that chooses the best epoch")
    epochs: int = Field(default=30, ge=1, description="most epochs")
    batch: int = Field(default=64, ge=1, description="windows per step of the data")
    accumulate: int = Field(default=1, ge=1, description="batches whose gradients make one step")
    lr: float = Field(default=1e-3, gt=0, description="learning rate")
    clip_norm: float = Field(
        default=0.0, ge=0, description="gradient norm is clipped there; 0 = not"
    )
    patience: int = Field(
        default=10, ge=0, description="epochs without a better metric; 0 = never stop"
    )
    seed: int = Field(default=0, ge=0, le=LAST_SEED, description="of weights, order and dropout")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="where it runs")
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="of the forward pass")
    load: Literal["auto", "device", "ram", "stream"] = Field(
        default="auto", description="where rows are kept; auto chooses by size"
    )
    shuffle_labels: bool = Field(
        default=False, description="control: labels of another clip; nothing should be learned"
    )
    tensorboard: bool = Field(
        default=False, description="write TensorBoard logs (extra tensorboard)"
    )

    @property
    def mode(self) -> Mode | None:
        """``load`` as readers of rows take it; None chooses by size."""
        return None if self.load == "auto" else self.load


class ModelSettings(Group):
    """What a recipe's model can be told; recipes add theirs."""


class Settings(BaseModel):
    """Both groups, as a recipe declares them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: TrainSettings = TrainSettings()
    model: ModelSettings = ModelSettings()


def parse(kind: type[Settings], texts: Iterable[str]) -> Settings:
    """``["train.lr=1e-4", "model.cell=lstm"]`` as settings of a recipe.

    Raises:
        WrongSetting: no such setting (with the nearest name), or a value that doesn't fit.
    """
    given: dict[str, dict[str, object]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        group, dot, key = name.strip().partition(".")
        if not (equals and dot and key) or group not in GROUPS:
            raise WrongSetting(f"--set {text}: write it as train.NAME=VALUE or model.NAME=VALUE")
        known = list(group_of(kind, group).model_fields)
        if key not in known:
            raise WrongSetting(
                f"--set {text}: there is no {group}.{key}{nearest(key, known)}; "
                f"there are {', '.join(known)}"
            )
        field = group_of(kind, group).model_fields[key]
        given.setdefault(group, {})[key] = _value(value.strip(), field.annotation)
    return validate(kind, given)


def validate(kind: type[Settings], given: Mapping[str, object]) -> Settings:
    """Settings from plain values, such as a run's ``config.json``.

    Raises:
        WrongSetting: a value doesn't fit.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where, found = ".".join(map(str, first["loc"])), first.get("input")
        # settings that don't fit together are told one by one
        told = found if where in GROUPS and isinstance(found, Mapping) else {"": found}
        named = " ".join(f"{where}.{k}={v}" if k else f"{where}={v}" for k, v in told.items())
        said = first["msg"].removeprefix("Value error, ")
        raise WrongSetting(f"--set {named}: {said}") from error


def group_of(kind: type[Settings], group: str) -> type[BaseModel]:
    """The model of ``train`` or ``model`` that a recipe's settings hold."""
    found = kind.model_fields[group].annotation
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise TypeError(f"{kind.__name__}.{group} must be a pydantic model")
    return found


def changed(settings: Settings) -> dict[str, Any]:
    """What differs from the recipe's defaults, as ``train.lr`` -> value."""
    plain, default = settings.model_dump(), type(settings)().model_dump()
    return {
        f"{group}.{key}": value
        for group in GROUPS
        for key, value in plain[group].items()
        if value != default[group][key]
    }


def _value(text: str, kind: object) -> object:
    """As JSON, or as text: of a setting that is one, ``1`` is a name (``"1"`` is as good).

    Of a setting that is several, they may be joined by commas.
    """
    if get_origin(kind) is tuple and not text.startswith("["):
        return [_value(part.strip(), get_args(kind)[0]) for part in text.split(",") if part.strip()]
    try:
        found = json.loads(text)
    except ValueError:
        return text
    # neither is a number a name, nor true the number 1
    mistaken = kind is str and not isinstance(found, str)
    return text if mistaken or (kind in (int, float) and isinstance(found, bool)) else found
