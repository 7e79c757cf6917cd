"""Folders import one another in one direction only (docs/adr/0004)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("features", "storage", "corpora", "trainers", "flows")
#: folder -> modules of other folders that it may import, by prefix. Those of features are plain
#: definitions that both sides share: types, hashing, the pixels of a lossy codec, hints in errors
ALLOWED = {
    "features": (),
    "storage": ("features.spec", "features.canonical", "features.jpeg", "features.spelling"),
    "trainers": ("storage", "features.nets", "features.spelling"),
}
#: of features.nets, what belongs to extractors
EXTRACTORS_OWN = ("features.nets.filling", "features.nets.runner")


def imported(path: Path) -> set[str]:
    """Full names of our modules that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in OURS}


def under(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == p or name.startswith(f"{p}.") for p in prefixes)


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    allowed = (folder, *ALLOWED[folder])
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in imported(path)
        if not under(name, allowed) or (folder == "trainers" and under(name, EXTRACTORS_OWN))
    }
    assert len(files) > 10
    assert not wrong


def test_networks_know_nothing_of_extractors() -> None:
    files = sorted((ROOT / "features" / "nets").glob("*.py"))
    own = {f"features.nets.{path.stem}" for path in files} & set(EXTRACTORS_OWN)
    assert own == set(EXTRACTORS_OWN)
    wrong = {
        f"{path.name}: {name}"
        for path in files
        if f"features.nets.{path.stem}" not in own
        for name in imported(path)
        if not under(name, ("features.nets",)) or under(name, EXTRACTORS_OWN)
    }
    assert not wrong
