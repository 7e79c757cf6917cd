"""What a further ingest or import leaves as it is: results of files that are away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corpora.adapters import load
from flows import ingest as ingesting
from flows.assets import add_assets
from flows.corrections import clear_overrides
from flows.ingest import Ingested, ingest_manifest
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore
from tests.features.made_clips import make_clip

pytestmark = pytest.mark.usefixtures("chain")

COLUMNS = ("sha256", "size", "mtime_ns", "media_key", "duration", "width", "audio_rate", "attrs")


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A folder with two files; a table of their three clips and the notes of one lies beside."""
    share = tmp_path / "share"
    share.mkdir()
    for name in "ab":
        make_clip(share / f"{name}.mp4", picture=f"testsrc2=size=64x{ord(name) // 2 * 2}:rate=10")
    (share / "a.txt").write_text("notes")
    write_table(tmp_path)
    return share


def write_table(folder: Path, b: str = "b.mp4") -> None:
    lines = ["clip_id,path,start,stop,asset.notes", "a,share/a.mp4,,,share/a.txt"]
    lines += [f"b,share/{b},,,", f"b2,share/{b},0.2,0.8,"]
    (folder / "t.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def store(tmp_path: Path, share: Path) -> FeatureStore:
    made = FeatureStore.create(tmp_path / "store")
    again(made)
    assert extract_plain(Request(made.root, "light,noted")).published == 6
    return made


def again(store: FeatureStore) -> Ingested:
    table = Path(store.root).parent / "t.csv"
    return ingest_manifest(store, load("table", str(table), "c"))


def states(store: FeatureStore) -> dict[str, str]:
    return {r["clip"]: r["state"] for r in store.clips().to_pylist()}


def media(store: FeatureStore) -> list[tuple[object, ...]]:
    return [tuple(r[name] for name in COLUMNS) for r in store.clips().to_pylist()]


def test_results_stay_readable_while_a_share_is_away(
    store: FeatureStore, share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = media(store)
    share.rename(share.with_name("elsewhere"))
    report = again(store)
    assert (report.changed, sorted(report.problems)) == (0, ["a", "b", "b2"])
    assert set(states(store).values()) == {"missing"}
    assert media(store) == before
    assert [store.read(clip, "light").rows for clip in ("a", "b", "b2")] == [10, 10, 6]
    assert store.read("a", "noted").values.tolist() == [[5]]
    share.with_name("elsewhere").rename(share)
    monkeypatch.setattr(ingesting, "sha256_file", lambda uri: pytest.fail(f"{uri} hashed again"))
    assert (again(store).changed, media(store)) == (0, before)
    assert set(states(store).values()) == {"present"}
    assert extract_plain(Request(store.root, "light,noted")).published == 0


def test_another_name_that_is_not_there_is_hashed_once_it_is(
    store: FeatureStore, share: Path, tmp_path: Path
) -> None:
    write_table(tmp_path, "c.mp4")
    assert again(store).changed == 0
    assert store.read("b2", "light").rows == 6
    other, old = share / "c.mp4", (share / "b.mp4").stat()
    other.write_bytes((share / "b.mp4").read_bytes()[:-1] + b"x")
    os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert again(store).changed == 2


def test_another_cut_of_a_file_that_is_away_is_another_medium(
    store: FeatureStore, share: Path, tmp_path: Path
) -> None:
    (share / "b.mp4").unlink()
    table = tmp_path / "t.csv"
    table.write_text(table.read_text().replace("0.2,0.8", "0.2,0.6"))
    assert again(store).changed == 1
    assert [r["duration"] for r in store.clips().to_pylist()] == pytest.approx([1, 1, 0.4], abs=0.1)


def test_a_file_that_never_was_there_has_no_hash(store: FeatureStore, tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("a") as table:
        table.write("d,share/d.mp4,,,\n")
    assert list(again(store).problems) == ["d"]
    assert store.clip("d")["sha256"] == ""


def test_a_further_file_brings_no_missing_clip_back(
    store: FeatureStore, share: Path, tmp_path: Path
) -> None:
    (share / "b.mp4").unlink()
    again(store)
    notes = tmp_path / "b.txt"
    notes.write_text("x")
    assert add_assets(store, "c", {"b": [{"role": "notes", "uri": str(notes)}]}) == 1
    assert states(store) == {"a": "present", "b": "missing", "b2": "missing"}
    clear_overrides(store, "b", "c")
    assert states(store)["b"] == "missing"


def test_a_further_file_leaves_the_medium_to_an_ingest_of_the_same_moment(
    store: FeatureStore, share: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "b.txt"
    notes.write_text("x")
    stale = store.clips("c")
    make_clip(share / "b.mp4", picture="testsrc2=size=64x48:rate=20")
    again(store)
    new = store.clip("b", "c")["media_key"]
    with monkeypatch.context() as earlier:
        earlier.setattr(store, "clips", lambda corpus: stale)
        add_assets(store, "c", {"b": [{"role": "notes", "uri": str(notes)}]})
    assert store.clip("b", "c")["media_key"] == new
