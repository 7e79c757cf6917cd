"""One feature of one file, without a store: for notebooks and first looks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from features.engine import Source, Step, run_clip
from features.errors import FeatureError, Unavailable, UnknownParameter
from features.extractor import Declaration, Params
from features.media.media import Media
from features.registry import declaration_of
from features.spec import Rows
from features.spelling import nearest


class _InMemory:
    """Rows of one feature, kept in memory; sink and source at once."""

    def __init__(self) -> None:
        self._pieces: list[Rows] = []
        self._whole: Rows | None = None

    def append(self, rows: Rows) -> None:
        self._pieces.append(rows)

    @property
    def whole(self) -> Rows:
        if self._whole is None:
            self._whole = Rows.concat(self._pieces)
        return self._whole

    @property
    def rows(self) -> int:
        return self.whole.rows

    def read(self, start: int, stop: int) -> Rows:
        return self.whole.slice(start, stop)

    def digest(self) -> NDArray[np.uint64]:
        return self.whole.digest


class _MemoryHost:
    """Computes everything, keeps it, and raises the first failure."""

    def __init__(self) -> None:
        self.kept: dict[str, _InMemory] = {}
        self._done: set[str] = set()

    def begin(self, step: Step) -> bool:
        return True

    def open(self, step: Step) -> None:
        for feature in step.features:
            self.kept[feature] = _InMemory()
            step.sinks[feature] = self.kept[feature]

    def begin_chained(self, step: Step) -> None:
        self.open(step)

    def waits(self, step: Step) -> bool:
        return False

    def source(self, feature: str) -> Source:
        return self.kept[feature]

    def has(self, feature: str) -> bool:
        return feature in self._done

    def done(self, step: Step) -> None:
        self._done |= set(step.features)

    def fail(self, step: Step, error: FeatureError) -> None:
        raise error

    def void(self, step: Step) -> None:
        pass


def extract(
    feature: str,
    path: str | Path,
    *,
    start: float | None = None,
    stop: float | None = None,
    device: str = "cpu",
    truncated: Literal["fail", "keep"] = "fail",
    **params: object,
) -> Rows:
    """All rows of one feature of one media file, with what it reads computed on the way.

    Args:
        start, stop: the cut in container seconds; None = open.
        truncated: ``keep`` reads what is there of a file that stops in the middle.
        params: the extractor's own parameters, such as ``min_face=40``.

    Raises:
        UnknownFeature, UnknownParameter: with the nearest name, or why the value doesn't fit.
        MediaError: the file can't be used.

    Example:
        ``features.extract("mfcc_mel", "x.mp4").values.shape`` is ``(frames, 168)``.
    """
    declaration = declaration_of(feature)
    known = declaration.cls.Params.model_fields
    for name in sorted(params.keys() - known.keys()):
        raise UnknownParameter(f"{feature} has no parameter {name!r}{nearest(name, known)}")
    chain: dict[str, tuple[Declaration, Params]] = {}
    try:
        asked = declaration.cls.Params(**params)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join([feature, *map(str, problem["loc"])])
        raise UnknownParameter(
            f"{where}: {problem['msg'].removeprefix('Value error, ')}; "
            f"affectstore features show {feature} lists what it takes"
        ) from None
    _collect(declaration, asked, chain)
    inputs = {name: one.inputs_for(chosen) for name, (one, chosen) in chain.items()}
    needed = {feature}.union(*(slots.values() for slots in inputs.values()))
    steps = []
    for name, (one, chosen) in chain.items():
        if reason := one.unavailable(chosen):
            raise Unavailable(f"{name} can't be computed here: {reason}")
        extractor = one.cls(chosen)
        extractor.setup(device)
        outputs = tuple(s.name for s in one.outputs if s.name in needed)
        steps.append(Step(one, extractor, inputs[name], outputs))
    host = _MemoryHost()
    try:
        run_clip(Media(str(path), start, stop, truncated=truncated), steps, host)
    finally:
        for one, _ in chain.values():
            one.release()
    return host.kept[feature].whole


def _collect(
    declaration: Declaration, params: Params, chain: dict[str, tuple[Declaration, Params]]
) -> None:
    """The extractor with these parameters, after all that it reads then, with their defaults."""
    for feature in declaration.inputs_for(params).values():
        upstream = declaration_of(feature)
        if upstream.name not in chain:
            _collect(upstream, upstream.cls.Params(), chain)
    chain[declaration.name] = (declaration, params)
