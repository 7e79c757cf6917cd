"""From the files of PyPI ``mtcnn`` 1.0.0 to the three networks.

Each file is a list of arrays in Keras order: for a convolution its kernel (height, width, in,
out) and bias, for a PReLU its slopes, for a dense layer its matrix (in, out) and bias. The
numbers equal those of facenet-pytorch 2.6.0 bit for bit; both descend from the authors' Caffe
model, whose images were transposed. That shows in one place only: the first dense layer reads
the last map column by column.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from features import weights
from features.mtcnn.nets import ONet, PNet, RNet

Arrays = Sequence[NDArray[np.float32]]


def load_networks() -> tuple[PNet, RNet, ONet]:
    """The three networks on the CPU, ready for inference.

    Raises:
        MissingWeights, WeightsDamaged: see ``features.weights.read``.
    """
    p, r, o = (joblib.load(io.BytesIO(data)) for data in weights.read("mtcnn"))
    pnet, rnet, onet = PNet(), RNet(), ONet()
    _fill(pnet, p, convolutions=3, dense="", heads=("boxes", "logits"))
    _fill(rnet, r, convolutions=3, dense="dense4", heads=("boxes", "logits"))
    _fill(onet, o, convolutions=4, dense="dense5", heads=("boxes", "points", "logits"))
    for net in (pnet, rnet, onet):
        net.eval().requires_grad_(False)
    return pnet, rnet, onet


def _fill(
    net: nn.Module, arrays: Arrays, *, convolutions: int, dense: str, heads: tuple[str, ...]
) -> None:
    """Give a network its numbers; ``heads`` names the last layers in the file's order."""
    rest = iter(arrays)
    state: dict[str, Tensor] = {}
    for i in range(1, convolutions + 1):
        kernel, bias, slopes = next(rest), next(rest), next(rest)
        state[f"conv{i}.weight"] = _tensor(kernel.transpose(3, 2, 0, 1))
        state[f"conv{i}.bias"] = _tensor(bias)
        state[f"prelu{i}.weight"] = _tensor(slopes.reshape(-1))
    if dense:
        matrix, bias, slopes = next(rest), next(rest), next(rest)
        # a dense layer over the whole 3 x 3 map is a convolution; as one, every crop's numbers
        # are independent of its place in the batch, which a matrix product does not promise
        columns = matrix.reshape(3, 3, -1, matrix.shape[1])
        state[f"{dense}.weight"] = _tensor(columns.transpose(3, 2, 1, 0))
        state[f"{dense}.bias"] = _tensor(bias)
        state[f"{dense.replace('dense', 'prelu')}.weight"] = _tensor(slopes)
    state["heads.weight"], state["heads.bias"] = _heads(rest, heads)
    net.load_state_dict(state)


def _heads(rest: Iterator[NDArray[np.float32]], names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """All last layers as one 1 x 1 convolution, in the order that ``nets`` names."""
    found = {}
    for name in names:
        matrix, bias = next(rest), next(rest)
        found[name] = (matrix.reshape(-1, matrix.shape[-1]).T[:, :, None, None], bias)
    order = [name for name in ("logits", "boxes", "points") if name in found]
    return (
        _tensor(np.concatenate([found[name][0] for name in order])),
        _tensor(np.concatenate([found[name][1] for name in order])),
    )


def _tensor(array: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32, order="C"))
