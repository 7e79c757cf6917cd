"""Extractors: what is computed. ``features.extract("mfcc_mel", "x.mp4")`` needs no store."""

from typing import Any

__all__ = ["FeatureSpec", "Rows", "extract"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that reading a store loads no extractor."""
    if name == "extract":
        from features.notebook import extract

        return extract
    if name in ("FeatureSpec", "Rows"):
        from features import spec

        return getattr(spec, name)
    raise AttributeError(f"module 'features' has no attribute {name!r}")
