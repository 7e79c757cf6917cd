"""Features and rows that the tests of parts share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from features.spec import SAMPLES_PER_BLOCK, FeatureSpec, Rows
from storage.layout import part_key
from storage.location import Location
from storage.part import PartWriter
from storage.stored import StoredClip

FRAME = FeatureSpec("audio", "frame", (168,), "float32", units="1", description="a frame feature")
SCALAR = FeatureSpec("times", "frame", (), "float64")
IMAGE = FeatureSpec("face", "frame", (112, 112, 3), "uint8")
SEGMENT = FeatureSpec("maps", "segment", (257, 30, 2), "float32")
CLIP = FeatureSpec("functionals", "clip", (7,), "float32", tuple("abcdefg"))
WAVE = FeatureSpec("wave", "sample", (), "int16")
RAGGED = FeatureSpec("faces", "frame", (15,), "float32", ragged=True)
ALL = (FRAME, SCALAR, IMAGE, SEGMENT, CLIP, WAVE, RAGGED)


def make_rows(spec: FeatureSpec, rows: int, seed: int = 0) -> Rows:
    """Random rows, some of them invalid; the first half second lies before the container's 0."""
    rng = np.random.default_rng(seed)
    valid = rng.random(-(-rows // spec.block)) < 0.8
    offsets = None
    count = rows
    if spec.ragged:
        offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 4, rows))]).astype(np.int64)
        count = int(offsets[-1])
    values = (rng.standard_normal((count, *spec.dims)) * 100).astype(spec.dtype)
    step = {"sample": 1 / 16_000, "segment": 0.05}.get(spec.rate)
    return Rows(values, valid, -0.5, step, offsets, spec.block)


def unit(spec: FeatureSpec) -> int:
    """Rows on whose multiples appends may be cut."""
    return SAMPLES_PER_BLOCK if spec.rate == "sample" else 1


def append(writer: PartWriter, rows: Rows, cuts: Sequence[int] = ()) -> None:
    """Append ``rows`` to the open clip, in pieces that stop at ``cuts``."""
    borders = [0, *sorted(cuts), rows.rows]
    for start, stop in pairwise(borders):
        writer.append(rows.slice(start, stop))


def store(writer: PartWriter, rows: Rows, cuts: Sequence[int] = ()) -> StoredClip:
    """Write one whole clip."""
    writer.begin()
    append(writer, rows, cuts)
    return writer.finish()


def write(
    location: Location, spec: FeatureSpec, clips: Sequence[Rows], **options: Any
) -> tuple[list[StoredClip], tuple[str, ...]]:
    """Write clips with one writer; what it stored, and the parts' ids."""
    writer = PartWriter(location, spec, description={"extractor": "test"}, **options)
    stored = [store(writer, rows) for rows in clips]
    return stored, writer.close()


def assert_same(found: Rows, wanted: Rows) -> None:
    """Equal in every bit that is stored, and in time."""
    assert found.values.dtype == wanted.values.dtype
    np.testing.assert_array_equal(found.values, wanted.values)
    np.testing.assert_array_equal(found.valid, wanted.valid)
    assert (found.offsets is None) == (wanted.offsets is None)
    if wanted.offsets is not None:
        np.testing.assert_array_equal(found.offsets, wanted.offsets)
    assert abs(found.t0 - wanted.t0) < 1e-9
    assert found.step == wanted.step


def values_file(location: Location, spec: FeatureSpec, part: str) -> Any:
    """The shard file of a local part's values."""
    zeros = ["0"] * (1 + len(spec.dims))
    return location.path.joinpath(part_key(spec.name, part), "values", "c", *zeros)
