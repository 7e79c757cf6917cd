"""Reading parts: from any place, in any mode, from threads and forks; and damage is named."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from part_kit import ALL, FRAME, RAGGED, SCALAR, WAVE, assert_same, make_rows, values_file, write

from features.spec import FeatureSpec, Rows
from storage.errors import DamagedPart, WrongFormat
from storage.layout import part_key
from storage.location import Location
from storage.reader import Mode, OpenParts, PartReader, open_part, read_digest, read_pieces
from storage.records import Piece


def fresh(location: Location, tmp_path: Path, name: str = "moved") -> Location:
    """The same store at a place that the cache of open parts doesn't know."""
    shutil.move(location.path, tmp_path / name)
    return Location.parse(tmp_path / name)


@pytest.mark.parametrize("mode", ["preadv", "mmap"])
@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.name)
def test_both_modes_give_the_same_rows(spec: FeatureSpec, mode: Mode, tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    rows = make_rows(spec, 30)
    stored, _ = write(location, spec, [make_rows(spec, 7, 9), rows])
    found = read_pieces(
        location, spec.name, stored[1].pieces, t0=rows.t0, step=rows.step, mode=mode
    )
    assert_same(found, rows)


def test_times_move_on_with_start(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    spec = FeatureSpec("steps", "segment", (2,), "float32")
    stored, _ = write(location, spec, [make_rows(spec, 10)])
    found = read_pieces(location, "steps", stored[0].pieces, 4, 6, t0=1.0, step=0.5)
    assert (found.t0, found.step, found.rows) == (3.0, 0.5, 2)


def test_samples_are_cut_on_block_borders_only(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    rows = make_rows(WAVE, 200_000)
    stored, _ = write(location, WAVE, [rows])
    found = read_pieces(
        location, "wave", stored[0].pieces, 65_536, 150_000, t0=rows.t0, step=rows.step
    )
    assert_same(found, rows.slice(65_536, 150_000))
    with pytest.raises(ValueError, match="start 1000 is not on a border"):
        read_pieces(location, "wave", stored[0].pieces, 1000, 2000)


def test_a_clip_without_pieces_needs_its_spec(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    assert read_pieces(location, "audio", (), spec=FRAME, t0=2.0).t0 == 2.0
    with pytest.raises(ValueError, match="without its spec"):
        read_pieces(location, "audio", ())
    assert len(read_digest(location, "audio", ())) == 0


def test_values_are_read_into_the_callers_array(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    rows = make_rows(FRAME, 30)
    for codec in ("raw", "zstd"):
        _, (part,) = write(location, FRAME, [rows], codec=codec)
        for mode in ("preadv", "mmap"):
            out = np.zeros((9, 168), np.float32)
            reader = open_part(location, "audio", part, mode)  # type: ignore[arg-type]
            assert reader.values(3, 12, out) is out
            np.testing.assert_array_equal(out, rows.values[3:12])
    with pytest.raises(ValueError, match="out must be float32 of shape"):
        open_part(location, "audio", part).values(3, 12, np.zeros((9, 168)))


def test_a_map_can_not_be_written_through(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    stored, _ = write(location, FRAME, [make_rows(FRAME, 30)])
    found = read_pieces(location, "audio", stored[0].pieces, mode="mmap")
    with pytest.raises(ValueError, match="read-only"):
        found.values[0, 0] = 1.0


def test_the_part_tells_spec_and_description(location: Location) -> None:
    _, (part,) = write(location, RAGGED, [make_rows(RAGGED, 3)])
    reader = open_part(location, "faces", part)
    assert reader.spec == RAGGED
    assert reader.description == {"extractor": "test"}
    assert reader.rows == 16


def open_files(folder: Path) -> int:
    """How many files below a folder this process holds open."""
    links = Path("/proc/self/fd")
    names = [os.readlink(link) for link in links.iterdir() if os.path.lexists(link)]
    return sum(name.startswith(str(folder)) for name in names)


def test_open_parts_are_kept_and_their_number_is_bounded(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    clips = [make_rows(SCALAR, 1, n) for n in range(20)]
    _, parts = write(location, SCALAR, clips, max_clips=1)
    cache = OpenParts(limit=5)
    first = cache.get(location, "times", parts[0], "preadv")
    assert cache.get(location, "times", parts[0], "preadv") is first
    for rows, part in zip(clips, parts, strict=True):
        found = cache.get(location, "times", part, "preadv").read(0, 1)
        np.testing.assert_array_equal(found.values, rows.values)
    # values and validity of five parts, and of the first, which is evicted but still held
    assert open_files(tmp_path) == 2 * (5 + 1)
    assert first.read(0, 1).rows == 1
    del first
    cache.forget()
    assert open_files(tmp_path) == 0


def test_threads_share_open_parts(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    clips = [make_rows(RAGGED, 40, n) for n in range(12)]
    for codec in ("raw", "zstd"):
        stored, _ = write(location, RAGGED, clips, codec=codec, max_clips=2)

        def read(number: int, stored: list = stored) -> Rows:  # type: ignore[type-arg]
            return read_pieces(location, "faces", stored[number % 12].pieces, t0=-0.5)

        with ThreadPoolExecutor(8) as pool:
            for number, found in enumerate(pool.map(read, range(120))):
                assert_same(found, clips[number % 12])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_a_forked_child_reads_on(tmp_path: Path, codec: str) -> None:
    location = Location.parse(tmp_path)
    rows = make_rows(FRAME, 300)
    stored, _ = write(location, FRAME, [rows], codec=codec)
    read_pieces(location, "audio", stored[0].pieces)
    child = os.fork()
    if child == 0:
        found = read_pieces(location, "audio", stored[0].pieces)
        os._exit(0 if np.array_equal(found.values, rows.values) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_a_missing_part_is_named_with_its_remedy(location: Location, codec: str) -> None:
    stored, (part,) = write(location, FRAME, [make_rows(FRAME, 30)], codec=codec)
    location.delete_tree(part_key("audio", part))
    with pytest.raises(DamagedPart, match=f"part {part} of audio is missing.*affectstore verify"):
        read_pieces(location, "audio", stored[0].pieces)


@pytest.mark.parametrize("name", ["values", "valid", "digest"])
@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_a_missing_file_is_damage(tmp_path: Path, codec: str, name: str) -> None:
    location = Location.parse(tmp_path)
    stored, (part,) = write(location, FRAME, [make_rows(FRAME, 30)], codec=codec)
    shutil.rmtree(tmp_path / part_key("audio", part) / name)
    read = read_digest if name == "digest" else read_pieces
    with pytest.raises(DamagedPart, match=f"part {part} of audio is missing, or one of its files"):
        read(location, "audio", stored[0].pieces)


@pytest.mark.parametrize("mode", ["preadv", "mmap"])
@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_a_short_file_is_damage(tmp_path: Path, codec: str, mode: Mode) -> None:
    location = Location.parse(tmp_path)
    stored, (part,) = write(location, FRAME, [make_rows(FRAME, 300)], codec=codec)
    path = values_file(location, FRAME, part)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DamagedPart, match="audio is damaged"):
        read_pieces(location, "audio", stored[0].pieces, 290, 300, mode=mode)


def test_a_file_cut_off_while_open_is_damage(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    stored, (part,) = write(location, FRAME, [make_rows(FRAME, 300)])
    read_pieces(location, "audio", stored[0].pieces)
    os.truncate(values_file(location, FRAME, part), 1000)
    with pytest.raises(DamagedPart, match="bytes too early"):
        read_pieces(location, "audio", stored[0].pieces)


def test_a_flipped_bit_in_a_compressed_index_is_damage(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    stored, (part,) = write(location, FRAME, [make_rows(FRAME, 300)], codec="zstd")
    path = values_file(location, FRAME, part)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedPart, match="wrong checksum"):
        read_pieces(location, "audio", stored[0].pieces)


@pytest.mark.parametrize("position", [4, 12, 60])
def test_a_damaged_chunk_never_gives_wrong_sizes(tmp_path: Path, position: int) -> None:
    location = Location.parse(tmp_path)
    rows = make_rows(FRAME, 30)
    stored, (part,) = write(location, FRAME, [rows], codec="zstd")
    path = values_file(location, FRAME, part)
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)
    try:
        found = read_pieces(location, "audio", stored[0].pieces, t0=rows.t0)
    except DamagedPart as error:
        assert "affectstore verify" in str(error)  # noqa: PT017
    else:
        assert found.rows == rows.rows


def test_a_file_in_the_place_of_a_folder_is_damage(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    _, (part,) = write(location, FRAME, [make_rows(FRAME, 40)])
    folder = tmp_path / part_key(FRAME.name, part) / "values"
    shutil.rmtree(folder)
    folder.write_bytes(b"")
    with pytest.raises(DamagedPart, match="is missing, or one of its files"):
        PartReader(location, FRAME.name, part).read(0, 40)


def test_a_disk_that_can_not_read_a_sector_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = Location.parse(tmp_path)
    _, (part,) = write(location, FRAME, [make_rows(FRAME, 40)])

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(DamagedPart, match="Input/output error"):
        PartReader(location, FRAME.name, part).read(0, 40)


def test_the_metadata_of_another_feature_is_damage(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    _, (part,) = write(location, FRAME, [make_rows(FRAME, 40)])
    _, (other,) = write(location, SCALAR, [make_rows(SCALAR, 40)])
    mine, foreign = (
        tmp_path / part_key(spec.name, found) / "zarr.json"
        for spec, found in ((FRAME, part), (SCALAR, other))
    )
    mine.write_bytes(foreign.read_bytes())
    with pytest.raises(DamagedPart, match=f"speaks of {SCALAR.name}"):
        PartReader(location, FRAME.name, part)


def test_rows_beyond_the_part_are_damage(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    _, (part,) = write(location, FRAME, [make_rows(FRAME, 30)])
    with pytest.raises(DamagedPart, match="has 32 rows, the catalogue names row 40"):
        read_pieces(location, "audio", [Piece(part, 30, 40)])


def test_offsets_that_point_nowhere_are_damage(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    stored, (part,) = write(location, RAGGED, [make_rows(RAGGED, 30)])
    path = tmp_path / part_key("faces", part) / "offsets/c/0"
    data = bytearray(path.read_bytes())
    data[8 * 30 : 8 * 31] = (10**9).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(DamagedPart, match="offsets that point nowhere"):
        read_pieces(location, "faces", stored[0].pieces)


def edit_attributes(tmp_path: Path, part: str, **changes: object) -> None:
    path = tmp_path / part_key("audio", part) / "zarr.json"
    document = json.loads(path.read_bytes())
    document["attributes"].update(changes)
    path.write_text(json.dumps(document))


def test_another_format_version_is_refused_with_both_numbers(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    stored, (part,) = write(location, FRAME, [make_rows(FRAME, 30)])
    edit_attributes(tmp_path, part, format=99)
    with pytest.raises(WrongFormat, match="part format 99, this release reads 1"):
        read_pieces(location, "audio", stored[0].pieces)


def test_a_codec_that_is_not_ours_is_read_by_stock_zarr(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    rows = make_rows(FRAME, 30)
    stored, (part,) = write(location, FRAME, [rows], codec="zstd")
    edit_attributes(tmp_path, part, codec="of a later release")
    assert_same(read_pieces(location, "audio", stored[0].pieces, t0=rows.t0), rows)


def test_a_group_that_is_no_part_is_damage(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    location.write_bytes(f"{part_key('audio', 'x')}/zarr.json", b'{"attributes": {}}')
    with pytest.raises(DamagedPart, match="isn't a part's"):
        PartReader(location, "audio", "x")
    location.write_bytes(f"{part_key('audio', 'y')}/zarr.json", b"not json")
    with pytest.raises(DamagedPart, match="part y of audio is damaged"):
        PartReader(location, "audio", "y")


def test_locations_that_workers_get_by_pickle_read_the_same(s3: Location) -> None:
    rows = make_rows(RAGGED, 30)
    stored, _ = write(s3, RAGGED, [rows])
    copy = pickle.loads(pickle.dumps(s3))
    assert_same(read_pieces(copy, "faces", stored[0].pieces, t0=rows.t0), rows)
