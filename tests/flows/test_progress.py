"""What a person sees while a run goes on: within a long clip, at Ctrl-C, and during upkeep."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from corpora.adapters import load
from flows.cli.counting import counting
from flows.cli.data import ingest
from flows.cli.progress import Lines
from flows.ingest import ingest_manifest
from flows.process import stopping
from flows.request import Request
from flows.run import extract_plain
from flows.runners import LocalRunner
from flows.summary import Progress, Summary
from storage import FeatureStore
from tests.features.made_clips import make_clip

pytestmark = pytest.mark.usefixtures("chain")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("counting", "progress"):
        monkeypatch.setattr(f"flows.cli.{module}.LINE_EVERY", 0.0)


def test_the_count_moves_within_a_long_clip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(tmp_path / "media.mp4", sound=False, seconds=12)
    store = FeatureStore.create(tmp_path / "s")
    ingest_manifest(store, load("folder", str(tmp_path), "c"))
    assert extract_plain(Request(store.root, "light"), Lines()).complete
    said = capsys.readouterr().err
    left = [float(s) for s in re.findall(r"0/1 clips, .* real time, ([\d.]+) s left", said)]
    assert len(left) >= 2, said
    assert said.count("1/1 clips") == 1


def test_a_first_ctrl_c_says_what_a_second_does(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary("run")
    with LocalRunner() as on, stopping(on, summary, Lines()):
        os.kill(os.getpid(), signal.SIGINT)
        assert summary.interrupted
        said = capsys.readouterr().err
        assert said == "stopping after this batch of frames; Ctrl-C again stops at once\n"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with LocalRunner() as on, stopping(on, Summary("run"), Progress()):
        os.kill(os.getpid(), signal.SIGINT)
    assert capsys.readouterr().err == ""


def test_upkeep_tells_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("verify", "results") as tell:
        tell(1000, 2000)
    assert capsys.readouterr().err == "verify: 1,000/2,000 results\n"
    with counting("verify", "results", quiet=True) as tell:
        tell(1000, 2000)
    assert capsys.readouterr().err == ""


def test_a_long_ingest_tells_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(3):
        (tmp_path / f"{i}.mp4").write_bytes(b"")
    ingest(str(tmp_path), str(tmp_path / "s"), "c")
    assert "ingest: 1/3 files\ningest: 2/3 files\ningest: 3/3 files\n" in capsys.readouterr().err
