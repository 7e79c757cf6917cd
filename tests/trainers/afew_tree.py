"""AFEW's true layout, of made clips: .avi by split and emotion, provided faces beside them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import av
import cv2

from corpora.demo import TABLE, make_demo
from tests.features.made_clips import ffmpeg

#: the demo's emotions as AFEW's folders
FOLDERS = {"happy": "Happy", "sad": "Sad", "angry": "Angry", "calm": "Neutral"}
#: where a demo picture has its one face: top, left, side
FACE = (75, 100, 120)


def afew_tree(
    root: Path,
    splits: Sequence[str],
    seconds: float,
    *,
    unlabelled: str = "Test",
    faces: bool = True,
) -> Path:
    """A clip per entry of ``splits`` (Train, Val, Test), two after the other of one subject.

    Clips of ``unlabelled`` lie in no emotion's folder.
    """
    made = make_demo(root / "made", clips=len(splits), seconds=seconds)
    with (made / TABLE).open() as file:
        given = list(csv.DictReader(file))
    for number, (row, split) in enumerate(zip(given, splits, strict=True)):
        name = f"{number:09d}"
        folder = root / "AFEW" / split
        if split != unlabelled:
            folder = folder / FOLDERS[row["emotion"]]
        folder.mkdir(parents=True, exist_ok=True)
        clip = folder / f"{name}.avi"
        codecs = ("-r", "25", "-c:v", "mpeg4", "-q:v", "3", "-c:a", "pcm_s16le")
        ffmpeg("-i", str(made / row["path"]), *codecs, str(clip))
        if faces:
            _provided(clip, root / "AFEW" / f"{split}_AFEW_Faces" / name)
    return root / "AFEW"


def _provided(clip: Path, folder: Path) -> None:
    """A JPEG of the face per frame, numbered from 1; the third one is missing."""
    folder.mkdir(parents=True)
    top, left, side = FACE
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0), 1):
            face = frame.to_ndarray(format="bgr24")[top : top + side, left : left + side]
            if number != 3:
                small = cv2.resize(face, (128, 128), interpolation=cv2.INTER_AREA)
                cv2.imwrite(str(folder / f"{name_of(clip)}-{number:03d}.jpg"), small)


def name_of(clip: Path) -> str:
    """The clip's own name."""
    return clip.stem
