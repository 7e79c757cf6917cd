"""What kind of file a user gives as weights, told from its first bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

from features.errors import RequestError, WeightsDamaged

TORCH, SAFETENSORS = "torch", "safetensors"

#: first bytes -> what it is, and what to do
_OTHERS = {
    b"7z\xbc\xaf\x27\x1c": "is a 7-Zip archive; unpack it, and give the file in it",
    b"\x1f\x8b": "is a gzip archive; unpack it, and give the file in it",
    b"Rar!": "is a RAR archive; unpack it, and give the file in it",
    b"\x89HDF": "is an HDF5 file (Keras); the network's torch or safetensors file is needed",
    b"<": "is a web page, not the file that it links to; get it again",
    b"version https://git-lfs": "is a Git LFS pointer; get the file itself (git lfs pull)",
}


def kind_of(path: Path) -> str:
    """``torch`` or ``safetensors``.

    Raises:
        RequestError: it is neither; the message says what it is.
        WeightsDamaged: it is empty.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise RequestError(f"{path} can't be read: {error.strerror}") from None
    if not head:
        raise WeightsDamaged(f"{path} is empty; get it again")
    named = int.from_bytes(head[:8], "little") < path.stat().st_size and head[8:9] == b"{"
    if named or path.suffix == ".safetensors":
        return SAFETENSORS
    for magic, said in _OTHERS.items():
        if head.lstrip().startswith(magic):
            raise RequestError(f"{path} {said}")
    if head.startswith(b"PK"):
        names = _names(path) if zipfile.is_zipfile(path) else []
        if names and not any(name.endswith(".pkl") for name in names):
            raise RequestError(f"{path} is a ZIP archive; unpack it, and give the file in it")
        if any(name.endswith("/constants.pkl") for name in names):
            raise RequestError(f"{path} is TorchScript, a program; give the network's state_dict")
        return TORCH
    if head.startswith(b"\x80"):  # a pickle, as torch wrote before 1.6
        return TORCH
    raise RequestError(f"{path} is no file of torch's or of safetensors; get the network's weights")


def _names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()
