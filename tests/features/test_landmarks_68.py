"""landmarks_68: the 68 landmarks of the main face, from the mesh or by dlib."""

from __future__ import annotations

import time
from functools import cache
from importlib import metadata
from pathlib import Path

import dlib
import numpy as np
import pytest

from features import weights
from features.errors import RequestError, ToolMissing
from features.face_mesh import FaceMesh
from features.face_track import FaceTrack
from features.faces import Faces
from features.landmarks_68 import Landmarks68, dlib_squares
from features.media.tools import DECODE_VERSION
from features.mesh.points import TO_68, to_68
from features.spec import Rows
from tests.features.face_frames import batch_of, every, largest, portrait_frames
from tests.features.face_goldens import golden_track
from tests.features.mesh_goldens import FRAMES, landmarks_of, load, portrait_mesh

#: face part -> its landmarks, and how far the backends may lie apart: mean distance, as a share of
#: that of the outer eye corners; what docs/landmarks.md measured on real clips, doubled
PARTS = {
    "jaw": (slice(0, 17), 0.2),
    "brows": (slice(17, 27), 0.12),
    "nose": (slice(27, 36), 0.08),
    "eyes": (slice(36, 48), 0.05),
    "mouth": (slice(48, 68), 0.09),
}

#: landmark -> the one in its place in a mirror
MIRROR = [
    *(*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65),
]


@cache
def by(backend: str) -> Landmarks68:
    extractor = Landmarks68(Landmarks68.Params(backend=backend))  # type: ignore[arg-type]
    extractor.setup("cpu")
    return extractor


def test_the_golden_frames_give_the_golden_landmarks() -> None:
    difference = np.abs(landmarks_of("mesh").values - load(Landmarks68))
    assert difference.max() < 0.1, "landmarks_68 differs: bump the version and make it anew"


def test_a_landmark_is_one_mesh_point_or_the_mean_of_two() -> None:
    mesh, landmarks = portrait_mesh().values[..., :2], landmarks_of("mesh").values
    assert np.allclose(landmarks[:, 36], mesh[:, 33])
    assert np.allclose(landmarks[:, 27], (mesh[:, 168] + mesh[:, 6]) / 2)
    assert TO_68.shape == (68, 2)
    assert to_68(portrait_mesh().values).shape == (FRAMES, 68, 3)


def test_dlibs_landmarks_are_those_of_a_plain_call() -> None:
    frames, track = portrait_frames(FRAMES), golden_track()
    predictor = dlib.shape_predictor(str(weights.resolve("dlib68")[0]))
    ours = landmarks_of("dlib")
    for frame, box, row in zip(
        frames, dlib_squares(track.values[:, :4]), ours.values, strict=False
    ):
        theirs = predictor(frame, dlib.rectangle(*box.tolist())).parts()
        assert row.tolist() == [[p.x, p.y] for p in theirs]
    assert ours.valid.all()


def test_dlibs_square_lies_near_the_one_that_its_own_detector_finds() -> None:
    found = max(dlib.get_frontal_face_detector()(portrait_frames(1)[0], 1), key=lambda r: r.area())
    left, top, right, bottom = dlib_squares(golden_track().values[:1, :4])[0].tolist()
    shared = dlib.rectangle(left, top, right, bottom).intersect(found).area()
    assert shared / (found.area() + dlib.rectangle(left, top, right, bottom).area() - shared) > 0.7


@pytest.mark.parametrize("part", PARTS)
def test_the_backends_agree_by_face_part(part: str) -> None:
    chosen, most = PARTS[part]
    mesh, trees = landmarks_of("mesh").values, landmarks_of("dlib").values
    apart = np.linalg.norm(mesh - trees, axis=2) / np.linalg.norm(
        trees[:, 45] - trees[:, 36], axis=1, keepdims=True
    )
    assert apart[:, chosen].mean() < most


@pytest.mark.parametrize("backend", ["mesh", "dlib"])
def test_a_frame_without_a_face_is_invalid(backend: str) -> None:
    track, mesh = golden_track().slice(0, FRAMES), portrait_mesh()
    for rows in (track, mesh):
        rows.values[1], rows.valid[1] = np.nan, False
    made = by(backend).extract(batch_of(portrait_frames(FRAMES), mesh=mesh, face=track))
    assert made.valid.tolist() == [True, False]
    assert np.isnan(made.values[1]).all()
    assert made.values.dtype == np.float32


@pytest.mark.parametrize("backend", ["mesh", "dlib"])
def test_no_frames_give_no_rows(backend: str) -> None:
    none = batch_of(
        np.zeros((0, 90, 120, 3), np.uint8),
        face=FaceTrack.outputs[0].empty(),
        mesh=FaceMesh.outputs[0].empty(),
    )
    assert by(backend).extract(none).values.shape == (0, 68, 2)


def test_each_backend_reads_and_needs_its_own_things_only() -> None:
    declared = Landmarks68.declaration  # type: ignore[attr-defined]
    mesh, trees = Landmarks68.Params(), Landmarks68.Params(backend="dlib")
    assert declared.inputs_for(mesh) == {"mesh": "face_mesh"}
    assert declared.inputs_for(trees) == {"face": "face_track"}
    assert declared.weights_for(mesh) == ()
    assert declared.weights_for(trees) == ("dlib68",)
    assert not weights.entry("dlib68").commercial


@pytest.mark.parametrize("name", ["dlib-bin", "dlib"])
def test_dlibs_version_is_in_the_key_under_either_of_its_names(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = Landmarks68.declaration.tools_for  # type: ignore[attr-defined]
    trees = Landmarks68.Params(backend="dlib")
    assert tools(trees) == {"decode": DECODE_VERSION, "dlib": metadata.version("dlib-bin")}

    def only(asked: str) -> str:
        if asked != name:
            raise metadata.PackageNotFoundError(asked)
        return "19.24.9"

    monkeypatch.setattr("features.dlib.package.version", only)
    assert tools(trees)["dlib"] == "19.24.9"
    assert tools(trees) == Faces.declaration.tools_for(Faces.Params(backend="dlib"))  # type: ignore[attr-defined]


def test_without_dlib_the_backend_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    trees = Landmarks68.Params(backend="dlib")
    assert Landmarks68.unavailable(trees) is None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "affectstore[dlib]" in str(Landmarks68.unavailable(trees))
    assert Landmarks68.unavailable(Landmarks68.Params()) is None
    monkeypatch.setitem(__import__("sys").modules, "dlib", None)
    with pytest.raises(ToolMissing, match=r"affectstore\[dlib\]"):
        Landmarks68(trees).setup("cpu")


@pytest.mark.parametrize(("backend", "slot"), [("mesh", "mesh"), ("dlib", "face")])
def test_rows_of_another_kind_are_refused_with_what_to_bind(backend: str, slot: str) -> None:
    wrong = Rows(np.zeros((1, 7), np.float32), np.array([True]))
    with pytest.raises(RequestError, match=rf"bind landmarks_68\.{slot} to face_"):
        by(backend).extract(batch_of(portrait_frames(1), **{slot: wrong}))


@pytest.mark.media
@pytest.mark.long
def test_mesh_and_landmarks_cost_less_per_frame_than_the_detection(media: Path) -> None:
    from features.faces import Faces

    frames = every(media / "a02_single_face_mp3_in_mp4.mp4", 1, 64)
    faces, mesh, landmarks = Faces(Faces.Params()), FaceMesh(FaceMesh.Params()), by("mesh")
    faces.setup("cpu")
    mesh.setup("cpu")
    found = faces.extract(batch_of(frames[:8]))
    began = time.perf_counter()
    found = faces.extract(batch_of(frames))
    detected = time.perf_counter()
    track = largest(found)
    points = mesh.extract(batch_of(frames, face=track))["face_mesh"]
    landmarks.extract(batch_of(frames, mesh=points))
    done = time.perf_counter()
    assert points.valid.all()
    assert done - detected < detected - began


def test_a_mirrored_face_has_mirrored_landmarks() -> None:
    extractor = FaceMesh(FaceMesh.Params())
    extractor.setup("cpu")
    frames, track = portrait_frames(1), golden_track().slice(0, 1).values
    width = frames.shape[2]
    turned = track.copy()
    turned[:, [0, 2]] = width - 1 - track[:, [2, 0]]
    points = track[:, 5:].reshape(1, 5, 2)[:, [1, 0, 2, 4, 3]] * [-1, 1] + [width - 1, 0]
    turned[:, 5:] = points.reshape(1, 10)
    found = []
    for seen, face in ((frames, track), (np.ascontiguousarray(frames[:, :, ::-1]), turned)):
        batch = batch_of(seen, face=Rows(face, np.ones(1, bool)))
        found.append(np.asarray(to_68(extractor.extract(batch)["face_mesh"].values))[0, :, :2])
    plain, mirrored = found
    back = mirrored[MIRROR] * [-1, 1] + [width - 1, 0]
    apart = np.linalg.norm(plain - back, axis=1) / np.linalg.norm(plain[36] - plain[45])
    assert apart.max() < 0.08
