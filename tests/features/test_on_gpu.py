"""The extractors that run on a GPU, on a pretended one: where their tensors lie, and settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from features import expnet, sphereface, vggface
from features.detectors.retinaface import Retina
from features.errors import OutOfMemory
from features.extractor import Batch
from features.faces import Faces
from features.identity import Identity
from features.media.media import Media
from features.mtcnn.detector import Detector
from features.mtcnn.pypi import PypiDetector
from features.nets.exact import exact
from features.registry import declarations
from features.step import Step, extract
from tests.features.face_frames import batch_of, portrait_frames
from tests.features.small_nets import made_crops
from tests.pretend_cuda import Card, pretend_cuda

NETWORKS: dict[str, tuple[Any, Any, tuple[int, int], dict[str, str]]] = {
    "expnet": (expnet, expnet.ExpNetFeatures, (112, 112), {}),
    "expnet of squares": (expnet, expnet.ExpNetFeatures, (227, 227), {"crop": "authors"}),
    "expnet in bf16": (expnet, expnet.ExpNetFeatures, (112, 112), {"precision": "bf16"}),
    "sphereface": (sphereface, sphereface.SphereFace, (112, 96), {}),
    "vggface": (vggface, vggface.VggFace, (224, 224), {}),
}


#: the others take seconds each
QUICK = ("expnet in bf16", "sphereface")
BACKENDS: dict[str, dict[str, Any]] = {
    "dlib": {},
    "arcface": {"backend": "arcface-r50", "weights": "random"},
}
DEVICES = ("cpu", "cuda")


@pytest.fixture
def card() -> Iterator[Card]:
    """A pretended card, in a process that allows shortened mantissas."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with pretend_cuda() as made:
            yield made
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    return portrait_frames(2)


def computed_in_full(card: Card) -> bool:
    """No operation on the card was computed with shortened mantissas."""
    return card.calls > 0 and card.flags == {(False, False)}


@pytest.mark.parametrize("kind", [Detector, PypiDetector])
def test_mtcnn_finds_the_same_faces(card: Card, frames: NDArray[np.uint8], kind: Any) -> None:
    how = {"min_face": 40.0, "thresholds": (0.6, 0.7, 0.7), "factor": 0.709}
    expected = kind("cpu", **how).detect(frames)
    detector = kind("cuda", **how)
    card.clear()
    found = detector.detect(frames)
    assert len(found.boxes) == len(expected.boxes) > 0
    assert np.allclose(found.boxes, expected.boxes, atol=1e-3)
    assert np.allclose(found.points, expected.points, atol=1e-3)
    assert computed_in_full(card)


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in NETWORKS],
)
def test_networks_over_crops_give_the_same_numbers(
    card: Card, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, cls, size, params = NETWORKS[name]
    monkeypatch.setitem(module.GROUP, "cuda", 2)
    monkeypatch.setitem(module.GROUP, "cpu", 2)
    made = [cls(cls.Params(weights="random", **params)) for _ in range(2)]
    made[0].setup("cpu")
    made[1].setup("cuda")
    card.clear()
    batch = Batch(None, inputs={"face": made_crops(2, *size)})  # type: ignore[arg-type]
    found = [rows.values for rows in made[1].extract(batch).values()]
    assert computed_in_full(card)
    expected = [rows.values for rows in made[0].extract(batch).values()]
    near = 0.05 if "bf16" in name else 1e-4
    for a, b in zip(found, expected, strict=True):
        assert np.allclose(a, b, atol=near * np.nanmax(np.abs(b)), equal_nan=True)


@pytest.mark.parametrize("name", ["dlib", pytest.param("arcface", marks=pytest.mark.long)])
def test_identity_gives_the_same_numbers(card: Card, frames: NDArray[np.uint8], name: str) -> None:
    faces = Faces(Faces.Params())
    faces.setup("cuda")
    batch = batch_of(frames[:1], faces=faces.extract(batch_of(frames[:1])))
    found = []
    for device in DEVICES:
        made = Identity(Identity.Params(every=1, **BACKENDS[name]))
        made.setup(device)
        card.clear()
        found.append(made.extract(batch).values)
    assert computed_in_full(card)
    assert np.isfinite(found[1]).all()
    assert np.allclose(found[0], found[1], atol=1e-3)


def test_retinaface_finds_the_same_faces(card: Card, frames: NDArray[np.uint8]) -> None:
    from tests.features.test_faces_backends import small

    small_frames = np.ascontiguousarray(frames[:, ::4, ::4])
    found = [Retina(small(), d, least=0.5, overlap=0.4).detect(small_frames) for d in DEVICES]
    assert np.allclose(found[0].boxes, found[1].boxes, atol=1e-3)


def test_settings_of_the_process_are_put_back(card: Card) -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with exact("cuda"):
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_a_full_card_is_this_clips_failure_and_says_what_to_do() -> None:
    declaration = declarations()["sphereface"]

    class Full:
        def extract(self, batch: Batch) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nMore")

    step = Step(declaration, Full(), {}, ("sphereface",))  # type: ignore[arg-type]
    with pytest.raises(OutOfMemory, match=r"GPU's memory on talk .*--device cpu"):
        extract(step, Batch(Media("talk")))
