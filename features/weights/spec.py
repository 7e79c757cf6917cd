"""What one entry of the weights registry says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

#: how a user's file becomes what is stored: kept as it is, or read tensor by tensor
Converter = Literal["keep", "state_dict", "tf_checkpoint", "expnet", "mean_image"]

#: names of entries: they are folders' names, too
NAME = re.compile("[a-z][a-z0-9_-]*")

#: the file that converted tensors are stored in
TENSORS = "weights.safetensors"


@dataclass(frozen=True)
class Structure:
    """The tensors that a network needs; a user's file has to have exactly these.

    Attributes:
        network: ``module:Class``; its names and shapes are those of the tensors.
        drop: tensors whose name starts with one of these aren't needed and not stored.
        rename: (pattern, replacement) of ``re.sub``, for files with other names for the same.
    """

    network: str
    drop: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Weights:
    """One entry of the registry.

    Attributes:
        name: the name that extractors declare.
        files: paths relative to the package's folder, or to ``<weights folder>/<name>``.
        sha256s: hex digest of each file, in the same order, where known in advance; they are part
            of extractor keys. Empty: the digest of what the user added stands in keys.
        source: where the files come from, for a person.
        licence: its usual short name.
        commercial: the licence allows commercial use.
        purpose: one line on what they are for.
        package: the import name of the installed package that ships them; None: the user's own.
        remedy: what to do where they are missing.
        converter: how ``affectstore weights add`` makes ``files`` of what the user has.
        structure: the network that converted tensors have to fit; None: any names and shapes.
        originals: sha256, or its first hex digits, of the public files that ``add`` takes.
        note: what else a person should know, such as the terms of the training images.
    """

    name: str
    files: tuple[str, ...]
    sha256s: tuple[str, ...]
    source: str
    licence: str
    commercial: bool
    purpose: str
    package: str | None = None
    remedy: str = ""
    converter: Converter = "keep"
    structure: Structure | None = None
    originals: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"weights can't be named {self.name!r}; use a-z, 0-9, - and _")
        paths = [PurePosixPath(file) for file in self.files]
        if any(path.is_absolute() or ".." in path.parts for path in paths):
            raise ValueError(f"weights {self.name}: files lie in its own folder")
        if not self.files or len(self.sha256s) not in (0, len(self.files)):
            raise ValueError(f"weights {self.name}: every file needs one sha256, or none has one")
        if self.package is not None and not self.sha256s:
            raise ValueError(f"weights {self.name}: a package's files need a sha256 each")
        if (self.converter == "keep") == (self.files == (TENSORS,)):
            raise ValueError(f"weights {self.name}: converted weights are one file, {TENSORS}")
