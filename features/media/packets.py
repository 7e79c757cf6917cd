"""What packet headers say of single frames; nothing is decoded."""

from __future__ import annotations

from fractions import Fraction

from av.error import FFmpegError

from features.errors import MediaTooLarge
from features.media.media import Media
from features.media.probe import VideoStream, open_container

#: seconds before a frame at which reading begins: MPEG's programme and transport streams say how
#: long frames last in a header that comes once in a group of pictures
_BEFORE = 10.0


def frame_duration(media: Media, time: float) -> float | None:
    """Seconds for which the frame at ``time`` (as ``Media.video`` gives it) is shown.

    Read from the packets up to that time, after a seek; None where the container doesn't say.
    In MP4 and MOV an edit list may cut the last frame shorter than its packet says. Other
    containers' stream durations are estimates and not looked at.

    Raises:
        MediaTooLarge: longer than a recording may last.
    """
    stream = media.probe.video
    if stream is None:
        return None
    base = stream.time_base
    with open_container(media.path) as container:
        try:
            begin = max(time - _BEFORE, min(time, stream.start or 0.0))
            container.seek(round(Fraction(begin) / base), stream=container.streams[stream.index])
            for packet in container.demux(container.streams[stream.index]):
                if packet.pts is not None and float(packet.pts * base) == time:
                    said = float(packet.duration * base) if packet.duration else None
                    if said is not None and said > media.limits.seconds:
                        raise MediaTooLarge(
                            f"{media.name}: its frame at {time:.3f} s is shown for {said:.0f} s, "
                            f"over the limit of {media.limits.seconds:g} s; write the file anew "
                            "with ffmpeg"
                        )
                    if said is None or not media.probe.format.startswith("mov"):
                        return said
                    return min(said, _left(stream, time, said))
        except FFmpegError:
            # A damaged tail hides the duration only; decoding has judged the file already.
            return None
    return None


def _left(stream: VideoStream, time: float, otherwise: float) -> float:
    """Seconds from a time to the stream's stop by the headers, if they place it later."""
    if stream.start is None or stream.duration is None:
        return otherwise
    left = stream.start + stream.duration - time
    return left if left > 0 else otherwise
