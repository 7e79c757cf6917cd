"""What tests of trainers share."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.real_clips import COMMAND

#: seconds that one command may take on a busy machine
PATIENCE = 5000


@pytest.fixture(scope="session")
def facts() -> Callable[..., Any]:
    """Run affectstore with --json, with more time than other tests have; the facts."""

    def run(*words: object) -> Any:
        command = [*COMMAND, *map(str, words), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
