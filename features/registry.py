"""Which extractors there are: ours, and those of packages that declare an entry point."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from functools import cache

from features.errors import RequestError, UnknownFeature
from features.extractor import Declaration
from features.offered import Offered
from features.plugins import LeftOut, offers, say
from features.spec import FeatureSpec
from features.spelling import nearest

ENTRY_POINTS = "affectstore.extractors"

#: one module per extractor, in the order in which lists show them
BUILT_IN = (
    "features.timeline",
    "features.audio_16k",
    "features.mfcc_mel",
    "features.stft_map",
    "features.logmel_64",
    "features.spectrogram_192x120",
    "features.shortterm_34",
    "features.opensmile_is10",
    "features.opensmile_egemaps",
    "features.opensmile_compare",
    "features.opensmile_custom",
    "features.faces",
    "features.faces_provided",
    "features.identity",
    "features.face_track",
    "features.face_112",
    "features.face_112x96",
    "features.openface.single",
    "features.openface.multi",
    "features.face_224",
    "features.face_mesh",
    "features.landmarks_68",
    "features.face_eyes_224",
    "features.face_mask",
    "features.head_pose",
    "features.gaze",
    "features.facemesh_714",
    "features.face_227",
    "features.expnet",
    "features.sphereface",
    "features.vggface",
    "features.frame_48",
)


def declarations() -> Mapping[str, Declaration]:
    """Extractor name -> declaration, each after the extractors that it reads from.

    What other packages offer and can't be used is left out, and a line says so once
    (``left_out``): it must not stop work that has nothing to do with it.
    """
    return _found()[0]


def left_out() -> tuple[LeftOut, ...]:
    """Extractors of other packages that aren't used, and why."""
    return _found()[1]


def feature_specs() -> dict[str, FeatureSpec]:
    """Feature name -> what it is, in topological order."""
    return {spec.name: spec for d in declarations().values() for spec in d.outputs}


def declaration_of(feature: str) -> Declaration:
    """The extractor that makes a feature.

    Raises:
        UnknownFeature: none does; the message has the nearest name.
    """
    for declaration in declarations().values():
        if any(spec.name == feature for spec in declaration.outputs):
            return declaration
    for one in left_out():
        if feature in one.names:
            raise UnknownFeature(str(one))
    raise UnknownFeature(
        f"no feature is named {feature!r}{nearest(feature, feature_specs())}; "
        "affectstore features list shows all"
    )


@cache
def _found() -> tuple[Mapping[str, Declaration], tuple[LeftOut, ...]]:
    built_in = _in_order(_built_in())
    offered = Offered(built_in)
    for offer in offers(ENTRY_POINTS, offered.out.append):
        offered.add(offer)
    offered.drop_clashes()
    order = [*built_in, *offered.in_order()]
    for one in offered.out:
        say(one)
    return {d.name: d for d in order}, tuple(offered.out)


def _built_in() -> list[Declaration]:
    found = []
    for module in BUILT_IN:
        for value in vars(importlib.import_module(module)).values():
            declaration = getattr(value, "declaration", None)
            if isinstance(declaration, Declaration) and value.__module__ == module:
                found.append(declaration)
    return found


def _in_order(declared: Iterable[Declaration]) -> list[Declaration]:
    """Topological order that keeps the given one where it may."""
    waiting, done, made = list(declared), list[Declaration](), set[str]()
    while ready := next((d for d in waiting if set(d.inputs.values()) <= made), None):
        waiting.remove(ready)
        done.append(ready)
        made |= {spec.name for spec in ready.outputs}
    if waiting:
        raise RequestError(
            "extractors read each other in a circle, or what none makes: "
            + ", ".join(d.name for d in waiting)
        )
    return done
