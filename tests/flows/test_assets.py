"""A clip's further files are read only as they were when they were ingested."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.adapters import load
from features.canonical import canonical_json
from features.errors import MediaReplaced
from flows import assets
from flows.assets import PREFIX, Assets, add_assets, asset_hash
from flows.ingest import ingest_manifest
from flows.quarantine import quarantine
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore
from tests.features.made_clips import make_clip

pytestmark = pytest.mark.usefixtures("chain")


def test_a_file_that_changed_since_is_refused_until_it_is_taken_in_again(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    make_clip(tmp_path / "media" / "a.mp4", sound=False)
    store = FeatureStore.create(tmp_path / "store")
    ingest_manifest(store, load("folder", str(tmp_path / "media"), "c"))
    notes = tmp_path / "notes.txt"
    notes.write_text("x")
    given = {"a": [{"role": "notes", "uri": str(notes)}]}
    add_assets(store, "c", given)
    notes.write_text("xyz")
    told = extract_plain(Request(store.root, "noted,light"))
    assert (told.published, told.failed) == (1, 1), "what doesn't read it is published"
    (failure,) = quarantine(store)
    assert (failure["feature"], failure["code"]) == ("noted", MediaReplaced.code)
    assert "notes.txt has changed" in failure["message"]
    assert add_assets(store, "c", given) == 1
    assert extract_plain(Request(store.root, "noted,light")).published == 1
    assert store.read("a", "noted").values.tolist() == [[3]]


def hashes(**files: Path) -> str:
    return canonical_json({PREFIX + role: asset_hash(str(path)) for role, path in files.items()})


def test_files_that_nobody_reads_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes, notes = tmp_path / "boxes.csv", tmp_path / "notes.txt"
    boxes.write_text("1"), notes.write_text("2")
    known = Assets({"boxes": str(boxes), "notes": str(notes)}, hashes(boxes=boxes, notes=notes))
    hashed = list[str]()
    monkeypatch.setattr(assets, "asset_hash", lambda uri: hashed.append(uri) or asset_hash(uri))
    boxes.write_text("3")
    assert "boxes" in known
    assert (known["notes"], known.get("notes"), known.get("other")) == (
        str(notes),
        str(notes),
        None,
    )
    assert hashed == [str(notes)]
    with pytest.raises(MediaReplaced, match=r"boxes\.csv has changed"):
        known.get("boxes")


def test_a_folder_is_looked_at_as_a_whole(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    (faces / "1.png").write_bytes(b"1")
    attrs = hashes(faces=faces)
    assert Assets({"faces": str(faces)}, attrs)["faces"] == str(faces)
    (faces / "2.png").write_bytes(b"2")
    with pytest.raises(MediaReplaced):
        Assets({"faces": str(faces)}, attrs)["faces"]


def test_what_a_system_puts_into_a_folder_is_no_change(tmp_path: Path) -> None:
    faces = tmp_path / ".cache" / "faces"
    faces.mkdir(parents=True)
    (faces / "1.png").write_bytes(b"1")
    attrs = hashes(faces=faces)
    (faces / "@eaDir").mkdir()
    for name in (".DS_Store", "._1.png", "Thumbs.db", "@eaDir/1.png"):
        (faces / name).write_bytes(b"?")
    assert Assets({"faces": str(faces)}, attrs)["faces"] == str(faces)
    (faces / "1.png").write_bytes(b"2")
    with pytest.raises(MediaReplaced):
        Assets({"faces": str(faces)}, attrs)["faces"]


def test_a_file_that_was_not_there_and_is_not_yet_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "later.txt"
    known = Assets({"notes": str(path)}, hashes(notes=path))
    assert known["notes"] == str(path)
    path.write_text("now")
    with pytest.raises(MediaReplaced):
        Assets({"notes": str(path)}, hashes(notes=tmp_path / "none"))["notes"]
