"""What every openSMILE extractor shares: one feature set at one level, run by its own program."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from features.errors import RequestError, UnexpectedFailure
from features.extractor import Batch, Params
from features.media.media import SPEECH_RATE
from features.sound import FULL_SCALE
from features.spec import FeatureSpec, Rows

PACKAGE = "opensmile"
#: shown by ``features list`` and ``features show``
LICENCE = "audEERING (research)"
#: the package that the golden numbers are from; stands in keys where none is installed
VERIFIED = "2.6.0"
#: in less than 0.1 s IS10 finds no frame at all; shorter clips are filled with zeros (our choice)
LEAST_SAMPLES = SPEECH_RATE // 10
#: seconds between rows of low-level descriptors in the sets that come with the package
STEP = 0.01
#: digits behind the point of the times that the package gives
NANOSECOND = 9
#: between the names of several levels; seconds of silence in which each shows how many rows it has
AND, TRIED = ";", 1.0

Table = tuple[NDArray[np.float32], float, float | None]


class OpenSmileSet:
    """Base of the extractors of one feature set at one level.

    Attributes:
        config: member of ``opensmile.FeatureSet``.
        level: member of ``opensmile.FeatureLevel``.
    """

    config: ClassVar[str] = ""
    level: ClassVar[str] = "Functionals"
    outputs: ClassVar[tuple[FeatureSpec, ...]]

    class Params(Params):
        """None: the set is fixed by its name."""

    def __init__(self, params: Any) -> None:
        self.params = params

    @staticmethod
    def tools_for(params: Any) -> Mapping[str, int | str]:
        """The package's version: its sets change with it."""
        return {PACKAGE: _version() if _installed() else VERIFIED}

    @classmethod
    def unavailable(cls, params: Any) -> str | None:
        """Whether the package is there."""
        if _installed():
            return None
        return "the package opensmile isn't installed; pip install 'affectstore[opensmile]'"

    @classmethod
    def source(cls, params: Any) -> tuple[str, str, str]:
        """What ``program`` takes: the set, the level, and the digest of a user's own .conf."""
        return cls.config, cls.level, ""

    @classmethod
    def outputs_for(cls, params: Any) -> tuple[FeatureSpec, ...]:
        """The feature with its columns, which the program names."""
        names = tuple(program(*cls.source(params)).feature_names)
        return (replace(cls.outputs[0], dims=(len(names),), columns=names),)

    def extract(self, batch: Batch) -> Rows:
        """Values ``(rows, columns)``; one row where the rate is ``clip``."""
        audio = batch.inputs["audio"]
        spec = self.outputs_for(self.params)[0]
        if not audio.valid.any():
            if spec.rate == "clip":
                return spec.invalid(1, t0=audio.t0)
            rows = max(1, round(audio.rows / SPEECH_RATE / STEP))
            return spec.invalid(rows, t0=audio.t0, step=STEP)
        values, offset, step = self._run(np.asarray(audio.values, np.int16), batch.media.name)
        if spec.rate == "clip" and len(values) != 1:
            raise RequestError(
                f"{batch.media.name}: {spec.name} has {len(values)} rows where one is needed; "
                "name a level of functionals, or ask for low-level descriptors"
            )
        valid = np.logical_not(np.isnan(values).all(axis=1))
        if spec.rate == "clip":
            return Rows(values, valid, audio.t0)
        return Rows(values, valid, audio.t0 + offset, STEP if step is None else step)

    def _run(self, samples: NDArray[np.int16], name: str) -> Table:
        """Rows, seconds from the first sample to the first row, seconds between rows."""
        if len(samples) < LEAST_SAMPLES:
            samples = np.pad(samples, (0, LEAST_SAMPLES - len(samples)))
        # as float32 at once: shares of 16-bit samples are exact in it, and the sound may be long
        sound = np.divide(samples, FULL_SCALE, dtype=np.float32)
        try:
            table = program(*self.source(self.params)).process_signal(sound, SPEECH_RATE)
        except RequestError:
            raise
        except Exception as error:  # the package's own is a plain Exception with a code
            raise UnexpectedFailure(f"{name}: openSMILE stopped with {error}") from error
        starts = table.index.get_level_values("start").total_seconds().to_numpy()
        values = table.to_numpy(np.float32)
        # The package sets the first start to that of the sound, whatever the program says.
        if len(starts) < 3:
            return values, 0.0, None
        step = round(float(starts[2] - starts[1]), NANOSECOND)
        return values, max(0.0, round(float(starts[1]) - step, NANOSECOND)), step


@cache
def program(config: str, level: str, digest: str) -> Any:
    """``opensmile.Smile`` of a set that comes with the package, or of a user's own .conf.

    Args:
        digest: of the .conf's content, so that a changed one is read again.

    Raises:
        RequestError: openSMILE can't read the .conf, it has no such level, or several levels that
            don't have the same rows.
    """
    import opensmile
    from opensmile.core.lib import OpenSmileException

    sets = opensmile.FeatureSet.__members__
    levels = opensmile.FeatureLevel.__members__
    if config in sets:
        return opensmile.Smile(sets[config], levels[level])
    try:
        _check_levels(config, level)
        return opensmile.Smile(config, level)
    except (OSError, OpenSmileException) as error:
        raise RequestError(
            f"openSMILE can't use {Path(config).name} at level {level!r} ({error}); run "
            "SMILExtract on it, which says what is wrong"
        ) from error


def _check_levels(config: str, level: str) -> None:
    """Refuse levels with unequal rows: side by side, they would end the process."""
    import opensmile

    names = level.split(AND)
    if len(names) == 1:
        return
    silence = np.zeros(round(TRIED * SPEECH_RATE), np.float32)
    rows = [len(opensmile.Smile(config, n).process_signal(silence, SPEECH_RATE)) for n in names]
    if len(set(rows)) > 1:
        told = ", ".join(f"{name} {count}" for name, count in zip(names, rows, strict=True))
        raise RequestError(
            f"{Path(config).name}: levels {level} can't be put side by side, a second of sound "
            f"has unequal numbers of rows in them ({told}); name one of them"
        )


@cache
def _version() -> str:
    return version(PACKAGE)


def _installed() -> bool:
    return importlib.util.find_spec(PACKAGE) is not None
