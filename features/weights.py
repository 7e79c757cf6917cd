"""The weights registry: which weights there are, where they lie, and that they are the right ones.

Nothing is downloaded. Weights come with an installed package, or the user puts their files into
the weights folder: ``$AFFECTSTORE_WEIGHTS``, or else the platform's data folder for affectstore.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from platformdirs import user_data_path

from features.canonical import H
from features.errors import MissingWeights, RequestError, WeightsDamaged

#: environment variable that names the user's weights folder
FOLDER_VARIABLE = "AFFECTSTORE_WEIGHTS"


@dataclass(frozen=True)
class Weights:
    """One entry of the registry.

    Attributes:
        name: the name that extractors declare.
        files: paths relative to the package's folder, or to ``<weights folder>/<name>``.
        sha256s: hex digest of each file, in the same order; they are part of extractor keys.
        source: where the files come from, for a person.
        licence: its usual short name.
        commercial: the licence allows commercial use.
        purpose: one line on what they are for.
        package: the import name of the installed package that ships them; None: the user's own.
        remedy: what to do where they are missing.
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

    def __post_init__(self) -> None:
        if not self.files or len(self.files) != len(self.sha256s):
            raise ValueError(f"weights {self.name}: every file needs one sha256")


_ENTRIES = (
    Weights(
        name="mtcnn",
        files=tuple(f"assets/weights/{net}.lz4" for net in ("pnet", "rnet", "onet")),
        # of the files in the wheel mtcnn-1.0.0-py3-none-any
        sha256s=(
            "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
            "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
            "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
        ),
        source="PyPI package mtcnn 1.0.0 (github.com/ipazc/mtcnn); numbers of Zhang et al. 2016",
        licence="MIT",
        commercial=True,
        purpose="face boxes and five points (extractor faces)",
        package="mtcnn",
        remedy="pip install mtcnn==1.0.0",
    ),
)


@cache
def registry() -> Mapping[str, Weights]:
    """Name -> entry, of all weights that are known."""
    return {weights.name: weights for weights in _ENTRIES}


def entry(name: str) -> Weights:
    """The entry of that name.

    Raises:
        RequestError: there is none.
    """
    known = registry()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise RequestError(f"no weights are named {name!r}{hint}; known: {', '.join(known)}")
    return known[name]


def sha256(name: str) -> str:
    """The digest that stands for these weights in keys: of what is known, not of what is there."""
    weights = entry(name)
    if len(weights.sha256s) == 1:
        return weights.sha256s[0]
    return H("weights", *weights.sha256s)


def folder() -> Path:
    """The user's weights folder; it need not exist."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen) if chosen else user_data_path("affectstore", appauthor=False) / "weights"


def is_present(name: str) -> bool:
    """All files of these weights are there (their contents are checked on use)."""
    paths = _paths(entry(name))
    return bool(paths) and all(path.is_file() for path in paths)


def resolve(name: str) -> tuple[Path, ...]:
    """The paths of the files, in the entry's order; their contents are checked by ``read``.

    Raises:
        MissingWeights: a file isn't there; the message says how to get it.
    """
    reason = lack(name)
    if reason:
        raise MissingWeights(reason)
    return _paths(entry(name))


def lack(name: str) -> str:
    """Which file of these weights isn't there, and how to get it; "" if all are."""
    weights = entry(name)
    paths = _paths(weights)
    missing = [path for path in paths if not path.is_file()]
    if paths and not missing:
        return ""
    what = missing[0] if missing else f"the package {weights.package}"
    remedy = weights.remedy or f"get them from {weights.source} and put them in {folder()}"
    return f"weights {name}: {what} is not there; {remedy}"


def read(name: str) -> tuple[bytes, ...]:
    """The contents of the files, in the entry's order, each proved by its sha256.

    What is returned is what was hashed: a file that changes meanwhile changes nothing, so that a
    format which runs code on loading (pickle) can be given these bytes.

    Raises:
        MissingWeights: a file isn't there.
        WeightsDamaged: a file isn't the one whose sha256 is known.
    """
    weights = entry(name)
    contents = []
    for path, known in zip(resolve(name), weights.sha256s, strict=True):
        data = path.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != known:
            remedy = weights.remedy or f"get it again from {weights.source}"
            raise WeightsDamaged(
                f"weights {name}: {path} has sha256 {found[:16]}…, "
                f"{known[:16]}… is needed; {remedy}"
            )
        contents.append(data)
    return tuple(contents)


def _paths(weights: Weights) -> tuple[Path, ...]:
    """Where the files lie if they are there; none if their package isn't installed."""
    if weights.package is None:
        return tuple(folder() / weights.name / file for file in weights.files)
    # find_spec looks a top-level package up without importing it: mtcnn would pull TensorFlow in
    spec = importlib.util.find_spec(weights.package)
    if spec is None or not spec.submodule_search_locations:
        return ()
    return tuple(Path(spec.submodule_search_locations[0]) / file for file in weights.files)
