"""Ingest tells what no adapter alone would."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from typer.testing import CliRunner

from corpora.adapters import load
from corpora.manifest import ClipEntry, Manifest
from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from flows.ingest import ingest_manifest
from storage import FeatureStore
from storage.forget import forget
from tests.features.made_clips import make_clip
from tests.real_clips import Cli
from tests.storage.store_kit import new_store


def warnings(folder: Path, *rows: str) -> list[str]:
    """The warnings of a table's ingest that aren't about its files."""
    table = folder / "clips.csv"
    table.write_text("clip_id,path,subject,split\n" + "".join(f"{row}\n" for row in rows))
    store = FeatureStore.create(folder / "store", exist_ok=True)
    said = ingest_manifest(store, load("table", table, "c")).warnings
    return [line for line in said if "aren't there" not in line]


def test_subjects_in_more_than_one_split_are_told(tmp_path: Path) -> None:
    apart = (
        "a,a.mp4,s1,train",
        "b,b.mp4,s1,train",
        "c,c.mp4,s2,val",
        "d,d.mp4,,val",
        "e,e.mp4,s1,",
    )
    assert warnings(tmp_path, *apart) == []

    shared = [f"{split}{i},x.mp4,p{i},{split}" for i in range(7) for split in ("train", "val")]
    assert warnings(tmp_path, *apart, *shared) == [
        "7 subjects are in more than one split; a model would be scored on people that it learned "
        "from: p0 (train, val), p1 (train, val), p2 (train, val), p3 (train, val), p4 (train, val) "
        "and 2 more"
    ]
    (said,) = warnings(tmp_path, "a,a.mp4,s1,train", "b,b.mp4,s1,test", "c,c.mp4,s1,val")
    assert said.startswith("1 subject is in more than one split")
    assert said.endswith("s1 (test, train, val)")


def test_a_forgotten_clip_stays_out_however_its_letters_are_spelt(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "Zoë")
    store = new_store(tmp_path / "store", (apart, "b"))
    forget(store, [("c", apart)])

    clips = (ClipEntry(apart, "/nowhere/z.mp4"), ClipEntry("b", "/nowhere/b.mp4"))
    told = ingest_manifest(store, Manifest("c", clips))

    assert told.forgotten == ["Zoë"]
    assert set(store.clips("c")["clip"].to_pylist()) == {apart, "b"}


def test_a_clip_whose_headers_tell_no_rate_is_shown(tmp_path: Path) -> None:
    make_clip(tmp_path / "one.mpg", "-c:v", "mpeg2video", "-r", "25", "-frames:v", "1", sound=False)
    store = FeatureStore.create(tmp_path / "store")
    ingest_manifest(store, load("folder", tmp_path / "one.mpg", "c"))
    assert store.clip("one", "c")["fps"] is None
    shown = CliRunner().invoke(app, ["inspect", "one", "--store", store.root])
    assert shown.exit_code == 0
    assert "video mpeg2video 64x48\n" in shown.output


def test_of_many_missing_files_the_first_are_named_as_they_are_called(
    cli: Cli, tmp_path: Path
) -> None:
    table = tmp_path / "clips.csv"
    rows = "".join(f"clip_{i:03},[old] {i}.mp4\n" for i in range(30))
    table.write_text("clip_id,path\n" + rows)

    said = cli("ingest", table, "--store", tmp_path / "store", "--corpus", "c").stderr

    assert said.count("media_missing") == 20
    assert "… and 10 more; --json lists all" in said
    assert f"30 media files aren't there: {tmp_path}/[old] 0.mp4" in said
