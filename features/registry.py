"""Which extractors there are: ours, and those of packages that declare an entry point."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points

from features.errors import RequestError, UnknownFeature
from features.extractor import Declaration
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


@cache
def declarations() -> Mapping[str, Declaration]:
    """Extractor name -> declaration, each after the extractors that it reads from.

    Raises:
        RequestError: two extractors make a feature of one name, or inputs form a circle.
    """
    found: dict[str, Declaration] = {}
    for declaration in [*_built_in(), *_third_party()]:
        if declaration.name in found:
            raise RequestError(f"two extractors are named {declaration.name}; rename one")
        found[declaration.name] = declaration
    return {d.name: d for d in _in_order(found.values())}


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
    raise UnknownFeature(
        f"no feature is named {feature!r}{nearest(feature, feature_specs())}; "
        "affectstore features list shows all"
    )


def _built_in() -> list[Declaration]:
    found = []
    for module in BUILT_IN:
        for value in vars(importlib.import_module(module)).values():
            declaration = getattr(value, "declaration", None)
            if isinstance(declaration, Declaration) and value.__module__ == module:
                found.append(declaration)
    return found


def _third_party() -> list[Declaration]:
    found = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda e: e.name):
        declaration = getattr(entry.load(), "declaration", None)
        if not isinstance(declaration, Declaration):
            raise RequestError(
                f"entry point {entry.name} ({entry.value}) is no class with @extractor; "
                "correct it or uninstall its package"
            )
        found.append(declaration)
    return found


def _in_order(declared: Iterable[Declaration]) -> list[Declaration]:
    """Topological order that keeps the given one where it may."""
    waiting, done, made = list(declared), [], set[str]()
    outside = {f for d in waiting for f in d.inputs.values()} - {
        spec.name for d in waiting for spec in d.outputs
    }
    while waiting:
        ready = next((d for d in waiting if set(d.inputs.values()) <= made | outside), None)
        if ready is None:
            raise RequestError(
                "extractors read each other in a circle: " + ", ".join(d.name for d in waiting)
            )
        waiting.remove(ready)
        done.append(ready)
        made |= {spec.name for spec in ready.outputs}
    return done
