"""Canonical JSON and the hash H over it: the one way in which keys are made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]


def canonical_json(value: Json) -> str:
    """JSON with sorted keys and no spaces; NaN and infinities are refused (ValueError)."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
    )


def H(*items: Json) -> str:
    """sha256 (hex) of the canonical JSON of a list; the first item is the type tag.

    >>> H("media", "ab", None, None) == H("media", "ab", None, None)
    True
    """
    return hashlib.sha256(canonical_json(list(items)).encode("ascii")).hexdigest()
