"""The commands that keep a store sound and small, over real results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from flows.request import Request
from flows.run import extract_plain, prepare
from storage import FeatureStore
from storage.errors import UnknownVariant
from tests.storage.upkeep_kit import contents, copy_of, file_of, flip

Run = Callable[..., str]

FEATURES = "audio_16k,mfcc_mel,timeline"


def invoke(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def made(media: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Two real clips with sound features."""
    folder = tmp_path_factory.mktemp("made")
    for path in sorted((media / "crema_d").glob("*.flv"))[:2]:
        shutil.copy(path, folder)
    root = folder / "store"
    invoke("ingest", str(folder), "--store", str(root), "--corpus", "c")
    assert extract_plain(Request(str(root), FEATURES, workers=1)).complete
    return FeatureStore.open(root)


@pytest.fixture
def store(made: FeatureStore, tmp_path: Path) -> FeatureStore:
    return copy_of(made, tmp_path / "store")


def facts(store: FeatureStore, *words: str, code: int = 0) -> Any:
    return json.loads(invoke(*words, "--store", store.root, "--json", code=code))


@pytest.mark.media
def test_verify_says_that_a_sound_store_is_sound(store: FeatureStore) -> None:
    assert "all as published" in invoke("verify", "--store", store.root)
    assert facts(store, "verify")["results"] == len(store.published())


@pytest.mark.media
def test_a_flipped_byte_is_repaired_by_the_next_extract(store: FeatureStore) -> None:
    before = contents(store)
    result = store.published(features=["audio_16k"])[0]
    flip(file_of(store, result, "values"), result.pieces[0].row_start * 2)
    told = facts(store, "verify", code=1)
    assert [(p["feature"], p["part"]) for p in told["problems"]] == [
        ("audio_16k", result.pieces[0].part)
    ]
    assert told["problems"][0]["clips"] == [["c", result.clip]]
    assert "audio_16k" in invoke("repair", "--store", store.root)
    plan, _, _ = prepare(store, Request(store.root, "audio_16k"))
    assert plan.by_feature["audio_16k"].reasons == {"damaged": 1}
    summary = extract_plain(Request(store.root, "audio_16k", workers=1))
    assert (summary.published, summary.complete) == (1, True)
    assert [*summary.reasons["audio_16k"]] == ["damaged"]
    assert contents(store) == before
    assert facts(store, "verify")["clean"]


@pytest.mark.media
def test_repair_has_nothing_to_do_in_a_sound_store(store: FeatureStore) -> None:
    assert "nothing to repair" in invoke("repair", "--store", store.root)
    assert facts(store, "repair", "--dry-run") == {
        "withdrawn": [],
        "restored": [],
        "tagged": [],
        "wiped": 0,
    }


@pytest.mark.media
def test_gc_gives_back_what_a_repair_left_behind(store: FeatureStore) -> None:
    result = store.published(features=["audio_16k"])[0]
    flip(file_of(store, result, "values"), result.pieces[0].row_start * 2)
    for other in store.published(features=["audio_16k"]):
        flip(file_of(store, other, "valid"), other.pieces[0].row_start // 65_536)
    invoke("repair", "--store", store.root)
    extract_plain(Request(store.root, "audio_16k", workers=1))
    assert facts(store, "gc")["parts"] == []
    told = facts(store, "gc", "--keep-days", "0", "--grace-hours", "0", "--dry-run")
    assert {p["feature"] for p in told["parts"]} == {"audio_16k"}
    assert "freed" in invoke("gc", "--store", store.root, "--keep-days", "0", "--grace-hours", "0")
    assert facts(store, "verify")["clean"]
    assert facts(store, "gc", "--keep-days", "0", "--grace-hours", "0")["bytes"] == 0


@pytest.mark.media
def test_compact_merges_what_runs_left_scattered(store: FeatureStore) -> None:
    before = contents(store)
    result = store.published(features=["audio_16k"])[0]
    flip(file_of(store, result, "values"), result.pieces[0].row_start * 2)
    invoke("repair", "--store", store.root)
    extract_plain(Request(store.root, "audio_16k", workers=1))
    told = facts(store, "compact", "--dry-run")
    assert told["features"] == {"audio_16k": {"before": 2, "after": 1}}
    assert "nothing to merge" not in invoke("compact", "--store", store.root)
    assert contents(store) == before
    assert facts(store, "verify")["clean"]
    assert "nothing to merge" in invoke("compact", "--store", store.root)


@pytest.mark.media
def test_du_adds_up(store: FeatureStore) -> None:
    told = facts(store, "du")
    assert told["bytes"] == sum(f["bytes"] for f in told["features"]) + told["tables"]
    assert [v["name"] for v in told["variants"]] == ["default"]
    shown = invoke("du", "--store", store.root)
    assert "mfcc_mel" in shown
    assert "all together" in shown


@pytest.mark.media
def test_a_forgotten_clip_stays_out_until_consent_is_given_anew(
    made: FeatureStore, store: FeatureStore
) -> None:
    folder = str(made.location.path.parent)
    clip = store.clips()["clip"][0].as_py()
    told = facts(store, "forget", "--clip", clip, "--yes")
    assert told["clips"] == [["c", clip]]
    assert facts(store, "verify")["clean"]
    again = facts(store, "ingest", folder, "--corpus", "c")
    assert (again["clips"], again["forgotten"]) == (1, [clip])
    assert extract_plain(Request(store.root, FEATURES, workers=1)).published == 0
    assert facts(store, "ingest", folder, "--corpus", "c", "--force-forgotten")["clips"] == 2
    assert extract_plain(Request(store.root, FEATURES, workers=1)).published == 3
    assert contents(store) == contents(made)
    assert facts(store, "verify")["clean"]


@pytest.mark.media
def test_nothing_is_forgotten_without_a_yes(store: FeatureStore) -> None:
    clip = store.clips()["clip"][0].as_py()
    before = store.versions
    invoke("forget", "--store", store.root, "--clip", clip, code=1)
    assert store.versions == before


@pytest.mark.media
def test_a_copy_needs_nothing_computed(store: FeatureStore, tmp_path: Path) -> None:
    root = str(tmp_path / "copy")
    told = json.loads(invoke("copy", store.root, root, "--json"))
    assert told["results"] == len(store.published())
    made = FeatureStore.open(root)
    assert contents(made) == contents(store)
    assert extract_plain(Request(root, FEATURES, workers=1)).published == 0
    assert "6 were there" in invoke("copy", store.root, root)


@pytest.mark.media
def test_a_copy_of_some_features_says_what_stays_behind(
    store: FeatureStore, tmp_path: Path
) -> None:
    done = CliRunner().invoke(
        app, ["copy", store.root, str(tmp_path / "copy"), "--features", "face_track"]
    )
    assert "left behind: faces, identity;" in " ".join(done.output.split())


@pytest.mark.media
def test_what_failed_under_another_configuration_is_tried_again_under_it(
    store: FeatureStore,
) -> None:
    # the clips bring no boxes, so that the variant fails for them and the default wouldn't
    words = ("--store", store.root, "--features", "faces", "--no-prefect")
    invoke("config", "set", "faces.backend=provided", "--variant", "given", "--store", store.root)
    invoke("extract", *words, "--variant", "given", code=1)
    invoke("retry", *words, "--variant", "given", code=1)
    invoke("retry", *words, "--set", "faces.backend=provided", code=1)
    assert sorted(store.failures()["attempts"].to_pylist()) == [1, 1, 2, 2, 3, 3]


@pytest.mark.media
def test_a_variant_is_exported(store: FeatureStore, tmp_path: Path) -> None:
    setting = "mfcc_mel.placement=timeline"
    invoke("config", "set", setting, "--variant", "other", "--store", store.root)
    words = ("--store", store.root, "--features", FEATURES, "--no-prefect")
    invoke("extract", *words, "--variant", "other")
    words = ("--store", store.root, "--feature", "mfcc_mel")
    for name in ("default", "other"):
        invoke("export", *words, "--variant", name, "--to", str(tmp_path / f"{name}.npy"))
    one, other = (np.load(tmp_path / f"{name}.npy") for name in ("default", "other"))
    assert one.shape == other.shape
    assert not np.array_equal(one, other, equal_nan=True)


@pytest.mark.media
def test_status_inspect_and_picture_look_at_a_variant(store: FeatureStore, tmp_path: Path) -> None:
    other = ("--variant", "other")
    setting = "mfcc_mel.placement=timeline"
    invoke("config", "set", setting, *other, "--store", store.root)

    def counts(*words: str) -> tuple[int, int, int]:
        found = facts(store, "status", *words)["corpora"]["c"]["features"]["mfcc_mel"]
        return found["published"], found["stale"], found["missing"]

    clip = store.clips()["clip"][0].as_py()
    assert counts() == (2, 0, 0)
    assert counts(*other) == (0, 2, 0)
    words = ("--store", store.root, "--features", FEATURES, "--no-prefect")
    invoke("extract", *words, *other)
    invoke("tag", "made", "--store", store.root)
    assert counts() == counts(*other) == counts(*other, "--at", "made") == (2, 0, 0)

    one, two = (facts(store, "inspect", clip, *w)["features"] for w in ((), other))
    assert two["mfcc_mel"]["params"]["placement"] == "timeline" != one["mfcc_mel"]["params"]
    assert one["mfcc_mel"]["content"] != two["mfcc_mel"]["content"]
    assert one["timeline"] == two["timeline"]

    images = []
    for word in ((), other):
        path = tmp_path / f"{len(word)}.png"
        invoke("picture", clip, *word, "--to", str(path), "--store", store.root)
        images.append(path.read_bytes())
    assert images[0] != images[1]

    with pytest.raises(UnknownVariant, match="did you mean 'other'"):
        invoke("inspect", clip, "--variant", "othre", "--store", store.root)
    with pytest.raises(UnknownVariant, match="othre"):
        invoke("status", "--variant", "othre", "--store", store.root)
