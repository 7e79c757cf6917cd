"""Emptying rows of a part in their place, whatever its codec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from features.spec import FeatureSpec
from storage.inventory import take_inventory
from storage.location import Location
from storage.part import PartWriter, StoredClip
from storage.reader import PartReader
from storage.scrub import filled, gaps, wipe
from tests.storage.part_kit import ALL, assert_same, make_rows


def stored(location: Location, spec: FeatureSpec, codec: str, rows: int) -> list[StoredClip]:
    """Three clips in one part."""
    with PartWriter(location, spec, description={}, codec=codec) as writer:
        found = []
        for seed in range(3):
            writer.begin()
            writer.append(make_rows(spec, rows, seed))
            found.append(writer.finish())
    return found


@pytest.mark.parametrize("gone", [0, 1, 2])
@pytest.mark.parametrize("codec", ["raw", "zstd"])
@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.name)
def test_one_clip_is_emptied_and_the_others_stay(
    tmp_path: Path, spec: FeatureSpec, codec: str, gone: int
) -> None:
    location = Location.parse(tmp_path)
    rows = 1 if spec.rate == "clip" else 21
    clips = stored(location, spec, codec, rows)
    (files,) = take_inventory(location).parts.values()
    everyone = [(c.pieces[0].row_start, c.pieces[0].row_stop) for c in clips]
    reader = PartReader(location, spec.name, files.part)
    assert all(filled(reader, gap) for gap in gaps(location, files, everyone))
    others = [r for i, r in enumerate(everyone) if i != gone]
    assert wipe(location, files, gaps(location, files, others)) > 0
    (after,) = take_inventory(location).parts.values()
    assert after.files == files.files
    fresh = PartReader(location, spec.name, files.part)
    assert all(filled(fresh, gap) for gap in gaps(location, files, others))
    for i, (start, stop) in enumerate(everyone):
        if i != gone:
            found, wanted = fresh.read(start, stop), make_rows(spec, rows, i)
            np.testing.assert_array_equal(found.values, wanted.values)
            np.testing.assert_array_equal(found.valid, wanted.valid)
            np.testing.assert_array_equal(fresh.digest(start, stop), wanted.digest)


def test_a_reader_that_was_open_reads_the_other_clips_on(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    spec = FeatureSpec("points", "frame", (2,), "float32", ragged=True)
    clips = stored(location, spec, "zstd", 40)
    (files,) = take_inventory(location).parts.values()
    pieces = [c.pieces[0] for c in clips]
    reader = PartReader(location, spec.name, files.part)
    before = reader.read(pieces[2].row_start, pieces[2].row_stop)
    others = [(p.row_start, p.row_stop) for p in (pieces[0], pieces[2])]
    wipe(location, files, gaps(location, files, others))
    assert_same(reader.read(pieces[2].row_start, pieces[2].row_stop), before)


def test_stock_zarr_reads_an_emptied_archive(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    spec = FeatureSpec("whole", "clip", (4,), "float64")
    clips = stored(location, spec, "zstd", 1)
    (files,) = take_inventory(location).parts.values()
    wipe(location, files, gaps(location, files, [(1, 2), (2, 3)]))
    values = zarr.open_group(tmp_path / files.key, mode="r")["values"]
    assert isinstance(values, zarr.Array)
    found = np.asarray(values[:])
    assert np.isin(found[0], [0.0]).all() or np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1], make_rows(spec, 1, 1).values[0])
    assert len(clips) == 3
