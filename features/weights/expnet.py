"""From ExpNet's released files to the tensors of ``features.nets.expnet``.

The authors' checkpoint (TensorFlow 1) has ``exprCNN/<layer>/weights`` for convolutions, height x
width x in x out, and ``exprCNN/bn…/{scale,offset,mean,variance}`` for normalisations; the mean
image lies beside it as a numpy array (3, 224, 224), BGR.
"""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.errors import RequestError, WeightsDamaged
from features.weights.tf_checkpoint import read_checkpoint

Arrays = dict[str, NDArray[np.float32]]

SCOPE = "exprCNN/"
MEAN = "3DMM_expr_mean.npy"
#: the checkpoint's names of a normalisation's tensors -> torch's
NORMALISATION = {
    "scale": "weight",
    "offset": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}


def convert_expnet(paths: Sequence[Path]) -> Arrays:
    """Tensors by the network's names, from the .tar.gz, its folder, or the .index file.

    Raises:
        RequestError: there is no checkpoint, or no mean image beside it.
        WeightsDamaged: the checkpoint can't be read.
    """
    with _folder(paths[0]) as (folder, index):
        found = read_checkpoint(index, SCOPE)
        means = sorted(folder.rglob(MEAN))
        if not means:
            raise RequestError(
                f"{MEAN} isn't beside {index.name}; it belongs to Expression_Model, and the "
                "network needs it: give the whole folder or the .tar.gz"
            )
        mean = read_mean_image(means[0])
    # a checkpoint kept for training has an optimiser's numbers one level deeper
    own = {name.removeprefix(SCOPE): value for name, value in found.items()}
    tensors = dict(_renamed(name, own[name]) for name in own if name.count("/") == 1)
    return {"mean_image": mean, **tensors}


def read_mean_image(path: Path) -> NDArray[np.float32]:
    """A mean image (3, 224, 224) from a .npy file.

    Raises:
        WeightsDamaged: it is none.
    """
    try:
        # without pickles: a .npy file may hold objects whose loading runs code
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            loaded.close()
            raise ValueError("an archive of arrays; give the .npy file in it")
        return np.asarray(loaded, np.float32)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise WeightsDamaged(f"{path} is no numpy array of numbers ({error})") from error


def _renamed(name: str, value: NDArray[np.generic]) -> tuple[str, NDArray[np.float32]]:
    """``bn3b1_branch2a/scale`` -> ``blocks.res3b1.branch2a.bn.weight``, and torch's axes."""
    layer, _, part = name.rpartition("/")
    array = np.asarray(value, np.float32)
    if layer == "exprCNN_fc1":
        return f"coefficients.{'weight' if part == 'weights' else 'bias'}", array.T
    normalises = layer.startswith("bn")
    if layer in ("conv1", "bn_conv1"):
        place = "conv1"
    else:
        block, _, branch = layer.removeprefix("bn").removeprefix("res").partition("_")
        place = f"blocks.res{block}.{branch}"
    if normalises:
        return f"{place}.bn.{NORMALISATION.get(part, part)}", array
    return f"{place}.conv.weight", array.transpose(3, 2, 0, 1) if array.ndim == 4 else array


@contextmanager
def _folder(path: Path) -> Iterator[tuple[Path, Path]]:
    """The folder with the released files, unpacked if need be, and the .index file in it."""
    if path.is_file() and path.name.endswith(".index"):
        yield path.parent, path
        return
    if path.is_dir():
        yield path, _index(path)
        return
    with tempfile.TemporaryDirectory() as made:
        try:
            with tarfile.open(path) as archive:
                # the data filter refuses members that would leave the folder
                archive.extractall(made, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise RequestError(
                f"{path} is no .tar.gz, folder or .index file of ExpNet; "
                "affectstore weights show expnet says what to get"
            ) from error
        try:
            yield Path(made), _index(Path(made))
        except (RequestError, WeightsDamaged) as error:
            # what was unpacked is gone by the time that the message is read
            said = str(error).replace(f"{made}/", f"{path}: ").replace(made, str(path))
            raise type(error)(said) from error


def _index(folder: Path) -> Path:
    # an archive made on a Mac has ._ files beside the real ones
    found = [p for p in sorted(folder.rglob("*.index")) if not p.name.startswith("._")]
    if len(found) != 1:
        raise RequestError(
            f"{len(found)} .index files in {folder}; one checkpoint is needed: give its .index file"
        )
    return found[0]
