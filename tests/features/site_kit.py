"""Packages of other people, as pip leaves them: a module and its dist-info in a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import features.registry
import features.weights.lookup

#: an extractor of video whose rows are zeros; NAME, OUTPUT and MORE are put in
EXTRACTOR = """
from typing import ClassVar
import numpy as np
from features.extractor import Batch, Params, extractor
from features.spec import FeatureSpec, Rows

@extractor(name={name!r}, version=1, reads="video"{more})
class Zeros:
    "Zeros."
    class Params(Params):
        "None."
    outputs: ClassVar = (FeatureSpec({output!r}, rate="frame", dims=(), dtype="float32"),)
    def __init__(self, params):
        pass
    def setup(self, device):
        pass
    def extract(self, batch):
        return Rows(np.zeros(len(batch.times), np.float32), np.ones(len(batch.times), bool))
"""


def zeros(name: str, output: str | None = None, more: str = "") -> str:
    """Source of an extractor of that name."""
    return EXTRACTOR.format(name=name, output=output or name, more=more)


class Site:
    """A folder of packages on sys.path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, package: str, source: str, **points: str) -> None:
        """Put a package there: group (with _ for .) -> ``name = object``, of its module."""
        module = package.replace("-", "_")
        (self.folder / f"{module}.py").write_text(source)
        info = self.folder / f"{module}-2.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.1\n")
        lines = []
        for group, point in points.items():
            name, _, value = point.partition(" = ")
            lines.append(f"[affectstore.{group}]\n{name} = {module}:{value}\n")
        (info / "entry_points.txt").write_text("\n".join(lines))


def forget_packages() -> None:
    """The next look at the registries finds what is installed now."""
    features.registry._found.cache_clear()
    features.weights.lookup._found.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder of packages; what is put there is found once ``forget_packages`` ran."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    forget_packages()
    known = set(sys.modules)
    yield Site(folder)
    monkeypatch.undo()
    for module in sys.modules.keys() - known:
        if getattr(sys.modules[module], "__file__", None) == str(folder / f"{module}.py"):
            del sys.modules[module]
    forget_packages()
