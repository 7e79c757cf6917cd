"""Where weights lie, whether they are there, and that they are the right ones.

Nothing is downloaded. Weights come with an installed package, or the user adds them to the
weights folder: ``$AFFECTSTORE_WEIGHTS``, or else the platform's data folder for affectstore.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path

from features.canonical import H
from features.errors import MissingWeights, WeightsDamaged
from features.weights.lookup import entry
from features.weights.receipts import Receipt, read_receipt
from features.weights.spec import TENSORS, Weights

if TYPE_CHECKING:
    from torch import Tensor

#: environment variable that names the user's weights folder
FOLDER_VARIABLE = "AFFECTSTORE_WEIGHTS"

#: stands in keys for weights that aren't there and whose sha256 isn't known in advance
ABSENT = "absent"


def folder() -> Path:
    """The user's weights folder; it need not exist."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen) if chosen else user_data_path("affectstore", appauthor=False) / "weights"


def receipt(name: str) -> Receipt | None:
    """The receipt of weights that the user added; None if none were.

    Raises:
        WeightsDamaged: it can't be read.
    """
    weights = entry(name)
    return None if weights.package is not None else read_receipt(folder() / weights.name)


def _sound_receipt(name: str) -> Receipt | None:
    try:
        return receipt(name)
    except WeightsDamaged:
        return None


def sha256(name: str) -> str:
    """The digest that stands for these weights in keys.

    Of what is known in advance, if anything is, whether it is there or not; else of what the user
    added (the tensors, not their layout in a file); else, or if that is damaged, ``ABSENT``.
    """
    weights = entry(name)
    if len(weights.sha256s) == 1:
        return weights.sha256s[0]
    if weights.sha256s:
        return H("weights", *weights.sha256s)
    added = _sound_receipt(name)
    return added.sha256 if added else ABSENT


def is_present(name: str) -> bool:
    """All files of these weights are there (their contents are checked on use).

    Weights whose receipt is damaged aren't; only who asks for them by ``resolve`` gets an error.
    """
    weights = entry(name)
    paths = _paths(weights)
    known = bool(weights.sha256s) or _sound_receipt(name) is not None
    return known and bool(paths) and all(path.is_file() for path in paths)


def resolve(name: str) -> tuple[Path, ...]:
    """The paths of the files, in the entry's order; their contents are checked by ``read``.

    Raises:
        MissingWeights: a file isn't there; the message says how to get it.
        WeightsDamaged: the receipt can't be read.
    """
    weights = entry(name)
    paths = _paths(weights)
    if not weights.sha256s:
        receipt(name)
    if not is_present(name):
        lost = [path for path in paths if not path.is_file()]
        what = str(lost[0] if lost else paths[0]) if paths else f"the package {weights.package}"
        state = (
            "was not put there by affectstore weights add" if paths and not lost else "is not there"
        )
        raise MissingWeights(f"weights {name}: {what} {state}; {remedy_of(weights)}")
    return paths


def remedy_of(weights: Weights) -> str:
    """What a person does to get them."""
    if weights.remedy:
        return weights.remedy
    return f"get {weights.source}; then: affectstore weights add {weights.name} FILE"


def read(name: str) -> tuple[bytes, ...]:
    """The contents of the files, in the entry's order, each proved by its sha256.

    What is returned is what was hashed: a file that changes meanwhile changes nothing, so that a
    format which runs code on loading (pickle) can be given these bytes.

    Raises:
        MissingWeights: a file isn't there.
        WeightsDamaged: a file isn't the one whose sha256 is known or was recorded.
    """
    weights = entry(name)
    contents = []
    for path, known in zip(resolve(name), _known(weights), strict=True):
        data = path.read_bytes()
        _prove(weights, path, hashlib.sha256(data).hexdigest(), known)
        contents.append(data)
    return tuple(contents)


def tensors(name: str) -> dict[str, Tensor]:
    """The tensors of converted weights, by the names of their network, on the CPU.

    Raises:
        MissingWeights, WeightsDamaged: see ``read``.
    """
    from safetensors.torch import load_file

    # the format can't run code, so that the file may be mapped instead of held twice
    return load_file(proved(name))


def proved(name: str) -> Path:
    """The safetensors file of converted weights, after its bytes were compared with the sha256.

    Raises:
        MissingWeights, WeightsDamaged: see ``read``.
    """
    weights = entry(name)
    if weights.files != (TENSORS,):
        raise ValueError(f"weights {name} are files, not tensors; use read")
    ((path, known),) = zip(resolve(name), _known(weights), strict=True)
    _prove(weights, path, sha256_of(path), known)
    return path


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _prove(weights: Weights, path: Path, found: str, known: str) -> None:
    if found != known:
        raise WeightsDamaged(
            f"weights {weights.name}: {path} has sha256 {found[:16]}…, "
            f"{known[:16]}… is needed; get it again: {remedy_of(weights)}"
        )


def _known(weights: Weights) -> tuple[str, ...]:
    """The sha256 of each file: known in advance, or recorded when they were added."""
    if weights.sha256s:
        return weights.sha256s
    added = receipt(weights.name)
    recorded = added.files if added else {}
    missing = [file for file in weights.files if file not in recorded]
    if missing:
        raise WeightsDamaged(
            f"weights {weights.name}: nothing is recorded of {missing[0]}; {remedy_of(weights)}"
        )
    return tuple(recorded[file] for file in weights.files)


def _paths(weights: Weights) -> tuple[Path, ...]:
    """Where the files lie if they are there; none if their package isn't installed."""
    if weights.package is None:
        return tuple(folder() / weights.name / file for file in weights.files)
    # find_spec looks a top-level package up without importing it: mtcnn would pull TensorFlow in
    spec = importlib.util.find_spec(weights.package)
    if spec is None or not spec.submodule_search_locations:
        return ()
    return tuple(Path(spec.submodule_search_locations[0]) / file for file in weights.files)
