"""What goes wrong with OpenFace; each sends one clip to quarantine, unless it says otherwise."""

from __future__ import annotations

from features.errors import FeatureError, RequestError


class BadCsv(FeatureError):
    """A CSV file isn't whole, or isn't OpenFace's."""

    code = "openface_csv"


class RowsMismatch(FeatureError):
    """OpenFace saw another number of frames than the timeline has."""

    code = "openface_rows"


class NoOutput(FeatureError):
    """OpenFace ended well and wrote no CSV."""

    code = "openface_no_output"


class Crashed(FeatureError):
    """OpenFace ended with an error."""

    code = "openface_crashed"


class OutOfMemory(FeatureError):
    """OpenFace was killed from outside: as a rule, by the memory limit."""

    code = "openface_killed"


class TimedOut(FeatureError):
    """OpenFace ran past its time limit."""

    code = "openface_timeout"


class TooMuchOutput(FeatureError):
    """OpenFace wrote more than its limit."""

    code = "openface_space"


class BadFaces(FeatureError):
    """The aligned faces that OpenFace wrote can't be used."""

    code = "openface_faces"


class WhichFace(RequestError):
    """The clip is of one of several people, and the face would be any."""

    code = "openface_which_face"


class NoEngine(RequestError):
    """No container engine and no binary, or the image isn't there, or the engine failed."""

    code = "openface_no_engine"
    transient = True


class NoPlace(RequestError):
    """There is no folder for temporary files that can be written to."""

    code = "openface_no_place"
    transient = True
