"""sphereface and vggface: the networks against numpy, and the extractors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from features.errors import MissingWeights, RequestError
from features.expnet import ExpNetFeatures
from features.extractor import Batch
from features.nets.filling import filled, random_state
from features.nets.sphere20a import Sphere20a
from features.nets.vggface16 import MEAN_RGB, VggFace16
from features.spec import Rows
from features.sphereface import SphereFace
from features.vggface import VggFace
from tests.features import numpy_layers as layers
from tests.features.small_nets import made_crops, part, small_sphere, small_vgg

#: first numbers, mean and standard deviation of random weights on a made crop; torch 2.13, x86
#: with AVX-512
GOLDEN = {
    "sphereface": (6.7833786, 26.683933, -45.63811, 78.041374, 2.1878455, 33.238796),
    "vggface": (0.0, 0.0, 225.6587, 152.64749, 73.30585, 105.56142),
}
CROPS = {"sphereface": (112, 96), "vggface": (224, 224)}


def batch(rows: Rows) -> Batch:
    """A batch with crops in the slot."""
    return Batch(None, inputs={"face": rows})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def extractors() -> dict[str, Any]:
    """Both, with random weights."""
    torch.set_num_threads(1)
    made: dict[str, Any] = {}
    for cls in (SphereFace, VggFace):
        extractor = cls(cls.Params(weights="random"))
        extractor.setup("cpu")
        made[cls.outputs[0].name] = extractor
    return made


def test_sphereface_equals_its_layers_in_numpy() -> None:
    net = filled(small_sphere, "sphere20a", "random")
    t = {name: tensor.numpy() for name, tensor in random_state(net).items()}
    images = np.random.default_rng(3).uniform(-1, 1, (2, 24, 16, 3))

    def layer(x: Any, name: str, stride: int = 1) -> Any:
        y = layers.conv(x, layers.from_torch(t[f"conv{name}.weight"]), stride, (1, 1))
        return layers.prelu(y + t[f"conv{name}.bias"], t[f"relu{name}.weight"])

    x = images
    for stage, pairs in ((1, 1), (2, 2), (3, 1)):
        x = layer(x, f"{stage}_1", stride=2)
        for pair in range(1, pairs + 1):
            x = x + layer(layer(x, f"{stage}_{2 * pair}"), f"{stage}_{2 * pair + 1}")
    flat = x.transpose(0, 3, 1, 2).reshape(2, -1)
    expected = flat @ t["fc5.weight"].T.astype(np.float64) + t["fc5.bias"]
    with torch.inference_mode():
        found = net(torch.from_numpy(images).float().permute(0, 3, 1, 2)).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_vggface_equals_its_layers_in_numpy() -> None:
    net = filled(small_vgg, "vggface16", "random")
    t = {name: tensor.numpy() for name, tensor in random_state(net).items()}
    images = np.random.default_rng(4).uniform(-120, 120, (2, 16, 16, 3))
    x = images
    for stage, count in ((1, 2), (2, 3)):
        for k in range(1, count + 1):
            name = f"conv{stage}_{k}"
            y = layers.conv(x, layers.from_torch(t[f"{name}.weight"]), 1, (1, 1))
            x = layers.relu(y + t[f"{name}.bias"])
        x = layers.max_pool(x, 2, 2)
    flat = x.transpose(0, 3, 1, 2).reshape(2, -1)
    expected = flat @ t["fc6.weight"].T.astype(np.float64) + t["fc6.bias"]
    pixels = torch.from_numpy(images).float().permute(0, 3, 1, 2)
    with torch.inference_mode():
        plain = net.features(pixels.contiguous()).numpy()
        fused = net.features(pixels.contiguous(memory_format=torch.channels_last)).numpy()
        logits = net(pixels).numpy()
    for found in (plain, fused):
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    fc7 = layers.relu(layers.relu(expected) @ t["fc7.weight"].T + t["fc7.bias"])
    assert np.allclose(logits, fc7 @ t["fc8.weight"].T + t["fc8.bias"], rtol=1e-4, atol=1e-3)


def test_the_networks_have_the_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        sphere, vgg = Sphere20a(), VggFace16()
    # with the public file's 10,574 people of 512 numbers each
    assert sum(p.numel() for p in sphere.parameters()) + 512 * 10_574 == 28_084_544
    assert sum(p.numel() for p in vgg.parameters()) == 145_002_878
    assert sum(name.startswith("conv") for name, _ in sphere.named_modules()) == 20
    assert sum(name.startswith("conv") for name, _ in vgg.named_modules()) == 13


@pytest.mark.parametrize("name", ["sphereface", "vggface"])
def test_rows_are_as_declared_and_depend_on_their_crop_alone(extractors: Any, name: str) -> None:
    extractor, crops = extractors[name], made_crops(3, *CROPS[name])
    (spec,) = extractor.outputs
    whole = extractor.extract(batch(crops))[name]
    assert whole.values.shape == (3, *spec.dims)
    assert whole.values.dtype == spec.dtype
    assert np.isnan(whole.values[1]).all()
    assert np.isfinite(whole.values[[0, 2]]).all()
    alone = extractor.extract(batch(part(crops, [2])))[name]
    assert np.array_equal(alone.values, whole.values[[2]])
    found = [*whole.values[0, :4], whole.values[0].mean(), whole.values[0].std()]
    assert np.allclose(found, GOLDEN[name], rtol=1e-4, atol=1e-4), (
        "bump the version and note the new ones"
    )
    assert extractor.extract(batch(part(crops, [])))[name].values.shape == (0, *spec.dims)


def test_sphereface_feeds_bgr_by_default_and_rgb_by_choice(extractors: Any) -> None:
    crops = made_crops(1, 112, 96)
    rgb = SphereFace(SphereFace.Params(weights="random", channels="rgb"))
    rgb.setup("cpu")
    turned = Rows(crops.values[..., ::-1].copy(), crops.valid)
    a = extractors["sphereface"].extract(batch(crops))["sphereface"].values
    assert np.array_equal(rgb.extract(batch(turned))["sphereface"].values, a)
    assert not np.array_equal(rgb.extract(batch(crops))["sphereface"].values, a)


def test_sphereface_scales_pixels_as_its_authors() -> None:
    extractor = SphereFace(SphereFace.Params(weights="random", channels="rgb"))
    extractor.setup("cpu")
    crops = made_crops(1, 112, 96)
    net = filled(Sphere20a, "sphere20a", "random")
    pixels = torch.from_numpy((crops.values.astype(np.float32) - 127.5) / 128)
    with torch.inference_mode():
        expected = net(pixels.permute(0, 3, 1, 2)).numpy()
    found = extractor.extract(batch(crops))["sphereface"].values
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_vggface_subtracts_the_mean_colour_and_ends_with_a_relu(extractors: Any) -> None:
    assert MEAN_RGB == (129.1863, 104.7624, 93.5940)
    values = extractors["vggface"].extract(batch(made_crops(1, 224, 224)))["vggface"].values
    assert (values >= 0).all()
    assert 0.05 < (values == 0).mean() < 0.95


def test_vggface_takes_crops_of_another_size(extractors: Any) -> None:
    # a slope of 4 a pixel, so that what lies between two pixels is a whole number, too
    row = np.minimum(4 * np.arange(112), 240)
    small = np.stack([row + np.zeros((112, 1), int), 250 - row + np.zeros((112, 1), int)] * 2, -1)
    pixels = torch.from_numpy(small[None, ..., :3]).permute(0, 3, 1, 2).double()
    large = torch.nn.functional.interpolate(pixels, (224, 224), mode="bilinear")
    values = [
        extractors["vggface"]
        .extract(batch(Rows(crop.permute(0, 2, 3, 1).numpy().astype(np.uint8), np.ones(1, bool))))
        ["vggface"].values
        for crop in (pixels, large)
    ]  # fmt: skip
    assert np.abs(values[0] - values[1]).max() <= 1e-4 * np.abs(values[1]).max()


def test_a_slot_without_crops_is_refused(extractors: Any) -> None:
    numbers = Rows(np.zeros((2, 15), np.float32), np.ones(2, bool))
    with pytest.raises(RequestError, match="bind it to a feature such as face_112"):
        extractors["sphereface"].extract(batch(numbers))


def test_without_the_users_weights_set_up_says_where_to_get_them(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTSTORE_WEIGHTS", str(tmp_path))
    with pytest.raises(MissingWeights, match="affectstore weights add sphere20a FILE"):
        SphereFace(SphereFace.Params()).setup("cpu")


def test_the_defaults_that_keys_leave_out_are_these() -> None:
    common = {"precision": "fp32", "weights": "published"}
    assert SphereFace.Params().model_dump() == {**common, "channels": "bgr"}
    assert VggFace.Params().model_dump() == {**common, "relu": True}
    defaults = {**common, "crop": "aligned", "mean": "expression"}
    assert ExpNetFeatures.Params().model_dump() == defaults
