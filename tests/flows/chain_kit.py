"""Extractors that read each other frame by frame, for tests of passes, files and absences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from features import registry
from features.errors import MediaError
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.plugins import Offer
from features.spec import FeatureSpec, Rows
from flows import pipeline


def spec(name: str, rate: str = "frame") -> FeatureSpec:
    return FeatureSpec(name=name, rate=rate, dims=(1,), dtype="float32")  # type: ignore[arg-type]


def column(values: np.ndarray) -> Rows:
    return Rows(values.reshape(-1, 1).astype(np.float32), np.ones(len(values), bool))


@contextmanager
def installed(monkeypatch: pytest.MonkeyPatch, classes: Sequence[type]) -> Iterator[None]:
    """Extractors as if their package were installed."""

    offered = [Offer(cls.__name__, cls) for cls in classes]
    monkeypatch.setattr(registry, "offers", lambda group, leave_out: iter(offered))
    for cache in (registry._found, pipeline._instance):
        cache.cache_clear()
    yield
    for cache in (registry._found, pipeline._instance):
        cache.cache_clear()


class Base:
    class Params(BaseParams):
        pass

    outputs: ClassVar[tuple[FeatureSpec, ...]]
    calls: ClassVar[list[int]] = []

    def __init__(self, params: BaseParams) -> None:
        self.params = params

    def setup(self, device: str) -> None:
        pass


@extractor(name="light", version=1, reads="video", frame_local=False)
class Light(Base):
    """Mean of each frame, in steps of ``step``, so that a change may leave some rows alone."""

    class Params(BaseParams):
        step: float = 1.0
        fail_at: int = -1

    outputs = (spec("light"),)

    def extract(self, batch: Batch) -> Rows:
        assert batch.frames is not None
        if batch.start <= self.params.fail_at < batch.start + len(batch.frames):  # type: ignore[attr-defined]
            raise MediaError("light: as the test wants; ask for something else")
        step = self.params.step  # type: ignore[attr-defined]
        return column(np.rint(batch.frames.mean((1, 2, 3)) / step) * step)


@extractor(name="half_light", version=1, inputs={"light": "light"}, frame_local=True)
class HalfLight(Base):
    """Half of it; decodes nothing."""

    class Params(BaseParams):
        parts: float = 2.0

    outputs = (spec("half_light"),)

    def extract(self, batch: Batch) -> Rows:
        parts = self.params.parts  # type: ignore[attr-defined]
        if not parts:
            raise MediaError("half_light: as the test wants; ask for another number of parts")
        return column(np.asarray(batch.inputs["light"].values[:, 0]) / parts)


@extractor(
    name="red_share",
    version=1,
    inputs={"half": "half_light"},
    reads="video",
    frame_local=True,
)
class RedShare(Base):
    """Red over half the light: needs the frame and what was made of it."""

    outputs = (spec("red_share"),)

    def extract(self, batch: Batch) -> Rows:
        assert batch.frames is not None
        half = np.asarray(batch.inputs["half"].values[:, 0])
        return column(batch.frames[..., 0].mean((1, 2)) / (half + 1))


@extractor(name="drift", version=1, inputs={"light": "light"}, reads="video")
class Drift(Base):
    """Frames' light beside the first one of their batch: no row stands for itself."""

    outputs = (spec("drift"),)

    def extract(self, batch: Batch) -> Rows:
        self.calls.append(batch.start)
        return column(np.asarray(batch.inputs["light"].values[:, 0] - batch.start))


@extractor(name="numbered", version=1, inputs={"light": "light"}, reads="video", frame_local=True)
class Numbered(Base):
    """Light and the frame's place in the clip."""

    outputs = (spec("numbered"),)

    def extract(self, batch: Batch) -> Rows:
        assert batch.frames is not None
        return column(np.asarray(batch.inputs["light"].values[:, 0]) + 1000 * batch.numbers)


@extractor(name="level", version=1, inputs={"light": "light"}, scope="clip")
class Level(Base):
    """Light beside the whole clip's mean: what reads it needs a second pass."""

    outputs = (spec("level"),)

    def extract(self, batch: Batch) -> Rows:
        light = batch.inputs["light"].values[:, 0]
        return column(np.asarray(light - light.mean()))


@extractor(name="green", version=1, inputs={"level": "level"}, reads="video", frame_local=True)
class Green(Base):
    """Green of each frame and its level."""

    outputs = (spec("green"),)

    def extract(self, batch: Batch) -> Rows:
        assert batch.frames is not None
        return column(batch.frames[..., 1].mean((1, 2)) + batch.inputs["level"].values[:, 0])


@extractor(name="noted", version=1, assets=("notes",), scope="clip")
class Noted(Base):
    """Length of the clip's notes; one row."""

    outputs = (spec("noted", "clip"),)

    def extract(self, batch: Batch) -> Rows:
        path = batch.assets.get("notes")
        return column(np.array([len(Path(path).read_text()) if path else 0]))


@extractor(name="distant", version=1, scope="clip")
class Distant(Base):
    """Can't be computed on this machine."""

    outputs = (spec("distant", "clip"),)

    @staticmethod
    def unavailable(params: BaseParams) -> str | None:
        return "the far engine isn't installed; get it from far away"

    def extract(self, batch: Batch) -> Rows:
        raise AssertionError("never called")


@extractor(name="more_distant", version=1, inputs={"distant": "distant"}, scope="clip")
class MoreDistant(Base):
    """Reads what can't be computed."""

    outputs = (spec("more_distant", "clip"),)

    def extract(self, batch: Batch) -> Rows:
        raise AssertionError("never called")


@extractor(name="either", version=1, inputs={"near": "light", "far": "distant"}, scope="clip")
class Either(Base):
    """Reads one of two, as its parameter says."""

    class Params(BaseParams):
        from_afar: bool = False
        tool: str = ""

    outputs = (spec("either", "clip"),)

    @staticmethod
    def inputs_for(params: Params) -> tuple[str, ...]:
        return ("far",) if params.from_afar else ("near",)

    @staticmethod
    def tools_for(params: Params) -> Mapping[str, int | str]:
        return {"engine": params.tool} if params.tool else {}

    def extract(self, batch: Batch) -> Rows:
        (rows,) = batch.inputs.values()
        return column(np.array([rows.rows]))


ALL = (
    *(Light, HalfLight, RedShare, Drift, Numbered, Level, Green, Noted),
    *(Distant, MoreDistant, Either),
)
