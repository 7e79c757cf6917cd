"""forget on the command line, and what the other commands say of forgotten clips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from storage import FeatureStore, NotPublished, UnknownClip
from storage.forget import forget
from storage.verify import verify
from tests.storage.store_kit import FACES, clip_table, configure, new_store
from tests.storage.upkeep_kit import CLIPS, NODES, publish_together


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    store = new_store(tmp_path / "store", CLIPS)
    configure(store, NODES["faces"])
    publish_together(store, FACES, CLIPS)
    store.upsert_clips("c", clip_table("b", subject=["s"]))
    return store


def said(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_subject_whose_forgetting_broke_off_can_be_named_again(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["forget", "--store", store.root, "--subject", "s", "--yes"]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("storage.forget._scrub", stop)
        assert CliRunner().invoke(app, words).exit_code != 0
    assert not verify(store).clean
    assert "broken off" in said(*words)
    assert verify(store).clean
    with pytest.raises(UnknownClip, match="subject"):
        said(*words)


def test_a_corpus_of_forgotten_clips_has_a_status(store: FeatureStore) -> None:
    forget(store, [("c", clip) for clip in CLIPS])
    told = json.loads(said("status", "--store", store.root, "--corpus", "c", "--json"))
    assert told["corpora"]["c"]["clips"] == 0
    assert "0 clips" in said("status", "--store", store.root, "--corpus", "c")


def test_reading_a_forgotten_clip_says_that_it_was_forgotten(store: FeatureStore) -> None:
    forget(store, [("c", "b")])
    with pytest.raises(NotPublished, match="c/b was forgotten"):
        store.read("b", "faces")
    with pytest.raises(NotPublished, match="c/b was forgotten"):
        store.read("b", "faces", stale="allow")
    with pytest.raises(NotPublished, match="never published"):
        store.read("a", "crop")
