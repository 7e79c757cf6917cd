"""The command line: what a person types."""

from flows.cli.app import main

__all__ = ["main"]
