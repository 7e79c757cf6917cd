"""Aff-Wild2 in small: its folders and files, filled with made clips whose labels can be seen."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from corpora.demo import make_demo
from corpora.demo.face import pictures
from corpora.demo.script import CLIPS_PER_SUBJECT, FPS, Script, script
from corpora.demo.voice import opening

EXPRESSIONS = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"
UNITS = "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25"
FOLDERS = {"train": "Training_Set", "val": "Validation_Set", "test": "Test_Set"}


def make_affwild2(root: Path, clips: int = 3, seconds: float = 0.5, *, pair: bool = True) -> Path:
    """Videos in batches, a text file per task, split and subject, some frames unlabelled.

    Two clips are of one subject; the last third of the subjects, at least one, is for validation.
    ``demo_1`` has one row of labels more than frames. With ``pair``, ``pair_left`` and
    ``pair_right`` are two people of one video, with expressions alone.
    """
    subjects = -(-clips // CLIPS_PER_SUBJECT)
    held = subjects - max(1, subjects // 3)
    made = make_demo(root / "made", clips=clips, seconds=seconds)
    for number in range(clips):
        one = script(number, clips, seconds, 0)
        batch = root / "videos" / f"batch{1 + number % 2}"
        batch.mkdir(parents=True, exist_ok=True)
        shutil.move(made / f"{one.clip}.mp4", batch)
        split = "val" if number // CLIPS_PER_SUBJECT >= held else "train"
        write_labels(root / "annotations", one.clip, one, split, extra=number == 0)
    if pair:
        two = [script(number, 4, seconds, 7) for number in (0, 2)]
        _write_pair(root / "videos" / "batch1" / "pair.mp4", two)
        for one, side in zip(two, ("left", "right"), strict=True):
            write_labels(root / "annotations", f"pair_{side}", one, "train", tasks=("EXPR",))
    shutil.rmtree(made)
    return root


def write_labels(
    folder: Path,
    name: str,
    one: Script,
    split: str,
    *,
    tasks: Sequence[str] = ("VA", "EXPR", "AU"),
    extra: bool = False,
) -> None:
    """The text files of one subject; every eleventh frame is unlabelled."""
    valence, arousal = one.valence(one.times), one.arousal(one.times)
    jaw = opening(one, one.times)
    classes = expressions(valence, arousal)
    units = np.zeros((len(valence), 8), np.int64)
    units[:, 0] = units[:, 1] = arousal > 0.2
    units[:, 2], units[:, 4], units[:, 5] = valence < -0.2, valence > 0.2, valence < -0.4
    units[:, 7] = jaw > 0.4
    unknown = np.arange(len(valence)) % 11 == 10
    rows: dict[str, tuple[str, list[str]]] = {
        "VA": (
            "valence,arousal",
            [
                "-5,-5" if u else f"{v:.3f},{a:.3f}"
                for u, v, a in zip(unknown, valence, arousal, strict=True)
            ],
        ),
        "EXPR": (
            EXPRESSIONS,
            ["-1" if u else str(c) for u, c in zip(np.roll(unknown, 3), classes, strict=True)],
        ),
        "AU": (
            UNITS,
            [
                ",".join("-1" if u else str(x) for x in row)
                for u, row in zip(np.roll(unknown, 5), units, strict=True)
            ],
        ),
    }
    for task in tasks:
        header, lines = rows[task]
        path = folder / f"{task}_Set" / FOLDERS[split] / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *lines, *lines[-1:] * extra]) + "\n")


def expressions(valence: NDArray[np.float64], arousal: NDArray[np.float64]) -> NDArray[np.int64]:
    """Neutral near zero, then happy, sad, angry or surprised, by the quadrant."""
    quadrant = np.where(valence > 0, 4, np.where(arousal > 0, 1, 5))
    return np.where(np.hypot(valence, arousal) < 0.3, 0, quadrant)


def _write_pair(path: Path, two: Sequence[Script]) -> None:
    """Two people side by side, without sound."""
    frames: Iterable[tuple[NDArray[np.uint8], ...]] = zip(*map(pictures, two), strict=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=int(FPS))
        stream.width, stream.height, stream.pix_fmt = 640, 240, "yuv420p"
        for both in frames:
            frame = av.VideoFrame.from_ndarray(np.hstack(both), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
