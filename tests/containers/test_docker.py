"""OpenFace in a real container engine; in the container a stand-in replays real output."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import features
from features.openface import errors
from features.openface.backend import backend
from features.openface.docker import refused
from features.openface.settings import PREFIX
from flows.backoff import transient_codes
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore
from tests.containers.conftest import Engine, TestImage
from tests.containers.daemon import daemon
from tests.containers.replay import A02, variant
from tests.features.openface_kit import CLIPS, cells
from tests.flows.openface_kit import extracted, failures, new_store
from tests.real_clips import COMMAND

pytestmark = [pytest.mark.container, pytest.mark.media]


def file_of(media: Path, name: str) -> Path:
    return next(p for p in media.rglob(f"{name}.*") if p.suffix in (".mp4", ".mov", ".flv"))


def test_six_real_clips_give_the_real_rows(
    image: TestImage, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [image.programs.replay(file_of(media, n), n, faces=CLIPS[n]) for n in CLIPS]
    image.build(monkeypatch)
    store, began = new_store(tmp_path, files), time.time()
    assert extracted(store, "openface,openface_face_112").complete
    assert image.engine.created(began) == 1, "the clips share a container"
    for name, count in CLIPS.items():
        rows, (header, expected) = store.read(name, "openface"), cells(name)
        np.testing.assert_array_equal(rows.values.view(np.uint32), expected.view(np.uint32))
        success = expected[:, header.index("success")] == 1
        sure = expected[:, header.index("confidence")] >= np.float32(0.8)
        np.testing.assert_array_equal(rows.valid, success & sure)
        faces = store.read(name, "openface_face_112")
        assert (faces.rows, rows.rows) == (count, count)
        np.testing.assert_array_equal(faces.valid, rows.valid)
        expected_blue = np.where(rows.valid, np.arange(count) % 256, 0)
        np.testing.assert_array_equal(faces.values[:, 0, 0, 2], expected_blue)
    assert not store.read("a04_no_face", "openface").valid.any()
    assert image.engine.containers() == []


MISBEHAVIOURS = {
    "crash": r"openface_crashed: crash.mp4: FeatureExtraction ended with code 134",
    "nothing": r"openface_no_output: nothing.mp4: .*wrote no CSV.*re-encode the video",
    "truncated": r"openface_csv: truncated.csv: .*(cut off|stops in the middle)",
    "memory": r"openface_killed: memory.mp4: .*memory limit of 100m; raise .*MEMORY",
    "fewer": r"openface_rows: fewer.mp4: OpenFace has 39 rows, the timeline 72 frames",
    "fill": r"openface_space: fill.mp4: .*wrote more than 66 MiB",
    "hang": r"openface_timeout: hang.mp4: .*still running after 6 s.*raise .*SECONDS",
}


def test_each_misbehaviour_is_in_quarantine_and_the_other_clips_are_published(
    image: TestImage, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}MEMORY", "100m")
    monkeypatch.setenv(f"{PREFIX}SECONDS", "6")
    monkeypatch.setenv(f"{PREFIX}FACTOR", "0")
    monkeypatch.setenv(f"{PREFIX}SPACE", "1")
    source, clips = file_of(media, A02), tmp_path / "clips"
    clips.mkdir()
    files = []
    for behaviour in ("fine", "separator", *MISBEHAVIOURS):
        does = {"fine": "", "fewer": "fewer 40"}.get(behaviour, behaviour)
        file = variant(source, clips / f"{behaviour}.mp4")
        files.append(image.programs.replay(file, A02, behaviour=does))
    image.build(monkeypatch)
    store = new_store(tmp_path, files)
    summary = extracted(store)
    said = failures(summary)
    assert said.keys() == MISBEHAVIOURS.keys()
    for clip, pattern in MISBEHAVIOURS.items():
        assert re.match(pattern, said[clip]), said[clip]
    logs = {f["clip"]: f["log"] for f in store.failures().to_pylist() if f["feature"] == "openface"}
    assert "cv::Exception" in logs["crash"]
    assert "Could not open the video file" in logs["nothing"]
    for clip in ("fine", "separator"):
        np.testing.assert_array_equal(store.read(clip, "openface").values, cells(A02)[1])
    assert image.engine.containers() == []


PROBE = """
echo "capabilities $(grep CapEff /proc/self/status)"
echo "$(grep NoNewPrivs /proc/self/status)"
echo "networks $(ls /sys/class/net | tr '\\n' ' ')"
(echo x > "$media") 2>/dev/null && echo "input is writable"
(echo x > /x) 2>/dev/null && echo "image is writable"
echo "output holds $(ls -A $out/..)"
echo "temporary files: $(ls -A /tmp)"
echo "sleepers: $(grep -ls '[s]leep' /proc/[0-9]*/cmdline)"
echo "input holds $(ls /input)"
echo "pids $(cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null | head -1)"
exit 9
"""


def test_the_container_has_no_network_no_rights_and_nothing_to_write_but_its_folder(
    image: TestImage, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image.programs.folder / "probe").write_text(PROBE)
    image.build(monkeypatch)
    # a name that would break a command line, or docker's list of mount options
    odd = tmp_path / "a, \"b' $(c) d.mp4"
    odd.write_bytes(file_of(media, A02).read_bytes())
    with pytest.raises(errors.Crashed, match="code 9") as caught:
        features.extract("openface", odd)
    said = caught.value.log
    assert "capabilities CapEff:\t0000000000000000" in said
    assert "NoNewPrivs:\t1" in said
    assert "networks lo \n" in said
    assert "is writable" not in said
    assert "input holds a___b____c__d.mp4\n" in said
    assert "pids 256" in said
    assert "with 1 thread" in said


def test_a_clip_leaves_nothing_to_the_next_one_in_its_container(
    image: TestImage, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untidy = "echo x > /tmp/left; echo x > /tmp/.left; sleep 1000 & "
    first = f'case "$sha" in {{}}*) {untidy};; *) {PROBE.rsplit("exit", 1)[0]} exit 9;; esac'
    files = []
    for name in ("a", "b"):
        file = variant(file_of(media, A02), tmp_path / f"{name}.mp4")
        files.append(image.programs.replay(file, A02))
    sha = hashlib.sha256(files[0].read_bytes()).hexdigest()
    (image.programs.folder / "probe").write_text(first.format(sha[:12]))
    image.build(monkeypatch)
    store, began = new_store(tmp_path, files), time.time()
    summary = extracted(store)
    assert failures(summary).keys() == {"b"}
    assert image.engine.created(began) == 1
    (said,) = [f["log"] for f in store.failures().to_pylist() if f["feature"] == "openface"]
    assert "input holds b.mp4\n" in said
    assert "output holds 2\n" in said
    assert "temporary files: \n" in said
    assert "sleepers: \n" in said
    assert image.engine.containers() == []


def test_a_large_file_is_mounted_into_a_container_of_its_own(
    image: TestImage, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.openface.container.LARGE", 1000)
    probe = PROBE.replace("/input", "/input /media")
    (image.programs.folder / "probe").write_text(probe)
    image.build(monkeypatch)
    with pytest.raises(errors.Crashed) as caught:
        features.extract("openface", file_of(media, A02))
    assert re.search(rf"input holds /input:\s+/media:\s+{A02}.mp4\n", caught.value.log)
    assert "is writable" not in caught.value.log
    assert image.engine.containers() == []


def _slow_and_quick(image: TestImage, media: Path, folder: Path) -> FeatureStore:
    """A store of two clips: OpenFace takes a minute for ``a``, no time for ``b``."""
    files = []
    for name, behaviour in (("a", "slow 60"), ("b", "")):
        file = variant(file_of(media, A02), folder / f"{name}.mp4")
        files.append(image.programs.replay(file, A02, behaviour=behaviour))
    return new_store(folder, files)


def test_a_container_that_is_ended_is_told_as_the_engines_doing_and_tried_again(
    image: TestImage, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, engine = _slow_and_quick(image, media, tmp_path), image.engine
    image.build(monkeypatch)

    def end_it() -> None:
        _wait(lambda: any("sleep 60" in engine.docker("top", c) for c in engine.containers()), 200)
        engine.docker("kill", *engine.containers())

    ending = threading.Thread(target=end_it)
    ending.start()
    summary = extracted(store)
    ending.join()
    said = failures(summary)
    assert said.keys() == {"a"}
    assert "openface_no_engine: a.mp4: the container ended before FeatureExtraction" in said["a"]
    assert "openface_no_engine" in transient_codes()
    assert store.read("b", "openface").valid.all()


@pytest.mark.long
def test_an_engine_that_stops_in_the_middle_is_told(
    image: TestImage, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _slow_and_quick(image, media, tmp_path)
    with daemon() as engine:
        replace(image, engine=engine).build(monkeypatch)

        def stop_it() -> None:
            _wait(lambda: bool(engine.docker("ps", "--quiet")), 200)
            engine.process.send_signal(signal.SIGTERM)

        stopping = threading.Thread(target=stop_it)
        stopping.start()
        said = failures(extracted(store))
        stopping.join()
    assert said.keys() == {"a", "b"}
    assert all(text.startswith("openface_no_engine: ") for text in said.values()), said
    assert "Cannot connect to the Docker daemon" in said["b"]


def test_a_user_who_may_not_use_the_engine_is_told(engine: Engine) -> None:
    """The engine's own words, to a user that isn't root."""
    words = ("docker", "image", "inspect", "x")
    engine.socket.parent.chmod(0o755)
    asked = subprocess.run(
        words, env=engine.environment, user=65534, capture_output=True, text=True, check=False
    )
    assert "refuses this user" in refused("x", asked.stderr)
    assert "docker pull x" in refused("x", engine_says(engine, *words))


def engine_says(engine: Engine, *words: str) -> str:
    return subprocess.run(
        words, env=engine.environment, capture_output=True, text=True, check=False
    ).stderr


@pytest.mark.parametrize("shell", [True, False], ids=["shell", "no shell"])
def test_a_killed_extract_leaves_no_container(
    image: TestImage, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: bool
) -> None:
    if not shell:
        image.leave_shell_out()
    engine = image.engine
    source = variant(file_of(media, A02), tmp_path / "hang.mp4")
    image.programs.replay(source, A02, behaviour="hang")
    image.build(monkeypatch)
    store = new_store(tmp_path, [source])
    words = ["extract", "--store", store.root, "--features", "openface", "--no-prefect"]
    process = subprocess.Popen([*COMMAND, *words])
    try:
        _wait(lambda: bool(engine.docker("ps", "--quiet")), 200)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    _wait(lambda: not engine.containers(), 15)
    assert engine.containers() == []


def test_an_image_without_a_shell_has_a_container_per_clip(
    image: TestImage, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for behaviour in ("", "crash", "probe"):
        file = variant(file_of(media, A02), tmp_path / f"{behaviour or 'fine'}.mp4")
        files.append(image.programs.replay(file, A02, behaviour=behaviour))
    (image.programs.folder / "probe").write_text(f'case "$media" in *probe*) {PROBE} ;; esac')
    image.leave_shell_out()
    image.build(monkeypatch)
    store, began = new_store(tmp_path, files), time.time()
    said = failures(extracted(store))
    assert said.keys() == {"crash", "probe"}
    assert "ended with code 134" in said["crash"]
    np.testing.assert_array_equal(store.read("fine", "openface").values, cells(A02)[1])
    assert image.engine.created(began) == 4, "one is the try whether there is a shell"
    assert image.engine.containers() == []
    logs = {f["clip"]: f["log"] for f in store.failures().to_pylist() if f["feature"] == "openface"}
    assert "capabilities CapEff:\t0000000000000000" in logs["probe"]
    assert "networks lo \n" in logs["probe"]
    assert "is writable" not in logs["probe"]
    assert "input holds probe.mp4\n" in logs["probe"]


def test_the_image_is_in_the_key_and_what_it_touches_is_planned_again(
    image: TestImage, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.programs.replay(file_of(media, A02), A02, faces=72)
    first = image.build(monkeypatch)
    assert backend().key() == f"image {first}"
    store = new_store(tmp_path, [file_of(media, A02)])
    request = Request(store.root, "openface,openface_face_112,face_track")
    assert extract_plain(request).complete
    assert plan_request(store, request).tasks == 0
    (image.programs.folder / "another").write_text("build")
    assert image.build(monkeypatch) != first
    made = plan_request(store, request)
    assert made.maybe == 0
    todo = {name: f.reasons for name, f in made.by_feature.items() if f.clips}
    assert set(todo) == {"openface", "openface_face_112"}
    assert all("openface" in reason for reasons in todo.values() for reason in reasons)


def test_an_image_that_is_not_there_is_told_and_never_pulled(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, media: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.environment["DOCKER_HOST"])
    told = backend().unavailable() or ""
    assert "hasn't the image; docker pull algebr/openface@sha256:" in told
    store = new_store(tmp_path, [file_of(media, A02)])
    made = plan_request(FeatureStore.open(store.root), Request(store.root, "all"))
    assert made.skipped["openface"].startswith("the container engine hasn't the image")


def _wait(until: object, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    assert callable(until)
    while not until():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.1)
