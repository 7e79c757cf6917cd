"""JPEG as crops may be kept: quality 95, colours at full resolution (4:4:4), one file per image.

A JPEG file gives other pixels than were put in, and those again other ones. Here the pixels are
sent through until they come back as they went in, mostly 5 to 9 times, at most a little further
from the first ones than after one time. An extractor publishes these; the store may write them,
move them and write them anew, and readers, hashes and later runs see the same pixels for ever.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

QUALITY = 95
#: a JPEG file's unit: blocks don't depend on each other where colours have full resolution
BLOCK = 8
#: times an image is sent through; pictures need up to 17, noise up to 24
ROUNDS = 64


def encode(image: NDArray[np.uint8]) -> bytes:
    """A JPEG file of uint8 RGB ``(height, width, 3)``."""
    # the store knows the codec's name and seldom its images
    import cv2

    options = (
        *(cv2.IMWRITE_JPEG_QUALITY, QUALITY),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    )
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)
    if not done:
        raise ValueError(f"an image of shape {image.shape} can't be written as JPEG")
    return data.tobytes()


def decode(data: bytes) -> NDArray[np.uint8]:
    """uint8 RGB ``(height, width, 3)`` of a JPEG file; bytes after its end don't matter.

    Raises:
        ValueError: it is none.
    """
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise ValueError("it is no JPEG file that can be read")
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8, copy=False)


def settled(image: NDArray[np.uint8], rounds: int = ROUNDS) -> NDArray[np.uint8]:
    """The pixels that a JPEG file of ``image`` settles at: ``decode(encode(p))`` is ``p``.

    Args:
        image: uint8 RGB; height and width are whole blocks of 8, since cut ones don't settle.
        rounds: times it is sent through. Blocks that change even then become plain grey, which
            JPEG keeps: none in real pictures, one in some 10,000 of black and white noise.
    """
    height, width, _ = image.shape
    if height % BLOCK or width % BLOCK:
        raise ValueError(f"an image of shape {image.shape} isn't of whole blocks of {BLOCK} pixels")
    now = before = decode(encode(image))
    for _ in range(rounds):
        before, now = now, decode(encode(now))
        if np.array_equal(before, now):
            return now
    restless = (now != before).any(2)
    for y in range(0, height, BLOCK):
        for x in range(0, width, BLOCK):
            block = np.s_[y : y + BLOCK, x : x + BLOCK]
            if restless[block].any():
                now[block] = np.rint(now[block].mean())
    return now
