"""Output that goes nowhere, or into a locale that lacks the letters of a name."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.real_clips import COMMAND
from tests.storage.store_kit import new_store

NAME = "größe 表"


@pytest.fixture
def root(tmp_path: Path) -> str:
    return new_store(tmp_path / "s", ("a",), NAME).root


def printed(*words: str, encoding: str) -> str:
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([*COMMAND, *words], env=env, capture_output=True, check=True)
    return done.stdout.decode(encoding)


def test_letters_that_a_locale_lacks_end_no_command(root: str) -> None:
    assert "größe \\u8868: 1 clip" in printed("status", "--store", root, encoding="latin-1")
    told = json.loads(printed("status", "--store", root, "--json", encoding="ascii"))
    assert [*told["corpora"]] == [NAME]


def test_a_closed_output_ends_no_command(root: str) -> None:
    # a daemon may start programs without any of the three
    script = 'exec "$0" "$@" <&- >&- 2>&-'
    words = ["/bin/sh", "-c", script, *COMMAND, "status", "--store", root]
    assert subprocess.run(words, check=False).returncode == 0
