"""The package dlib: which version is installed, under either of its names."""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version

MISSING = "the package dlib-bin isn't installed; pip install affectstore[dlib]"


def dlib_version() -> str:
    """Of the installed package, which may be a compiled ``dlib``; ``absent`` if there is none."""
    for name in ("dlib-bin", "dlib"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "absent"


def is_missing() -> bool:
    """dlib isn't installed."""
    return importlib.util.find_spec("dlib") is None
