"""Stock zarr-python opens a part and finds in it what was written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr
from part_kit import ALL, CLIP, FRAME, RAGGED, make_rows, unit, values_file, write
from zarr.codecs import ShardingCodec

from features.spec import FeatureSpec
from storage.layout import decode_index, encode_index, part_key
from storage.location import Location


@pytest.mark.parametrize("codec", ["raw", "zstd"])
@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.name)
def test_plain_zarr_reads_the_same_rows(spec: FeatureSpec, codec: str, location: Location) -> None:
    clips = [make_rows(spec, n * unit(spec) // 2 + 1, n) for n in (5, 2, 9)]
    stored, (part,) = write(location, spec, clips, codec=codec)
    group = zarr.open_group(location.zarr_store(part_key(spec.name, part)), mode="r")
    assert set(group.array_keys()) == {"values", "valid", "digest"} | (
        {"offsets"} if spec.ragged else set()
    )
    for rows, clip in zip(clips, stored, strict=True):
        (piece,) = clip.pieces
        if spec.ragged:
            bounds = group["offsets"][piece.row_start : piece.row_stop + 1]
            np.testing.assert_array_equal(bounds - bounds[0], rows.offsets)
            values = group["values"][bounds[0] : bounds[-1]]
        else:
            values = group["values"][piece.row_start : piece.row_stop]
        np.testing.assert_array_equal(values, rows.values)
        entries = slice(piece.row_start // spec.block, -(-piece.row_stop // spec.block))
        np.testing.assert_array_equal(group["valid"][entries], rows.valid)
        np.testing.assert_array_equal(group["digest"][entries], rows.digest)
        assert group["values"].dtype == np.dtype(spec.dtype)


def test_the_attributes_say_what_the_feature_is(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    _, (part,) = write(location, CLIP, [make_rows(CLIP, 1), make_rows(CLIP, 1)])
    found = dict(zarr.open_group(location.zarr_store(part_key("functionals", part))).attrs)
    assert found["format"] == 1
    assert found["feature"] == "functionals"
    assert found["columns"] == list("abcdefg")
    assert (found["dtype"], found["rate"], found["dims"]) == ("float32", "clip", [7])
    assert found["description"] == {"extractor": "test"}
    assert found["clips"] == 2


@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.name)
def test_each_array_is_one_shard_file_with_every_chunk_in_it(
    spec: FeatureSpec, tmp_path: Path
) -> None:
    location = Location.parse(tmp_path)
    _, (part,) = write(location, spec, [make_rows(spec, n * unit(spec)) for n in (3, 5)])
    group = zarr.open_group(location.zarr_store(part_key(spec.name, part)), mode="r")
    files = [k for k, _, _ in location.list("parts") if not k.endswith("zarr.json")]
    assert len(files) == len(list(group.array_keys()))
    for name, array in group.arrays():
        (sharding,) = array.metadata.codecs
        assert isinstance(sharding, ShardingCodec)
        inner = sharding.chunk_shape
        data = location.path.joinpath(
            part_key(spec.name, part), name, "c", *["0"] * array.ndim
        ).read_bytes()
        count = -(-array.shape[0] // inner[0])
        index = decode_index(data[-(16 * count + 4) :])
        chunk = int(np.prod(inner)) * array.dtype.itemsize
        np.testing.assert_array_equal(index[:, 0], np.arange(count) * chunk)
        assert set(index[:, 1].tolist()) == {chunk}
        assert len(data) == count * chunk + 16 * count + 4


def test_a_raw_row_lies_at_row_times_row_bytes(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    clips = [make_rows(FRAME, n, n) for n in (5, 40)]
    stored, (part,) = write(location, FRAME, clips)
    data = values_file(location, FRAME, part).read_bytes()
    row = stored[1].pieces[0].row_start + 33
    found = np.frombuffer(data, "<f4", 168, row * FRAME.row_bytes)
    np.testing.assert_array_equal(found, clips[1].values[33])
    padding = np.frombuffer(data, "<f4", 168, 7 * FRAME.row_bytes)
    assert np.isnan(padding).all()


def test_offsets_are_positions_in_the_part(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    clips = [make_rows(RAGGED, n, n) for n in (15, 16)]
    stored, (part,) = write(location, RAGGED, clips)
    offsets = zarr.open_group(location.zarr_store(part_key("faces", part)))["offsets"][:]
    assert len(offsets) == 48
    assert (np.diff(offsets) >= 0).all()
    assert offsets[stored[1].pieces[0].row_start] == len(clips[0].values)
    assert offsets[-1] == len(clips[0].values) + len(clips[1].values)


def test_xarray_opens_a_part(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    rows = make_rows(FRAME, 20)
    _, (part,) = write(location, FRAME, [rows])
    found = xarray.open_zarr(location.path / part_key("audio", part), consolidated=False)
    assert found["values"].dims == ("row", "column")
    np.testing.assert_array_equal(found["values"].values[:20], rows.values)
    np.testing.assert_array_equal(found["valid"].values[:20], rows.valid)


def test_an_archive_is_smaller(tmp_path: Path) -> None:
    rows = make_rows(FRAME, 2000)
    smooth = np.cumsum(rows.values * 1e-3, axis=0, dtype=np.float32)
    rows = type(rows)(smooth, rows.valid)
    sizes = {}
    for codec in ("raw", "zstd"):
        location = Location.parse(tmp_path / codec)
        _, (part,) = write(location, FRAME, [rows], codec=codec)
        sizes[codec] = values_file(location, FRAME, part).stat().st_size
    assert sizes["zstd"] < 0.9 * sizes["raw"]


def test_an_index_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(encode_index(np.array([[0, 8], [8, 8]], np.uint64)))
    np.testing.assert_array_equal(decode_index(bytes(data)), [[0, 8], [8, 8]])
    data[3] ^= 1
    with pytest.raises(ValueError, match="wrong checksum"):
        decode_index(bytes(data))


def test_metadata_is_json_without_nan(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    write(location, FRAME, [make_rows(FRAME, 2)])

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    for key, _, _ in location.list("parts"):
        if key.endswith("zarr.json"):
            json.loads(location.read_bytes(key), parse_constant=refuse)
