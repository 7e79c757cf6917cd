"""openSMILE by the user's own .conf: as many columns as that has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from features.extractor import Params as AnyParams
from features.extractor import extractor
from features.opensmile_set import LICENCE, OpenSmileSet
from features.spec import FeatureSpec

#: an include by name, \{other.conf.inc}; \{\cm[...]} is an option of the command line instead
_INCLUDE = re.compile(r"\\\{([^\\}]+)\}")


class _Custom(OpenSmileSet):
    """One level of a .conf that the user names."""

    class Params(AnyParams):
        """Which .conf, and which of its levels."""

        config: str = Field("", description="path of the .conf; its content is in the key, too")
        level: str = Field("func", description="level of the data memory that becomes rows")

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
    def source(cls, params: Any) -> tuple[str, str]:
        """The .conf and its level."""
        return params.config, params.level


@extractor(
    name="opensmile_custom",
    version=1,
    inputs={"audio": "audio_16k"},
    scope="clip",
    licence=LICENCE,
)
class OpensmileCustom(_Custom):
    """Functionals by the user's own openSMILE .conf, one row a clip; columns as the .conf has them.

    ``--set opensmile_custom.config=FILE.conf``. The .conf must take its source and sink from the
    command line, as those of openSMILE 3 do (emobase2010.conf among them); the sound is
    ``audio_16k``. Rate ``clip``: ``level`` must give one row. The sha256 of the .conf, with all
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

        level: str = Field("lld", description="level of the data memory that becomes rows")

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


def config_digest(path: Path) -> str:
    """sha256 (hex) over a .conf and the files that it includes by name, however deep."""
    state = sha256()
    waiting, seen = [path], set[Path]()
    while waiting:
        one = waiting.pop(0).resolve()
        if one in seen or not one.is_file():
            continue
        seen.add(one)
        content = one.read_bytes()
        state.update(len(content).to_bytes(8, "little") + content)
        waiting += [one.parent / name for name in _INCLUDE.findall(content.decode("latin-1"))]
    return state.hexdigest()
