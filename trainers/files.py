"""Files of a run that are whole or not there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from trainers.errors import CantWrite, CheckpointDamaged, RunMismatch

#: held by the process that trains in a folder
LOCK = ".lock"
#: in a safetensors file's metadata: of all tensors, since the format itself checks none
DIGEST = "sha256"


def publish(path: Path, data: bytes | str) -> None:
    """Write aside, then rename: a kill leaves the old file or the new one.

    Raises:
        CantWrite: nothing is left of it.
    """
    with published(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def published(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which has its name once it is whole.

    Raises:
        CantWrite: nothing is left of it.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise


def made_folder(folder: Path) -> Path:
    """The folder, made where it wasn't there.

    Raises:
        CantWrite: it can't be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CantWrite(
            f"{folder} can't be made ({error.strerror}); choose another folder (--to)"
        ) from error
    return folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else trains in the folder meanwhile; a process that ends gives it free.

    On a file system without locks several may.

    Raises:
        RunMismatch: another process does. CantWrite: the folder can't be written to.
    """
    try:
        opened = (folder / LOCK).open("a")
    except OSError as error:
        raise _unwritable(folder / LOCK, error) from error
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunMismatch(
                f"another process trains in {folder}; wait for it (the same command then goes on), "
                "or choose another folder (--to)"
            ) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
        yield


def sweep(folder: Path) -> None:
    """Remove what killed processes had begun to write in a run's folder and those below."""
    for path in folder.rglob(".*"):
        name, _, process = path.name.rpartition(".")
        if name.count(".") > 1 and process.isdigit() and not _alive(int(process)):
            with suppress(OSError):
                path.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def publish_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a safetensors file as ``publish`` does; tensors of any device and layout."""
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    publish(path, save(plain, {DIGEST: _digest(plain)}))


def held_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a run's safetensors file.

    Raises:
        CheckpointDamaged: it can't be read, or isn't what was written.
    """
    try:
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            wanted = (file.metadata() or {}).get(DIGEST)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error
    # files of an earlier version tell none
    if wanted not in (None, _digest(tensors)):
        raise _damaged(path, ValueError("its sha256 differs"))
    return tensors


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(f"{name} {tensors[name].dtype} {[*tensors[name].shape]}".encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def held_facts(path: Path) -> Any:
    """What a run's JSON file holds.

    Raises:
        CheckpointDamaged: it can't be read.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _unwritable(path: Path, error: OSError) -> CantWrite:
    return CantWrite(
        f"{path} can't be written ({error.strerror or error}); free space or choose another folder "
        "(--to); a training goes on after its last whole epoch"
    )


def _damaged(path: Path, error: Exception) -> CheckpointDamaged:
    return CheckpointDamaged(
        f"{path} is damaged ({error}); remove it and train again (the same command): all that is "
        "whole is kept"
    )
