"""openSMILE by the user's own .conf: as many columns as that has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from features.extractor import Params as AnyParams
from features.extractor import extractor
from features.opensmile_conf import config_digest, for_library
from features.opensmile_set import LICENCE, OpenSmileSet
from features.spec import FeatureSpec


class _Custom(OpenSmileSet):
    """One level of a .conf that the user names."""

    class Params(AnyParams):
        """Which .conf, and which of its levels."""

        places: ClassVar[tuple[str, ...]] = ("config",)
        config: str = Field("", description="path of the .conf, whose content is in the key")
        level: str = Field(
            "",
            description="level of the data memory that becomes rows; by default what the .conf's "
            "own sink reads, or func",
        )

        @field_validator("config")
        @classmethod
        def _absolute(cls, path: str) -> str:
            # Workers may run in another folder.
            return str(Path(path).expanduser().absolute()) if path else ""

    @staticmethod
    def tools_for(params: Any) -> Mapping[str, int | str]:
        """The package's version, and the content of the .conf with all that it includes."""
        known = OpenSmileSet.tools_for(params)
        there = params.config and Path(params.config).is_file()
        return {**known, "config": config_digest(Path(params.config))} if there else known

    @classmethod
    def unavailable(cls, params: Any) -> str | None:
        """Whether the package and the .conf are there."""
        if missing := super().unavailable(params):
            return missing
        remedy = f"--set {cls.outputs[0].name}.config=FILE.conf"
        if not params.config:
            return f"it has no .conf; name one by {remedy}"
        if not Path(params.config).is_file():
            return f"{params.config} isn't there; name another by {remedy}"
        return None

    @classmethod
    def source(cls, params: Any) -> tuple[str, str, str]:
        """The .conf, or the copy that the library can feed, the level, and the content."""
        digest = config_digest(Path(params.config))
        path, read = for_library(params.config, digest)
        return path, params.level or read or "func", digest


@extractor(
    name="opensmile_custom",
    version=1,
    inputs={"audio": "audio_16k"},
    scope="clip",
    licence=LICENCE,
)
class OpensmileCustom(_Custom):
    """Functionals by the user's own openSMILE .conf, one row a clip; columns as the .conf has them.

    ``--set opensmile_custom.config=FILE.conf``. The sound is ``audio_16k``, whatever source the
    .conf names, and rows are what its sink reads: in the sets of openSMILE 3 both come from the
    command line, and in older ones (emobase2010.conf) the wave source and the table's sink are
    replaced in a copy. Rate ``clip``: there must be one row. The sha256 of the .conf, with all
    that it includes, is part of the key. Clips of less than 0.1 s are filled with zeros.
    """

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="opensmile_custom",
            rate="clip",
            dims=(0,),
            dtype="float32",
            units="by column",
            description="functionals of a clip by the user's own .conf, which gives the columns",
        ),
    )


@extractor(
    name="opensmile_custom_lld",
    version=1,
    inputs={"audio": "audio_16k"},
    scope="clip",
    licence=LICENCE,
)
class OpensmileCustomLld(_Custom):
    """Low-level descriptors by the user's own openSMILE .conf; columns as the .conf has them.

    Rate ``segment``: rows and their step are those of ``level``, and t0 is the time of the
    track's first sample, or later where openSMILE starts later. Otherwise as
    ``opensmile_custom``.
    """

    class Params(_Custom.Params):
        """Which .conf, and which of its levels."""

        level: str = Field(
            "lld", min_length=1, description="level of the data memory that becomes rows"
        )

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="opensmile_custom_lld",
            rate="segment",
            dims=(0,),
            dtype="float32",
            units="by column",
            description="low-level descriptors by the user's own .conf, which gives the columns",
        ),
    )
