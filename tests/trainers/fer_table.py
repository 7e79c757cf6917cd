"""FER-2013's CSV of made faces: other subjects than those of made clips, one picture each."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from corpora.demo.face import pictures
from corpora.demo.script import CLIPS_PER_SUBJECT, script
from corpora.fer2013 import OWN, SIDE
from tests.trainers.afew_tree import FACE, FOLDERS

#: of the random numbers of subjects, unlike that of any other made clips
SEED = 2013
#: seconds of the clip that a picture is taken from
SECONDS = 3.0
#: pixels by which the face's square is moved and its side changed at most
JITTER = 8


def fer_table(path: Path, images: Mapping[str, int]) -> Path:
    """Grey faces of 48 x 48 px, so many for each Usage, every one of a subject of its own."""
    rng = np.random.default_rng(SEED)
    number = 0
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("emotion", "pixels", "Usage"))
        for usage, count in images.items():
            for _ in range(count):
                clip = script(number, number + 1, SECONDS, SEED)
                moment = replace(clip, times=rng.uniform(0, SECONDS, 1))
                (picture,) = pictures(moment)
                top, left, side = np.array(FACE) + rng.integers(-JITTER, JITTER + 1, 3)
                face = cv2.cvtColor(
                    picture[top : top + side, left : left + side], cv2.COLOR_RGB2GRAY
                )
                grey = cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                word = FOLDERS[clip.emotion].lower()
                writer.writerow((OWN.index(word), " ".join(map(str, grey.ravel())), usage))
                # the next subject, whose emotion is another one
                number += CLIPS_PER_SUBJECT + 1
    return path
