"""Clips as cameras, phones and editors leave them: pictures and times are those that one sees."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from features.media.media import Media
from tests.features.made_clips import ffmpeg, frames_of, make_clip

#: display matrix -> what one sees of the picture as it is stored
TURNS = {
    ("-display_rotation", "90"): lambda frames: np.rot90(frames, 1, (1, 2)),
    ("-display_rotation", "180"): lambda frames: np.rot90(frames, 2, (1, 2)),
    ("-display_rotation", "270"): lambda frames: np.rot90(frames, 3, (1, 2)),
    ("-display_hflip",): lambda frames: frames[:, :, ::-1],
}
#: file name and how it is written
WRITTEN = {
    "ten_bits.mp4": ("-pix_fmt", "yuv420p10le"),
    "odd_sides.mkv": ("-vf", "crop=61:45", "-pix_fmt", "yuv444p"),
    "interlaced.mpg": ("-c:v", "mpeg2video", "-r", "25", "-flags", "+ilme+ildct", "-c:a", "mp2"),
    "stream.mts": ("-bf", "2", "-f", "mpegts"),
    "stream.ts": ("-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2"),
    "grey.mkv": ("-c:v", "ffv1", "-pix_fmt", "gray"),
    "alpha.webm": ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-an"),
    "movie.wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    "fragments.mp4": ("-movflags", "frag_keyframe+empty_moov"),
    "moving.avi": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"),
}


@pytest.mark.parametrize("turn", TURNS, ids=" ".join)
def test_the_display_matrix_is_applied(turn: tuple[str, ...], tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mp4", sound=False, seconds=0.4)
    ffmpeg(*turn, "-i", str(plain), "-c", "copy", str(tmp_path / "turned.mp4"))
    seen = frames_of(Media(str(tmp_path / "turned.mp4"))).frames
    stored = frames_of(Media(str(plain))).frames
    assert seen is not None
    assert stored is not None
    expected = TURNS[turn](stored)
    assert seen.shape == expected.shape
    # colours may be scaled after the turn, which rounds a few of them otherwise
    assert np.abs(seen.astype(int) - expected).mean() < 0.5


@pytest.mark.parametrize("name", WRITTEN)
def test_frames_and_times_are_those_that_another_decoder_counts(name: str, tmp_path: Path) -> None:
    path = make_clip(tmp_path / name, *WRITTEN[name], seconds=0.8)
    found = frames_of(Media(str(path)))
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
        stream = container.streams.video[0]
        assert found.frames is not None
        assert found.frames.shape[1:] == (stream.height, stream.width, 3)
    assert np.allclose(found.times, times, atol=1e-6)
    assert found.frames.std() > 10
