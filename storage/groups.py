"""Groups of columns: ``openface.gaze`` reads eight of the 714 columns of ``openface``."""

from __future__ import annotations

from features.spec import FeatureSpec, Rows
from features.spelling import nearest
from storage.errors import UnknownGroup

#: features of frame labels have a dot in their own name
_LABEL = "label."


def split(feature: str) -> tuple[str, str | None]:
    """``openface.gaze`` -> (``openface``, ``gaze``); a plain name -> (name, None)."""
    base, dot, group = feature.partition(".")
    if not dot or feature.startswith(_LABEL):
        return feature, None
    return base, group


def bounds_of(spec: FeatureSpec, group: str) -> tuple[int, int]:
    """[start, stop) of a group's columns.

    Raises:
        UnknownGroup: with the nearest name.
    """
    known = {name: (start, stop) for name, start, stop in spec.groups}
    if group not in known:
        raise UnknownGroup(
            f"{spec.name} has no group of columns {group!r}{nearest(group, known)} "
            f"(it has: {', '.join(known) or 'none'})"
        )
    return known[group]


def columns_of(rows: Rows, bounds: tuple[int, int]) -> Rows:
    """The rows with some of their columns only, as an array of their own."""
    values = rows.values[..., bounds[0] : bounds[1]].copy()
    return Rows(values, rows.valid, rows.t0, rows.step, rows.offsets, rows.block)
