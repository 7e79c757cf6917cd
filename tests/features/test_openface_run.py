"""Running OpenFace as a program, by a stand-in that replays real output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import features
from features.errors import FeatureError
from features.openface import errors
from features.openface.backend import backend
from features.openface.binary import too_few_processors
from features.openface.process import WATCHDOG, run_watched
from features.openface.settings import DEFAULT_IMAGE, PREFIX, read_settings
from features.openface.workdir import work_folder
from features.stopping import Stopped, may_stop
from tests.containers.replay import A02, Programs
from tests.features.openface_kit import cells, ends

pytestmark = pytest.mark.media


def test_rows_are_those_that_the_program_wrote(programs: Programs, a02: Path) -> None:
    programs.replay(a02, A02)
    rows = features.extract("openface", a02)
    np.testing.assert_array_equal(rows.values, cells(A02)[1])
    assert rows.valid.all()


@pytest.mark.parametrize(
    ("behaviour", "kind", "said"),
    [
        ("hang", errors.TimedOut, r"still running after 2 s.*OPENFACE_SECONDS"),
        ("crash", errors.Crashed, "ended with code 134"),
        ("nothing", errors.NoOutput, r"wrote no CSV.*re-encode"),
        ("truncated", errors.BadCsv, r"cut off|stops in the middle"),
        ("fewer 40", errors.RowsMismatch, "39 rows, the timeline 72 frames"),
    ],
)
def test_a_misbehaviour_is_an_error_that_says_what_to_do(
    behaviour: str,
    kind: type[FeatureError],
    said: str,
    programs: Programs,
    a02: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"{PREFIX}SECONDS", "2")
    monkeypatch.setenv(f"{PREFIX}FACTOR", "0")
    programs.replay(a02, A02, behaviour=behaviour)
    with pytest.raises(kind, match=said) as caught:
        features.extract("openface", a02)
    if kind in (errors.TimedOut, errors.Crashed, errors.NoOutput):
        assert "FeatureExtraction reads" in caught.value.log


@pytest.mark.parametrize(("behaviour", "valid"), [("separator", 72), ("fewer 72", 71)])
def test_what_can_be_made_up_for_is_published(
    behaviour: str, valid: int, programs: Programs, a02: Path
) -> None:
    programs.replay(a02, A02, behaviour=behaviour)
    rows = features.extract("openface", a02)
    assert (rows.rows, rows.valid.sum()) == (72, valid)
    np.testing.assert_array_equal(rows.values[:valid], cells(A02)[1][:valid])


def test_faces_are_those_of_the_same_run(programs: Programs, a02: Path) -> None:
    programs.replay(a02, A02, faces=72)
    rows = features.extract("openface_face_112", a02)
    assert (rows.rows, rows.values.shape[1:], rows.valid.all()) == (72, (112, 112, 3), True)
    np.testing.assert_array_equal(rows.values[:, 50, 50], [(200, 100, i) for i in range(72)])


def test_without_faces_there_is_an_error_for_those_who_want_them(
    programs: Programs, a02: Path
) -> None:
    programs.replay(a02, A02)
    with pytest.raises(errors.BadFaces, match="wrote no aligned faces"):
        features.extract("openface_face_112", a02)


def test_the_program_has_one_thread_and_the_programs_own_model(
    programs: Programs, a02: Path
) -> None:
    programs.replay(a02, A02)
    (programs.folder / "probe").write_text("exit 9")
    with pytest.raises(errors.Crashed) as caught:
        features.extract("openface", a02)
    assert "with 1 thread" in caught.value.log


def test_a_run_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Whatever ends that process: SIGKILL can't be caught."""
    pid = tmp_path / "pid"
    script = f"""
from features.openface.process import WATCHDOG, run_watched
words = ["sh", "-c", "sleep 100 & echo $! > {pid}; wait"]
run_watched(["/bin/sh", "-c", WATCHDOG, "sh", *words], 100)
"""
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 30
    while not (pid.exists() and pid.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    running = int(pid.read_text())
    assert Path(f"/proc/{running}").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert ends(running)


def test_a_run_that_is_asked_to_stop_ends_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def asked() -> None:
        if pid.exists() and pid.read_text().strip():
            raise Stopped

    words = ["sh", "-c", f"echo $$ > {pid}; sleep 100"]
    with may_stop(asked), pytest.raises(Stopped):
        run_watched(["/bin/sh", "-c", WATCHDOG, "sh", *words], 100)
    assert ends(int(pid.read_text()))


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("a, \"b' $(c) d.mp4", "a___b____c__d.mp4"),
        ("-of.x.MTS", "of_x.MTS"),
        ("ü.mp4", "_.mp4"),
        ("-.mp4", "clip.mp4"),
        ("n" * 240 + ".mkv", "n" * 100 + ".mkv"),
    ],
)
def test_the_program_sees_a_name_that_means_nothing(
    programs: Programs, a02: Path, tmp_path: Path, name: str, seen: str
) -> None:
    media = tmp_path / name
    media.write_bytes(a02.read_bytes())
    programs.replay(media, A02)
    (programs.folder / "probe").write_text('echo "it is $(basename "$media"), $name"; exit 9')
    with pytest.raises(errors.Crashed) as caught:
        features.extract("openface", media)
    assert f"it is {seen}, {seen.rsplit('.', 1)[0]}\n" in caught.value.log


def test_a_killed_runs_folder_goes_at_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = f"""
import os, tempfile
tempfile.tempdir = {str(tmp_path)!r}
from features.openface.workdir import work_folder
with work_folder() as folder:
    (folder / "left").touch()
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    (left,) = tmp_path.iterdir()
    with work_folder() as held:
        assert left.exists(), "it might be one that is just being made"
        for folder in (left, held.parent):
            os.utime(folder, (0, 0))
        with work_folder():
            assert held.exists()
            assert not left.exists()
    assert list(tmp_path.iterdir()) == []


def test_one_processor_is_too_few() -> None:
    assert "two or more" in (too_few_processors(1) or "")
    assert too_few_processors(2) is None


def test_the_end_of_a_log_is_kept() -> None:
    done = run_watched(["/bin/sh", "-c", "seq 100000; exit 3"], 20)
    assert (done.code, done.stopped) == (3, "")
    assert done.log.endswith("99999\n100000\n")
    assert len(done.log) == 8192


def test_the_key_follows_the_program(programs: Programs) -> None:
    before = backend().key()
    with programs.binary.open("a") as file:
        file.write("# another build\n")
    assert backend().key() != before
    assert before.startswith("binary ")


def test_a_binary_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}BINARY", "/nowhere/FeatureExtraction")
    assert "is no program" in (backend().unavailable() or "")


def test_without_settings_it_is_dockers_image_by_digest() -> None:
    found = read_settings({})
    assert (found.backend, found.image) == ("docker", DEFAULT_IMAGE)
    assert backend(found).key() == "image " + DEFAULT_IMAGE.split("@")[1]


@pytest.mark.parametrize(
    ("name", "value"), [("BACKEND", "podman"), ("SECONDS", "soon"), ("FACTOR", "-1")]
)
def test_a_setting_that_cannot_be_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{PREFIX}{name}={value}"):
        read_settings({PREFIX + name: value})


def test_no_engine_is_told_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix:///tmp/no-{os.getpid()}")
    told = backend(read_settings({})).unavailable() or ""
    assert told.startswith("no container engine and no binary; get ")
    assert told.endswith("or use facemesh_714")


def test_apptainer_gets_the_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, a02: Path
) -> None:
    """Its command line is run by a stand-in for apptainer that records it."""
    commands, sif = tmp_path / "commands", tmp_path / "openface.sif"
    commands.mkdir()
    (commands / "apptainer").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/words\n')
    (commands / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setenv(f"{PREFIX}SIF", str(sif))
    assert "isn't there; build it" in (backend().unavailable() or "")
    sif.write_bytes(b"image")
    assert backend().unavailable() is None
    with pytest.raises(errors.NoOutput):
        features.extract("openface", a02)
    words = (tmp_path / "words").read_text().splitlines()
    assert words[0] == "exec"
    assert {"--containall", "--cleanenv", "none"} <= set(words)
    assert f"type=bind,src={a02.resolve()},dst=/input/{A02}.mp4,ro" in words
    assert words[words.index("-f") + 1] == f"/input/{A02}.mp4"


def test_an_unknown_model_is_refused() -> None:
    from features.openface.single import OpenFace

    with pytest.raises(ValueError, match="model"):
        OpenFace.Params(model="best")
