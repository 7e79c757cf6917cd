"""MTCNN equals facenet-pytorch 2.6.0: weights, networks, and boxes on the real clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from features.faces import published
from features.media.media import Media
from features.mtcnn.detector import Detector
from features.mtcnn.load import load_networks
from tests.conftest import MEDIA
from tests.features.face_frames import every, portrait_frames
from tests.features.facenet_reference import reference

#: one step of rounding, since both sides' float noise may fall on its border
PIXEL, SCORE = 1 / 64 + 1e-3, 1.1e-4

CLIPS = sorted(MEDIA.glob("a*")) if MEDIA.is_dir() else []

#: clips of large frames, where the reference takes a second a frame: one frame in normal tests
LARGE = ("a09", "a07", "a03", "a04")


@pytest.fixture(scope="module")
def facenet() -> Any:
    return reference()


def rows_of(facenet: Any, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The reference's answer in our columns, float32 ``(k, 15)``."""
    boxes, scores, points = facenet.detect(frame, landmarks=True)
    if boxes is None:
        return np.zeros((0, 15), np.float32)
    return np.concatenate([boxes, scores[:, None], points.reshape(-1, 10)], 1).astype(np.float32)


def assert_equal(facenet: Any, frames: NDArray[np.uint8], **options: Any) -> int:
    """Every frame's faces, their order included, are the reference's; returns how many."""
    found = Detector("cpu", **options).detect(frames)
    values, frame = published(found)
    for i, pixels in enumerate(frames):
        ours, theirs = values[frame == i], rows_of(facenet, pixels)
        assert len(ours) == len(theirs), f"frame {i}"
        difference = np.abs(ours - theirs)
        assert (np.delete(difference, 4, 1) <= PIXEL).all(), f"frame {i}: {difference.max()} px"
        assert (difference[:, 4] <= SCORE).all(), f"frame {i}"
    return len(values)


def test_the_weights_are_facenets_bit_for_bit(facenet: Any) -> None:
    pnet, rnet, onet = load_networks()
    heads = ("4_1", "4_2"), ("5_1", "5_2"), ("6_1", "6_2", "6_3")
    for ours, theirs, kind, last in zip(
        (pnet, rnet, onet),
        (facenet.pnet, facenet.rnet, facenet.onet),
        ("conv", "dense", "dense"),
        heads,
        strict=True,
    ):
        mine, other = ours.state_dict(), theirs.state_dict()
        for what in ("weight", "bias"):
            joined = torch.cat([other[f"{kind}{head}.{what}"] for head in last])
            assert torch.equal(
                mine[f"heads.{what}"].flatten(1 if what == "weight" else 0),
                joined.flatten(1) if what == "weight" else joined,
            )
        for name in mine:
            if "heads" not in name and not name.startswith("dense"):
                assert torch.equal(mine[name], other[name]), name


@pytest.mark.parametrize(("name", "side"), [("pnet", 60), ("rnet", 24), ("onet", 48)])
def test_each_network_gives_facenets_values(facenet: Any, name: str, side: int) -> None:
    ours = dict(zip(("pnet", "rnet", "onet"), load_networks(), strict=True))[name]
    pixels = torch.randn((8, 3, side, side), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        values = ours(pixels)
        if name == "pnet":
            lead = ours.lead(values)
            values = ours.answer(values.reshape(-1, 32)).view(8, *lead.shape[1:], 6)
            torch.testing.assert_close(lead, values[..., 1] - values[..., 0], rtol=0, atol=1e-4)
            values = values.permute(0, 3, 1, 2)
        *others, scores = getattr(facenet, name)(pixels)
    torch.testing.assert_close(values[:, :2].softmax(1), scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(values[:, 2:6], others[0], rtol=0, atol=1e-5)
    if name == "onet":
        torch.testing.assert_close(values[:, 6:], others[1], rtol=0, atol=1e-5)


def test_made_portraits_give_facenets_faces(facenet: Any) -> None:
    assert assert_equal(facenet, portrait_frames(4)) == 4


def test_other_parameters_mean_the_same_as_facenets() -> None:
    other = reference(min_face_size=40, thresholds=[0.5, 0.6, 0.8], factor=0.8)
    options = {"min_face": 40, "thresholds": (0.5, 0.6, 0.8), "factor": 0.8}
    assert assert_equal(other, portrait_frames(2), **options) >= 2


@pytest.mark.media
def test_a_photograph_of_many_faces_gives_facenets_faces(facenet: Any, media: Path) -> None:
    picture = cv2.imread(str(media / "img_multi_face.jpg"))
    assert picture is not None
    assert assert_equal(facenet, picture[None, :, :, ::-1]) > 1


@pytest.mark.media
def test_a_large_face_that_the_border_cuts_is_facenets(facenet: Any, media: Path) -> None:
    """Many boxes round it have the score 1: which of them stays hangs on the order of ties."""
    whole = every(media / "a08_closeup_no_audio_720x576.mp4", 3, 5)
    halves = whole[:, :, whole.shape[2] * 42 // 100 : whole.shape[2] * 92 // 100]
    frames = np.stack([cv2.resize(half, (322, 516)) for half in halves])
    assert assert_equal(facenet, frames) >= len(frames)


@pytest.mark.media
@pytest.mark.parametrize("clip", CLIPS, ids=lambda path: path.stem[:3])
def test_a_sample_of_every_clip_gives_facenets_faces(facenet: Any, clip: Path) -> None:
    most = 1 if clip.name.startswith(LARGE) else 3
    assert_equal(facenet, every(clip, 23, most))


@pytest.mark.media
@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("clip", CLIPS, ids=lambda path: path.stem[:3])
def test_all_frames_of_every_clip_give_facenets_faces_but_for_crops_cut_a_pixel_apart(
    facenet: Any, clip: Path
) -> None:
    """Crops are cut at whole pixels by truncation: 200.0 and 199.9999 are a pixel apart.

    So float noise moves a face by about a pixel once in many hundred faces, on either side.
    """
    detector, faces, apart = Detector("cpu"), 0, 0
    for batch in Media(str(clip)).video(16):
        assert batch.frames is not None
        values, frame = published(detector.detect(batch.frames))
        for i, pixels in enumerate(batch.frames):
            ours, theirs = values[frame == i], rows_of(facenet, pixels)
            assert len(ours) == len(theirs), f"frame {batch.start + i}"
            faces += len(ours)
            apart += int((np.abs(np.delete(ours - theirs, 4, 1)) > PIXEL).any(1).sum())
            assert (overlap(ours, theirs) >= 0.98).all(), f"frame {batch.start + i}"
            side = np.maximum(ours[:, 2] - ours[:, 0], 1)[:, None]
            assert (np.abs(ours - theirs)[:, 5:] <= 0.01 * side + PIXEL).all()
    assert apart <= 1 + 0.005 * faces, f"{apart} of {faces} faces differ by more than rounding"


def overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of boxes, row by row."""
    start, stop = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:4], other[:, 2:4])
    shared = np.maximum(stop - start, 0).prod(1)
    areas = [(rows[:, 2:4] - rows[:, :2]).prod(1) for rows in (one, other)]
    return np.asarray(shared / (areas[0] + areas[1] - shared), np.float32)
