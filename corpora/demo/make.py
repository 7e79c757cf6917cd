"""Making the demo clips: media, labels per frame, and the table that lists them."""

from __future__ import annotations

import csv
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from corpora.demo.face import HEIGHT, WIDTH, pictures
from corpora.demo.script import FPS, Script, script
from corpora.demo.voice import RATE, voice
from corpora.errors import CorpusError, ForeignFolder

#: the table in a demo folder; it is written last, so a folder that has it is whole
TABLE = "demo.csv"
#: its columns
HEADER = ("clip_id", "path", "subject", "split", "arousal", "valence", "emotion")
#: ids of its clips
CLIP = re.compile(r"demo_[0-9]+")
#: follows a clip's id in the name of its labels per frame
LABELS = ".labels.csv"
#: video clock: ticks per second, a multiple of the frame rate
TICKS = 12_800
AUDIO_FRAME = 1024


def make_demo(folder: Path, *, clips: int = 6, seconds: float = 3.0, seed: int = 0) -> Path:
    """Make short clips of one portrait, transformed, and of a made voice; returns the folder.

    Writes ``demo_<n>.mp4`` (320 x 240, H.264 and AAC), ``demo_<n>.labels.csv`` (a row per frame:
    frame, time, arousal, valence) and ``demo.csv``. One clip of six has a variable frame rate,
    one has sound that starts late. On one machine the same arguments give the same bytes. Clips
    of an earlier call are replaced.

    Raises:
        ForeignFolder: the folder holds something that isn't a demo.
        CorpusError: fewer than one clip, or clips shorter than half a second.
    """
    if clips < 1 or not seconds >= 0.5:
        raise CorpusError(
            f"a demo of {clips} clips of {seconds} s can't be made; ask for 1 or more of 0.5 s "
            "or more"
        )
    folder = Path(os.path.abspath(folder))
    if folder.exists() and not is_demo(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ForeignFolder(f"{folder} holds something that is no demo; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        scripts = [script(i, clips, seconds, seed) for i in range(clips)]
        for each in scripts:
            _write_media(made / f"{each.clip}.mp4", each)
            _write_labels(made / f"{each.clip}{LABELS}", each)
        _write_table(made / TABLE, scripts)
        folder.mkdir(exist_ok=True)
        for path in sorted(made.iterdir(), key=lambda p: p.name == TABLE):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def is_demo(folder: Path) -> bool:
    """True if ``make_demo`` wrote this folder to its end: the table has its columns and clips."""
    try:
        with (folder / TABLE).open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return tuple(header) == HEADER and all(r and CLIP.fullmatch(r[0]) for r in rows)


def _write_media(path: Path, clip: Script) -> None:
    """Video and sound, one thread and no dates, so that the bytes are the same every time."""
    flags = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(str(path), "w", format="mp4", options=flags) as container:
        video = container.add_stream("libx264", rate=Fraction(int(FPS)))
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"preset": "veryfast", "crf": "19", "bf": "0", "g": "25"}
        video.codec_context.time_base = Fraction(1, TICKS)
        video.codec_context.thread_count = 1
        video.codec_context.flags |= av.codec.context.Flags.bitexact.value
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        audio.codec_context.bit_rate = 64_000
        audio.codec_context.thread_count = 1
        audio.codec_context.flags |= av.codec.context.Flags.bitexact.value
        for frame in _video_frames(clip):
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for sound in _audio_frames(clip):
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def _video_frames(clip: Script) -> Iterable[av.VideoFrame]:
    ticks = np.round(clip.times * TICKS).astype(np.int64).tolist()
    stop = round(clip.seconds * TICKS)
    for picture, tick, after in zip(pictures(clip), ticks, [*ticks[1:], stop], strict=True):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.duration, frame.time_base = tick, after - tick, Fraction(1, TICKS)
        yield frame


def _audio_frames(clip: Script) -> Iterable[av.AudioFrame]:
    samples = voice(clip)
    start = round(clip.sound_start * RATE)
    for i in range(0, len(samples), AUDIO_FRAME):
        block = samples[None, i : i + AUDIO_FRAME].astype(np.float32) / 32_768
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start + i, Fraction(1, RATE)
        yield frame


def _write_labels(path: Path, clip: Script) -> None:
    arousal, valence = clip.arousal(clip.times), clip.valence(clip.times)
    rows = [
        (i, f"{t:.6f}", f"{a:.6f}", f"{v:.6f}")
        for i, (t, a, v) in enumerate(zip(clip.times, arousal, valence, strict=True))
    ]
    _write_csv(path, ("frame", "time", "arousal", "valence"), rows)


def _write_table(path: Path, scripts: Sequence[Script]) -> None:
    rows = [
        (
            s.clip,
            f"{s.clip}.mp4",
            s.subject,
            s.split,
            f"{s.arousal(s.times).mean():.6f}",
            f"{s.valence(s.times).mean():.6f}",
            s.emotion,
        )
        for s in scripts
    ]
    _write_csv(path, HEADER, rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
