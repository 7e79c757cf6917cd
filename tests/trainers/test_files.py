"""Files of a run are whole, or not there."""

from __future__ import annotations

import ast
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from flows.recipe import write_predictions
from trainers.errors import CantWrite, CheckpointDamaged, RunMismatch
from trainers.files import alone, held_tensors, publish, publish_tensors, sweep
from trainers.recipe import Predictions

ROOT = Path(__file__).resolve().parents[2]
#: dies when the file's bytes are written and not yet under their name
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from trainers.files import publish_tensors
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
publish_tensors(Path(sys.argv[1]), {"w": torch.ones(1000, 100)})
"""


def test_a_kill_leaves_the_old_weights(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    publish_tensors(path, {"w": torch.zeros(2)})
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    assert held_tensors(path)["w"].tolist() == [0, 0]
    publish_tensors(path, {"w": torch.ones(2)})
    assert held_tensors(path)["w"].tolist() == [1, 1]


def test_any_layout_is_written(tmp_path: Path) -> None:
    image = torch.arange(24.0).reshape(1, 2, 3, 4)
    last = image.to(memory_format=torch.channels_last).requires_grad_()
    publish_tensors(tmp_path / "net.safetensors", {"w": last, "t": image.mT})
    held = held_tensors(tmp_path / "net.safetensors")
    assert torch.equal(held["w"], image)
    assert torch.equal(held["t"], image.mT)


def test_half_a_file_is_damaged_and_the_remedy_told(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    publish_tensors(path, {"w": torch.ones(100)})
    os.truncate(path, 60)
    with pytest.raises(CheckpointDamaged, match=r"net\.safetensors is damaged.*train again"):
        held_tensors(path)


def test_trainers_write_tensors_in_this_way_only() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "trainers").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr == "save_file")
        or (isinstance(node, ast.alias) and node.name == "save_file")
    ]
    assert not wrong


FULL = """
import resource, sys
from pathlib import Path
from trainers.errors import CantWrite
from trainers.files import publish
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, 1 << 14))
try:
    publish(Path(sys.argv[1]), bytes(1 << 20))
except CantWrite as error:
    sys.exit(str(error))
"""


def test_a_full_disk_is_told_with_the_path_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "epoch-0001.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert f"{path} can't be written" in done.stderr
    assert "free space" in done.stderr
    assert not list(tmp_path.iterdir())


def test_one_process_trains_in_a_folder(tmp_path: Path) -> None:
    with alone(tmp_path):
        with pytest.raises(RunMismatch, match=r"another process trains in .*--to"), alone(tmp_path):
            pytest.fail("two are in it")
        (tmp_path / "own").mkdir()
        with alone(tmp_path / "own"):
            pass
    with alone(tmp_path):
        pass
    with pytest.raises(CantWrite, match=r"gone/\.lock can't be written"), alone(tmp_path / "gone"):
        pass


def test_a_file_that_breaks_off_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("old")

    def rows() -> Iterator[tuple[object, ...]]:
        yield ("one", 0.5)
        raise OSError(errno.ENOSPC, "No space left on device")

    found = Predictions(("clip", "arousal"), rows())  # type: ignore[arg-type]
    with pytest.raises(CantWrite, match=r"p\.csv can't be written \(No space left"):
        write_predictions(found, path)
    assert [p.name for p in tmp_path.iterdir()] == ["p.csv"]
    assert path.read_text() == "old"


def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder / "w.safetensors")], check=False, cwd=ROOT
    )
    assert done.returncode == -signal.SIGKILL
    assert len(list(folder.iterdir())) == 1
    mine = folder / f".x.json.{os.getpid()}"
    mine.write_text("being written")
    (folder / ".hidden.2024").write_text("somebody's own")
    sweep(tmp_path)
    assert sorted(p.name for p in folder.iterdir()) == sorted([".hidden.2024", mine.name])


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CantWrite, match=r"gone/x\.json can't be written \(No such file"):
        publish(tmp_path / "gone" / "x.json", "{}")
