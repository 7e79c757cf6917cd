"""Bad input gets one clear line; its neighbours are published."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli import main
from flows.quarantine import quarantine
from storage import FeatureStore
from tests.real_clips import BASIC, Cli, Facts


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run affectstore in this process: its exit code and what it says on standard error."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["affectstore", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


@pytest.fixture
def bad_media(media: Path, tmp_path: Path) -> Path:
    """A good clip among broken ones."""
    folder = tmp_path / "media"
    folder.mkdir()
    good = media / "a02_single_face_mp3_in_mp4.mp4"
    shutil.copy(good, folder / "good.mp4")
    whole = (media / "a07_three_people_no_audio.mp4").read_bytes()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video\n")
    (folder / "noise.mp4").write_bytes(bytes(range(256)) * 400)
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    (folder / "playlist.mp4").write_text(f"#EXTM3U\n#EXTINF:3,\nfile://{good}\n#EXT-X-ENDLIST\n")
    return folder


def attempts(root: Path) -> set[int]:
    """How often what is in quarantine was tried."""
    return {row["attempts"] for row in quarantine(FeatureStore.open(root))}


@pytest.mark.media
def test_broken_files_go_to_quarantine_and_the_good_one_is_published(
    bad_media: Path, tmp_path: Path, cli: Cli, facts: Facts
) -> None:
    root = tmp_path / "store"
    found = facts("ingest", bad_media, "--store", root, "--corpus", "bad")
    assert found["clips"] == 6
    assert {"empty", "text", "noise", "playlist"} <= set(found["problems"])
    done = cli("extract", "--store", root, "--features", BASIC, "--no-prefect", code=1)
    assert "Traceback" not in done.stderr
    store = FeatureStore.open(root)
    assert store.rows("good", "face_112").valid_share > 0.95
    failures = facts("failures", "--store", root)
    codes = {f["clip"]: f["code"] for f in failures}
    assert codes["empty"] == "media_empty"
    assert codes["playlist"] == "media_forbidden"
    assert {"text", "noise", "truncated"} <= set(codes)
    assert all(f["attempts"] == 1 for f in failures)
    assert all(f["message"] and "\n" not in f["message"] for f in failures)
    counts = facts("status", "--store", root)["corpora"]["bad"]["features"]["face_112"]
    assert (counts["published"], counts["quarantined"], counts["missing"]) == (1, 5, 0)
    # an earlier quarantine is not tried again unasked, and still isn't a success
    cli("extract", "--store", root, "--features", BASIC, "--no-prefect", code=1)
    assert attempts(root) == {1}
    again = cli("retry", "--store", root, "--features", BASIC, "--no-prefect", code=1)
    assert "Traceback" not in again.stderr
    assert attempts(root) == {2}


@pytest.mark.long
@pytest.mark.media
def test_a_repaired_file_leaves_quarantine_after_the_next_ingest(
    media: Path, tmp_path: Path, cli: Cli, facts: Facts
) -> None:
    folder, root = tmp_path / "media", tmp_path / "store"
    folder.mkdir()
    good = media / "a07_three_people_no_audio.mp4"
    (folder / "x.mp4").write_bytes(b"")
    cli("ingest", folder, "--store", root, "--corpus", "c")
    cli("extract", "--store", root, "--features", "timeline", "--no-prefect", code=1)
    shutil.copy(good, folder / "x.mp4")
    done = cli("extract", "--store", root, "--features", "timeline", "--no-prefect", code=1)
    assert "quarantine" in done.stdout
    cli("ingest", folder, "--store", root, "--corpus", "c")
    cli("extract", "--store", root, "--features", "timeline", "--no-prefect")
    assert facts("failures", "--store", root) == []


@pytest.mark.media
def test_a_file_that_changed_after_ingest_is_refused(
    media: Path, tmp_path: Path, here: Callable[..., tuple[int, str]]
) -> None:
    folder, root = tmp_path / "media", str(tmp_path / "store")
    folder.mkdir()
    shutil.copy(media / "a07_three_people_no_audio.mp4", folder / "x.mp4")
    here("ingest", str(folder), "--store", root, "--corpus", "c")
    shutil.copy(media / "a02_single_face_mp3_in_mp4.mp4", folder / "x.mp4")
    code, _ = here("extract", "--store", root, "--features", "timeline", "--no-prefect")
    failed = FeatureStore.open(root).failures()["code"].to_pylist()
    assert (code, failed) == (1, ["media_replaced"])


@pytest.mark.long
@pytest.mark.media
def test_a_renamed_file_costs_nothing(media: Path, tmp_path: Path, cli: Cli, facts: Facts) -> None:
    folder, root = tmp_path / "media", tmp_path / "store"
    folder.mkdir()
    shutil.copy(media / "a07_three_people_no_audio.mp4", folder / "old.mp4")
    cli("ingest", folder, "--store", root, "--corpus", "c")
    cli("extract", "--store", root, "--features", "face_track", "--no-prefect")
    (folder / "old.mp4").rename(folder / "new.mp4")
    again = facts("ingest", folder, "--store", root, "--corpus", "c")
    assert (again["new"], again["absent"]) == (1, ["old"])
    plan = facts("plan", "--store", root, "--features", "face_track")
    assert (plan["tasks"], plan["maybe"]) == (0, 0)
    run = facts("extract", "--store", root, "--features", "face_track", "--no-prefect")
    assert (run["published"], run["adopted"]) == (0, 3)
    store = FeatureStore.open(root)
    assert len(store.read("new", "face_track")) == 30


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["ingest", "{empty}", "--store", "{new}", "--corpus", "c"], "no video files"),
        (["ingest", "{empty}/nothing", "--store", "{new}", "--corpus", "c"], "nothing"),
        (["status", "--store", "{empty}"], "no store"),
        (["status", "--store", "{new}"], "no store"),
        (["extract", "--store", "{store}", "--features", "mfcc_mell"], "mfcc_mel"),
        (["extract", "--store", "{store}", "--set", "faces.min_fase=3"], "min_face"),
        (["extract", "--store", "{store}", "--runner", "slurm"], "local, processes or dask"),
        (["extract", "--store", "{store}", "--shard", "9/3"], "i/N"),
        (["inspect", "--store", "{store}", "nobody"], "nobody"),
        (["export", "--store", "{store}", "--feature", "faces", "--to", "x.doc"], "x.npy"),
        (["features", "show", "facez"], "faces"),
        (
            ["ingest", "{empty}", "--store", "{new}", "--corpus", "c", "--adapter", "foldr"],
            "folder",
        ),
    ],
)
def test_a_wrong_request_gets_one_line(
    words: list[str], hint: str, tmp_path: Path, here: Callable[..., tuple[int, str]]
) -> None:
    (tmp_path / "empty").mkdir()
    FeatureStore.create(tmp_path / "store")
    places = {name: str(tmp_path / name) for name in ("empty", "new", "store")}
    code, told = here(*(w.format(**places) for w in words))
    assert code == 2
    assert hint in told
    assert len(told.strip().splitlines()) == 1


def test_debug_shows_the_trace(tmp_path: Path, cli: Cli) -> None:
    done = cli("--debug", "status", "--store", tmp_path, code=1)
    assert "Traceback" in done.stderr


def test_an_older_store_format_is_named(
    tmp_path: Path, here: Callable[..., tuple[int, str]]
) -> None:
    FeatureStore.create(tmp_path / "store")
    (tmp_path / "store" / "store.json").write_text('{"format": 0}')
    code, told = here("status", "--store", str(tmp_path / "store"))
    assert code == 2
    assert "format" in told


def test_a_missing_gpu_is_named(
    tmp_path: Path, media: Path, here: Callable[..., tuple[int, str]]
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    root = str(tmp_path / "store")
    here("ingest", str(media / "a07_three_people_no_audio.mp4"), "--store", root, "--corpus", "c")
    asked = ("--features", BASIC, "--device", "cuda", "--no-prefect")
    code, told = here("extract", "--store", root, *asked)
    assert code == 2
    assert "--device cpu" in told
