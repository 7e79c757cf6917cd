"""What people hand to ``weights add`` by mistake, and what they are told."""

from __future__ import annotations

import io
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from features import weights
from features.errors import FeatureError, RequestError, WeightsDamaged
from features.nets.filling import random_state
from features.weights import Structure, Weights
from features.weights.adding import add
from features.weights.convert import read_state_dict
from features.weights.expnet import convert_expnet, read_mean_image
from tests.features.small_nets import small_sphere

SPHERE = Weights(
    name="sphere",
    files=("weights.safetensors",),
    sha256s=(),
    source="https://example.org/model",
    licence="CC-BY-NC-4.0",
    commercial=False,
    purpose="tests",
    converter="state_dict",
    structure=Structure("tests.features.small_nets:small_sphere", drop=("fc6.",)),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, and a registry of one small network."""
    place = tmp_path / "weights"
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(place))
    monkeypatch.setattr("features.weights.lookup.registry", lambda: {"sphere": SPHERE})
    return place


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return random_state(small_sphere())


def zipped(name: str) -> bytes:
    import zipfile

    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(name, b"x")
    return held.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; get it again"),
        (b"<!DOCTYPE html><html>Not found</html>", "is a web page"),
        (b"\n<html>", "is a web page"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(300), "is a 7-Zip archive; unpack it"),
        (b"\x1f\x8b" + bytes(30), "is a gzip archive"),
        (zipped("sphere20a.pth"), "is a ZIP archive; unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        (b"nothing of the kind", "is no file of torch's or of safetensors"),
    ],
    ids=range(9),
)
def test_another_kind_of_file_is_called_what_it_is(
    tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "model.pth"
    file.write_bytes(content)
    with pytest.raises((RequestError, WeightsDamaged), match=said) as caught:
        add("sphere", [file])
    assert "()" not in str(caught.value)


def test_a_refused_pickle_is_told_in_one_line_without_torchs_warnings(tmp_path: Path) -> None:
    file = tmp_path / "x.pth"
    file.write_bytes(b"\x80\x04cos\nmkdir\n(S'x'\ntR.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FeatureError) as caught:
            read_state_dict(file)
    assert "\n" not in str(caught.value)


def test_safetensors_are_known_by_their_content(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    save_file(state, tmp_path / "renamed.pth")
    assert add("sphere", [tmp_path / "renamed.pth"]).verified == "structure"


def test_a_network_is_found_under_any_one_key(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    torch.save({"epoch": 3, "net": state, "optimizer": {"lr": 1.0}}, tmp_path / "a.pth")
    assert read_state_dict(tmp_path / "a.pth").keys() == state.keys()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"generator": {"a": torch.zeros(1)}, "critic": {"a": torch.zeros(1)}}, "generator, crit"),
        ({"epoch": 3}, "its keys are epoch"),
        ({}, "its keys are none"),
        ([torch.zeros(1)], "holds a list, not named tensors"),
    ],
)
def test_where_no_network_is_found_the_message_says_what_is(
    tmp_path: Path, content: Any, said: str
) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(RequestError, match=said):
        read_state_dict(tmp_path / "a.pth")


def test_whole_numbers_are_no_weights(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    whole = {name: tensor.to(torch.int64) for name, tensor in state.items()}
    torch.save(whole, tmp_path / "a.pth")
    with pytest.raises(RequestError, match="no tensors of floating point, only int64"):
        add("sphere", [tmp_path / "a.pth"])
    torch.save({**state, "fc5.bias": whole["fc5.bias"]}, tmp_path / "b.pth")
    with pytest.raises(WeightsDamaged, match=r"1 missing \(fc5.bias\)"):
        add("sphere", [tmp_path / "b.pth"])


def test_a_folder_is_no_network(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    with pytest.raises(RequestError, match="is a folder; weights sphere are made of one file"):
        add("sphere", [tmp_path / "some"])


@pytest.mark.parametrize("place", ["a file", "not writable"])
def test_a_folder_that_cannot_be_used_is_named_with_the_way_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: dict[str, torch.Tensor],
    place: str,
) -> None:
    (tmp_path / "file").write_text("")
    bad = tmp_path / "file" if place == "a file" else Path("/proc/affectstore")
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(bad))
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(RequestError, match=f"can't be kept in {bad}.*AFFECTSTORE_WEIGHTS"):
        add("sphere", [tmp_path / "a.pth"])


def test_a_mean_image_is_one_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    (tmp_path / "b.npy").write_bytes(b"PK\x03\x04" + bytes(100))
    for name in ("a.npz", "b.npy"):
        with pytest.raises(WeightsDamaged, match=f"{name} is no numpy array of numbers"):
            read_mean_image(tmp_path / name)


def test_faults_within_an_archive_name_the_archive(tmp_path: Path) -> None:
    archive = tmp_path / "ExpNet.tar.gz"
    for names, said in ((["E/m.ckpt.index"], "E/m.ckpt.index"), (["E/x"], "0 .index files in")):
        with tarfile.open(archive, "w:gz") as held:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = 300
                held.addfile(member, io.BytesIO(bytes(300)))
        with pytest.raises((RequestError, WeightsDamaged)) as caught:
            convert_expnet([archive])
        assert said in str(caught.value)
        assert str(archive) in str(caught.value)
        assert str(caught.value).count("/tmp") == str(archive).count("/tmp")
