"""``affectstore weights add``: verify a user's files, convert them, store them with a receipt."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.canonical import H
from features.errors import RequestError, WeightsDamaged
from features.weights.convert import convert
from features.weights.files import FOLDER_VARIABLE, folder, remedy_of, sha256_of
from features.weights.lookup import entry
from features.weights.receipts import RECEIPT, Receipt
from features.weights.spec import TENSORS, Weights

#: converters of what may be given as a folder
FOLDERS = ("keep", "expnet")


def add(name: str, paths: Sequence[Path], *, unknown: bool = False) -> Receipt:
    """Take a user's files in under a registry name; what was there before is replaced.

    Args:
        unknown: take files whose sha256 isn't the known one, such as weights trained anew.

    Raises:
        RequestError: they come with a package, or the files aren't what the entry needs.
        WeightsDamaged: a file isn't the known one, can't be read, or doesn't fit the network.
    """
    weights = entry(name)
    if weights.package is not None:
        raise RequestError(f"weights {name} come with a package: {weights.remedy}")
    lost = [path for path in paths if not path.exists()]
    if lost or not paths:
        raise RequestError(f"{lost[0] if lost else 'no file'} isn't there; {remedy_of(weights)}")
    if weights.converter not in FOLDERS and (folders := [path for path in paths if path.is_dir()]):
        raise RequestError(f"{folders[0]} is a folder; weights {weights.name} are made of one file")
    try:
        originals = {file.name: sha256_of(file) for path in paths for file in _files(path)}
    except OSError as error:
        raise RequestError(f"{error.filename} can't be read: {error.strerror}") from None
    proved = _proved(weights, originals, unknown)
    if weights.converter == "keep":
        contents = _kept(weights, paths)
        digest = H("weights", *(hashlib.sha256(data).hexdigest() for data in contents.values()))
        verified = "sha256" if proved else "nothing"
    else:
        from safetensors.numpy import save

        arrays = convert(weights, paths)
        contents = {TENSORS: save(dict(arrays))}
        digest = sha256_of_tensors(arrays)
        verified = "sha256" if proved else "structure" if weights.structure else "nothing"
    receipt = Receipt.model_validate(
        {
            "name": name,
            "sha256": digest,
            "files": {file: hashlib.sha256(data).hexdigest() for file, data in contents.items()},
            "originals": originals,
            "verified": verified,
            "added": datetime.now(UTC).isoformat(timespec="seconds"),
            "licence": weights.licence,
        }
    )
    try:
        _store(folder() / name, contents, receipt)
    except OSError as error:
        raise RequestError(
            f"weights can't be kept in {folder()}: {error.strerror or error}; name another folder "
            f"by the environment variable {FOLDER_VARIABLE}"
        ) from error
    return receipt


def sha256_of_tensors(arrays: Mapping[str, NDArray[np.float32]]) -> str:
    """sha256 of names, types, shapes and values: the same however a file lays them out."""
    state = hashlib.sha256(b"affectstore tensors 1\n")
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<"))
        state.update(f"{name}\n{array.dtype.str}\n{array.shape}\n".encode())
        state.update(array.reshape(-1).view(np.uint8).data)
    return state.hexdigest()


def _files(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _proved(weights: Weights, originals: Mapping[str, str], unknown: bool) -> bool:
    """The files are those whose sha256 is known; False where none is known.

    Raises:
        WeightsDamaged: one is known, and it is another.
    """
    known = weights.originals or weights.sha256s
    if not known:
        return False
    others = [name for name, found in originals.items() if not found.startswith(known)]
    if not others:
        return True
    if unknown and not weights.sha256s:
        return False
    extra = "" if weights.sha256s else "; --unknown takes any file that fits the network"
    raise WeightsDamaged(
        f"weights {weights.name}: {others[0]} has sha256 {originals[others[0]][:16]}…, known is "
        f"{' or '.join(k[:16] + '…' for k in known)}; get it again: {remedy_of(weights)}{extra}"
    )


def _kept(weights: Weights, paths: Sequence[Path]) -> dict[str, bytes]:
    """The files as they are, under the entry's names: by name, or the one file for the one name."""
    given = {file.name: file for path in paths for file in _files(path)}
    if len(weights.files) == 1 and len(given) == 1:
        return {weights.files[0]: next(iter(given.values())).read_bytes()}
    lost = [file for file in weights.files if Path(file).name not in given]
    if lost:
        raise RequestError(f"weights {weights.name} need {', '.join(lost)} too; give all files")
    return {file: given[Path(file).name].read_bytes() for file in weights.files}


def _store(place: Path, contents: Mapping[str, bytes], receipt: Receipt) -> None:
    """Put all files and the receipt in place: a reader finds whole ones, for a moment none."""
    mark = uuid.uuid4().hex
    fresh, old = place.with_name(f".{place.name}-{mark}"), place.with_name(f".old-{mark}")
    fresh.mkdir(parents=True)
    try:
        for file, data in contents.items():
            (fresh / file).parent.mkdir(parents=True, exist_ok=True)
            (fresh / file).write_bytes(data)
        (fresh / RECEIPT).write_text(receipt.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if place.exists():
            place.rename(old)
        fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
