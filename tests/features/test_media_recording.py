"""Cuts of one recording, read one after the other: the same numbers from far fewer decodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from features.errors import EmptyCut, MediaTruncated
from features.media import audio
from features.media.media import Media
from features.media.process import FFmpeg
from features.media.recording import Recording
from features.media.video import decoder_starts, set_decoder_starts
from tests.features.made_clips import make_clip

SECONDS = 60
#: in order: side by side, a small gap, an overlap, far away, to the open end
CUTS: tuple[tuple[float | None, float | None], ...] = (
    *((0.0, 3.0), (3.0, 5.5), (5.5, 9.0), (10.25, 12.0), (11.0, 13.0)),
    *((44.0, 46.0), (46.0, 47.5), (47.5, None)),
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute in stereo, with pictures that lean on those before and after them."""
    path = tmp_path_factory.mktemp("recording") / "a.mp4"
    return make_clip(path, "-ac", "2", "-bf", "2", "-g", "60", seconds=SECONDS)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what sound decoders were started for."""
    found: list[str] = []

    class Counted(FFmpeg):
        def __init__(self, *args: object, name: str, stall: float) -> None:
            found.append(name)
            super().__init__(*args, name=name, stall=stall)  # type: ignore[arg-type]

    monkeypatch.setattr(audio, "FFmpeg", Counted)
    return found


def cuts_of(clip: Path, cuts: tuple[tuple[float | None, float | None], ...]) -> Iterator[Media]:
    """The cuts, sharing their decoders."""
    with closing(Recording("a")) as shared:
        shared.expect(cuts)
        for start, stop in cuts:
            yield Media(str(clip), start, stop, recording=shared)


def frames(media: Media, batch: int, pixels: bool = True) -> tuple[np.ndarray, np.ndarray]:
    batches = [*media.video(batch, pixels)]
    assert [b.start for b in batches] == [*range(0, sum(len(b.times) for b in batches), batch)]
    found = np.concatenate([b.times for b in batches])
    if not pixels:
        return found, found
    return found, np.concatenate([b.frames for b in batches if b.frames is not None])


def test_frames_of_cuts_are_those_of_each_by_itself(clip: Path) -> None:
    set_decoder_starts(0)
    shared = [(*frames(m, 8), *frames(m, 5)) for m in cuts_of(clip, CUTS)]
    assert decoder_starts() <= 6, "two passes over three stretches"
    for media, found in zip(cuts_of(clip, CUTS), shared, strict=True):
        alone = Media(str(clip), media.start, media.stop)
        for times, pixels in (found[:2], found[2:]):
            np.testing.assert_array_equal(times, frames(alone, 8)[0])
            np.testing.assert_array_equal(pixels, frames(alone, 8)[1])


def test_times_alone_are_shared_too_and_out_of_order_cuts_are_right(clip: Path) -> None:
    mixed = (CUTS[2], CUTS[0], CUTS[6], CUTS[1], CUTS[5])
    for media in cuts_of(clip, mixed):
        alone = Media(str(clip), media.start, media.stop)
        np.testing.assert_array_equal(frames(media, 8, False)[0], frames(alone, 8, False)[0])
        np.testing.assert_array_equal(frames(media, 8)[1], frames(alone, 8)[1])
        for mine, theirs in ((media.audio_s16(), alone.audio_s16()),):
            assert mine is not None
            assert theirs is not None
            np.testing.assert_array_equal(mine.samples, theirs.samples)


def test_sound_of_cuts_comes_from_one_decode_per_rate_and_is_the_same(
    clip: Path, starts: list[str]
) -> None:
    shared = [(m.audio_s16(), m.audio_s16(8000), m.audio_native()) for m in cuts_of(clip, CUTS)]
    assert len(starts) == 3
    for (start, stop), found in zip(CUTS, shared, strict=True):
        alone = Media(str(clip), start, stop)
        for mine, theirs in zip(
            found, (alone.audio_s16(), alone.audio_s16(8000), alone.audio_native()), strict=True
        ):
            assert mine is not None
            assert theirs is not None
            assert (mine.rate, mine.t0) == (theirs.rate, theirs.t0)
            np.testing.assert_array_equal(mine.samples, theirs.samples)


def test_a_pass_that_is_given_up_leaves_the_next_cut_alone(clip: Path) -> None:
    for media in cuts_of(clip, CUTS[:3]):
        batches = media.video(4)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
        alone = Media(str(clip), media.start, media.stop)
        np.testing.assert_array_equal(frames(media, 8)[1], frames(alone, 8)[1])


def test_a_cut_beyond_the_end_says_so_after_others_were_read(clip: Path) -> None:
    *some, last = cuts_of(clip, ((56.0, 58.0), (58.0, 61.0), (62.0, 64.0)))
    for media in some:
        frames(media, 8)
    with pytest.raises(EmptyCut):
        frames(last, 8)


def test_a_file_that_stops_in_the_middle_fails_the_cuts_behind_it_alone(
    tmp_path: Path, starts: list[str]
) -> None:
    path = tmp_path / "a.mkv"
    make_clip(path, seconds=8)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    outcome = []
    for shared in (True, False):
        some = []
        for media in cuts_of(broken, ((0.0, 1.0), (1.0, 2.0), (6.0, 7.0))):
            media = media if shared else Media(media.path, media.start, media.stop)
            try:
                # the check of the whole file would refuse all three; here it's the decoders' turn
                object.__setattr__(media, "_missing", 0)
                wave = media.audio_s16()
                some.append(0 if wave is None else int(np.abs(wave.samples).sum()))
            except MediaTruncated as error:
                some.append(str(error))
        outcome.append(some)
    assert outcome[0] == outcome[1]
    assert [type(found) for found in outcome[0]] == [int, int, str]
