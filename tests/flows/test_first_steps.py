"""What a newcomer types wrong, and what a terminal can tell."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.errors import RequestError
from features.spelling import nearest
from flows.assets import add_assets
from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from storage.errors import NotAStore, UnknownClip
from tests.features.made_clips import make_clip
from tests.storage.store_kit import new_store

pytestmark = pytest.mark.usefixtures("chain")


def said(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    make_clip(folder / "whole.mp4", sound=False, seconds=2)
    (folder / "broken.mp4").write_bytes(b"no film" * 99)
    return folder


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (["--help"], {"features.registry", "storage", "numpy", "pydantic"}),
        (["recipes", "list"], {"features.registry", "storage", "numpy"}),
        (["features", "list"], {"storage", "pyarrow", "torch", "librosa", "prefect"}),
    ],
)
def test_a_command_imports_no_more_than_it_needs(words: list[str], unneeded: set[str]) -> None:
    code = (
        "import sys\nfrom flows.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], check=True, capture_output=True, text=True
    )
    assert not unneeded & {*done.stderr.split()}


def test_places_and_names_that_cannot_be_are_refused(media: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for store in (file, file / "below"):
        with pytest.raises(NotAStore, match=f"{file} is a file; name a folder"):
            said("ingest", media, "--store", store, "--corpus", "c")
    with pytest.raises(RequestError, match="the corpus has no name"):
        said("ingest", media, "--store", tmp_path / "s", "--corpus", " ")
    odd = os.fsencode(tmp_path) + b"/caf\xe9"
    shutil.copytree(os.fsencode(media), odd)
    with pytest.raises(RequestError, match=r"caf\\xe9: the name is no UTF-8") as refused:
        said("ingest", os.fsdecode(odd), "--store", tmp_path / "s", "--corpus", "c")
    str(refused.value).encode()
    assert not (tmp_path / "s").exists()


def test_a_file_of_unknown_length_adds_nothing_to_the_time_that_is_told(
    media: Path, tmp_path: Path
) -> None:
    words = ("--store", tmp_path / "s")
    said("ingest", media, *words, "--corpus", "c")
    told = said("extract", *words, "--features", "light", "--no-prefect", code=1)
    assert "extract: 2 clips, 2.0 s of media" in told


def test_failures_of_a_run_name_the_corpus(media: Path, tmp_path: Path) -> None:
    words = ("--store", tmp_path / "s")
    said("ingest", media, *words, "--corpus", "c")
    told = said("extract", *words, "--features", "light", "--no-prefect", "--json", code=1)
    (failure,) = json.loads(told)["failures"]
    assert (failure["corpus"], failure["clip"], failure["feature"]) == ("c", "broken", "light")


def test_tracks_of_a_clip_that_is_not_there_are_refused(media: Path, tmp_path: Path) -> None:
    words = ("--store", tmp_path / "s")
    said("ingest", media, *words, "--corpus", "c")
    assert "no tracks yet" in said("tracks", "show", *words, "--clip", "whole")
    with pytest.raises(UnknownClip, match="did you mean 'whole'"):
        said("tracks", "show", *words, "--clip", "wholle")


def test_only_near_names_are_suggested() -> None:
    known = ("openface", "mfcc_mel", "face_track")
    assert nearest("nonsense", known) == ""
    assert nearest("ü", ["u\u0308"]) == " (did you mean 'u\u0308'?)"
    assert nearest("mfc_mel", known) == " (did you mean 'mfcc_mel'?)"


def test_the_version_is_told_and_shells_complete() -> None:
    assert said("--version").startswith("affectstore 0.")
    environment = {
        **os.environ,
        "_AFFECTSTORE_COMPLETE": "complete_bash",
        "COMP_WORDS": "affectstore ver",
        "COMP_CWORD": "1",
    }
    script = "import sys; from flows.cli.app import main; sys.argv = ['affectstore']; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["verify"], done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "-s", "S", "-f", "timeline", "--features", "mfcc_mel"],
        ["config", "show", "--store", "S", "-s", "T"],
        ["import", "openface", "F", "--store", "S", "-s", "T"],
    ],
)
def test_an_option_that_is_given_twice_is_refused(words: list[str]) -> None:
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "given twice" in done.stderr


def test_a_command_that_is_told_can_be_copied_where_a_path_has_spaces(tmp_path: Path) -> None:
    store = new_store(tmp_path / "my store", ("a",))
    with pytest.raises(RequestError, match=r"status --store '.*my store' shows what there is"):
        add_assets(store, "c", {"nobody": []})
