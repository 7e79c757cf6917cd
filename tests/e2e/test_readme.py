"""The README is true: every command and every line of Python in it runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks() -> list[str]:
    """The indented code blocks, in order."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", README, re.MULTILINE)
    return ["\n".join(line[4:] for line in b.splitlines()) for b in found]


def lines(start: str) -> list[str]:
    """All command lines that start so, without their comments."""
    return [
        line.split("#")[0].strip()
        for block in blocks()
        for line in block.splitlines()
        if line.startswith(start)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's affectstore commands were typed, one after the other."""
    here = tmp_path_factory.mktemp("readme")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    commands = lines("affectstore")
    assert len(commands) >= 6
    for command in commands:
        done = subprocess.run(
            command,
            shell=True,
            cwd=here,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return here


def test_the_commands_leave_a_published_store_a_picture_and_a_trained_network(
    folder: Path,
) -> None:
    (results,) = folder.glob("runs/*/results.json")
    assert json.loads(results.read_text())["metrics"]["ccc_arousal"] > 0.6
    assert (folder / "demo_1.png").stat().st_size > 50_000
    assert (folder / "my-store" / "catalogue").is_dir()


def test_the_python_in_it_runs(folder: Path) -> None:
    code = next(b for b in blocks() if "import FeatureStore" in b)
    code += "\nassert rows.values.shape[1] == 168 and crops.shape[1:] == (112, 112, 3)\n"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=100)


def test_make_knows_the_targets_that_it_names() -> None:
    for command in lines("make"):
        done = subprocess.run(
            [*command.split(), "-n"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    assert [t for t in targets if not (ROOT / t).exists()] == []


def test_it_stays_one_screen() -> None:
    assert len(README.splitlines()) <= 70
