"""A small built-in clip and the hashes that a good ffmpeg decodes it to."""

from __future__ import annotations

GOLDEN: dict[str, str] = {}


def decoded_hashes() -> dict[str, str]:
    """Hashes of what the ffmpeg in use makes of the built-in clip."""
    return {}
