"""IS10 of openSMILE: 1,582 functionals of a clip's sound (Guo et al. 2018, SVM)."""

from __future__ import annotations

from typing import ClassVar

from features.extractor import extractor
from features.opensmile_set import LICENCE, OpenSmileSet
from features.spec import FeatureSpec


@extractor(
    name="opensmile_is10",
    version=1,
    inputs={"audio": "audio_16k"},
    scope="clip",
    licence=LICENCE,
)
class OpensmileIs10(OpenSmileSet):
    """The INTERSPEECH 2010 paralinguistic set: 1,582 functionals of 38 descriptors and deltas.

    Rate ``clip``: one row. What ``opensmile.FeatureSet.IS10`` gives for ``audio_16k``, to the bit
    (Schuller et al. 2010). 319 of the numbers differ from those of emobase2010.conf, which
    ``opensmile_custom`` takes. Clips of less than 0.1 s are filled with zeros, since the set finds
    nothing in them (our choice); digital silence is valid; a clip without a track is one invalid
    row. The columns' names come from the program, with the first result. Of this set it keeps all
    that it computes on the way, some 300 MB of memory for each minute of a clip: give a long
    recording in cuts.
    """

    config: ClassVar[str] = "IS10"
    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="opensmile_is10",
            rate="clip",
            dims=(1582,),
            dtype="float32",
            units="by column",
            description="INTERSPEECH 2010 functionals of a clip (guo2018)",
        ),
    )


@extractor(
    name="opensmile_is10_lld",
    version=1,
    inputs={"audio": "audio_16k"},
    scope="clip",
    licence=LICENCE,
)
class OpensmileIs10Lld(OpenSmileSet):
    """38 low-level descriptors of the INTERSPEECH 2010 set, without deltas, one row each 10 ms.

    Rate ``segment``: row i is what openSMILE places at t0 + i/100 s, and t0 is the time of the
    track's first sample; how much of the sound a row covers differs by column. Without a track:
    an invalid row for each 10 ms that the clip lasts.
    """

    config: ClassVar[str] = "IS10"
    level: ClassVar[str] = "LowLevelDescriptors"
    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="opensmile_is10_lld",
            rate="segment",
            dims=(38,),
            dtype="float32",
            units="by column",
            description="INTERSPEECH 2010 low-level descriptors each 10 ms",
        ),
    )
