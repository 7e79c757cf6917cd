"""Crops kept as JPEG: a parameter in the key, and the same pixels wherever they are read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
import zarr
from zarr.registry import register_codec

from corpora.adapters import load
from features.jpeg import decode, settled
from features.spec import FeatureSpec, Rows
from flows.export import export
from flows.ingest import ingest_manifest
from flows.pipeline import Settings, configure
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore, Published
from storage.codecs import ZARR_JPEG
from storage.compact import compact
from storage.copy import copy
from storage.forget import forget
from storage.layout import METADATA, decode_index, index_bytes, part_key
from storage.verify import verify
from storage.zarr_jpeg import ZarrJpeg
from tests.features.made_clips import make_clip

LOSSLESS: Settings = {"face_track": {"use_identity": False}, "faces": {"backend": "provided"}}
KEPT = ("face_112x96", "face_224")
JPEG: Settings = {**LOSSLESS, **{name: {"codec": "jpeg95"} for name in KEPT}}
FACE = "12,4,52,44,1,22,18,42,18,32,27,24,36,40,36"
POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
COLUMNS = ["frame", "x0", "y0", "x1", "y1", "score", *(f"{p}_{a}" for p in POINTS for a in "xy")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Two clips, each extracted by itself, so that there are parts to merge; the last row empty."""
    folder = tmp_path_factory.mktemp("jpeg")
    make_clip(folder / "a.mp4", seconds=0.6)
    make_clip(folder / "b.mp4", seconds=0.5, picture="mandelbrot=size=64x48:rate=10")
    store = FeatureStore.create(folder / "store")
    for clip, faces in (("a", 5), ("b", 4)):
        lines = [",".join(COLUMNS), *(f"{i},{FACE}" for i in range(faces))]
        (folder / f"{clip}.csv").write_text("\n".join(lines))
        table = folder / f"clips-{clip}.csv"
        table.write_text(f"clip_id,path,asset.boxes\n{clip},{clip}.mp4,{clip}.csv\n")
        ingest_manifest(store, load("table", str(table), clip))
        for settings in (LOSSLESS, JPEG):
            asked = Request(store.root, ",".join(KEPT), corpus=clip, settings=settings)
            summary = extract_plain(asked)
            assert summary.complete, summary.sentence()
    store.save_configuration(configure(JPEG))
    return FeatureStore.open(store.root)


def results(store: FeatureStore, feature: str) -> dict[tuple[str, str], np.ndarray]:
    """(clip, codec) -> values."""
    nodes = store.earlier_nodes()
    return {
        (p.clip, str(nodes[p.extractor_key].params.get("codec", "raw"))): store.read_result(
            p
        ).values
        for p in store.published(features=[feature])
    }


def kept(store: FeatureStore, feature: str) -> Published:
    """The JPEG result of clip a."""
    nodes = store.earlier_nodes()
    found = store.published(corpus="a", features=[feature])
    return next(p for p in found if nodes[p.extractor_key].params.get("codec") == "jpeg95")


@pytest.mark.parametrize("feature", KEPT)
def test_it_is_another_result_with_the_settled_pixels(store: FeatureStore, feature: str) -> None:
    found = results(store, feature)
    assert len(found) == 4
    for clip in "ab":
        raw, jpeg = found[clip, "raw"], found[clip, "jpeg95"]
        assert not np.array_equal(raw, jpeg)
        assert np.array_equal(jpeg, np.stack([settled(image) for image in raw]))
        assert not jpeg[-1].any()
    assert plan_request(store, Request(store.root, feature, settings=JPEG)).todo.num_rows == 0


def test_it_takes_a_fraction_of_the_room(store: FeatureStore) -> None:
    sizes: dict[str, int] = {"raw": 0, "jpeg95": 0}
    for path in (store.location.path / "parts").rglob("values/c/0/0/0/0"):
        part = zarr.open_group(path.parents[5], mode="r").attrs
        sizes[str(part["codec"])] += path.stat().st_size
    assert 0 < 4 * sizes["jpeg95"] < sizes["raw"]


def test_merged_copied_and_verified_it_is_the_same(store: FeatureStore, tmp_path: Path) -> None:
    target = FeatureStore.create(tmp_path / "copy")
    done = copy(store, target)
    assert not done.damaged
    assert not compact(target).damaged
    assert verify(target).clean
    for feature in KEPT:
        there, here = results(target, feature), results(store, feature)
        assert there.keys() == here.keys()
        assert all(np.array_equal(there[key], here[key]) for key in here)


def test_nothing_is_left_of_a_forgotten_clip(store: FeatureStore, tmp_path: Path) -> None:
    target = FeatureStore.create(tmp_path / "copy")
    copy(store, target)
    compact(target)
    before = {key: v for key, v in results(target, "face_224").items() if key[0] == "b"}
    forget(target, [("a", "a")], grace=timedelta(0))
    after = results(target, "face_224")
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[key], before[key]) for key in before)
    assert verify(target).clean


def test_windows_and_images_are_read(store: FeatureStore, tmp_path: Path) -> None:
    result = kept(store, "face_224")
    whole = store.read_result(result).values
    assert np.array_equal(store.read_result(result, 2, 4).values, whole[2:4])
    written = export(store, "face_224", tmp_path / "images", clip="a", corpus="a")
    image = cv2.imread(str(written[0].path / "000002.png"))
    assert image is not None
    assert np.array_equal(image[..., ::-1], whole[2])


def test_each_chunk_is_a_jpeg_file_that_stock_zarr_finds_by_the_codecs_entry_point(
    store: FeatureStore,
) -> None:
    # as the entry point does where this version is installed
    register_codec(ZARR_JPEG, ZarrJpeg)
    result = kept(store, "face_112x96")
    (piece,) = result.pieces
    key = part_key("face_112x96", piece.part)
    group = zarr.open_group(store.location.zarr_store(key), mode="r")
    values = np.asarray(group["values"][piece.row_start : piece.row_stop])  # type: ignore[index]
    assert np.array_equal(values, store.read_result(result).values)
    data = (store.location.path / key / "values/c/0/0/0/0").read_bytes()
    count = group["values"].shape[0]  # type: ignore[union-attr]
    index = decode_index(data[-index_bytes(count) :])
    offset, length = (int(x) for x in index[piece.row_start])
    assert data[offset : offset + 2] == b"\xff\xd8"
    assert np.array_equal(decode(data[offset : offset + length]), values[0])
    assert b"affectstore.jpeg" in (store.location.path / key / "values" / METADATA).read_bytes()


def test_pixels_that_would_change_and_what_is_no_image_are_refused(store: FeatureStore) -> None:
    image = FeatureSpec("noise", "frame", (16, 16, 3), "uint8", codec="jpeg95")
    numbers = FeatureSpec("numbers", "frame", (16,), "float32", codec="jpeg95")
    noise = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
    with store.writer(image, {}) as writer:
        writer.begin()
        with pytest.raises(ValueError, match=r"passes them through features\.jpeg\.settled"):
            writer.append(Rows(noise, np.ones(1, bool)))
        writer.discard()
    with pytest.raises(ValueError, match="numbers has none"):
        store.writer(numbers, {})
