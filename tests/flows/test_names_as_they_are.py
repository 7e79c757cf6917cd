"""Names with brackets and colons are printed as they are, whatever a terminal's markup is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from flows.cli import commands, options
from flows.cli.app import app
from tests.features.made_clips import make_clip

pytestmark = pytest.mark.usefixtures("chain")

#: as yt-dlp names files; a folder and a file that close each other's brackets; markup; an emoji
NAMES = ("Interview [dQw4w9WgXcQ]", "a[/b]", "[bold]loud[", "at :smile: 12")


def said(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(w) for w in words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def test_clips_are_named_as_they_are_by_every_command(tmp_path: Path) -> None:
    media, store = tmp_path / "my [media]", tmp_path / "store"
    for i, name in enumerate(NAMES):
        broken = media / f"{name}.mp4"
        broken.parent.mkdir(parents=True, exist_ok=True)
        broken.write_bytes(bytes([i]) * 500)
    make_clip(media / "whole [1].mp4", sound=False)
    words = ("--store", store)
    told = said("ingest", media, *words, "--corpus", "c [x]")
    assert "c [x]: 5 clips" in told
    assert [name for name in NAMES if f"{name}: media_unreadable" not in told] == []
    assert "whole [1]" in said("plan", *words, "--features", "timeline", "--detail")
    told = said("extract", *words, "--features", "timeline", "--no-prefect", code=1)
    assert [name for name in NAMES if f"x {name} timeline: media_" not in told] == []
    told = said("failures", *words)
    assert [name for name in NAMES if name not in told] == []
    assert "c [x]: 5 clips" in said("status", *words)
    told = said("inspect", "whole [1]", *words)
    assert f"whole [1] of c [x]: {media / 'whole [1].mp4'}" in told
    told = said("inspect", NAMES[0], *words)
    assert f"{NAMES[0]}.mp4' is no media file" in told
    to = tmp_path / "[o].csv"
    assert str(to) in said("export", *words, "--feature", "timeline", "--to", to, code=1)


def test_nothing_printed_is_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    made = options.table("a", "b")
    made.add_row(*NAMES[:2])
    for console in (options.out, options.err):
        for name in NAMES:
            console.print(name, soft_wrap=True)
        console.print(made)
    options.warn(NAMES[1])
    options.fault(NAMES[2])
    told = capsys.readouterr()
    assert told.out.splitlines()[: len(NAMES)] == [*NAMES]
    assert NAMES[0] in told.out.splitlines()[-1]
    assert told.err.splitlines()[-2:] == [f"  ! {NAMES[1]}", f"  x {NAMES[2]}"]


def test_all_printing_goes_through_the_two_consoles() -> None:
    assert not any(c._markup or c._emoji for c in (options.out, options.err))
    folder = Path(commands.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id == Console.__name__:
                    assert path.name == "options.py", path
                if node.func.id == "TextColumn":
                    assert "markup" in {k.arg for k in node.keywords}, path
