"""Adding a user's weights: verified, converted without running anything, stored with a receipt."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from features import weights
from features.errors import RequestError, WeightsDamaged
from features.nets.filling import filled, random_state
from features.weights import Structure, Weights
from features.weights.adding import add, sha256_of_tensors
from features.weights.entries import ENTRIES
from tests.features.small_nets import small_sphere, small_vgg
from tests.features.tf_writer import write_checkpoint

COMMON: dict[str, Any] = {
    "sha256s": (),
    "source": "https://example.org/model",
    "licence": "CC-BY-NC-4.0",
    "commercial": False,
    "purpose": "tests",
}
SPHERE = Structure("tests.features.small_nets:small_sphere", drop=("fc6.",))
VGG = Structure(
    "tests.features.small_nets:small_vgg", rename=((r"^conv_(\d)_(\d)\.", r"conv\1_\2."),)
)


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Weights]:
    """A registry of small networks; tests may add to it."""
    tensors = {"files": ("weights.safetensors",), "converter": "state_dict", **COMMON}
    entries = {
        "sphere": Weights(name="sphere", structure=SPHERE, **tensors),
        "vgg": Weights(name="vgg", structure=VGG, **tensors),
        "kept": Weights(name="kept", files=("a.dat", "b.dat"), **COMMON),
    }
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    monkeypatch.setattr("features.weights.lookup.registry", lambda: entries)
    return entries


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """Tensors that fit the small network."""
    return random_state(small_sphere())


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_a_state_dict_becomes_safetensors_with_a_receipt(
    known: Any, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    file = saved(tmp_path / "model.pth", state)
    assert not weights.is_present("sphere")
    assert weights.sha256("sphere") == weights.ABSENT
    receipt = add("sphere", [file])
    assert weights.is_present("sphere")
    (path,) = weights.resolve("sphere")
    assert path.suffix == ".safetensors"
    stored = load_file(path)
    assert stored.keys() == state.keys()
    assert all(torch.equal(stored[name], state[name]) for name in state)
    told = json.loads((path.parent / "weights.json").read_text())
    assert told["originals"] == {"model.pth": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert told["files"] == {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    assert told["sha256"] == receipt.sha256 == weights.sha256("sphere")
    assert told["licence"] == "CC-BY-NC-4.0"
    assert told["verified"] == "structure"
    assert [p.name for p in (tmp_path / "weights").iterdir()] == ["sphere"]
    net = filled(small_sphere, "sphere")
    assert torch.equal(net.fc5.weight, state["fc5.weight"])


def test_the_digest_in_keys_is_of_the_tensors_not_of_the_files_layout(
    known: Any, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    turned = dict(reversed(state.items()))
    save_file(state, tmp_path / "a.safetensors")
    wrapped = {f"module.{name}": tensor for name, tensor in turned.items()}
    wrapped["module.fc6.weight"] = torch.zeros(3, 3)
    files = [
        tmp_path / "a.safetensors",
        saved(tmp_path / "b.pth", turned),
        saved(tmp_path / "c.pth.tar", {"epoch": 7, "state_dict": wrapped}),
    ]
    old = tmp_path / "d.pth"
    torch.save(state, old, _use_new_zipfile_serialization=False)
    sparse = {**state, "fc5.weight": state["fc5.weight"].to_sparse()}
    files.append(saved(tmp_path / "e.pth", sparse))
    compiled = {f"module._orig_mod.{name}": tensor for name, tensor in state.items()}
    files.append(saved(tmp_path / "f.pth", compiled))
    lit = {f"model.{name}": tensor for name, tensor in state.items()}
    best = {"best": np.float64(0.5), "epoch": np.int64(3)}
    files.append(saved(tmp_path / "g.ckpt", {"state_dict": lit, **best}))
    digests = {add("sphere", [file]).sha256 for file in [*files, old]}
    assert len(digests) == 1
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    assert digests == {sha256_of_tensors(arrays)}


def test_replacing_the_weights_by_others_changes_the_key(
    known: Any, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    add("sphere", [saved(tmp_path / "a.pth", state)])
    before = weights.sha256("sphere")
    state["fc5.bias"][3] += 1e-3
    add("sphere", [saved(tmp_path / "a.pth", state)])
    assert weights.sha256("sphere") != before
    assert weights.tensors("sphere")["fc5.bias"][3] == state["fc5.bias"][3]


def test_names_of_another_public_file_are_brought_to_the_networks(
    known: Any, tmp_path: Path
) -> None:
    state = random_state(small_vgg())
    other = {name.replace("conv", "conv_"): tensor for name, tensor in state.items()}
    add("vgg", [saved(tmp_path / "vgg.pth", other)])
    assert weights.tensors("vgg").keys() == state.keys()


class Harmful:
    """Pickles to a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_unrun(
    known: Any, state: dict[str, torch.Tensor], tmp_path: Path, zipped: bool
) -> None:
    trace = tmp_path / "ran"
    file = tmp_path / "bad.pth"
    content = {**state, "extra": Harmful(trace)}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(RequestError, match="loading it could run code"):
        add("sphere", [file])
    plain = tmp_path / "bad.pkl"
    plain.write_bytes(pickle.dumps(Harmful(trace)))
    with pytest.raises((RequestError, WeightsDamaged)):
        add("sphere", [plain])
    assert not trace.exists()
    assert not weights.is_present("sphere")


def test_nobody_is_told_to_load_code_all_the_same(
    known: Any, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    file = saved(tmp_path / "args.pth", {"state_dict": state, "args": argparse.Namespace(lr=1)})
    with pytest.raises(RequestError, match=r"argparse\.Namespace.*give the network") as caught:
        add("sphere", [file])
    assert "safe_globals" not in str(caught.value)
    scripted = tmp_path / "scripted.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(1, 1)).save(str(scripted))
    with pytest.raises(RequestError, match="TorchScript, a program; give the network's state_dict"):
        add("sphere", [scripted])


def test_tensors_that_do_not_fit_are_refused_and_named(
    known: Any, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    lacking = {name: t for name, t in state.items() if name != "fc5.bias"}
    with pytest.raises(WeightsDamaged, match=r"1 missing \(fc5.bias\); 1 unknown \(fc5.b\)"):
        add("sphere", [saved(tmp_path / "a.pth", {**lacking, "fc5.b": torch.zeros(10)})])
    with pytest.raises(WeightsDamaged, match=r"fc5.bias has shape \(9,\), \(10,\) is needed"):
        add("sphere", [saved(tmp_path / "a.pth", {**state, "fc5.bias": torch.zeros(9)})])
    broken = {**state, "fc5.bias": torch.full((10,), torch.nan)}
    with pytest.raises(WeightsDamaged, match="aren't finite"):
        add("sphere", [saved(tmp_path / "a.pth", broken)])
    assert not weights.is_present("sphere")


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_damaged_file_is_refused(
    known: Any, state: dict[str, torch.Tensor], tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    if name.endswith("pth"):
        saved(file, state)
    else:
        save_file(state, file)
    file.write_bytes(file.read_bytes()[:-700])
    with pytest.raises(WeightsDamaged, match="can't be read as weights"):
        add("sphere", [file])


def test_a_public_file_is_known_by_its_digest_and_others_by_choice_only(
    known: dict[str, Weights], state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    file = saved(tmp_path / "model.pth", state)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    known["sphere"] = Weights(**{**vars(known["sphere"]), "originals": (digest[:8],)})
    assert add("sphere", [file]).verified == "sha256"
    other = saved(tmp_path / "other.pth", {**state, "fc5.bias": state["fc5.bias"] + 1})
    with pytest.raises(WeightsDamaged, match="--unknown takes any file that fits"):
        add("sphere", [other])
    assert add("sphere", [other], unknown=True).verified == "structure"


def test_stored_weights_that_change_are_not_used(
    known: Any, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    add("sphere", [saved(tmp_path / "model.pth", state)])
    (path,) = weights.resolve("sphere")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsDamaged, match="get it again"):
        weights.tensors("sphere")


def test_files_are_kept_as_they_are_where_there_is_nothing_to_convert(
    known: Any, tmp_path: Path
) -> None:
    source = tmp_path / "download"
    source.mkdir()
    (source / "a.dat").write_bytes(b"first")
    with pytest.raises(RequestError, match=r"need b\.dat too"):
        add("kept", [source / "a.dat", source])
    (source / "b.dat").write_bytes(b"second")
    receipt = add("kept", [source])
    assert receipt.verified == "nothing"
    assert weights.read("kept") == (b"first", b"second")
    before = weights.sha256("kept")
    (source / "b.dat").write_bytes(b"third")
    add("kept", [source])
    assert weights.sha256("kept") != before


def test_a_tensorflow_checkpoint_is_kept_by_its_own_names(
    known: dict[str, Weights], tmp_path: Path
) -> None:
    known["tf"] = Weights(
        name="tf", files=("weights.safetensors",), converter="tf_checkpoint", **COMMON
    )
    tensors = {"net/w": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(7, np.int64)}
    index = write_checkpoint(tmp_path / "model", tensors)
    with pytest.raises(RequestError, match=r"give the \.index file"):
        add("tf", [tmp_path / "model.data-00000-of-00001"])
    assert add("tf", [index]).verified == "nothing"
    stored = weights.tensors("tf")
    assert stored.keys() == {"net/w"}
    assert np.array_equal(stored["net/w"].numpy(), tensors["net/w"])


def test_what_comes_with_a_package_is_not_added(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"pip install mtcnn==1\.0\.0"):
        add("mtcnn", [tmp_path])


def test_a_damaged_receipt_says_what_to_do(known: Any, tmp_path: Path) -> None:
    folder = tmp_path / "weights" / "sphere"
    folder.mkdir(parents=True)
    (folder / "weights.json").write_text("{")
    with pytest.raises(WeightsDamaged, match="affectstore weights add sphere FILE"):
        weights.resolve("sphere")


def test_every_entry_that_is_converted_has_a_network_of_its_shapes() -> None:
    from features.weights.convert import expected

    converted = [entry for entry in ENTRIES if entry.converter != "keep"]
    fitted = [entry for entry in converted if entry.structure]
    assert {entry.name for entry in converted} - {entry.name for entry in fitted} == {"prnet"}
    for entry in fitted:
        assert entry.structure is not None
        shapes = expected(entry.structure)
        assert shapes, entry.name
        assert all(np.prod(shape) > 0 for shape in shapes.values())
