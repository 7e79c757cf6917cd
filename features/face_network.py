"""What the extractors that run a network over face crops share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from features.errors import RequestError, UnexpectedFailure
from features.extractor import Batch
from features.extractor import Params as BaseParams
from features.spec import FeatureSpec, Rows

if TYPE_CHECKING:
    from features.nets.runner import Runner


class NetworkParams(BaseParams):
    """Parameters of every network over face crops."""

    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="of the network's arithmetic; bf16 is faster where the processor has it"
    )
    weights: Literal["published", "random"] = Field(
        "published", description="random: numbers without meaning, for tests"
    )


class FaceNetwork:
    """Base of the extractors that run a network over the crops in one slot.

    Rows whose crop is invalid aren't computed; they are NaN. A subclass names its weights and
    builds a ``Runner`` in ``setup``.
    """

    Params: ClassVar[type[NetworkParams]]
    outputs: ClassVar[tuple[FeatureSpec, ...]]
    #: name in the weights registry
    weights_name: ClassVar[str]
    #: crops of any size may fill the slot, since the network's input is scaled
    scales: ClassVar[bool] = False

    def __init__(self, params: NetworkParams) -> None:
        self.params = params
        self.runner: Runner | None = None

    @classmethod
    def weights_for(cls, params: NetworkParams) -> tuple[str, ...]:
        """Random numbers need no file; they are in the key as a parameter."""
        return (cls.weights_name,) if params.weights == "published" else ()

    def extract(self, batch: Batch) -> dict[str, Rows]:
        """A row for each crop of the batch, each from its crop alone."""
        if self.runner is None:
            raise UnexpectedFailure(f"{self.outputs[0].name} needs setup(device) first")
        ((slot, crops),) = batch.inputs.items()
        if crops.values.ndim != 4 or crops.values.dtype != "uint8":
            raise RequestError(
                f"no crops in the slot {slot} of {self.outputs[0].name}: rows are "
                f"{crops.values.dtype} of shape {crops.values.shape[1:]}; bind it to a feature "
                "such as face_112"
            )
        made = self.runner(crops)
        return {spec.name: rows for spec, rows in zip(self.outputs, made, strict=True)}
