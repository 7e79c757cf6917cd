"""Pixels that a JPEG file gives back as they were put in."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from features.jpeg import decode, encode, settled
from tests.features.small_nets import made_crops

#: sha256 of made crops, settled, in two shapes; libjpeg-turbo 3.1 of opencv-python-headless 4.14
GOLDEN = {
    (112, 96): "85b40938ff435c0d6eba6e9642f2e83a153ff63d3886aa2fdc66adb9079f3591",
    (224, 224): "53c7c16c5bb8ca96dbc33797dbfc6fba78f938f6b9c1efc8cf3fc120b78156d8",
}


@pytest.mark.parametrize("shape", GOLDEN)
def test_settled_pixels_come_back_and_are_near_the_first_ones(shape: tuple[int, int]) -> None:
    first = made_crops(1, *shape).values[0]
    pixels = settled(first)
    assert np.array_equal(decode(encode(pixels)), pixels)
    once = decode(encode(first))
    far = [np.abs(found.astype(int) - first).mean() for found in (once, pixels)]
    assert far[1] < 1.1 * far[0]
    found = hashlib.sha256(pixels.tobytes()).hexdigest()
    assert found == GOLDEN[shape], "raise the version of every extractor of crops"


def test_black_stays_black() -> None:
    black = np.zeros((24, 16, 3), np.uint8)
    assert np.array_equal(settled(black), black)


def test_blocks_that_dont_settle_become_grey_and_others_stay() -> None:
    noise = np.random.default_rng(1).integers(0, 2, (24, 16, 3)).astype(np.uint8) * 255
    noise[:8, :8] = 7
    pixels = settled(noise, rounds=1)
    assert np.array_equal(decode(encode(pixels)), pixels)
    assert (pixels[:8, :8] == 7).all()
    assert (pixels[8:16, :8] == pixels[8, 0, 0]).all()
    assert settled(noise).std() > 100


def test_cut_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="whole blocks of 8"):
        settled(np.zeros((227, 227, 3), np.uint8))


def test_bytes_after_a_file_change_nothing() -> None:
    image = made_crops(1, 16, 16).values[0]
    assert np.array_equal(decode(encode(image) + bytes(99)), decode(encode(image)))


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_what_is_no_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no JPEG file"):
        decode(data)
