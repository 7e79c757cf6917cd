"""ComParE 2016 of openSMILE: 6,373 functionals of a clip's sound."""

from __future__ import annotations

from typing import ClassVar

from features.extractor import extractor
from features.opensmile_set import LICENCE, OpenSmileSet
from features.spec import FeatureSpec


@extractor(
    name="opensmile_compare",
    version=1,
    inputs={"audio": "audio_16k"},
    scope="clip",
    licence=LICENCE,
)
class OpensmileCompare(OpenSmileSet):
    """The set of the ComParE challenge 2016: 6,373 functionals of 65 descriptors and deltas.

    Rate ``clip``: one row. What ``opensmile.FeatureSet.ComParE_2016`` gives for ``audio_16k``, to
    the bit (Schuller et al. 2016). Clips of less than 0.1 s are filled with zeros (our choice);
    digital silence is valid; a clip without a track is one invalid row. The columns' names come
    from the program, with the first result.
    """

    config: ClassVar[str] = "ComParE_2016"
    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="opensmile_compare",
            rate="clip",
            dims=(6373,),
            dtype="float32",
            units="by column",
            description="ComParE 2016 functionals of a clip",
        ),
    )


@extractor(
    name="opensmile_compare_lld",
    version=1,
    inputs={"audio": "audio_16k"},
    scope="clip",
    licence=LICENCE,
)
class OpensmileCompareLld(OpenSmileSet):
    """65 low-level descriptors of the ComParE set, without deltas, one row each 10 ms.

    Rate ``segment``: row i is what openSMILE places at t0 + i/100 s, and t0 is the time of the
    track's first sample; how much of the sound a row covers differs by column. Without a track:
    an invalid row for each 10 ms that the clip lasts.
    """

    config: ClassVar[str] = "ComParE_2016"
    level: ClassVar[str] = "LowLevelDescriptors"
    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="opensmile_compare_lld",
            rate="segment",
            dims=(65,),
            dtype="float32",
            units="by column",
            description="ComParE 2016 low-level descriptors each 10 ms",
        ),
    )
