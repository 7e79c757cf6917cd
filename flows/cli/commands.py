"""Imports every command module, so that its commands are registered."""

from flows.cli import data, demo, features, run, show

__all__ = ["data", "demo", "features", "run", "show"]
