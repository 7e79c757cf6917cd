"""Clips whose file isn't there, and clips in quarantine: who is told, and whose run fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from corpora.adapters import load
from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from flows.ingest import ingest_manifest
from flows.quarantine import quarantine
from flows.request import Request
from flows.run import extract_plain, plan_request
from flows.shard import Shard
from flows.status import STATES, status
from storage import FeatureStore
from tests.features.made_clips import make_clip

pytestmark = pytest.mark.usefixtures("chain")


def ingest(folder: Path, names: str, root: Path) -> FeatureStore:
    lines = ["clip_id,path", *(f"{name},{folder / name}.mp4" for name in names)]
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    store = FeatureStore.create(root, exist_ok=True)
    ingest_manifest(store, load("table", str(folder / "t.csv"), "c"))
    return store


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(w) for w in words])
    return done.exit_code, done.output


def test_a_listed_file_that_is_not_there_is_named_and_fails_the_run(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", sound=False)
    store = ingest(tmp_path, "ab", tmp_path / "s")
    asked = ("--store", store.root, "--features", "light")
    code, said = run("extract", *asked, "--no-prefect")
    assert code == 1
    assert "1 published; 1 clip's file is missing: c/b; ingest again when it is back" in said
    code, said = run("plan", *asked)
    assert code == 0
    assert "everything asked of the files that are there is published" in said
    assert "1 clip's file is missing: c/b" in said
    facts: dict[str, Any] = json.loads(run("plan", *asked, "--json")[1])
    assert (facts["tasks"], facts["absent"]) == (0, ["c/b"])
    make_clip(tmp_path / "b.mp4", sound=False)
    ingest(tmp_path, "ab", tmp_path / "s")
    code, said = run("extract", *asked, "--no-prefect", "--json")
    assert code == 0
    assert json.loads(said)["absent"] == []


def test_a_file_that_went_after_its_results_were_published_fails_nothing(tmp_path: Path) -> None:
    for name in "ab":
        make_clip(tmp_path / f"{name}.mp4", sound=False)
    store = ingest(tmp_path, "ab", tmp_path / "s")
    assert extract_plain(Request(store.root, "light")).complete
    (tmp_path / "b.mp4").unlink()
    ingest(tmp_path, "ab", tmp_path / "s")
    assert extract_plain(Request(store.root, "light")).complete
    more = extract_plain(Request(store.root, "light,half_light"))
    assert more.absent == ("c/b",)


def test_a_clip_that_is_not_listed_any_more_fails_nothing(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", sound=False)
    (tmp_path / "x.mp4").write_bytes(b"no film")
    store = ingest(tmp_path, "axy", tmp_path / "s")
    assert not extract_plain(Request(store.root, "light")).complete
    ingest(tmp_path, "a", tmp_path / "s")
    again = extract_plain(Request(store.root, "light"))
    assert again.complete
    assert again.absent == ()
    assert quarantine(store) == []
    counts = status(store)["corpora"]["c"]
    assert (counts["clips"], counts["unlisted"]) == (1, 2)
    assert [counts["features"]["light"][state] for state in STATES] == [1, 0, 0, 0]


def test_what_cannot_be_computed_here_is_not_missed_of_a_clip_without_file(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", sound=False)
    make_clip(tmp_path / "b.mp4", sound=False)
    store = ingest(tmp_path, "ab", tmp_path / "s")
    extract_plain(Request(store.root))
    (tmp_path / "b.mp4").unlink()
    ingest(tmp_path, "ab", tmp_path / "s")
    assert plan_request(store, Request(store.root)).absent.num_rows == 0


def test_a_bad_clip_fails_its_own_shard_and_no_other(tmp_path: Path) -> None:
    for i, name in enumerate("abcd"):
        picture = f"testsrc2=size=64x{48 + 2 * i}:rate=10"
        make_clip(tmp_path / f"{name}.mp4", sound=False, picture=picture)
    (tmp_path / "x.mp4").write_bytes(b"no film")
    store = ingest(tmp_path, "abcdxy", tmp_path / "s")
    hashes = {row["clip"]: row["sha256"] for row in store.clips().to_pylist()}
    shards = [f"{i}/3" for i in (1, 2, 3)]
    failing = [any(Shard.parse(s).holds(hashes[name]) for name in "xy") for s in shards]
    assert not all(failing)
    for _ in range(2):
        done = [extract_plain(Request(store.root, "light", shard=shard)) for shard in shards]
        assert [not summary.complete for summary in done] == failing
        assert [name for summary in done for name in summary.absent] == ["c/y"]
    assert sum(summary.quarantined for summary in done) == 1


def test_a_retry_of_a_clip_whose_file_is_gone_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no film")
    store = ingest(tmp_path, "xy", tmp_path / "s")
    assert not extract_plain(Request(store.root, "light")).complete
    (tmp_path / "x.mp4").unlink()
    ingest(tmp_path, "xy", tmp_path / "s")
    assert extract_plain(Request(store.root, "light", retry=True)).absent == ("c/x",)
