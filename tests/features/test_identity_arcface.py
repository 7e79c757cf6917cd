"""identity by ArcFace's networks: the published structure, the published way to their input."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from features import weights
from features.align import ARCFACE_112, similarity
from features.contract import check
from features.errors import MissingWeights, WeightsDamaged
from features.face_track import FaceTrack
from features.faces import Faces
from features.identity import ARCFACE_DIMENSIONS, STEPS, Identity
from features.nets.filling import random_state
from features.nets.iresnet import IResNet, IResNet50, IResNet100
from features.spec import Rows
from features.weights.adding import add
from tests.features.face_frames import GREY, batch_of, portrait_frames

BLOCKS, CHANNELS, SIDE, NUMBERS = (2, 1, 3), (4, 6, 10), 24, 5


@pytest.fixture(scope="module")
def arcface() -> Identity:
    params = {"backend": "arcface-r50", "weights": "random", "every": 1}
    extractor = Identity(Identity.Params(**params))  # type: ignore[arg-type]
    extractor.setup("cpu")
    return extractor


@pytest.fixture(scope="module")
def seen() -> tuple[np.ndarray, Rows]:
    """Frames, one of them without a face, and the detections in them."""
    frames = portrait_frames(6)
    frames[2] = GREY
    faces = Faces(Faces.Params())
    faces.setup("cpu")
    return frames, faces.extract(batch_of(frames))


def written_out(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The network by its tensors' names alone, each step as the public version has it."""

    def norm(name: str, x: Tensor) -> Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, shift = (state[f"{name}.{n}"] for n in names)
        shape = (1, -1, *[1] * (x.ndim - 2))
        whitened = (x - mean.reshape(shape)) / torch.sqrt(variance.reshape(shape) + 1e-5)
        return whitened * scale.reshape(shape) + shift.reshape(shape)

    def slope(name: str, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, x * state[f"{name}.weight"].reshape(1, -1, 1, 1))

    def conv(name: str, x: Tensor, stride: int, padding: int) -> Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], None, stride, padding)

    x = slope("prelu", norm("bn1", conv("conv1", x, 1, 1)))
    for stage, count in enumerate(BLOCKS, 1):
        for block in range(count):
            at, stride = f"layer{stage}.{block}", 1 if block else 2
            y = conv(f"{at}.conv1", norm(f"{at}.bn1", x), 1, 1)
            y = conv(f"{at}.conv2", slope(f"{at}.prelu", norm(f"{at}.bn2", y)), stride, 1)
            if not block:
                x = norm(f"{at}.downsample.1", conv(f"{at}.downsample.0", x, 2, 0))
            x = norm(f"{at}.bn3", y) + x
    x = norm("bn2", x).flatten(1)
    return norm("features", x @ state["fc.weight"].T + state["fc.bias"])


def test_the_network_is_the_published_one_written_out() -> None:
    net = IResNet(BLOCKS, CHANNELS, SIDE, NUMBERS)
    state = random_state(net)
    net.load_state_dict(state, strict=False)
    pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 3, SIDE, SIDE))).float()
    with torch.inference_mode():
        found, expected = net.eval()(pixels), written_out(state, pixels)
    assert found.shape == (3, NUMBERS)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("net", "millions"), [(IResNet50, 43.59), (IResNet100, 65.16)])
def test_they_are_as_large_as_the_published_ones(
    net: type[IResNet50 | IResNet100], millions: float
) -> None:
    with torch.device("meta"):
        made = net()
    assert sum(p.numel() for p in made.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)
    names = made.state_dict()
    # as the authors' model.pth has them
    assert names["layer3.13.prelu.weight"].shape == (256,)
    assert names["layer4.0.downsample.0.weight"].shape == (512, 256, 1, 1)
    assert names["fc.weight"].shape == (512, 25_088)
    assert names["features.running_var"].shape == (512,)


def test_a_face_is_aligned_and_scaled_as_published_and_has_length_one_half(
    arcface: Identity, seen: tuple[np.ndarray, Rows]
) -> None:
    frames, faces = seen
    rows = arcface.extract(batch_of(frames, faces=faces))
    assert rows.values.shape == (5, ARCFACE_DIMENSIONS)
    assert np.array_equal(rows.values * STEPS, np.rint(rows.values * STEPS))
    points = faces.values[:1, 5:].astype(np.float64).reshape(1, 5, 2)
    matrix = similarity(points, ARCFACE_112)[0]
    face = cv2.warpAffine(frames[0], matrix, (112, 112), flags=cv2.INTER_LINEAR)
    pixels = torch.from_numpy(face).permute(2, 0, 1)[None].float().div(255).sub(0.5).div(0.5)
    net = IResNet50()
    net.load_state_dict(random_state(net), strict=False)
    with torch.inference_mode():
        found = net.eval()(pixels)[0].numpy()
    expected = found / np.linalg.norm(found) / 2
    assert np.abs(rows.values[0] - expected).max() < 1.5 / STEPS
    assert np.allclose(np.linalg.norm(rows.values.astype(float), axis=1), 0.5, atol=0.01)


def test_a_faces_numbers_do_not_depend_on_the_faces_beside_it(
    arcface: Identity, seen: tuple[np.ndarray, Rows]
) -> None:
    frames, faces = seen
    whole = arcface.extract(batch_of(frames, faces=faces))
    last = arcface.extract(batch_of(frames[5:], 5, faces=faces.slice(5, 6)))
    assert last.values.tobytes() == whole.values[4:].tobytes()


def test_tracks_are_joined_by_them(arcface: Identity, seen: tuple[np.ndarray, Rows]) -> None:
    frames, faces = seen
    rows = arcface.extract(batch_of(frames, faces=faces))
    other = Rows(rows.values.copy(), rows.valid, offsets=rows.offsets)
    other.values[2:] *= -1

    def tracks(identity: Rows) -> list[int]:
        track = FaceTrack(FaceTrack.Params(gap=0))
        made = track.extract(batch_of(frames, faces=faces, identity=identity))
        return made["tracks"].values.tolist()  # type: ignore[no-any-return]

    assert tracks(rows) == [0, 0, 0, 0, 0]
    assert tracks(other) == [0, 0, 1, 1, 1]


def test_a_users_file_is_added_and_read(
    arcface: Identity,
    seen: tuple[np.ndarray, Rows],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    # as the authors' scripts save it, with what counts batches
    net = IResNet50()
    net.load_state_dict(random_state(net), strict=False)
    torch.save(net.state_dict(), tmp_path / "backbone.pth")
    with pytest.raises(WeightsDamaged, match=r"doesn't fit .*IResNet100: .* missing"):
        add("arcface", [tmp_path / "backbone.pth"])
    assert add("arcface-r50", [tmp_path / "backbone.pth"]).verified == "structure"
    extractor = Identity(Identity.Params(backend="arcface-r50", every=1))
    extractor.setup("cpu")
    batch = batch_of(seen[0][:1], faces=seen[1].slice(0, 1))
    assert extractor.extract(batch).values.tobytes() == arcface.extract(batch).values.tobytes()


def test_it_keeps_the_rules_and_the_defaults_key_is_what_it_was() -> None:
    check(Identity, backend="arcface-r50", weights="random")
    declared = Identity.declaration  # type: ignore[attr-defined]
    by = {b: Identity.Params(backend=b) for b in ("dlib", "arcface", "arcface-r50")}  # type: ignore[arg-type]
    assert {b: declared.weights_for(p) for b, p in by.items()} == {
        "dlib": ("dlib-resnet",),
        "arcface": ("arcface",),
        "arcface-r50": ("arcface-r50",),
    }
    assert [declared.outputs_for(p)[0].dims for p in by.values()] == [(128,), (512,), (512,)]
    with pytest.raises(ValueError, match="weights isn't used by dlib"):
        Identity.Params(weights="random")


def test_without_weights_it_says_what_to_get(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(MissingWeights, match=r"backbone\.pth of an R100.*weights add arcface"):
        Identity(Identity.Params(backend="arcface")).setup("cpu")
