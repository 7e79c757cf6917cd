"""docs/export.md says what --json prints; it does, and what it says of tables is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from corpora.demo import make_demo
from flows.cli import commands  # noqa: F401
from flows.cli.app import app

DOC = (Path(__file__).parents[2] / "docs" / "export.md").read_text()


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Command -> its JSON, of a store with one good and one broken clip."""
    here = tmp_path_factory.mktemp("json")
    media = make_demo(here / "media", clips=1, seconds=0.5)
    (media / "broken.mp4").write_bytes(b"no video")
    store = ["--store", str(here / "S"), "--json"]
    some = ["--features", "timeline", *store]
    tried = {
        "ingest": ["ingest", str(media), "--corpus", "c", "--adapter", "folder", *store],
        "plan": ["plan", *some],
        "extract": ["extract", "--no-prefect", *some],
        "status": ["status", *store],
        "failures": ["failures", *store],
        "inspect CLIP": ["inspect", "demo_1", *store],
        "export": ["export", "--feature", "timeline", "--to", str(here / "t.csv"), *store],
        "features list": ["features", "list", "--json"],
    }
    found = {}
    for name, words in tried.items():
        done = CliRunner().invoke(app, words)
        assert done.exit_code in (0, 1), f"{name}: {done.output}"
        found[name] = json.loads(done.stdout)
    lines = (here / "t.csv").read_text().splitlines()
    assert lines[0] == '"corpus","clip","row","time","valid","timeline"'
    return found


def rows() -> dict[str, str]:
    """Command -> what the page says of its JSON."""
    table = DOC.split("## What `--json` prints")[1]
    return dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", table, re.MULTILINE))


@pytest.mark.parametrize("command", rows())
def test_every_key_that_the_page_names_is_there(printed: dict[str, Any], command: str) -> None:
    facts = printed[command]
    text = json.dumps(facts)
    named = re.findall(r"`(\w+)`", rows()[command])
    outside = rows()[command]
    while "{" in outside:
        outside = re.sub(r"\{[^{}]*\}", "", outside)
    outer = re.findall(r"`(\w+)`", outside)
    assert named
    assert [key for key in named if f'"{key}":' not in text] == []
    if isinstance(facts, dict):
        assert [key for key in outer if key not in facts] == []


def test_no_command_of_the_page_is_untried(printed: dict[str, Any]) -> None:
    assert set(rows()) == set(printed)
