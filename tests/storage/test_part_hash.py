"""The content hash and the digests depend on the rows alone."""

from __future__ import annotations

import hashlib
import json
import tempfile

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from part_kit import append, assert_same, make_rows, unit

from features.spec import FeatureSpec, Rows
from storage.content import ContentHash, content_hash
from storage.location import Location
from storage.part import PartWriter
from storage.reader import read_pieces

SPECS = (
    FeatureSpec("plain", "frame", (3,), "float32"),
    FeatureSpec("image", "frame", (2, 3), "uint8"),
    FeatureSpec("ragged", "frame", (5,), "float32", ragged=True),
    FeatureSpec("packed", "clip", (2,), "int64"),
)
WAVE = FeatureSpec("wave", "sample", (), "int16")


@st.composite
def cut_rows(draw: st.DrawFn, spec: FeatureSpec, most: int) -> tuple[Rows, list[int]]:
    blocks = draw(st.integers(0, most))
    rows = blocks * unit(spec) + (draw(st.integers(0, unit(spec) - 1)) if unit(spec) > 1 else 0)
    cuts = draw(st.lists(st.integers(0, rows // unit(spec)), max_size=4))
    return make_rows(spec, rows, draw(st.integers(0, 99))), [c * unit(spec) for c in cuts]


def check(spec: FeatureSpec, rows: Rows, cuts: list[int], codec: str, max_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        location = Location.parse(folder)
        with PartWriter(location, spec, description={}, codec=codec, max_bytes=max_bytes) as writer:
            writer.begin()
            writer.append(make_rows(spec, 3, 7))
            writer.finish()
            writer.begin()
            append(writer, rows, cuts)
            clip = writer.finish()
        assert clip.content == content_hash(rows)
        np.testing.assert_array_equal(clip.digest, rows.digest)
        found = read_pieces(location, spec.name, clip.pieces, spec=spec, t0=rows.t0, step=rows.step)
        assert_same(found, rows)
        assert content_hash(found) == clip.content


@settings(max_examples=30, deadline=None)
@given(st.data(), st.sampled_from(SPECS), st.sampled_from(["raw", "zstd"]), st.integers(300, 3000))
def test_content_is_independent_of_cuts_pieces_and_codec(
    data: st.DataObject, spec: FeatureSpec, codec: str, max_bytes: int
) -> None:
    rows, cuts = data.draw(cut_rows(spec, 60))
    check(spec, rows, cuts, codec, max_bytes)


@settings(max_examples=10, deadline=None)
@given(cut_rows(WAVE, 4), st.sampled_from(["raw", "zstd"]), st.integers(100_000, 400_000))
def test_content_of_samples_is_independent_of_cuts_pieces_and_codec(
    case: tuple[Rows, list[int]], codec: str, max_bytes: int
) -> None:
    check(WAVE, *case, codec, max_bytes)


def test_the_hash_is_what_its_definition_says() -> None:
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    valid = np.array([True, False])

    def sha(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    document = ["content", "float32", [2, 3], sha(values.tobytes()), sha(b"\x01\x00"), None]
    text = json.dumps(document, separators=(",", ":"))
    assert content_hash(Rows(values, valid)) == sha(text.encode())
    offsets = np.array([0, 0, 2])
    document = [
        "content",
        "float32",
        [2, 3],
        sha(values.tobytes()),
        sha(b"\x01\x00"),
        sha(offsets.astype("<i8").tobytes()),
    ]
    text = json.dumps(document, separators=(",", ":"))
    assert content_hash(Rows(values, valid, offsets=offsets)) == sha(text.encode())


def test_one_flag_one_value_or_one_border_changes_the_hash() -> None:
    rows = make_rows(SPECS[2], 9, 3)
    assert rows.offsets is not None
    flags = rows.valid.copy()
    flags[4] = not flags[4]
    values = rows.values.copy()
    values[0, 0] += 1
    offsets = rows.offsets.copy()
    offsets[1:-1] = 0
    others = [
        Rows(rows.values, flags, offsets=rows.offsets),
        Rows(values, rows.valid, offsets=rows.offsets),
        Rows(rows.values, rows.valid, offsets=offsets),
    ]
    assert len({content_hash(r) for r in (rows, *others)}) == 4


def test_nothing_hashed_equals_empty_rows() -> None:
    for spec in (*SPECS, WAVE):
        assert ContentHash.of(spec).hexdigest() == content_hash(spec.empty())


def test_a_digest_is_blake2b_of_the_row_and_its_flag() -> None:
    rows = make_rows(SPECS[0], 4)
    for row, flag, digest in zip(rows.values, rows.valid, rows.digest, strict=True):
        whole = hashlib.blake2b(row.tobytes() + bytes([int(flag)])).digest()
        assert int(digest) == int.from_bytes(whole[:8], "little")
