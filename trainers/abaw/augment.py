"""Other pictures of the same clip: mirrored, and in other colours (Kuhnke et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trainers.abaw.samples import Seen

#: hues that OpenCV's 8-bit pictures have
HUES = 180

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Augmentation:
    """How far pictures are changed; the defaults are the authors'.

    Attributes:
        flip: share of clips that are mirrored, mask and all; a mask's greys stay as they are.
        hue, saturation, value: largest shift of a clip, in OpenCV's 8-bit units.
    """

    flip: float = 0.5
    hue: float = 10.0
    saturation: float = 25.0
    value: float = 20.0


def augmented(seen: Seen, how: Augmentation, rng: np.random.Generator) -> Seen:
    """Each clip mirrored or not, and its colours shifted, all its frames alike.

    Black frames are shifted too, as in the authors' code. The pictures are changed in place.
    """
    if seen.faces is None:
        return seen
    faces, masks = seen.faces, seen.masks
    flips = rng.random(len(faces)) < how.flip
    most = np.array([how.hue, how.saturation, how.value])
    # whole units, towards 0, as the authors round them
    shifts = np.trunc(rng.uniform(-most, most, (len(faces), 3))).astype(np.int64)
    faces[flips] = faces[flips, :, :, ::-1]
    if masks is not None:
        masks[flips] = masks[flips, :, :, ::-1]
    for clip, shift in zip(faces, shifts, strict=True):
        if shift.any():
            clip[:] = shifted(clip, shift)
    return Seen(faces, masks, seen.maps)


def shifted(pictures: Bytes, shift: NDArray[np.int64]) -> Bytes:
    """Pictures ``(n, h, w, 3)`` RGB with hue, saturation and value moved; hue goes round."""
    every = np.arange(256)
    hue = (every + shift[0]) % HUES
    table = np.stack([hue, every + shift[1], every + shift[2]], 1).clip(0, 255).astype(np.uint8)
    tall = pictures.reshape(-1, pictures.shape[2], 3)
    moved = cv2.LUT(cv2.cvtColor(tall, cv2.COLOR_RGB2HSV), table[None])
    out = cv2.cvtColor(moved, cv2.COLOR_HSV2RGB)
    return np.asarray(out, np.uint8).reshape(pictures.shape)
