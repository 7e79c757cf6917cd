"""eGeMAPS of openSMILE: 88 functionals of a clip's sound."""

from __future__ import annotations

from typing import ClassVar

from features.extractor import extractor
from features.opensmile_set import LICENCE, OpenSmileSet
from features.spec import FeatureSpec


@extractor(
    name="opensmile_egemaps",
    version=1,
    inputs={"audio": "audio_16k"},
    scope="clip",
    licence=LICENCE,
)
class OpensmileEgemaps(OpenSmileSet):
    """The extended Geneva minimalistic acoustic set, version 2: 88 functionals.

    Rate ``clip``: one row. What ``opensmile.FeatureSet.eGeMAPSv02`` gives for ``audio_16k``, to
    the bit (Eyben et al. 2016). Clips of less than 0.1 s are filled with zeros (our choice);
    digital silence is valid; a clip without a track is one invalid row. The columns' names come
    from the program, with the first result.
    """

    config: ClassVar[str] = "eGeMAPSv02"
    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="opensmile_egemaps",
            rate="clip",
            dims=(88,),
            dtype="float32",
            units="by column",
            description="eGeMAPS functionals of a clip",
        ),
    )


@extractor(
    name="opensmile_egemaps_lld",
    version=1,
    inputs={"audio": "audio_16k"},
    scope="clip",
    licence=LICENCE,
)
class OpensmileEgemapsLld(OpenSmileSet):
    """25 low-level descriptors of the extended Geneva set, one row each 10 ms.

    Rate ``segment``: row i is what openSMILE places at t0 + i/100 s, and t0 is the time of the
    track's first sample; how much of the sound a row covers differs by column. Without a track:
    an invalid row for each 10 ms that the clip lasts.
    """

    config: ClassVar[str] = "eGeMAPSv02"
    level: ClassVar[str] = "LowLevelDescriptors"
    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="opensmile_egemaps_lld",
            rate="segment",
            dims=(25,),
            dtype="float32",
            units="by column",
            description="eGeMAPS low-level descriptors each 10 ms",
        ),
    )
