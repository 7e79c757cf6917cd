"""Many cuts of one long recording: read together, each by itself, and the whole in one go."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from features.media.media import Media
from features.media.recording import Recording
from features.media.tools import ffmpeg_path
from flows.partition import CLIPS_PER_PARTITION

#: every so many cuts are read by themselves, and their time multiplied
SAMPLED = 25


def make_recording(path: Path, minutes: float) -> None:
    """A made recording with sound: 160x120, 10 fps, H.264, AAC."""
    seconds = 60 * minutes
    subprocess.run(
        [
            *(str(ffmpeg_path()), "-v", "error", "-nostdin", "-y"),
            *("-f", "lavfi", "-i", f"testsrc2=s=160x120:r=10:d={seconds}"),
            *("-f", "lavfi", "-i", f"sine=f=220:r=44100:d={seconds}"),
            *("-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac", "-shortest", str(path)),
        ],
        check=True,
    )


def sound(media: Media) -> None:
    """As ``audio_16k`` reads it."""
    media.audio_s16()


def video(media: Media) -> None:
    """As a pass over the frames reads it."""
    for _ in media.video(32):
        pass


def together(path: Path, cuts: list[tuple[float, float]]) -> Iterator[Media]:
    """The cuts as one process gets them, a partition after the other."""
    with closing(Recording(str(path))) as shared:
        for start in range(0, len(cuts), CLIPS_PER_PARTITION):
            some = cuts[start : start + CLIPS_PER_PARTITION]
            shared.expect(some)
            yield from (Media(str(path), a, b, recording=shared) for a, b in some)


def timed(read: Callable[[Media], None], clips: Iterable[Media]) -> float:
    """CPU seconds that reading the clips takes, the decoders' own included."""
    started = sum(os.times()[:4])
    for media in clips:
        read(media)
    return sum(os.times()[:4]) - started


def main() -> None:
    """Print what the cuts cost, as multiples of one decode of the whole."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--cuts", type=int, default=500)
    args = parser.parse_args()
    facts: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.mp4"
        make_recording(path, args.minutes)
        length = 60 * args.minutes / args.cuts
        cuts = [(i * length, (i + 1) * length) for i in range(args.cuts)]
        for name, read in (("sound", sound), ("video", video)):
            whole = timed(read, [Media(str(path))])
            shared = timed(read, together(path, cuts))
            some = cuts[SAMPLED // 2 :: SAMPLED]
            alone = timed(read, [Media(str(path), a, b) for a, b in some]) * len(cuts) / len(some)
            facts |= {f"{name}_together": shared / whole, f"{name}_alone": alone / whole}
            print(
                f"  {name}: one decode {whole:.1f} s of CPU; {len(cuts)} cuts together "
                f"{shared / whole:.2f} x that, each by itself {alone / whole:.1f} x"
            )
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
