"""The extractor: a declaration, and a pure function from a batch of a clip to rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from features.errors import RequestError
from features.media.media import Media
from features.spec import FeatureSpec, Rows
from features.spelling import nearest

Reads = Literal["video", "audio", "file", "none"]
Scope = Literal["frames", "clip"]
Device = Literal["cpu", "gpu"]


class Params(BaseModel):
    """Base of an extractor's parameters: every one that changes numbers, with its default.

    Attributes:
        places: those that say where a file lies, and are no part of keys: its content is, by
            ``tools_for``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    places: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class Batch:
    """What one call of ``extract`` gets.

    Attributes:
        media: the clip's medium; audio extractors decode what they need from it.
        start: index of the batch's first row in the clip.
        picked: int64 ``(n,)``, the rows' indices in the clip where only some of the batch's are
            asked for; None: all from ``start`` on. ``numbers`` gives either.
        times: float64 ``(n,)``, container seconds of the batch's frames; the whole clip's, or
            empty, where the extractor's scope is the clip.
        frames: uint8 ``(n, height, width, 3)`` RGB, or None if the extractor reads no pixels.
        inputs: slot -> the upstream rows: the batch's own rows for scope ``frames``, all of the
            clip's for scope ``clip``. Slots that the parameters leave unused are not in it.
        wanted: names of the outputs that are asked for; the others may be left out.
    """

    media: Media
    start: int = 0
    times: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    frames: NDArray[np.uint8] | None = None
    inputs: Mapping[str, Rows] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    picked: NDArray[np.int64] | None = None

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Index in the clip of each of the batch's rows, int64 ``(n,)``; for scope ``frames``."""
        if self.picked is not None:
            return self.picked
        return np.arange(self.start, self.start + len(self.times), dtype=np.int64)

    @property
    def assets(self) -> Mapping[str, str]:
        """Role -> path of the clip's further files, of the roles that it has."""
        return self.media.assets

    @property
    def attrs(self) -> Mapping[str, str]:
        """The clip's attributes, such as ``side``; an extractor reads those it declares."""
        return self.media.attrs


class Extractor(Protocol):
    """What the decorated class offers (see docs/extractors.md).

    It may also have static methods that take the parameters, for what depends on them:

    - ``weights_for(params) -> tuple[str, ...]``: names in the weights registry.
    - ``inputs_for(params) -> tuple[str, ...]``: the slots that are used.
    - ``tools_for(params) -> Mapping[str, int | str]``: further tools that change numbers.
    - ``assets_for(params) -> tuple[str, ...]``: the roles of further files that are read.
    - ``unavailable(params) -> str | None``: why it can't be computed here, and the remedy.
    - ``suffices_for(params) -> tuple[str, ...]``: roles of further files; for a clip that has one
      of them it can be computed even where it is unavailable.
    - ``empty_without(params) -> tuple[str, ...]``: roles of further files; of a clip that has none
      of them all rows are invalid.
    - ``outputs_for(params) -> tuple[FeatureSpec, ...]``: the outputs with columns and dims that
      only the program behind it knows; asked where rows are written, not while planning.
    - ``release() -> None``: let go of what is kept from clip to clip, such as a container; called
      in the thread that worked on them when a partition is done.
    """

    Params: ClassVar[type[Params]]
    outputs: ClassVar[tuple[FeatureSpec, ...]]

    def __init__(self, params: Any) -> None: ...

    def setup(self, device: str) -> None:
        """Load weights onto ``cpu`` or ``cuda``; called once per process. May be left out."""

    def extract(self, batch: Batch) -> Rows | Mapping[str, Rows]:
        """Rows of the one output, or output name -> rows where there are several."""


@dataclass(frozen=True)
class Declaration:
    """All that planning, keys, help and docs need to know of an extractor.

    Attributes:
        name, version: identity; the version is bumped whenever the numbers change.
        inputs: slot -> the feature that fills it by default.
        reads: what it reads itself: the video's frames, the audio, the file as it lies there
            (for another program, or for what its headers say), or none.
        pixels: it looks at the frames' pixels, not only at their times.
        scope: it is called with successive batches of frames, or once with the whole clip.
        frame_local: output row i depends on frame i and on row i of the inputs alone, so that
            rows whose inputs' digests are unchanged may be copied from an earlier result.
        across_clips: it is frame_local and reads its inputs' rows alone, and a row is invalid
            where an input's is: it is called with the valid rows of several clips at once.
        device: where it runs best.
        weights: names in the weights registry.
        tools: tool -> version, for tools that change numbers (``{"decode": 1}``).
        assets: roles of the clip's further files that it reads, where the clip has them.
        attrs: names of the clip's attributes that it reads, where the clip has them.
        licence: of the program that it runs, where that isn't free for every use; weights have
            their own.
    """

    name: str
    version: int
    cls: type[Extractor]
    inputs: Mapping[str, str]
    reads: Reads
    pixels: bool
    scope: Scope
    frame_local: bool
    device: Device
    weights: tuple[str, ...]
    tools: Mapping[str, int | str]
    assets: tuple[str, ...] = ()
    attrs: tuple[str, ...] = ()
    licence: str = ""
    across_clips: bool = False

    @property
    def outputs(self) -> tuple[FeatureSpec, ...]:
        """The features it makes."""
        return self.cls.outputs

    @property
    def in_video_pass(self) -> bool:
        """It needs the decoded frames, or their times, one batch after the other."""
        return self.reads == "video" and self.scope == "frames"

    @property
    def doc(self) -> str:
        """The class's docstring, first line first."""
        return (self.cls.__doc__ or "").strip()

    def weights_for(self, params: Params) -> tuple[str, ...]:
        """Names in the weights registry, under these parameters."""
        return tuple(self._told("weights_for", params, self.weights))

    def inputs_for(self, params: Params) -> dict[str, str]:
        """Slot -> default feature, of the slots that these parameters use."""
        used = self._told("inputs_for", params, tuple(self.inputs))
        return {slot: feature for slot, feature in self.inputs.items() if slot in used}

    def tools_for(self, params: Params) -> dict[str, int | str]:
        """Tool -> version, of all tools that change numbers."""
        return {**self.tools, **self._told("tools_for", params, {})}

    def assets_for(self, params: Params) -> tuple[str, ...]:
        """Roles of the clip's further files that are read under these parameters."""
        return tuple(self._told("assets_for", params, self.assets))

    def unavailable(self, params: Params) -> str | None:
        """Why it can't be computed on this installation, in one line with the remedy; or None."""
        reason: str | None = self._told("unavailable", params, None)
        return reason

    def suffices_for(self, params: Params) -> tuple[str, ...]:
        """Roles of further files with which a clip can do without what is unavailable."""
        return tuple(self._told("suffices_for", params, ()))

    def empty_without(self, params: Params) -> tuple[str, ...]:
        """Roles of further files without any of which a clip's rows are all invalid."""
        return tuple(self._told("empty_without", params, ()))

    def outputs_for(self, params: Params) -> tuple[FeatureSpec, ...]:
        """The features it makes under these parameters, with all their columns."""
        return tuple(self._told("outputs_for", params, self.outputs))

    def release(self) -> None:
        """Let go of what is kept from clip to clip."""
        release = getattr(self.cls, "release", None)
        if release is not None:
            release()

    def _told(self, method: str, params: Params, default: Any) -> Any:
        tell = getattr(self.cls, method, None)
        return default if tell is None else tell(params)


#: names of extractors and of what they make: parts of settings, columns and folders
NAME = re.compile("[a-z][a-z0-9_]*")

C = TypeVar("C", bound=type)


def extractor(
    *,
    name: str,
    version: int,
    inputs: Mapping[str, str] | None = None,
    reads: Reads = "none",
    pixels: bool = True,
    scope: Scope = "frames",
    frame_local: bool = False,
    across_clips: bool = False,
    device: Device = "cpu",
    weights: tuple[str, ...] = (),
    tools: Mapping[str, int | str] | None = None,
    assets: tuple[str, ...] = (),
    attrs: tuple[str, ...] = (),
    licence: str = "",
) -> Callable[[C], C]:
    """Declare a class as an extractor; the arguments are ``Declaration``'s.

    Raises:
        RequestError: a name that isn't ``[a-z][a-z0-9_]*``, or a word that isn't one of those
            that ``reads``, ``scope`` and ``device`` know.
    """
    _check_words(name, reads=(reads, Reads), scope=(scope, Scope), device=(device, Device))

    def attach(cls: C) -> C:
        _check_class(name, cls, inputs or {})
        if not hasattr(cls, "setup"):
            cls.setup = _nothing_to_load  # type: ignore[attr-defined]
        cls.declaration = Declaration(  # type: ignore[attr-defined]
            name=name,
            version=version,
            cls=cls,
            inputs=dict(inputs or {}),
            reads=reads,
            pixels=pixels and reads == "video",
            scope=scope,
            frame_local=frame_local,
            device=device,
            weights=weights,
            tools=dict(tools or {}),
            assets=assets,
            attrs=attrs,
            licence=licence,
            across_clips=across_clips,
        )
        return cls

    return attach


def _nothing_to_load(self: object, device: str) -> None:
    """What ``setup`` is where a class has none."""


def _check_words(name: str, **chosen: tuple[str, object]) -> None:
    if not NAME.fullmatch(name):
        raise RequestError(f"an extractor can't be named {name!r}; use a-z, 0-9 and _")
    for argument, (word, kind) in chosen.items():
        words = get_args(kind)
        if word not in words:
            raise RequestError(
                f"extractor {name}: {argument}={word!r} isn't one of {', '.join(words)}"
                f"{nearest(word, words)}"
            )


def _check_class(name: str, cls: type, inputs: Mapping[str, str]) -> None:
    for member in ("Params", "outputs"):
        if not hasattr(cls, member):
            raise RequestError(f"extractor {name}: its class has no {member}")
    for spec in getattr(cls, "outputs"):  # noqa: B009  a TypeVar's class has no such attribute
        if not NAME.fullmatch(spec.name):
            raise RequestError(
                f"extractor {name}: a feature can't be named {spec.name!r}; use a-z, 0-9 and _"
            )
    params = getattr(cls, "Params").model_fields  # noqa: B009
    for slot in inputs:
        if slot in params:
            raise RequestError(f"extractor {name}: {slot} is a slot and a parameter; rename one")
