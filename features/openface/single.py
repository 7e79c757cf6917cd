"""openface and openface_face_112: OpenFace's 714 columns and aligned face of every frame."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.media import Media
from features.openface.backend import backend
from features.openface.errors import BadCsv, WhichFace
from features.openface.faces import SIDE, aligned_folder, no_faces, read_faces
from features.openface.pick import pick_rows
from features.openface.place import Placing, Rule, Span, place_rows
from features.openface.run import (
    MULTI_PROGRAM,
    SINGLE_PROGRAM,
    release,
    run_openface,
    tell_licence,
)
from features.openface.settings import LICENCE
from features.openface.table import Table, read_table
from features.openface_columns import COLUMN_GROUPS, COLUMNS_714, GROUP_UNITS
from features.spec import FeatureSpec, Rows

log = logging.getLogger(__name__)

#: roles of a clip's imported files: the CSV, and the folder of aligned faces
ROLE, FACES_ROLE = "openface", "openface_aligned"
ROWS, FACES = "openface", "openface_face_112"
IMPORT_HINT = "; CSV files that you have: affectstore import openface FOLDER --store S"
COLUMN_UNITS = "; ".join(f"{group}: {unit}" for group, unit in GROUP_UNITS.items())
#: attribute of a clip of one of two people, as face_track reads it
OF_WHOM = "side"
#: frames per batch of times
TIMES = 1024


@extractor(
    name="openface",
    version=1,
    inputs={"timeline": "timeline", "track": "face_track"},
    reads="file",
    scope="clip",
    assets=(ROLE, FACES_ROLE),
    attrs=(OF_WHOM,),
    licence=LICENCE,
)
class OpenFace:
    """OpenFace's 714 columns of every frame, and its aligned face, 112 x 112.

    FeatureExtraction of OpenFace 2.x runs in a container (or as a program) on the clip's file;
    or its CSV was imported (affectstore import openface). One row per frame, float32 ``(714,)``,
    placed by frame number. A row is valid where success is 1 and the confidence sufficient; the
    values stay as OpenFace wrote them even where the row is invalid, which includes landmarks of
    a face that was lost and nonsense before the first one. Columns that an imported file lacks
    are NaN. Its timestamps are wrong where the frame rate varies; the timeline's hold.

    The aligned face, uint8 ``(112, 112, 3)`` RGB, is black and invalid where the row is invalid.
    A clip that is cut from a file gets its share of a run over the whole file.

    FeatureExtraction follows one face of its own choice. ``face=track`` takes, of the faces that
    FaceLandmarkVidMulti finds, the one of face_track: for clips with a left and a right subject,
    which are refused otherwise.
    """

    class Params(BaseParams):
        """What changes the rows."""

        @model_validator(mode="after")
        def _one_face(self) -> OpenFace.Params:
            if self.face == "track" and self.source == "imported":
                raise ValueError("an imported CSV has one face only; face=track needs a run")
            return self

        source: Literal["auto", "run", "imported"] = Field(
            "auto", description="run OpenFace, read the imported CSV, or auto: that if there is one"
        )
        model: Literal["default", "clm", "clnf", "ceclm"] = Field(
            "default", description="landmark model; default: the program's own"
        )
        face: Literal["program", "track"] = Field(
            "program",
            description="which of several faces: the one that FeatureExtraction follows, or the "
            "one of face_track (by FaceLandmarkVidMulti)",
        )
        min_confidence: float = Field(
            0.8, ge=0, le=1, description="least confidence of a valid row"
        )
        rows: Rule = Field(
            "pad", description="another number of rows than of frames: pad with invalid ones, fail"
        )
        max_lacking: float = Field(
            0.05, ge=0, le=1, description="largest share of the frames that pad makes up for"
        )

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name=ROWS,
            rate="frame",
            dims=(len(COLUMNS_714),),
            dtype="float32",
            columns=COLUMNS_714,
            units=COLUMN_UNITS,
            description="OpenFace 2.x: gaze, pose, landmarks, shape and action units",
            groups=COLUMN_GROUPS,
        ),
        FeatureSpec(
            name=FACES,
            rate="frame",
            dims=(SIDE, SIDE, 3),
            dtype="uint8",
            units="RGB, 0 to 255",
            description="main face, 112 x 112, as OpenFace aligns it",
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    @staticmethod
    def inputs_for(params: Params) -> tuple[str, ...]:
        """The track, where it says which face it is."""
        return ("timeline", "track") if params.face == "track" else ("timeline",)

    @staticmethod
    def tools_for(params: Params) -> Mapping[str, int | str]:
        """The image's digest or the program's sha256, unless nothing is run."""
        return {} if params.source == "imported" else {"openface": backend().key()}

    @staticmethod
    def unavailable(params: Params) -> str | None:
        """Without engine and binary there are imported files only."""
        if params.source == "imported":
            return None
        reason = backend().unavailable()
        return reason and reason + (IMPORT_HINT if params.source == "auto" else "")

    @staticmethod
    def suffices_for(params: Params) -> tuple[str, ...]:
        """An imported CSV needs no engine."""
        return (ROLE,) if params.source == "auto" and params.face == "program" else ()

    def extract(self, batch: Batch) -> Mapping[str, Rows]:
        """The clip's rows and, if they are wanted, its faces.

        Raises:
            BadCsv, RowsMismatch, BadFaces, WhichFace: see ``features.openface``.
            TimedOut, OutOfMemory, Crashed, NoOutput, NoEngine: see ``run_openface``.
        """
        times = np.asarray(batch.inputs["timeline"].values, np.float64)
        span = span_of(batch.media, times)
        if self.params.face == "track":
            return self._run_multi(batch, times, span)
        imported = batch.assets.get(ROLE) if self.params.source != "run" else None
        if imported is not None:
            tell_licence()
            table = _imported(imported, *_stamp(imported))
            return self._read(batch, span, table, batch.assets.get(FACES_ROLE))
        if self.params.source == "imported":
            raise BadCsv(
                f"{batch.media.name}: no OpenFace CSV was imported for this clip; affectstore "
                "import openface FOLDER, or --set openface.source=run"
            )
        if batch.attrs.get(OF_WHOM, "main") != "main":
            raise WhichFace(
                f"{batch.media.name}: the clip is of the person on the {batch.attrs[OF_WHOM]}, and "
                "FeatureExtraction follows a face of its own choice; affectstore config set "
                "--store S openface.face=track"
            )
        duration = duration_of(batch.media, times)
        run = run_openface(batch.media, duration, SINGLE_PROGRAM, self.params.model)
        return self._read(batch, span, run.table, str(aligned_folder(run.csv)))

    @staticmethod
    def release() -> None:
        """End the container, remove temporary files, forget what cuts share."""
        release()
        _imported.cache_clear()
        _times_of.cache_clear()

    def _run_multi(
        self, batch: Batch, times: NDArray[np.float64], span: Span
    ) -> Mapping[str, Rows]:
        """The rows and faces of whom the track follows."""
        name, track = batch.media.name, batch.inputs["track"]
        duration = duration_of(batch.media, times)
        run = run_openface(batch.media, duration, MULTI_PROGRAM, self.params.model)
        picked = pick_rows(run.table, track, span, self.params.min_confidence)
        made = {ROWS: picked.rows}
        if FACES in batch.wanted:
            folder = aligned_folder(run.csv)
            made[FACES] = read_faces(name, folder, span, picked.rows.valid, picked.face)
        return made

    def _read(self, batch: Batch, span: Span, table: Table, faces: str | None) -> dict[str, Rows]:
        """From a CSV file's rows, and the folder of faces that goes with it if there is one."""
        p = self.params
        placing = Placing(p.min_confidence, p.rows, p.max_lacking)
        name = batch.media.name
        rows = place_rows(name, table, span, placing)
        made = {ROWS: rows}
        if FACES in batch.wanted:
            if faces is None:
                log.warning(
                    "%s: no aligned faces were imported with the CSV; %s is black and invalid",
                    name,
                    FACES,
                )
                made[FACES] = no_faces(span)
            else:
                made[FACES] = read_faces(name, Path(faces), span, rows.valid)
        return made


def span_of(media: Media, times: NDArray[np.float64]) -> Span:
    """The clip's place among the frames of its file; ``times`` is the clip's timeline."""
    t0 = float(times[0]) if len(times) else 0.0
    if media.start is None and media.stop is None:
        return Span(0, len(times), len(times), t0)
    every = _times_of(
        replace(media, start=None, stop=None, assets={}, attrs={}), *_stamp(media.path)
    )
    first = int(np.searchsorted(every, t0)) if len(times) else 0
    if not np.array_equal(every[first : first + len(times)], times):
        raise BadCsv(
            f"{media.name}: the cut's frames aren't a run of its file's frames, so OpenFace's "
            "rows can't be placed; re-encode the file"
        )
    return Span(first, len(times), len(every), t0)


def duration_of(media: Media, times: NDArray[np.float64]) -> float:
    """Seconds of the whole file, by its headers or else by the clip's last frame."""
    return media.probe.duration or (float(times[-1]) if len(times) else 0.0)


@lru_cache(maxsize=1)
def _times_of(whole: Media, size: int, mtime_ns: int) -> NDArray[np.float64]:
    """Of all frames of a file; its cuts share them."""
    found = [b.times for b in whole.video(TIMES, pixels=False)]
    return np.concatenate(found) if found else np.zeros(0)


@lru_cache(maxsize=1)
def _imported(path: str, size: int, mtime_ns: int) -> Table:
    """The rows of an imported file; the cuts of its medium share them."""
    return read_table(path)


def _stamp(path: str) -> tuple[int, int]:
    """Size and time of a file; zeros where it isn't there, of which its reader will tell."""
    try:
        status = Path(path).stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
