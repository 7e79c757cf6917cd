"""The pictures of a demo clip: one portrait, warped by the labels and seen by a moving camera."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from corpora.demo.script import Script
from corpora.demo.voice import opening

WIDTH, HEIGHT = 320, 240
#: the portrait is enlarged before it is warped, so that little sharpness is lost
SCALE = 2
#: where things are in the 512 x 512 portrait, (x, y) in its pixels, read off the picture
HEAD = (223.0, 108.0)
MOUTH = (223.5, 146.0)
CORNERS = ((203.6, 141.0), (243.6, 141.0))
BROWS = ((201.0, 90.0), (246.0, 92.0))
EYES = ((204.0, 101.5), (247.0, 103.5))
LIPS_BETWEEN = 148.0
#: the part of the portrait that is warped: x0, y0, x1, y1
FACE = (170, 70, 280, 190)

Image = NDArray[np.uint8]
Field = NDArray[np.float32]


def pictures(script: Script) -> Iterator[Image]:
    """The clip's frames, uint8 ``(240, 320, 3)`` RGB, one per entry of ``script.times``.

    Valence widens and lifts the corners of the mouth or pulls them down; arousal raises the
    brows and the pace of the head; the jaw follows the syllables of the voice.
    """
    times = script.times
    look = _Look(script)
    valence, arousal = script.valence(times), script.arousal(times)
    jaw, blink = opening(script, times), _blinks(script)
    for i, t in enumerate(times):
        face = _express(valence[i], arousal[i], jaw[i], blink[i])
        yield look.frame(face, float(t), float(arousal[i]))


class _Look:
    """How one synthetic subject differs from the portrait, and how the camera moves."""

    def __init__(self, script: Script) -> None:
        own, clip = script.subject_random(1), script.random(6)
        self._mirror = bool(own.integers(0, 2))
        self._stretch = own.uniform(0.93, 1.07)
        self._zoom = own.uniform(1.15, 1.5)
        self._gain = own.uniform([0.86, 0.88, 0.82], [1.12, 1.06, 1.1])
        self._gamma = own.uniform(0.85, 1.25)
        self._light = _light(clip.uniform(0.0, 2 * np.pi))
        self._phase = clip.uniform(0.0, 2 * np.pi, 4)
        self._zoom *= clip.uniform(0.95, 1.05)

    def frame(self, portrait: Image, t: float, arousal: float) -> Image:
        """One frame: turned, moved and scaled, then lit."""
        pace = 1.0 + 0.25 * arousal
        sway = np.sin(2 * np.pi * t / np.array([2.9, 3.7, 2.3, 4.1]) + self._phase) * pace
        angle, zoom = np.radians(5.0 * sway[0]), self._zoom * (1 + 0.03 * sway[3])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shape = np.diag([-self._stretch if self._mirror else self._stretch, 1.0])
        linear = turn @ shape * (zoom / SCALE)
        centre = np.array([WIDTH / 2 + 12 * sway[1], HEIGHT / 2 + 6 * sway[2]])
        offset = centre - linear @ (np.array(HEAD) * SCALE)
        seen = cv2.warpAffine(
            portrait,
            np.hstack([linear, offset[:, None]]),
            (WIDTH, HEIGHT),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        lit = (seen.astype(np.float32) / 255) ** np.float32(self._gamma)
        lit *= self._light * self._gain.astype(np.float32)
        return np.clip(lit * 255 + 0.5, 0, 255).astype(np.uint8)


@cache
def _portrait() -> Image:
    """The portrait, enlarged; it lies in scikit-image's package, nothing is downloaded."""
    picture = np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    size = (picture.shape[1] * SCALE, picture.shape[0] * SCALE)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)


@cache
def _grid() -> tuple[Field, Field]:
    """x and y of the warped part's pixels, in the portrait's own pixels."""
    x0, y0, x1, y1 = FACE
    y, x = np.mgrid[y0 : y1 : 1 / SCALE, x0 : x1 : 1 / SCALE].astype(np.float32)
    return x, y


@cache
def _bump(centre: tuple[float, float], wide: float, high: float) -> Field:
    """1 at the centre, falling to 0 over some widths and heights (standard deviations)."""
    x, y = _grid()
    out = np.exp(-(((x - centre[0]) / wide) ** 2 + ((y - centre[1]) / high) ** 2) / 2)
    return np.asarray(out, np.float32)


@cache
def _below() -> Field:
    """0 above the line between the lips, 1 from a little below it on."""
    _, y = _grid()
    return np.clip((y - LIPS_BETWEEN) / 4 + 0.5, 0, 1)


@cache
def _edge() -> Field:
    """1 inside the warped part, falling to 0 at its border, so that no seam is seen."""
    x, y = _grid()
    x0, y0, x1, y1 = FACE
    inside = np.minimum(np.minimum(x - x0, x1 - x), np.minimum(y - y0, y1 - y))
    return np.clip(inside / 10, 0, 1)


def _express(valence: float, arousal: float, jaw: float, blink: float) -> Image:
    """The portrait with another expression; it smiles by itself, which stands for valence 1."""
    x, y = _grid()
    frown = (1.0 - valence) / 2
    dx, dy = np.zeros_like(x), np.zeros_like(y)
    for corner, inwards in zip(CORNERS, (1.0, -1.0), strict=True):
        pull = _bump((corner[0], corner[1] + 4), 8.0, 10.0)
        dx += pull * np.float32(inwards * 3.0 * frown)
        dy += pull * np.float32(10.0 * frown)
    # the lips come together as the smile goes
    dy += _bump(MOUTH, 14.0, 7.0) * (MOUTH[1] - y) * np.float32(0.65 * frown)
    dy += _bump((MOUTH[0], 157.0), 16.0, 10.0) * _below() * np.float32(7.0 * jaw - 1.0)
    for brow, inwards in zip(BROWS, (1.0, -1.0), strict=True):
        lift = _bump(brow, 10.0, 5.0)
        dy -= lift * np.float32(3.0 * arousal - 2.0 * frown)
        dx += lift * np.float32(inwards * 2.0 * frown)
    for eye in EYES:
        # squeezing a band towards its middle closes the lid over the eye
        dy += _bump(eye, 9.0, 4.0) * (eye[1] + 2 - y) * np.float32(0.8 * blink)
    dx, dy = dx * _edge(), dy * _edge()
    portrait = _portrait().copy()
    x0, y0, x1, y1 = (v * SCALE for v in FACE)
    portrait[y0:y1, x0:x1] = cv2.remap(
        _portrait(), (x - dx) * SCALE, (y - dy) * SCALE, cv2.INTER_LINEAR
    )
    return portrait


def _blinks(script: Script) -> NDArray[np.float64]:
    """0 for open eyes, 1 for closed ones; about every second and a half, for 0.2 s."""
    at = np.cumsum(script.random(7).uniform(0.9, 2.1, 4 + int(script.seconds)))
    distance = np.abs(script.times[:, None] - at[None, :]).min(1)
    return np.asarray(np.clip(1 - distance / 0.12, 0, 1), np.float64)


def _light(direction: float) -> Field:
    """A lamp from one side: 0.8..1.15 over the frame, ``(240, 320, 1)``."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    slope = (np.cos(direction) * x + np.sin(direction) * y) / np.sqrt(2)
    return np.asarray(0.975 + 0.175 * slope, np.float32)[:, :, None]
