"""Whether an extractor keeps the rules that plans and readers rely on, told from its declaration.

The rules are those of docs/extractors.md. ``check`` runs it on a small built-in clip, on rows of
numbers in the form of its inputs, on nothing, on one row, on clips without sound or face.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from features.contract_cases import (
    Clip,
    all_nan,
    made_clip,
    nothing_seen,
    ordinary,
    part,
    without_inputs,
)
from features.errors import FeatureError, RequestError, Unavailable
from features.extractor import Batch, Declaration, Extractor
from features.media.media import Media
from features.registry import feature_specs
from features.spec import FeatureSpec, Rows

Made = Mapping[str, Rows]


class ContractBroken(FeatureError):
    """An extractor breaks rules that plans and readers rely on; one line each."""

    code = "contract_broken"


def check(extractor: type, inputs: Mapping[str, Rows] | None = None, **params: object) -> None:
    """Try an extractor on small made clips.

    Args:
        extractor: the class with ``@extractor``.
        inputs: slot -> rows to read instead of made ones, one per frame of the built-in clip (7)
            where the rate is frame.
        params: its parameters; ``weights="random"`` where it has that and the weights lack.

    Raises:
        ContractBroken: it breaks rules; each on a line of the message.
        Unavailable: it can't be computed on this installation.
    """
    declaration: Declaration = getattr(extractor, "declaration", None) or _undeclared(extractor)
    chosen = declaration.cls.Params(**params)
    if reason := declaration.unavailable(chosen):
        raise Unavailable(f"{declaration.name} can't be computed here: {reason}")
    broken = list(_declared(declaration))
    if not broken:
        made = declaration.cls(chosen)
        made.setup("cpu")
        with made_clip() as clip:
            batch = ordinary(declaration, chosen, clip, inputs or {})
            broken = list(_Checks(declaration, made, declaration.outputs_for(chosen), clip)(batch))
    if broken:
        lines = "\n".join(f"  {line}" for line in dict.fromkeys(broken))
        raise ContractBroken(f"{declaration.name} breaks rules of docs/extractors.md:\n{lines}")


def _undeclared(extractor: type) -> Declaration:
    raise RequestError(f"{extractor.__name__} is no class with @extractor")


def _declared(declaration: Declaration) -> Iterator[str]:
    """Rules of the declaration itself."""
    known = {**feature_specs(), **{spec.name: spec for spec in declaration.outputs}}
    for slot, feature in declaration.inputs.items():
        if feature not in known:
            yield f"the slot {slot} is bound to {feature}, which no extractor makes"
    if not declaration.doc:
        yield "its class has no docstring: lists and docs show it"
    if not declaration.outputs:
        yield "it makes no feature: outputs is empty"
    defaults = declaration.cls.Params()
    told = json.loads(defaults.model_dump_json())
    if type(defaults)(**told) != defaults:
        yield "its parameters don't survive JSON, which keys are made of"
    if declaration.frame_local and declaration.scope == "clip":
        yield "scope clip can't be frame_local: it never sees single frames"
    alone = declaration.frame_local and declaration.reads == "none"
    if declaration.across_clips and (not alone or declaration.attrs or declaration.assets):
        yield (
            "across_clips needs frame_local, and an extractor that reads its inputs' rows alone: "
            "no medium, attributes or further files"
        )
    for spec in declaration.outputs:
        if spec.columns and spec.dims[-1:] not in ((len(spec.columns),), (0,)):
            yield f"{spec.name} has {len(spec.columns)} columns for rows of shape {spec.dims}"


class _Checks:
    """All rules about the rows of one extractor that is set up."""

    def __init__(
        self,
        declaration: Declaration,
        extractor: Extractor,
        specs: Sequence[FeatureSpec],
        clip: Clip,
    ) -> None:
        self.declaration, self.extractor, self.specs = declaration, extractor, specs
        self.clip = clip

    def __call__(self, batch: Batch) -> Iterator[str]:
        before = _bits(batch)
        whole = yield from self._made("an ordinary clip", batch)
        if whole is None:
            return
        if before != _bits(batch):
            yield "it changes the frames or rows that it is given: others read them, too"
        yield from self._apart(batch, whole)
        if self.declaration.scope == "frames":
            yield from self._in_pieces(batch, whole)
        if self.declaration.across_clips:
            yield from self._of_several(batch, whole)
        yield from self._made("a clip without rows", without_inputs(batch))
        yield from self._made("inputs that hold nothing but NaN", all_nan(batch))
        unseen = yield from self._made("a clip in which nothing is seen", nothing_seen(batch))
        if unseen and batch.inputs and self.declaration.frame_local:
            for name, rows in unseen.items():
                if rows.valid.any():
                    yield f"{name} has valid rows where no input has any"
        if self.declaration.reads == "audio":
            yield from self._sounds(batch)
        again = yield from self._made("the ordinary clip again", batch)
        if again is not None:
            yield from _differs(again, whole, "the same batch gives other rows the second time")

    def _apart(self, batch: Batch, whole: Made) -> Iterator[str]:
        """Each output asked for alone."""
        if self.declaration.scope == "frames":
            first = np.zeros(1, np.intp)
            batch, whole = part(batch, first), {n: rows.take(first) for n, rows in whole.items()}
        for spec in self.specs if len(self.specs) > 1 else ():
            alone = yield from self._made(f"{spec.name} alone", replace(batch, wanted=(spec.name,)))
            if alone is not None:
                kept = {spec.name: whole[spec.name]}
                yield from _differs(alone, kept, f"{spec.name} is another when asked for alone")

    def _in_pieces(self, batch: Batch, whole: Made) -> Iterator[str]:
        """Batches of other sizes, and some rows only."""
        rows = len(batch.times)
        pieces: list[Made] = []
        for start, stop in ((0, 1), (1, 3), (3, rows)):
            made = yield from self._made(
                f"frames {start} to {stop - 1}", part(batch, np.arange(start, stop), start)
            )
            if made is None:
                return
            pieces.append(made)
        joined = {spec.name: Rows.concat([p[spec.name] for p in pieces]) for spec in self.specs}
        yield from _differs(joined, whole, "rows depend on where batches are cut")
        if self.declaration.frame_local:
            some = np.array([0, 2, rows - 1])
            made = yield from self._made("some frames of a batch", part(batch, some))
            if made is not None:
                kept = {name: found.take(some) for name, found in whole.items()}
                yield from _differs(
                    made, kept, "it says frame_local, but a row depends on other rows"
                )

    def _of_several(self, batch: Batch, whole: Made) -> Iterator[str]:
        """Valid rows alone and in another order, as they come where several clips give some."""
        rows = batch.inputs.values()
        valid = np.logical_and.reduce([r.valid for r in rows])
        some = np.flatnonzero(valid)[::-1]
        mixed = Batch(
            Media("several clips"),
            times=np.zeros(len(some)),
            inputs={slot: r.take(some) for slot, r in batch.inputs.items()},
            wanted=batch.wanted,
        )
        made = yield from self._made("valid rows of several clips", mixed)
        if made is not None:
            kept = {name: found.take(some) for name, found in whole.items()}
            yield from _differs(
                made, kept, "it says across_clips, but a row depends on what it comes with"
            )
        for name, found in whole.items():
            if found.valid[~valid].any():
                yield f"it says across_clips, but {name} has valid rows where an input's isn't"

    def _sounds(self, batch: Batch) -> Iterator[str]:
        """Clips without a track, with digital silence, with less sound than a window."""
        yield from self._made("digital silence", replace(batch, media=self.clip.silent))
        yield from self._made("some milliseconds of sound", replace(batch, media=self.clip.brief))
        made = yield from self._made("a clip without sound", replace(batch, media=self.clip.mute))
        for name, rows in (made or {}).items():
            if rows.valid.any():
                yield f"{name} has valid rows in a clip without sound"

    def _made(self, case: str, batch: Batch) -> Any:
        """Yields what is wrong with the rows; returns them by output, None if there are none."""
        try:
            made = self.extractor.extract(batch)
        except Exception as error:
            yield f"{case}: {type(error).__name__}: {error}"
            return None
        found: Made = {self.specs[0].name: made} if isinstance(made, Rows) else made
        wrong = list(self._rows_of(case, batch, found))
        yield from wrong
        return None if wrong else found

    def _rows_of(self, case: str, batch: Batch, found: Made) -> Iterator[str]:
        for spec in self.specs:
            if spec.name not in found:
                if spec.name in batch.wanted:
                    yield f"{case}: {spec.name} is wanted and wasn't made"
                continue
            rows = found[spec.name]
            for line in _form(spec, rows):
                yield f"{case}: {spec.name} {line}"
            frames = self._frames(batch)
            if spec.rate == "frame" and frames is not None and rows.rows != frames:
                yield f"{case}: {spec.name} has {rows.rows} rows for {frames} frames"

    def _frames(self, batch: Batch) -> int | None:
        if self.declaration.scope == "frames" and self.declaration.reads == "video":
            return len(batch.times)
        specs, bound = feature_specs(), self.declaration.inputs
        counts = [r.rows for slot, r in batch.inputs.items() if specs[bound[slot]].rate == "frame"]
        return counts[0] if counts else None


def _form(spec: FeatureSpec, rows: Rows) -> Iterator[str]:
    """Shape, type, and what invalid rows hold."""
    if rows.values.shape[1:] != spec.dims or rows.values.dtype != np.dtype(spec.dtype):
        yield (
            f"is {rows.values.dtype} of shape {rows.values.shape[1:]}, "
            f"declared is {spec.dtype} of {spec.dims}"
        )
        return
    if (rows.offsets is not None) != spec.ragged:
        yield "is ragged, or isn't, against its declaration"
        return
    if rows.rows and rows.block != spec.block:
        yield f"has a flag per {rows.block} rows, declared is one per {spec.block}"
        return
    if spec.rate == "clip" and rows.rows != 1:
        yield f"has {rows.rows} rows; a clip has one"
    if spec.rate in ("segment", "sample") and not (rows.step and rows.step > 0):
        yield "has no step: seconds between its rows"
    if not np.isfinite(rows.t0):
        yield "has no t0: container seconds of its first row"
    if spec.ragged:
        if np.diff(np.asarray(rows.offsets))[~rows.valid].any():
            yield "has items in an invalid row"
        return
    invalid = rows.values[~np.repeat(rows.valid, rows.block)[: rows.rows]]
    if invalid.dtype.kind == "f" and not np.isnan(invalid).all():
        yield "holds numbers in an invalid row instead of NaN"
    if invalid.dtype.kind != "f" and invalid.any():
        yield "holds numbers in an invalid row instead of 0"


def _differs(made: Made, expected: Made, what: str) -> Iterator[str]:
    for name, rows in expected.items():
        other = made[name]
        same = other.rows == rows.rows and np.array_equal(other.digest, rows.digest)
        if not same:
            count = int((other.digest != rows.digest).sum()) if other.rows == rows.rows else None
            yield f"{what} ({'another number of rows' if count is None else f'{count} rows'})"


def _bits(batch: Batch) -> list[bytes]:
    """All that an extractor could change in a batch."""
    arrays = [a for r in batch.inputs.values() for a in (r.values, r.valid)]
    return [a.tobytes() for a in (batch.times, batch.frames, *arrays) if a is not None]
