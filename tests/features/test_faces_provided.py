"""faces_provided: a corpus's own images, each in its frame's row."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from corpora.adapters import load
from features.extractor import Batch
from features.faces_provided import BadImages, FacesProvided, read_image
from features.media.media import Media
from features.spec import Rows
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore
from tests.features.made_clips import make_clip


def write(folder: Path, name: str, colour: tuple[int, int, int], side: int = 112) -> None:
    """An image of one RGB colour."""
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / name), np.full((side, side, 3), colour[::-1], np.uint8))


def rows_of(folder: Path | None, start: int, count: int, first: int = 1) -> Rows:
    extractor = FacesProvided(FacesProvided.Params(first=first))
    extractor.setup("cpu")
    media = Media("x.mp4", assets={} if folder is None else {"faces": str(folder)})
    return extractor.extract(Batch(media, start, (start + np.arange(count)) / 10))


def test_image_i_plus_1_is_of_frame_i_and_missing_ones_are_invalid(tmp_path: Path) -> None:
    write(tmp_path / "f", "00001.png", (250, 10, 10))
    write(tmp_path / "f", "00003.png", (10, 250, 10))
    (tmp_path / "f" / "Thumbs.db").write_text("not an image")
    (tmp_path / "f" / "._00001.png").write_text("not an image")
    rows = rows_of(tmp_path / "f", 0, 4)
    assert rows.valid.tolist() == [True, False, True, False]
    assert rows.values[:, 5, 5].tolist() == [[250, 10, 10], [0, 0, 0], [10, 250, 10], [0, 0, 0]]
    later = rows_of(tmp_path / "f", 2, 1)
    assert later.values.tobytes() == rows.values[2:3].tobytes()
    assert later.t0 == 0.2


def test_names_may_hold_the_clips_number_too_and_count_from_0(tmp_path: Path) -> None:
    write(tmp_path / "f", "000046280-000.jpg", (0, 0, 255))
    assert rows_of(tmp_path / "f", 0, 1, first=0).valid.tolist() == [True]
    assert rows_of(tmp_path / "f", 0, 1).valid.tolist() == [False]


@pytest.mark.parametrize("side", [50, 300])
def test_other_sizes_become_112(tmp_path: Path, side: int) -> None:
    write(tmp_path / "f", "1.png", (9, 99, 199), side)
    image = read_image(tmp_path / "f" / "1.png")
    assert image.shape == (112, 112, 3)
    assert (image == (9, 99, 199)).all()


def test_a_clip_without_images_has_invalid_rows(tmp_path: Path) -> None:
    assert not rows_of(None, 0, 3).valid.any()
    table = tmp_path / "boxes.csv"
    table.write_text("frame,x0,y0,x1,y1\n")
    assert not rows_of(table, 0, 3).valid.any()
    assert rows_of(None, 0, 0).values.shape == (0, 112, 112, 3)


def test_two_images_of_one_number_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "f", "1.png", (1, 1, 1))
    write(tmp_path / "f", "b-01.png", (1, 1, 1))
    with pytest.raises(BadImages, match=r"1\.png and b-01\.png"):
        rows_of(tmp_path / "f", 0, 1)
    (tmp_path / "f" / "b-01.png").unlink()
    (tmp_path / "f" / "1.png").write_bytes(b"no image")
    with pytest.raises(BadImages, match="no image that can be read"):
        rows_of(tmp_path / "f", 0, 1)


def test_through_the_store_only_a_clip_whose_images_changed_is_planned_again(
    tmp_path: Path,
) -> None:
    for name, seconds in (("a", 0.5), ("b", 0.6)):
        make_clip(tmp_path / f"{name}.mp4", seconds=seconds)
        for i in range(1, 8):
            write(tmp_path / name, f"{i:05d}.png", (i, i, i))
    table = tmp_path / "clips.csv"
    table.write_text("clip_id,path,asset.faces\na,a.mp4,a\nb,b.mp4,b\n")
    store = FeatureStore.create(tmp_path / "store")
    ingest_manifest(store, load(None, str(table), "c"))
    asked = Request(str(tmp_path / "store"), "faces_provided")
    assert extract_plain(asked).complete
    rows = store.read("b", "faces_provided")
    assert rows.rows == 6
    assert rows.values[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5, 6]
    write(tmp_path / "a", "00002.png", (200, 0, 0))
    ingest_manifest(store, load(None, str(table), "c"))
    assert plan_request(FeatureStore.open(tmp_path / "store"), asked).tasks == 1
    assert extract_plain(asked).complete
    again = FeatureStore.open(tmp_path / "store").read("a", "faces_provided")
    assert again.values[1, 0, 0].tolist() == [200, 0, 0]


def test_the_defaults_that_keys_leave_out_are_these() -> None:
    assert FacesProvided.declaration.version == 1  # type: ignore[attr-defined]
    assert FacesProvided.Params().model_dump() == {"codec": "raw", "first": 1}, "bump the version"
