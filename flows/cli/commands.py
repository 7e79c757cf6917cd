"""Imports every command module, so that its commands are registered."""

from flows.cli import (
    config,
    data,
    demo,
    features,
    imports,
    recipes,
    run,
    share,
    show,
    space,
    tracks,
    upkeep,
    versions,
    weights,
)

__all__ = [
    "config",
    "data",
    "demo",
    "features",
    "imports",
    "recipes",
    "run",
    "share",
    "show",
    "space",
    "tracks",
    "upkeep",
    "versions",
    "weights",
]
