"""The clip's clock: when each decoded frame is shown."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from features.extractor import Batch, extractor
from features.extractor import Params as AnyParams
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec, Rows


@extractor(
    name="timeline",
    version=1,
    reads="video",
    pixels=False,
    frame_local=False,
    tools={"decode": DECODE_VERSION},
)
class Timeline:
    """Presentation time of every decoded frame, in container seconds, never rebased to zero.

    A row of every frame-rate feature stands for one of these.
    """

    class Params(AnyParams):
        """None: the times are the file's."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="timeline",
            rate="frame",
            dims=(),
            dtype="float64",
            units="s",
            description="presentation time of each decoded frame, container seconds",
        ),
    )

    def __init__(self, params: AnyParams) -> None:
        self.params = params

    def extract(self, batch: Batch) -> Rows:
        """The batch's times, all valid."""
        times = np.asarray(batch.times, np.float64)
        return Rows(times, np.ones(len(times), bool))
