"""Every affectstore command in the docs is one that affectstore takes: names, options, values."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from flows.cli import commands  # noqa: F401
from flows.cli.app import app

ROOT = Path(__file__).parents[2]
DOCS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("containers/**/*.md")])


def typed() -> list[tuple[str, str, bool]]:
    """File, command, and whether it is whole: in a block of its own, not within a sentence."""
    found = []
    for path in DOCS:
        name = path.relative_to(ROOT).as_posix()
        for line in path.read_text().splitlines():
            for command in re.findall(r"`affectstore ([^`…]+)`", line):
                found.append((name, command, False))
            if line.startswith("    affectstore "):
                # what stands behind two spaces, or #, explains
                for part in re.split(r"  +|#", line.strip())[0].split("&&"):
                    found.append((name, part.strip().removeprefix("affectstore "), True))
    return found


def parse(words: list[str]) -> None:
    """Parse a command as affectstore does, without running it."""
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
        if not words:
            return
    command.make_context(command.name, words)


@pytest.mark.parametrize(("where", "command", "whole"), typed())
def test_the_command_line_takes_it(where: str, command: str, whole: bool) -> None:
    try:
        parse([word for word in shlex.split(command) if word != "…"])
    except Exception as error:
        if whole or type(error).__name__ != "MissingParameter":
            pytest.fail(f"{where}: affectstore {command}: {error}")


def test_there_are_commands_to_try() -> None:
    assert len(typed()) > 60
