"""Imports every command module, so that its commands are registered."""

from flows.cli import (
    config,
    data,
    demo,
    features,
    run,
    share,
    show,
    space,
    upkeep,
    versions,
    weights,
)

__all__ = [
    "config",
    "data",
    "demo",
    "features",
    "run",
    "share",
    "show",
    "space",
    "upkeep",
    "versions",
    "weights",
]
