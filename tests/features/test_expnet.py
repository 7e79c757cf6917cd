"""ExpNet: the network against numpy, the authors' checkpoint, and the extractor."""

from __future__ import annotations

import copy
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from features import weights
from features.errors import RequestError, WeightsDamaged
from features.expnet import ExpNetFeatures
from features.extractor import Batch
from features.nets import expnet
from features.nets.conv_bn import fold
from features.nets.expnet import ExpNet, block_names
from features.nets.filling import filled, random_state
from features.nets.runner import placed
from features.nets.scaling import bilinear, bilinear_tf1
from features.weights import Structure, Weights
from features.weights.adding import add
from tests.features import numpy_layers as layers
from tests.features.small_nets import made_crops, part, small_expnet
from tests.features.tf_writer import write_checkpoint

#: of random weights on made crops, torch 2.13, x86 with AVX-512
GOLDEN_FEATURES = (0.0035025647, 0.18541802, 0.07443184, 0.074698724, 0.17490697, 0.20366573)
GOLDEN_COEFFICIENTS = (-0.11849306, 0.12074968, -0.25688279, 0.27997306)


def authors_names(net: ExpNet) -> dict[str, NDArray[np.float32]]:
    """A network's tensors under the names and axes of the authors' checkpoint."""
    found = {}
    for name, tensor in random_state(net).items():
        array = tensor.numpy()
        parts = name.split(".")
        if parts[0] == "mean_image":
            continue
        if parts[0] == "coefficients":
            key = "exprCNN_fc1/" + {"weight": "weights", "bias": "biases"}[parts[1]]
            found[key] = array.T
            continue
        layer = "conv1" if parts[0] == "conv1" else f"{parts[1]}_{parts[2]}"
        if parts[-2] == "conv":
            found[f"{layer}/weights"] = layers.from_torch(array)
        else:
            kind = {
                "weight": "scale",
                "bias": "offset",
                "running_mean": "mean",
                "running_var": "variance",
            }[parts[-1]]
            found[f"bn{'_conv1' if layer == 'conv1' else layer[3:]}/{kind}"] = array
    return {f"exprCNN/{name}": np.ascontiguousarray(array) for name, array in found.items()}


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The authors' folder for a small network, and a registry that expects that network."""
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    known = weights.entry("expnet")
    small = Structure("tests.features.small_nets:small_expnet")
    entry = Weights(**{**vars(known), "structure": small})
    monkeypatch.setattr("features.weights.lookup.registry", lambda: {"expnet": entry})
    folder = tmp_path / "Expression_Model"
    folder.mkdir()
    tensors = authors_names(small_expnet())
    tensors["exprCNN/conv1/weights/Momentum"] = tensors["exprCNN/conv1/weights"]
    tensors["shapeCNN/conv1/weights"] = tensors["exprCNN/conv1/weights"]
    write_checkpoint(folder / "ini_exprNet_model.ckpt", tensors)
    np.save(folder / "3DMM_expr_mean.npy", random_state(small_expnet())["mean_image"].numpy())
    return folder


class NumpyExpNet:
    """The authors' graph layer by layer, from their names and axes."""

    def __init__(self, tensors: dict[str, NDArray[np.float32]]) -> None:
        self.tensors = {name.removeprefix("exprCNN/"): a for name, a in tensors.items()}

    def normalised(self, x: Any, layer: str, stride: int = 1) -> Any:
        """Convolution and batch normalisation."""
        t, name = self.tensors, f"bn{'_' * (layer == 'conv1')}{layer.removeprefix('res')}"
        parts = [t[f"{name}/{kind}"] for kind in ("mean", "variance", "offset", "scale")]
        return layers.batch_norm(layers.conv(x, t[f"{layer}/weights"], stride), *parts)

    def forward(self, images: Any, blocks: tuple[tuple[str, int], ...]) -> dict[str, Any]:
        """Every map by its layer's name; blocks with their stride."""
        maps = {"conv1": layers.relu(self.normalised(images, "conv1", 2))}
        x = maps["pool1"] = layers.max_pool(maps["conv1"], 3, 2)
        for block, stride in blocks:
            y = layers.relu(self.normalised(x, f"{block}_branch2a", stride))
            y = layers.relu(self.normalised(y, f"{block}_branch2b"))
            y = self.normalised(y, f"{block}_branch2c")
            first = f"{block}_branch1/weights" in self.tensors
            x = layers.relu(y + (self.normalised(x, f"{block}_branch1", stride) if first else x))
            maps[block] = x
        maps["pool5"] = x.mean((1, 2))
        fc = self.tensors["exprCNN_fc1/weights"], self.tensors["exprCNN_fc1/biases"]
        maps["fc1"] = maps["pool5"] @ fc[0] + fc[1]
        return maps


def test_a_converted_checkpoint_gives_the_authors_maps_layer_by_layer(released: Path) -> None:
    receipt = add("expnet", [released])
    assert receipt.verified == "structure"
    net = filled(small_expnet, "expnet")
    seen: dict[str, Any] = {}
    for block, module in net.blocks.items():
        module.register_forward_hook(lambda _m, _i, out, block=block: seen.update({block: out}))
    images = np.random.default_rng(1).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    with torch.inference_mode():
        features, coefficients = net(torch.from_numpy(images).permute(0, 3, 1, 2))
    mean = np.load(released / "3DMM_expr_mean.npy").transpose(1, 2, 0)
    strides = (("res2a", 1), ("res2b", 1), ("res3a", 2), ("res3b1", 1))
    maps = NumpyExpNet(authors_names(small_expnet())).forward(images - mean, strides)
    assert list(seen) == [name for name, _ in strides]
    for block in seen:
        ours, theirs = seen[block].permute(0, 2, 3, 1).numpy(), maps[block]
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max(), block
    assert np.allclose(features.numpy(), maps["pool5"], rtol=1e-4, atol=1e-5)
    assert np.allclose(coefficients.numpy(), maps["fc1"], rtol=1e-4, atol=1e-5)


def test_the_archive_the_folder_and_the_index_give_the_same_digest(
    released: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "Expression_Model.tar.gz"
    with tarfile.open(archive, "w:gz") as made:
        made.add(released, "Expression_Model")
    index = released / "ini_exprNet_model.ckpt.index"
    digests = {add("expnet", [path]).sha256 for path in (archive, released, index)}
    assert len(digests) == 1


def test_a_checkpoint_without_its_mean_image_is_refused(released: Path) -> None:
    (released / "3DMM_expr_mean.npy").unlink()
    with pytest.raises(RequestError, match="give the whole folder"):
        add("expnet", [released])


def test_a_checkpoint_that_lacks_a_layer_is_refused_by_name(released: Path) -> None:
    tensors = authors_names(small_expnet())
    del tensors["exprCNN/bn3b1_branch2b/scale"]
    write_checkpoint(released / "ini_exprNet_model.ckpt", tensors)
    with pytest.raises(WeightsDamaged, match=r"1 missing \(blocks.res3b1.branch2b.bn.weight\)"):
        add("expnet", [released])
    assert not weights.is_present("expnet")


def test_the_network_has_the_parameters_of_a_resnet_101_and_29_coefficients() -> None:
    with torch.device("meta"):
        net = ExpNet()
    count = sum(p.numel() for p in net.parameters())
    assert count == 42_559_581
    # torchvision's resnet101 without its last layer
    assert count - sum(p.numel() for p in net.coefficients.parameters()) == 42_500_160
    assert sum(name.endswith("conv.weight") for name in net.state_dict()) == 104


def test_blocks_have_caffes_names() -> None:
    assert block_names(2, 3) == ["res2a", "res2b", "res2c"]
    assert block_names(3, 4) == ["res3a", "res3b1", "res3b2", "res3b3"]
    assert block_names(4, 23)[-1] == "res4b22"
    assert block_names(5, 3) == ["res5a", "res5b", "res5c"]
    assert expnet.BLOCKS == (3, 4, 23, 3)


def test_folded_with_channels_last_it_gives_the_plain_networks_numbers() -> None:
    plain = filled(small_expnet, "expnet", "random")
    fast = placed(fold(copy.deepcopy(plain)), "cpu")
    images = torch.from_numpy(np.random.default_rng(2).uniform(0, 255, (3, 3, 224, 224)))
    with torch.inference_mode():
        for ours, theirs in zip(fast(images.float()), plain(images.float()), strict=True):
            assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fast.modules())


def test_tf1_scaling_has_no_half_pixel_centres_and_ours_has() -> None:
    ramp = torch.arange(227.0).repeat(1, 1, 227, 1)
    at = np.arange(224) * 227 / 224
    assert np.allclose(bilinear_tf1(ramp, 224)[0, 0, 5].numpy(), np.minimum(at, 226), atol=1e-4)
    ramp = torch.arange(112.0).repeat(1, 1, 112, 1)
    at = np.clip((np.arange(224) + 0.5) / 2 - 0.5, 0, 111)
    assert np.allclose(bilinear(ramp, 224)[0, 0, 5].numpy(), at, atol=1e-4)


@pytest.fixture(scope="module")
def extractor() -> ExpNetFeatures:
    """With random weights."""
    torch.set_num_threads(1)
    made = ExpNetFeatures(ExpNetFeatures.Params(weights="random"))
    made.setup("cpu")
    return made


def test_rows_have_the_declared_shape_and_invalid_ones_are_nan(extractor: Any) -> None:
    made = extractor.extract(Batch(None, inputs={"face": made_crops(3, 112, 112)}))  # type: ignore[arg-type]
    for spec in ExpNetFeatures.outputs:
        rows = made[spec.name]
        assert rows.values.shape == (3, *spec.dims)
        assert rows.values.dtype == spec.dtype
        assert rows.valid.tolist() == [True, False, True]
        assert np.isnan(rows.values[1]).all()
        assert np.isfinite(rows.values[[0, 2]]).all()
        assert rows.t0 == 0.5
    none = extractor.extract(Batch(None, inputs={"face": part(made_crops(3, 112, 112), [])}))  # type: ignore[arg-type]
    assert none["expnet"].values.shape == (0, 2048)


def test_a_row_depends_on_its_crop_alone_bit_for_bit(extractor: Any) -> None:
    crops = made_crops(6, 112, 112)
    whole = extractor.extract(Batch(None, inputs={"face": crops}))  # type: ignore[arg-type]
    some = extractor.extract(Batch(None, inputs={"face": part(crops, [5, 0])}))  # type: ignore[arg-type]
    for name, rows in some.items():
        assert np.array_equal(rows.values, whole[name].values[[5, 0]])


def test_the_golden_crops_give_the_golden_numbers(extractor: Any) -> None:
    made = extractor.extract(Batch(None, inputs={"face": made_crops(1, 112, 112)}))  # type: ignore[arg-type]
    features, coefficients = made["expnet"].values[0], made["expnet_coeffs"].values[0]
    found = [*features[:4], features.mean(), features.std()]
    assert np.allclose(found, GOLDEN_FEATURES, rtol=1e-4, atol=1e-5), (
        "bump the version and note the new ones"
    )
    assert np.allclose(coefficients[:4], GOLDEN_COEFFICIENTS, rtol=1e-3, atol=1e-4)


def test_bf16_gives_nearly_the_same_direction(extractor: Any) -> None:
    crops = made_crops(1, 112, 112)
    half = ExpNetFeatures(ExpNetFeatures.Params(weights="random", precision="bf16"))
    half.setup("cpu")
    a = half.extract(Batch(None, inputs={"face": crops}))["expnet"].values[0]  # type: ignore[arg-type]
    b = extractor.extract(Batch(None, inputs={"face": crops}))["expnet"].values[0]  # type: ignore[arg-type]
    assert a.dtype == np.float32
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.9999


def test_slots_and_weights_follow_the_parameters() -> None:
    declaration = ExpNetFeatures.declaration  # type: ignore[attr-defined]
    params = ExpNetFeatures.Params
    assert declaration.inputs_for(params()) == {"face": "face_112"}
    assert declaration.inputs_for(params(crop="authors")) == {"square": "face_227"}
    assert declaration.weights_for(params()) == ("expnet",)
    assert declaration.weights_for(params(mean="shape")) == ("expnet", "expnet-shape-mean")
    assert declaration.weights_for(params(weights="random", mean="shape")) == ()
