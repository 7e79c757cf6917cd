"""The ffmpeg that decodes: one for each reading, never left running, and what ends it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from features.errors import DecodeFailed, DecoderKilled
from features.media.limits import Limits
from features.media.media import Media
from features.media.video import decoder_starts, set_decoder_starts
from tests.features.made_clips import frames_of, make_clip, times_of


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 frames at 10 fps."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", "-bf", "2", seconds=5.0)


def children() -> set[int]:
    """Processes that this one has started and not reaped."""
    own = os.getpid()
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == own:
            found.add(int(entry.parent.name))
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")


def test_each_reading_starts_one_decoder(clip: Path) -> None:
    set_decoder_starts()
    media = Media(str(clip))
    assert media.probe.video is not None
    assert decoder_starts() == 0
    times_of(media)
    assert decoder_starts() == 1
    next(media.video(4))
    media.audio_s16()
    assert decoder_starts() == 2


@needs_proc
def test_closing_the_iterator_stops_ffmpeg(clip: Path) -> None:
    before = children()
    frames = Media(str(clip)).video(2)
    next(frames)
    assert len(children() - before) == 1
    frames.close()  # type: ignore[attr-defined]
    assert children() == before


@needs_proc
def test_an_iterator_that_is_dropped_stops_ffmpeg(clip: Path) -> None:
    before = children()
    for _ in Media(str(clip)).video(2):
        break
    gc.collect()
    assert children() == before


@needs_proc
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_of_the_consumer_stops_ffmpeg(clip: Path, error: type[BaseException]) -> None:
    before = children()

    def consume() -> None:
        for _ in Media(str(clip)).video(2):
            raise error

    with pytest.raises(error):
        consume()
    gc.collect()
    assert children() == before


def test_no_file_stays_open(clip: Path) -> None:
    folder = Path(f"/proc/{os.getpid()}/fd")
    if not folder.exists():
        pytest.skip("no /proc here")
    list(Media(str(clip)).video(8))
    before = len(list(folder.iterdir()))
    for _ in range(5):
        list(Media(str(clip)).video(8))
        next(Media(str(clip)).video(8))
        Media(str(clip)).audio_s16()
    gc.collect()
    assert len(list(folder.iterdir())) == before


def test_a_slow_consumer_gets_every_frame(tmp_path: Path) -> None:
    # Larger than all pipes together, so that ffmpeg has to wait for us.
    path = make_clip(tmp_path / "large.mp4", picture="testsrc2=size=640x480:rate=20", seconds=2.0)
    count = 0
    for batch in Media(str(path)).video(5):
        time.sleep(0.05)
        count += len(batch.times)
    assert count == 40


def test_several_threads_decode_side_by_side(clip: Path) -> None:
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(len(frames_of(Media(str(clip))).times)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counts == [50] * 4


@needs_proc
@pytest.mark.parametrize(
    ("number", "told"), [(signal.SIGKILL, "signal 9"), (signal.SIGTERM, "exit status 255")]
)
def test_an_ffmpeg_that_is_killed_is_an_error_that_may_be_over_by_itself(
    tmp_path: Path, number: int, told: str
) -> None:
    path = make_clip(tmp_path / "large.mp4", picture="testsrc2=size=640x480:rate=20", seconds=4.0)
    before = children()
    frames = Media(str(path)).video(1)
    next(frames)
    (process,) = children() - before
    os.kill(process, number)
    with pytest.raises(DecoderKilled, match=f"ended from outside .{told}") as caught:
        list(frames)
    assert caught.value.transient
    assert children() == before


@needs_proc
def test_an_ffmpeg_that_hangs_is_stopped(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "large.mp4", picture="testsrc2=size=640x480:rate=20", seconds=4.0)
    before = children()
    frames = Media(str(path), limits=Limits(stall=0.5)).video(1)
    next(frames)
    (process,) = children() - before
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(DecodeFailed, match=r"did nothing for 0\.5 s"):
        list(frames)
    assert children() == before


def test_a_ctrl_c_at_the_terminal_does_not_shorten_a_clip(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "large.mp4", picture="testsrc2=size=320x240:rate=20", seconds=4.0)
    program = (
        "import os, signal, sys\n"
        "from features.media.media import Media\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "count = 0\n"
        "for batch in Media(sys.argv[1]).video(4):\n"
        "    count += len(batch.times)\n"
        "    if count == 8: os.killpg(0, signal.SIGINT)\n"
        "print(count)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        start_new_session=True,
    )
    assert done.stdout.strip() == "80"
