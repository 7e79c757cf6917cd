"""TensorFlow's checkpoints, read without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.errors import WeightsDamaged
from features.weights.tf_checkpoint import read_checkpoint
from tests.features.tf_writer import write_checkpoint

RNG = np.random.default_rng(0)
TENSORS = {
    **{
        f"net/layer_{i:03d}/{part}": RNG.standard_normal((i % 5 + 1, 3)).astype(np.float32)
        for i in range(70)
        for part in ("weights", "biases")
    },
    "net/wide": RNG.standard_normal((2, 3, 4, 5)),
    "net/half": RNG.standard_normal(7).astype(np.float16),
    "other/step": np.array(12345, np.int64),
    "other/small": np.arange(6, dtype=np.int32).reshape(2, 3),
}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("block_bytes", [64, 4096])
def test_every_tensor_comes_back_bit_for_bit(tmp_path: Path, shards: int, block_bytes: int) -> None:
    index = write_checkpoint(tmp_path / "m.ckpt", TENSORS, shards=shards, block_bytes=block_bytes)
    found = read_checkpoint(index)
    assert found.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array)


def test_a_prefix_selects(tmp_path: Path) -> None:
    index = write_checkpoint(tmp_path / "m.ckpt", TENSORS)
    assert read_checkpoint(index, "other/").keys() == {"other/step", "other/small"}


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.ckpt.index"
    path.write_bytes(b"not a table" * 20)
    with pytest.raises(WeightsDamaged, match="no index of a TensorFlow checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize("at", [3, 200, -60])
def test_a_changed_byte_of_the_index_is_noticed(tmp_path: Path, at: int) -> None:
    index = write_checkpoint(tmp_path / "m.ckpt", TENSORS)
    data = bytearray(index.read_bytes())
    data[at] ^= 1
    index.write_bytes(data)
    with pytest.raises(WeightsDamaged, match=r"get .*again"):
        read_checkpoint(index)


def test_an_index_without_its_middle_is_noticed(tmp_path: Path) -> None:
    index = write_checkpoint(tmp_path / "m.ckpt", TENSORS)
    data = index.read_bytes()
    index.write_bytes(data[:100] + data[-48:])
    with pytest.raises(WeightsDamaged, match="cut off or damaged"):
        read_checkpoint(index)


def test_a_changed_number_is_noticed(tmp_path: Path) -> None:
    index = write_checkpoint(tmp_path / "m.ckpt", TENSORS)
    path = tmp_path / "m.ckpt.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[11] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsDamaged, match="checksum of net/"):
        read_checkpoint(index)


def test_a_data_file_that_is_cut_off_or_missing_is_named(tmp_path: Path) -> None:
    index = write_checkpoint(tmp_path / "m.ckpt", TENSORS)
    path = tmp_path / "m.ckpt.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WeightsDamaged, match=f"{path.name} is too short"):
        read_checkpoint(index)
    path.unlink()
    with pytest.raises(WeightsDamaged, match=f"{path.name} isn't there"):
        read_checkpoint(index)


def test_what_is_not_read_says_so(tmp_path: Path) -> None:
    index = write_checkpoint(tmp_path / "a.ckpt", TENSORS, compression=1)
    with pytest.raises(WeightsDamaged, match="compressed"):
        read_checkpoint(index)
    index = write_checkpoint(tmp_path / "b.ckpt", TENSORS, slices=True)
    with pytest.raises(WeightsDamaged, match="slices"):
        read_checkpoint(index)
