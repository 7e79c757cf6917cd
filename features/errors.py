"""What can go wrong while a feature is computed; each error has a short stable code."""

from __future__ import annotations


class FeatureError(Exception):
    """Base: ``str(error)`` is one line for the person who must act; ``log`` has the details.

    Attributes:
        code: short and stable; quarantine rows carry it.
        transient: it may be over by itself, so that a later extract tries again after a pause.
        looked_at: nothing was computed yet when it was found, so that every extract looks again.
        log: tail of the failing tool's own output, or "".
    """

    code = "feature_error"
    transient = False
    looked_at = False

    def __init__(self, message: str, *, log: str = "") -> None:
        super().__init__(message)
        self.log = log

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), str(self), self.log))


def _rebuild(kind: type[FeatureError], message: str, log: str) -> FeatureError:
    return kind(message, log=log)


# --- the medium is at fault: the clip goes to quarantine, the run goes on -----------------


class MediaError(FeatureError):
    """A media file can't be used as it is."""

    code = "media_error"


class MediaMissing(MediaError):
    """The file isn't there, or may not be read."""

    code = "media_missing"
    transient = True


class MediaUnreadable(MediaError):
    """The file is no media that ffmpeg knows."""

    code = "media_unreadable"


class MediaEmpty(MediaError):
    """The file has zero bytes."""

    code = "media_empty"


class MediaTruncated(MediaError):
    """The file stops in the middle."""

    code = "media_truncated"


class MediaForbidden(MediaError):
    """A playlist or another format that would open further files."""

    code = "media_forbidden"


class MediaTooLarge(MediaError):
    """A limit on time, frames or pixels was passed."""

    code = "media_too_large"


class NoVideoStream(MediaError):
    """A feature of video frames was asked of a file that has none."""

    code = "no_video_stream"


class EmptyCut(MediaError):
    """No frame of the medium lies within the clip's start and stop."""

    code = "empty_cut"


class MediaReplaced(MediaError):
    """The file, or one that belongs to the clip, isn't the one that was ingested."""

    code = "media_replaced"
    looked_at = True


class FrameCountMismatch(MediaError):
    """Two decodings of one file gave different numbers of frames."""

    code = "frame_count_mismatch"


class DecodeFailed(MediaError):
    """ffmpeg stopped with an error."""

    code = "decode_failed"


class DecodeStalled(DecodeFailed):
    """ffmpeg gave nothing for too long: a slow share, a busy machine, or a strange file."""

    code = "decode_stalled"
    transient = True


class DecoderKilled(DecodeFailed):
    """Somebody else ended ffmpeg: the system since memory ran out, a job's limit, a person."""

    code = "decoder_killed"
    transient = True


class BadBoxes(FeatureError):
    """Boxes that a corpus brings can't be read, or can't be those of faces."""

    code = "bad_boxes"


class DamagedInput(FeatureError):
    """A stored result that is read, or of which rows are copied, isn't what was published."""

    code = "damaged_input"
    looked_at = True


class OutOfMemory(FeatureError):
    """An extractor asked for more memory than there is."""

    code = "out_of_memory"
    transient = True


class UnexpectedFailure(FeatureError):
    """An extractor raised something that no error above describes: probably our defect."""

    code = "extractor_failed"


# --- the request is at fault: nothing starts -----------------------------------------------


class RequestError(FeatureError, ValueError):
    """What was asked for can't be done."""

    code = "request"


class UnknownFeature(RequestError):
    """No extractor makes a feature of that name."""

    code = "unknown_feature"


class UnknownParameter(RequestError):
    """The extractor has no such parameter, or the value doesn't fit."""

    code = "unknown_parameter"


class WrongDevice(RequestError):
    """The device isn't there."""

    code = "wrong_device"


class MissingWeights(RequestError):
    """The extractor needs weights that the user has to fetch."""

    code = "missing_weights"


class Unavailable(RequestError):
    """The feature can't be computed on this installation: weights, a package or an engine lack."""

    code = "unavailable"


class WeightsDamaged(RequestError):
    """A weights file isn't the one whose sha256 is known."""

    code = "weights_damaged"


class ToolMissing(RequestError):
    """A program such as ffmpeg isn't there."""

    code = "tool_missing"


class ToolDiffers(RequestError):
    """A program on this machine isn't the one that the plan's keys name."""

    code = "tool_differs"
