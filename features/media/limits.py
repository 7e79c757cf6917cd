"""How much one media file may ask of us before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on what one file is let do; passing one raises MediaTooLarge or DecodeFailed.

    The defaults hold for any talk or film and keep a hostile file from filling memory or disk.

    Attributes:
        seconds: longest recording, by its headers and by the sound that is really decoded.
        frames: most decoded frames of one clip; 6 hours at 60 fps are 1,296,000.
        pixels: largest picture, width x height; 8192 x 4320 is 8K film.
        stall: seconds that ffmpeg may stay silent before it is stopped.
    """

    seconds: float = 6 * 3600.0
    frames: int = 1_300_000
    pixels: int = 8192 * 4320
    stall: float = 120.0
