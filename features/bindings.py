"""Which features can fill a slot, as far as declarations tell."""

from __future__ import annotations

from features.extractor import Declaration
from features.spec import FeatureSpec

#: shapes of rows that the five points of a face can be taken from (``features.align``)
_POINTS = ((15,), (68, 2))


def misfit(declaration: Declaration, slot: str, default: FeatureSpec, given: FeatureSpec) -> str:
    """Why a feature can't fill a slot whose default is another one; "" where it may.

    Shapes are compared for our own extractors alone: others may take what they like.
    """
    if given.rate != default.rate:
        return f"it has rows by {given.rate}, rows by {default.rate} are needed"
    cls = declaration.cls
    five = getattr(cls, "takes_detections", True)
    if slot == "points" and five and default.dims in _POINTS and given.dims in _POINTS:
        # detections themselves (ragged), too: in some corpora every frame has one
        return ""
    if given.ragged != default.ragged:
        return f"it has {_items(given)}, {_items(default)} is needed"
    if getattr(cls, "scales", False) and _is_image(given) and _is_image(default):
        return ""
    ours = cls.__module__.startswith("features.")
    unknown = 0 in given.dims or 0 in default.dims
    if not ours or unknown or given.dims == default.dims:
        return ""
    return f"its rows are of shape {given.dims}, {default.dims} is needed"


def _is_image(spec: FeatureSpec) -> bool:
    return spec.dtype == "uint8" and len(spec.dims) == 3 and spec.dims[-1] == 3


def _items(spec: FeatureSpec) -> str:
    return "any number of items a frame" if spec.ragged else "one row a frame"
