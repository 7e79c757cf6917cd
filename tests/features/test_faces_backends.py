"""faces by dlib, by RetinaFace and from a corpus's own table."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import dlib
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from features import weights
from features.detectors.dlib_hog import LEFT_EYE, MEAN_THREE, NOSE_BASE, RIGHT_EYE, five_points
from features.detectors.provided import BadBoxes, read_boxes
from features.detectors.retinaface import Retina, anchors, decode
from features.dlib.chip import MEAN_FACE
from features.errors import MissingWeights
from features.extractor import Batch
from features.faces import Faces
from features.media.media import Media
from features.nets.filling import random_state
from features.nets.retinaface import RetinaFace
from features.spec import Rows
from features.tracking.link import overlaps
from features.weights.convert import expected
from tests.features.face_frames import batch_of, portrait_frames


def detections(frames: np.ndarray, **params: object) -> Rows:  # type: ignore[type-arg]
    extractor = Faces(Faces.Params(**params))  # type: ignore[arg-type]
    extractor.setup("cpu")
    return extractor.extract(batch_of(frames))


def test_dlib_gives_what_dlib_gives() -> None:
    frames = portrait_frames(3)
    rows = detections(frames, backend="dlib")
    assert rows.offsets is not None
    assert np.diff(rows.offsets).tolist() == [1, 1, 1]
    detector = dlib.get_frontal_face_detector()
    for frame, row in zip(frames, rows.values, strict=True):
        (box,), (margin,), _ = detector.run(frame, 1, 0.0)
        corners = (box.left(), box.top(), box.right() + 1, box.bottom() + 1)
        assert row[:4].tolist() == list(corners)
        assert row[4] == pytest.approx(1 / (1 + math.exp(-margin) / 9), abs=1e-4)
        assert row[4] > 0.9


def test_dlibs_points_lie_where_mtcnns_do() -> None:
    frames = portrait_frames(2)
    hog, cascade = detections(frames, backend="dlib"), detections(frames)
    for one, other in zip(hog.values, cascade.values, strict=True):
        assert overlaps(one[None, :4], other[None, :4])[0] > 0.4
        apart = np.linalg.norm((one[5:] - other[5:]).reshape(5, 2), axis=1)
        assert (apart < 0.12 * (other[2] - other[0])).all()


def test_the_mean_faces_corners_give_the_mean_face() -> None:
    corners = np.zeros((1, 5, 2))
    for pair, middle in ((LEFT_EYE, MEAN_THREE[0]), (RIGHT_EYE, MEAN_THREE[1])):
        corners[0, list(pair)] = middle + np.array([[-0.1, 0], [0.1, 0]])
    corners[0, NOSE_BASE] = MEAN_THREE[2]
    found = five_points(corners * 100 + 7)[0]
    np.testing.assert_allclose(found[2:], MEAN_FACE[2:] * 100 + 7, atol=1e-3)
    np.testing.assert_allclose(found[:2], MEAN_THREE[:2] * 100 + 7, atol=1e-3)


@pytest.mark.parametrize(
    ("backend", "wrong"),
    [
        ("mtcnn", {"upsample": 2}),
        ("dlib", {"min_face": 40.0}),
        ("retinaface", {"thresholds": (0.5, 0.5, 0.5)}),
        ("provided", {"stride": 2}),
    ],
)
def test_a_parameter_that_the_backend_does_not_use_is_refused(
    backend: str, wrong: dict[str, object]
) -> None:
    with pytest.raises(ValidationError, match=f"{next(iter(wrong))} isn't used by {backend}"):
        Faces.Params(backend=backend, **wrong)  # type: ignore[arg-type]


def test_weights_tools_and_files_are_those_of_the_backend() -> None:
    told = Faces.declaration  # type: ignore[attr-defined]
    by_backend = {b: Faces.Params(backend=b) for b in ("mtcnn", "dlib", "retinaface", "provided")}  # type: ignore[arg-type]
    assert {b: told.weights_for(p) for b, p in by_backend.items()} == {
        "mtcnn": ("mtcnn",),
        "dlib": ("dlib5",),
        "retinaface": ("retinaface",),
        "provided": (),
    }
    assert {b for b, p in by_backend.items() if "dlib" in told.tools_for(p)} == {"dlib"}
    assert {b for b, p in by_backend.items() if told.assets_for(p)} == {"provided"}
    assert told.unavailable(by_backend["dlib"]) is None


def test_retinaface_without_its_weights_says_what_to_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(MissingWeights, match=r"Resnet50_Final\.pth.*weights add retinaface"):
        Faces(Faces.Params(backend="retinaface")).setup("cpu")


def small() -> RetinaFace:
    net = RetinaFace(blocks=(1, 1, 1, 1), width=8, channels=16)
    net.load_state_dict(random_state(net), strict=False)
    return net.eval()


def test_retinaface_answers_for_every_anchor() -> None:
    for height, width in ((96, 128), (75, 101)):
        with torch.inference_mode():
            faces, boxes, points = small()(torch.zeros(1, 3, height, width))
        count = len(anchors(height, width))
        assert (faces.shape, boxes.shape, points.shape) == (
            (1, count),
            (1, count, 4),
            (1, count, 10),
        )


def test_anchors_and_decoding_are_those_written_out() -> None:
    height, width = 40, 70
    at = anchors(height, width).numpy()
    expected_at = [
        [(x + 0.5) * step, (y + 0.5) * step, side, side]
        for step, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
        for y in range(-(-height // step))
        for x in range(-(-width // step))
        for side in sides
    ]
    assert at.tolist() == expected_at
    assert anchors(height, width) is anchors(height, width), "made once for all frames of a size"
    assert anchors.cache_info().maxsize == 2
    rng = np.random.default_rng(0)
    raw, raw_points = rng.normal(size=(len(at), 4)), rng.normal(size=(len(at), 10))
    boxes, points = (
        t.numpy() for t in decode(*(torch.from_numpy(a) for a in (raw, raw_points, at)))
    )
    for i in range(0, len(at), 7):
        x, y, w, h = at[i]
        middle = x + raw[i, 0] * 0.1 * w, y + raw[i, 1] * 0.1 * h
        size = w * math.exp(raw[i, 2] * 0.2), h * math.exp(raw[i, 3] * 0.2)
        corner = middle[0] - size[0] / 2, middle[1] - size[1] / 2
        np.testing.assert_allclose(
            boxes[i], [*corner, corner[0] + size[0], corner[1] + size[1]], atol=1e-9
        )
        for k in range(5):
            place = x + raw_points[i, 2 * k] * 0.1 * w, y + raw_points[i, 2 * k + 1] * 0.1 * h
            np.testing.assert_allclose(points[i, k], place, atol=1e-9)


def test_retinaface_frames_do_not_depend_on_each_other_and_boxes_do_not_overlap() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 96, 128, 3), dtype=np.uint8)
    detector = Retina(small(), "cpu", least=0.5, overlap=0.4)
    whole, single = detector.detect(frames), detector.detect(frames[1:2])
    mine = whole.frames == 1
    assert mine.sum() > 3
    assert np.array_equal(whole.boxes[mine], single.boxes)
    for one, other in itertools.combinations(single.boxes.astype(np.float64), 2):
        assert overlaps(one, other) <= 0.4 + 1e-6
    assert (single.scores > 0.5).all()


def test_retinaface_runs_as_extractor_with_random_numbers() -> None:
    rows = detections(portrait_frames(1, 64, 96), backend="retinaface", weights="random")
    assert rows.valid.all()
    assert rows.values.shape[1:] == (15,)
    assert np.isfinite(rows.values).all()


def test_the_public_files_names_and_shapes_fit_retinaface() -> None:
    structure = weights.entry("retinaface").structure
    assert structure is not None
    shapes = expected(structure)
    for name, shape in {
        "module.body.conv1.weight": (64, 3, 7, 7),
        "module.body.layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "module.body.layer4.2.bn3.running_var": (2048,),
        "module.fpn.output3.0.weight": (256, 2048, 1, 1),
        "module.fpn.merge1.1.weight": (256,),
        "module.ssh1.conv3X3.0.weight": (128, 256, 3, 3),
        "module.ssh2.conv5X5_1.0.weight": (64, 256, 3, 3),
        "module.ssh2.conv5X5_2.1.bias": (64,),
        "module.ssh3.conv7X7_2.0.weight": (64, 64, 3, 3),
        "module.ssh3.conv7x7_3.1.running_mean": (64,),
        "module.ClassHead.0.conv1x1.weight": (4, 256, 1, 1),
        "module.BboxHead.1.conv1x1.bias": (8,),
        "module.LandmarkHead.2.conv1x1.weight": (20, 256, 1, 1),
    }.items():
        for pattern, replacement in structure.rename:
            name = re.sub(pattern, replacement, name)
        assert shapes[name] == shape


def provided(path: Path, start: int, count: int, role: str = "boxes") -> Rows:
    extractor = Faces(Faces.Params(backend="provided"))
    extractor.setup("cpu")
    times = (start + np.arange(count)) / 25
    frames = np.zeros((count, 120, 160, 3), np.uint8)
    return extractor.extract(Batch(Media("x.mp4", assets={role: str(path)}), start, times, frames))


@pytest.mark.parametrize("role", ["boxes", "faces"])
def test_provided_boxes_are_the_tables(tmp_path: Path, role: str) -> None:
    file = tmp_path / "x.csv"
    file.write_text("frame,x0,y0,x1,y1,score\n5,1,2,31,42,.95\n4,0,0,9,9,.7\n5,50,0,150,90,1\n")
    rows = provided(file, 4, 3, role)
    assert rows.valid.all()
    assert rows.offsets is not None
    assert rows.offsets.tolist() == [0, 1, 3, 3]
    assert rows.values[:, 0].tolist() == [0, 50, 1]
    np.testing.assert_allclose(rows.values[:, 4], [0.7, 1.0, 0.95], atol=1e-6)
    assert np.isnan(rows.values[:, 5:]).all()


def test_provided_points_are_kept_and_scores_are_1_where_there_are_none(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    names = ",".join(Faces.outputs[0].columns[5:])
    file.write_text(f"frame,x0,y0,x1,y1,{names}\n0,1,2,31,42,{','.join(map(str, range(10)))}\n")
    rows = provided(file, 0, 1)
    assert rows.values[0, 4] == 1
    assert rows.values[0, 5:].tolist() == list(range(10))


NINE = ",".join(Faces.outputs[0].columns[5:14])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"frame,x0,y0,x1,y1,{NINE}\n", "columns right_mouth_y are missing"),
        (f"frame,x0,y0,x1,y1,{NINE},right_mouthY\n", "columns right_mouth_y are missing"),
        ("frame,x0,y0,x1,y1,Score\n", "'Score' has to be named score"),
        ("frame,x0,y0,x1\n", "lacks the columns y1"),
        ("frame,x0,y0,x1,y1\n0,1,2,x,4\n", "line 2: 'x' is no number"),
        ("frame,x0,y0,x1,y1\n.5,1,2,3,4\n", "no whole number"),
        ("frame,x0,y0,x1,y1\n1e300,1,2,3,4\n", "no whole number"),
        ("frame,x0,y0,x1,y1\n0,9,2,3,4\n", "no area"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "x.csv"
    file.write_text(text)
    with pytest.raises(BadBoxes, match=problem):
        read_boxes(str(file))


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ("0,0,900000,900000", "frame 3 has a box of 900000 px, in pictures of 160 x 120"),
        ("-700,9,-20,70", "frame 3 has a box of 680 px"),
        ("1,2,31,42" + ",5,5" * 4 + ",9,3000", "frame 3 has a face by its points of 2995 px"),
    ],
)
def test_a_face_of_many_times_the_picture_is_refused(
    tmp_path: Path, cells: str, problem: str
) -> None:
    file = tmp_path / "x.csv"
    points = f",{','.join(Faces.outputs[0].columns[5:])}" if cells.count(",") > 3 else ""
    fits = "1,1,640,640" + ",5,5" * 5 * bool(points)
    file.write_text(f"frame,x0,y0,x1,y1{points}\n3,{cells}\n0,{fits}\n")
    with pytest.raises(BadBoxes, match=problem):
        provided(file, 0, 1)


def test_a_clip_without_a_table_and_a_folder_of_images_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BadBoxes, match="has no provided boxes"):
        provided(tmp_path, 0, 1, "other")
    with pytest.raises(BadBoxes, match="folder of images"):
        provided(tmp_path, 0, 1, "faces")
