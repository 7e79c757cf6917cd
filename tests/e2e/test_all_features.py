"""Everything that can be computed here, over two real clips: rows, masks, passes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from corpora.adapters import load
from features.media.video import decoder_starts, set_decoder_starts
from features.registry import feature_specs
from flows.availability import unavailable
from flows.ingest import ingest_manifest
from flows.pipeline import configure
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore

pytestmark = pytest.mark.media
SILENT, TALKING = "a07_three_people_no_audio", "1001_DFA_ANG_XX"
#: what all leaves out of clips that bring no images of their own
PROVIDED = "faces_provided"


@pytest.fixture(scope="module")
def everything(media: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, int]:
    """The store, and how many video decoders were started for its two clips."""
    folder = tmp_path_factory.mktemp("media")
    shutil.copy(media / f"{SILENT}.mp4", folder)
    shutil.copy(media / "crema_d" / f"{TALKING}.flv", folder)
    root = tmp_path_factory.mktemp("all") / "store"
    store = FeatureStore.create(root)
    ingest_manifest(store, load("folder", str(folder), "real"))
    set_decoder_starts(0)
    summary = extract_plain(Request(str(root), "all"))
    assert summary.complete, summary.sentence()
    assert all(summary.skipped.values()), "each with its reason"
    assert summary.skipped.keys() == lacking() | {PROVIDED}
    return FeatureStore.open(root), decoder_starts()


def lacking() -> set[str]:
    return {*unavailable(configure({}))}


def test_no_clip_is_decoded_more_than_twice(everything: tuple[FeatureStore, int]) -> None:
    assert everything[1] == 2, "both are short: their frames are kept for the second pass"


def test_every_feature_is_there_with_its_shape(everything: tuple[FeatureStore, int]) -> None:
    store = everything[0]
    for name, spec in feature_specs().items():
        if name in lacking() | {PROVIDED}:
            continue
        for clip in (SILENT, TALKING):
            rows, frames = store.read(clip, name), store.read(clip, "timeline").rows
            assert rows.values.dtype == spec.dtype, name
            if spec.rate == "frame":
                assert rows.rows == frames, (clip, name)
            if spec.rate == "clip":
                assert rows.rows == 1, (clip, name)
            floats = np.issubdtype(rows.values.dtype, np.floating)
            if floats and not spec.ragged and not name.startswith("openface"):
                assert np.isnan(rows.values[~rows.valid]).all(), (clip, name)
    assert plan_request(store, Request(store.root, "all")).todo.num_rows == 0


@pytest.mark.parametrize(
    "name",
    [
        "audio_16k",
        "mfcc_mel",
        "stft_map",
        "logmel_64",
        "spectrogram_192x120",
        "shortterm_34",
        "opensmile_is10",
        "opensmile_egemaps",
        "opensmile_compare",
    ],
)
def test_sound_is_masked_where_there_is_none(
    everything: tuple[FeatureStore, int], name: str
) -> None:
    store = everything[0]
    assert store.read(SILENT, name).valid_share == 0
    assert store.read(TALKING, name).valid_share > 0.9


@pytest.mark.parametrize(
    "name", ["face_track", "face_112", "face_224", "landmarks_68", "face_mask"]
)
def test_faces_are_there_where_one_is_seen(everything: tuple[FeatureStore, int], name: str) -> None:
    assert everything[0].read(TALKING, name).valid_share > 0.9
