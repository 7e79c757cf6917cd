"""Sound behind a hole in its track: where ffmpeg's samples lie, and where features put it."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import features
from features.errors import MediaTooLarge
from features.media.jumps import Jump, Jumps
from features.media.limits import Limits
from features.media.media import Media
from features.media.recording import Recording
from features.sound import heard
from tests.features.made_clips import ffmpeg
from tests.features.test_media_audio import plain_ffmpeg

#: samples per second of made tracks, and of a packet
RATE, PACKET = 48_000, 960


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 s of pictures; sound from 0 to 1 s (440 Hz) and from 3 to 4 s (3 kHz)."""
    path = tmp_path_factory.mktemp("holed") / "holed.mkv"
    tones = f"aevalsrc='0.5*sin(2*PI*t*if(lt(t,2),440,3000))':s={RATE}:d=4"
    made = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-f", "lavfi", "-i", tones]
    hole = ["-af", f"asetnsamples={PACKET},aselect='not(between(t,1,2.99))'"]
    ffmpeg(*made, "-t", "4", *hole, "-c:v", "libx264", "-c:a", "pcm_s16le", str(path))
    return path


def lines(times: list[float]) -> list[str]:
    """What ffmpeg writes for packets of 960 samples that begin at these seconds."""
    return [
        f"{round(time * 1000)} 1/1000,{round(time * 90000)} 1/90000,{i * PACKET}"
        for i, time in enumerate(times)
    ]


def jumps_of(times: list[float]) -> list[tuple[int, float]]:
    """Number of the packet and seconds of every jump."""
    found = Jumps(RATE)
    for line in lines(times):
        found.add(line)
    found.finish()
    return [(jump.sample // PACKET, jump.shift / RATE) for jump in found.found]


def packets(count: int, start: float = 0.0) -> list[float]:
    return [start + i * PACKET / RATE for i in range(count)]


def test_ffmpegs_16_khz_samples_stay_to_the_bit(holed: Path) -> None:
    wave = Media(str(holed)).audio_s16()
    assert wave is not None
    expected = plain_ffmpeg(holed, "-ac", "1", "-ar", "16000", "-f", "s16le")
    assert wave.samples.astype("<i2").tobytes() == expected
    assert wave.stop == pytest.approx(2.0, abs=0.05)
    assert not wave.holes
    (found,) = wave.breaks
    assert (found.time, found.seconds) == pytest.approx((1.0, 2.0), abs=0.03)


@pytest.mark.parametrize("rate", [None, 16_000, 44_100])
def test_placed_sound_is_silent_in_the_hole_and_in_place_behind_it(
    holed: Path, rate: int | None
) -> None:
    media = Media(str(holed))
    wave = media.audio_native() if rate is None else media.audio_s16(rate, placed=True)
    assert wave is not None
    ((start, stop),) = wave.holes
    assert (start / wave.rate, stop / wave.rate) == pytest.approx((1.0, 3.0), abs=0.03)
    assert not wave.samples[start:stop].any()
    assert wave.stop == pytest.approx(4.0, abs=0.03)
    for second, pitch in ((0, 440), (3, 3000)):
        piece = wave.samples[int((second + 0.1) * wave.rate) :][: wave.rate // 2]
        loudest = int(np.argmax(np.abs(np.fft.rfft(piece.astype(float)))))
        assert loudest * 2 == pytest.approx(pitch, abs=4)


def test_a_track_without_a_hole_is_the_same_placed_or_not(tmp_path: Path) -> None:
    path = tmp_path / "whole.flv"
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100", "-t", "3"]
    ffmpeg(*tone, "-c:a", "libmp3lame", str(path))
    plain, placed = Media(str(path)).audio_s16(), Media(str(path)).audio_s16(placed=True)
    assert plain is not None
    assert placed is not None
    assert plain.samples.tobytes() == placed.samples.tobytes()
    assert (plain.t0, plain.breaks, placed.holes) == (placed.t0, (), ())


@pytest.mark.parametrize("shared", [False, True])
def test_a_cut_holds_what_lies_in_it_by_its_own_time(holed: Path, shared: bool) -> None:
    whole = Media(str(holed)).audio_native()
    assert whole is not None
    cuts = [(0.5, 1.5), (1.2, 2.5), (1.5, 3.5), (3.25, 3.5), (3.5, None)]
    with closing(Recording("a")) as recording:
        recording.expect(cuts)
        for start, stop in cuts:
            media = Media(str(holed), start, stop, recording=recording if shared else None)
            part = media.audio_native()
            assert part is not None
            first = round((part.t0 - whole.t0) * RATE)
            assert (part.samples == whole.samples[first:][: len(part.samples)]).all()
            seconds = {0.5: 0.5, 1.2: 0.0, 1.5: 0.5, 3.25: 0.25, 3.5: 0.5}[start]
            assert len(part.samples) / RATE == pytest.approx(seconds, abs=0.03)
            assert not part.holes


def test_rows_over_the_hole_are_invalid_and_those_behind_it_are_of_their_own_sound(
    holed: Path,
) -> None:
    rows = features.extract("mfcc_mel", str(holed))
    times = features.extract("timeline", str(holed)).values
    for second, valid in ((0.5, True), (1.5, False), (2.5, False), (3.5, True)):
        assert bool(rows.valid[np.searchsorted(times, second)]) is valid
    low, high = (np.argmax(rows.values[np.searchsorted(times, t), 40:]) for t in (0.5, 3.5))
    assert high > low + 30


@pytest.mark.parametrize(("feature", "whole"), [("logmel_64", 401), ("spectrogram_192x120", 801)])
def test_features_with_a_grid_of_their_own_keep_it_through_the_hole(
    holed: Path, feature: str, whole: int
) -> None:
    rows = features.extract(feature, str(holed))
    assert rows.rows == pytest.approx(whole, abs=6)
    assert rows.step is not None
    times = rows.t0 + np.arange(rows.rows) * rows.step
    assert not rows.valid[(times > 1.05) & (times < 2.95)].any()
    assert rows.valid[(times < 0.95) | (times > 3.05)].all()
    assert np.isnan(rows.values[~rows.valid]).all()


def test_the_hole_is_said_once_with_its_place(
    holed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    media = Media(str(holed))
    with caplog.at_level(logging.WARNING):
        media.audio_native()
        media.audio_s16()
    (said,) = [r.getMessage() for r in caplog.records]
    assert said.startswith("holed.mkv: its sound jumps by +")
    assert "at 1.0" in said


def test_damaged_packets_leave_what_follows_in_its_place(tmp_path: Path) -> None:
    tones = "aevalsrc='0.5*sin(2*PI*t*if(lt(t,3.5),440,3000))':s=44100:d=5"
    plain = tmp_path / "plain.mp4"
    ffmpeg("-f", "lavfi", "-i", tones, "-c:a", "aac", "-b:a", "128k", str(plain))
    data = bytearray(plain.read_bytes())
    start = data.index(b"mdat") + 4
    size = data.index(b"moov") - 4 - start
    hit = slice(start + size // 3, start + size // 2)
    data[hit] = np.random.default_rng(3).integers(0, 256, hit.stop - hit.start, np.uint8).tobytes()
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    counted, placed = Media(str(path)).audio_s16(), Media(str(path)).audio_s16(placed=True)
    assert counted is not None
    assert placed is not None
    assert counted.stop < 4.9  # packets were dropped
    assert placed.stop == pytest.approx(5.0, abs=0.03)
    piece = placed.samples[int(3.6 * 16000) : int(4.6 * 16000)].astype(float)
    assert int(np.argmax(np.abs(np.fft.rfft(piece)))) == pytest.approx(3000, abs=3)


def test_a_hole_counts_against_the_limit_of_time(holed: Path) -> None:
    limited = Media(str(holed), limits=Limits(seconds=3.0))
    object.__setattr__(limited, "probe", Media(str(holed)).probe)
    assert limited.audio_s16() is not None
    with pytest.raises(MediaTooLarge, match="more than 3 s of sound"):
        limited.audio_native()


def test_rounded_times_are_no_jump() -> None:
    jitter = np.random.default_rng(0).uniform(-0.02, 0.02, 500)
    assert not jumps_of([t + j for t, j in zip(packets(500), jitter, strict=True)])


def test_a_hole_is_a_jump_by_its_length() -> None:
    assert jumps_of(packets(10) + packets(10, 1.2)) == [(10, 1.0)]


def test_each_lost_packet_counts_until_they_make_a_jump() -> None:
    lost = [t + 0.02 * (i // 10) for i, t in enumerate(packets(100))]
    found = jumps_of(lost)
    assert [round(shift, 3) for _, shift in found] == [0.06, 0.12, 0.18]


def test_sparse_packets_are_each_a_jump() -> None:
    sparse = [0.4 * i for i in range(20)]
    found = jumps_of(sparse)
    assert [number for number, _ in found] == list(range(1, 20))
    assert found[-1][1] == pytest.approx(19 * 0.38)


def test_one_packet_with_a_wrong_time_is_none() -> None:
    for wrong in (1e6, -50.0):
        times = packets(20)
        times[7] += wrong
        assert not jumps_of(times)


def test_the_last_packet_may_stand_alone() -> None:
    assert jumps_of([*packets(5), 3.0]) == [(5, 2.9)]


def test_an_overlap_is_a_jump_back() -> None:
    assert jumps_of(packets(20) + packets(20, 0.2)) == [(20, -0.2)]


def test_lines_without_a_time_tell_nothing() -> None:
    found = Jumps(RATE)
    for line in ("NOPTS 1/1000,0 1/1000,0", "5 0/1,5 0/1,7", "", *lines(packets(3))):
        found.add(line)
    found.finish()
    assert not found.found


def test_a_jump_is_decided_by_the_packet_after_it() -> None:
    found = Jumps(RATE)
    first, *rest = lines([*packets(2), 1.0, 1.02])
    found.add(first)
    found.add(rest[0])
    assert found.decided is None
    found.add(rest[1])
    assert (found.decided, found.found) == (2 * PACKET, [])
    found.add(rest[2])
    assert (found.decided, found.found) == (None, [Jump(2 * PACKET, RATE - 2 * PACKET)])


@pytest.mark.parametrize("holes", [(), ((10, 20),), ((5, 9), (10, 30))])
def test_a_window_is_heard_if_any_of_its_samples_is(holes: tuple[tuple[int, int], ...]) -> None:
    size = 40
    sounding = np.ones(size, bool)
    for start, stop in holes:
        sounding[start:stop] = False
    starts: NDArray[np.int64] = np.arange(-8, 50)
    for length in (1, 3, 12):
        expected = [sounding[max(0, s) : max(0, s + length)].any() for s in starts]
        assert heard(size, holes, starts, length).tolist() == expected
