"""The networks that training starts from: sizes, names and layers of the public ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from features.nets.bninception import MODULES, BNInception
from features.nets.filling import random_state
from features.nets.r2plus1d18 import R2Plus1D18
from features.nets.resnet18 import ResNet18
from features.nets.tsav import TwoStream
from features.nets.vgg16 import Vgg16
from tests.features import numpy_layers as layers

#: parameters as published; first digits of the sha256 of names and shapes, one a line, that
#: torchvision 0.28's networks have (its numbers equal ours bit for bit on the same weights)
PUBLISHED = [
    (Vgg16, 138_357_544, "ba63c2556d912509"),
    (ResNet18, 11_689_512, "5191d63ec3989592"),
    (R2Plus1D18, 31_505_325, "4be63f9053df0eaa"),
    (BNInception, 11_295_240, None),
]


@pytest.mark.parametrize(("network", "parameters", "names"), PUBLISHED)
def test_parameters_and_names_are_the_published_ones(
    network: Any, parameters: int, names: str | None
) -> None:
    with torch.device("meta"):
        net = network()
    assert sum(p.numel() for p in net.parameters()) == parameters
    if names:
        lines = [f"{name} {tuple(t.shape)}" for name, t in sorted(net.state_dict().items())]
        assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == names


def test_bninception_has_the_layers_of_its_public_file() -> None:
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in BNInception().state_dict().items()}
    assert shapes["conv1_7x7_s2.weight"] == (64, 3, 7, 7)
    assert shapes["conv1_7x7_s2_bn.running_var"] == (64,)
    assert shapes["inception_3c_double_3x3_2.weight"] == (96, 96, 3, 3)
    assert shapes["inception_4e_3x3_reduce.bias"] == (128,)
    assert shapes["inception_5b_pool_proj.weight"] == (128, 1024, 1, 1)
    assert shapes["last_linear.weight"] == (1000, 1024)
    convolutions = [name for name in shapes if name.endswith("weight") and len(shapes[name]) == 4]
    assert len(convolutions) == 3 + sum(4 + 2 * (m.stride == 1) + 1 for m in MODULES) == 69


def sized(make: Callable[[], Any]) -> Any:
    """A network of zeros: for shapes alone."""
    with torch.device("meta"):
        net = make()
    net.to_empty(device="cpu").eval()
    for tensor in net.state_dict().values():
        tensor.zero_()
    return net


def test_sizes_of_maps_are_those_of_the_papers() -> None:
    with torch.inference_mode():
        features = sized(lambda: Vgg16().features)
        assert features(torch.zeros(1, 3, 64, 64)).shape == (1, 512, 2, 2)
        clips, maps = torch.zeros(2, 4, 8, 32, 32), torch.zeros(2, 1, 101, 64)
        assert sized(lambda: R2Plus1D18(channels=4)).features(clips).shape == (2, 512)
        assert sized(lambda: ResNet18(channels=1, classes=None))(maps).shape == (2, 512)
        images = torch.zeros(1, 3, 96, 96)
        assert sized(lambda: BNInception(classes=7))(images).shape == (1, 7)
        net = sized(TwoStream)
        assert net(clips, maps).shape == (2, 17)
    shapes = {name: tuple(t.shape) for name, t in net.state_dict().items()}
    assert shapes["audio_model.resnet.conv1.weight"] == (64, 1, 7, 7)
    assert shapes["video_model.r2plus1d.stem.0.weight"] == (45, 4, 1, 7, 7)
    assert shapes["fc.1.weight"] == (17, 1024)


def test_a_residual_block_equals_its_layers_in_numpy() -> None:
    net = ResNet18().eval()
    net.load_state_dict(random_state(net), strict=False)
    block = net.layer2[0]  # type: ignore[index]
    t = {name: tensor.numpy() for name, tensor in block.state_dict().items()}
    x = np.random.default_rng(5).standard_normal((1, 10, 6, 64))

    def normalised(y: Any, bn: str) -> Any:
        parts = (t[f"{bn}.{p}"] for p in ("running_mean", "running_var", "bias", "weight"))
        return layers.batch_norm(y, *parts)

    def conv(y: Any, name: str, stride: int, border: int) -> Any:
        kernel = layers.from_torch(t[f"{name}.weight"])
        return layers.conv(y, kernel, stride, (border, border))

    y = layers.relu(normalised(conv(x, "conv1", 2, 1), "bn1"))
    y = normalised(conv(y, "conv2", 1, 1), "bn2")
    expected = layers.relu(y + normalised(conv(x, "downsample.0", 2, 0), "downsample.1"))
    with torch.inference_mode():
        found = block(torch.from_numpy(x).float().permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["3a", "3c", "5b"])
def test_an_inception_module_is_its_branches_side_by_side(name: str) -> None:
    net = BNInception().eval()
    net.load_state_dict(random_state(net), strict=False)
    mixed = next(m for m in MODULES if m.name == name)
    t = {key: tensor.numpy() for key, tensor in net.state_dict().items()}
    channels = t[f"inception_{name}_3x3_reduce.weight"].shape[1]
    x = np.random.default_rng(6).standard_normal((1, 8, 8, channels))

    def layer(y: Any, part: str, stride: int = 1) -> Any:
        key = f"inception_{name}_{part}"
        kernel = layers.from_torch(t[f"{key}.weight"])
        border = kernel.shape[0] // 2
        y = layers.conv(y, kernel, stride, (border, border)) + t[f"{key}.bias"]
        parts = (t[f"{key}_bn.{p}"] for p in ("running_mean", "running_var", "bias", "weight"))
        return layers.relu(layers.batch_norm(y, *parts))

    stride = mixed.stride
    branches = [layer(x, "1x1")] if mixed.one else []
    branches.append(layer(layer(x, "3x3_reduce"), "3x3", stride))
    double = layer(layer(x, "double_3x3_reduce"), "double_3x3_1")
    branches.append(layer(double, "double_3x3_2", stride))
    if stride == 2:
        branches.append(layers.max_pool(x, 3, 2))
    elif mixed.pool == "max":
        branches.append(layer(layers.max_pool(x, 3, 1), "pool_proj"))
    else:
        ones = np.eye(channels)[None, None].repeat(3, 0).repeat(3, 1) / 9
        branches.append(layer(layers.conv(x, ones, 1, (1, 1)), "pool_proj"))
    expected = np.concatenate(branches, 3)
    with torch.inference_mode():
        found = net._mix(torch.from_numpy(x).float().permute(0, 3, 1, 2), mixed)
    found = found.permute(0, 2, 3, 1).numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
