"""From a user's file to tensors, without running anything that the file holds."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.errors import RequestError, WeightsDamaged
from features.weights.container import SAFETENSORS, kind_of
from features.weights.expnet import convert_expnet, read_mean_image
from features.weights.spec import Structure, Weights
from features.weights.tf_checkpoint import read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

Arrays = dict[str, NDArray[np.float32]]

#: keys under which training scripts keep a network's tensors beside other things
NESTED = ("state_dict", "model_state_dict", "model")
#: what DataParallel puts before every name
WRAPPER = "module"
#: numbers of numpy's that stand beside tensors, such as the best score so far
NUMPY_TYPES = ("f2", "f4", "f8", "i4", "i8", "?")


def convert(weights: Weights, paths: Sequence[Path]) -> Arrays:
    """The tensors that the entry's network needs, by its names, float32.

    Raises:
        RequestError: the files aren't what the entry needs.
        WeightsDamaged: a file can't be read, or its tensors don't fit the network.
    """
    if len(paths) != 1:
        raise RequestError(f"weights {weights.name} are made of one file, {len(paths)} were given")
    if weights.converter == "expnet":
        arrays = convert_expnet(paths)
    elif weights.converter == "tf_checkpoint":
        arrays = read_floats(paths[0])
    elif weights.converter == "mean_image":
        arrays = {"mean_image": read_mean_image(paths[0])}
    else:
        arrays = _renamed(read_state_dict(paths[0]), weights.structure)
    if not arrays:
        raise RequestError(f"{paths[0]} holds no tensors")
    if weights.structure is None:
        return finite(arrays, str(paths[0]))
    return finite(fitted(arrays, weights.structure, str(paths[0])), str(paths[0]))


def read_state_dict(path: Path) -> Arrays:
    """The tensors of a file of torch's or of safetensors, by their names in it.

    Raises:
        RequestError: the file holds more than tensors; loading it could run code.
        WeightsDamaged: it can't be read.
    """
    import torch
    from safetensors.torch import load_file

    kind = kind_of(path)
    try:
        if kind == SAFETENSORS:
            loaded: object = load_file(path)
        else:
            with warnings.catch_warnings(), torch.serialization.safe_globals(_numbers()):
                # what torch says of old files is about loading them with code in them
                warnings.simplefilter("ignore")
                loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # behind the first sentence torch tells how to load it all the same
        found = re.search(r"WeightsUnpickler error: (.+?)(?:\. |\.?$)", str(error), re.MULTILINE)
        raise RequestError(
            f"{path} isn't a file of tensors alone, and loading it could run code, so it isn't "
            f"loaded{f' ({found[1].strip()})' if found else ''}; give the network's state_dict"
        ) from error
    except Exception as error:  # a damaged file makes the readers raise nearly anything
        said = (str(error) or type(error).__name__).partition(". ")[0]
        raise WeightsDamaged(f"{path} can't be read as weights: {said}; get it again") from error
    tensors = _tensors_in(loaded, path)
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    if not floats:
        kinds = ", ".join(sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values()}))
        raise RequestError(f"{path} holds no tensors of floating point, only {kinds}")
    # half precision has no numpy type for bf16: by way of float32
    return {name: t.detach().to_dense().float().numpy() for name, t in floats.items()}


def _numbers() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What of numpy's pickles may hold beside tensors: plain numbers, which run no code."""
    from numpy._core.multiarray import scalar

    kinds = [type(np.dtype(kind)) for kind in NUMPY_TYPES]
    # under both of the names that numpy gave it
    return [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *kinds]


def _tensors_in(loaded: object, path: Path) -> dict[str, Tensor]:
    """The named tensors, at the top or where training scripts put them.

    Raises:
        RequestError: there are none, or in several places.
    """
    import torch

    while isinstance(loaded, Mapping):
        found = {
            str(name): tensor
            for name, tensor in loaded.items()
            if isinstance(tensor, torch.Tensor) and not str(name).endswith("num_batches_tracked")
        }
        deeper = [key for key in NESTED if isinstance(loaded.get(key), Mapping)]
        if not deeper and not found:
            # under another name, if only one can be meant
            others = [key for key, value in loaded.items() if _holds_tensors(value)]
            deeper = others if len(others) == 1 else []
        if not deeper:
            if found:
                return found
            keys = ", ".join(map(str, list(loaded)[:6])) or "none"
            raise RequestError(
                f"{path} holds no named tensors at its top; its keys are {keys}: save the "
                "network's state_dict alone"
            )
        loaded = loaded[deeper[0]]
    raise RequestError(f"{path} holds a {type(loaded).__name__}, not named tensors (a state_dict)")


def _holds_tensors(value: object) -> bool:
    import torch

    return isinstance(value, Mapping) and any(isinstance(t, torch.Tensor) for t in value.values())


def read_floats(path: Path) -> Arrays:
    """The floating-point tensors of a TensorFlow checkpoint, by their names in it.

    Raises:
        RequestError: it isn't the .index file of one.
        WeightsDamaged: it can't be read.
    """
    if not path.name.endswith(".index"):
        raise RequestError(f"{path}: give the .index file of the checkpoint")
    found = read_checkpoint(path)
    return {n: np.asarray(a, np.float32) for n, a in found.items() if a.dtype.kind == "f"}


def expected(structure: Structure) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor that the network needs."""
    import importlib

    import torch

    module, _, name = structure.network.partition(":")
    with torch.device("meta"):
        net = getattr(importlib.import_module(module), name)()
    return {
        key: tuple(tensor.shape)
        for key, tensor in net.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


def fitted(arrays: Mapping[str, NDArray[np.float32]], structure: Structure, what: str) -> Arrays:
    """The arrays, if they are exactly those of the network.

    Raises:
        WeightsDamaged: otherwise, with what is missing, unknown or of another shape.
    """
    shapes = expected(structure)
    missing = [name for name in shapes if name not in arrays]
    unknown = [name for name in arrays if name not in shapes]
    if missing or unknown:
        raise WeightsDamaged(
            f"{what} doesn't fit {structure.network}: {_some('missing', missing)}"
            f"{'; ' if missing and unknown else ''}{_some('unknown', unknown)}"
        )
    made: Arrays = {}
    for name, shape in shapes.items():
        array = arrays[name]
        # one public file keeps vectors as 1 x n
        if array.shape != shape and array.shape.count(1) and array.squeeze().shape == shape:
            array = array.squeeze()
        if array.shape != shape:
            raise WeightsDamaged(
                f"{what} doesn't fit {structure.network}: {name} has shape {array.shape}, "
                f"{shape} is needed"
            )
        made[name] = array
    return made


def finite(arrays: Mapping[str, NDArray[np.float32]], what: str) -> Arrays:
    """The arrays in C order, float32.

    Raises:
        WeightsDamaged: a number isn't finite.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise WeightsDamaged(f"{what}: {name} holds numbers that aren't finite; get it again")
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def _renamed(arrays: Arrays, structure: Structure | None) -> Arrays:
    """By the network's names, less what it doesn't need."""
    drop = structure.drop if structure else ()
    rename = structure.rename if structure else ()
    own = {name.partition(".")[0] for name in expected(structure)} if structure else None
    arrays = _unwrapped(arrays, own)
    renamed = {}
    for name, array in arrays.items():
        for pattern, replacement in rename:
            name = re.sub(pattern, replacement, name)
        if not name.startswith(drop):
            renamed[name] = array
    return renamed


def _unwrapped(arrays: Arrays, own: set[str] | None) -> Arrays:
    """Without what wrappers put before every name: ``module.``, ``model.``, ``_orig_mod.``, ….

    Args:
        own: with what the network's own names begin; None: unknown.
    """
    firsts = {name.partition(".")[0] for name in arrays}
    whole = any("." not in name for name in arrays)
    if len(firsts) != 1 or whole or (firsts & own if own else firsts != {WRAPPER}):
        return arrays
    inner = {name.partition(".")[2]: array for name, array in arrays.items()}
    return _unwrapped(inner, own)


def _some(word: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:3])
    return f"{len(names)} {word} ({shown}{', …' if len(names) > 3 else ''})"
