"""The main job on real clips: a folder in, a published store out."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from storage import FeatureStore
from tests.real_clips import BASIC, FRAMES, Cli, Facts

pytestmark = pytest.mark.media
FRAME_FEATURES = ("timeline", "mfcc_mel", "faces", "face_track", "face_112", "face_112x96")


@pytest.fixture(scope="module")
def store(real_store: Path) -> FeatureStore:
    """The store, opened for reading."""
    return FeatureStore.open(real_store, read_only=True)


def check_store(store: FeatureStore, clips: list[str]) -> None:
    """What must hold of any store of the real clips."""
    for clip in clips:
        frames = len(store.read(clip, "timeline"))
        if clip in FRAMES:
            assert frames == FRAMES[clip], clip
        for feature in FRAME_FEATURES:
            assert len(store.read(clip, feature)) == frames, (clip, feature)
    valid = {c: store.rows(c, "face_track").valid_share for c in clips}
    assert valid["a04_no_face"] == 0
    assert valid["a02_single_face_mp3_in_mp4"] > 0.95
    assert store.rows("a07_three_people_no_audio", "audio_16k").valid_share == 0
    assert store.rows("a07_three_people_no_audio", "mfcc_mel").valid_share == 0
    times = store.read("a10_man_talking_vfr", "timeline").values
    assert times[0] == pytest.approx(0.033, abs=1e-3)
    assert times[-1] > 5.9
    for feature in FRAME_FEATURES:
        assert store.rows("a10_man_talking_vfr", feature).t0 == times[0], feature


def test_every_clip_has_one_row_per_decoded_frame(store: FeatureStore) -> None:
    clips = store.clips("real")["clip"].to_pylist()
    assert len(clips) == 6
    check_store(store, clips)


def test_the_whole_folder_is_published_and_idle_afterwards(real_store: Path, facts: Facts) -> None:
    status = facts("status", "--store", real_store)["corpora"]["real"]
    assert status["clips"] == 6
    for feature in BASIC.split(","):
        counts = status["features"][feature]
        assert counts["published"] == 6, feature
        assert counts["stale"] == counts["missing"] == counts["quarantined"] == 0
    plan = facts("plan", "--store", real_store, "--features", BASIC)
    assert (plan["tasks"], plan["maybe"]) == (0, 0)


@pytest.mark.parametrize("clip", ["1001_DFA_ANG_XX", "1001_DFA_HAP_XX"])
def test_audio_is_ffmpegs_sample_by_sample(store: FeatureStore, media: Path, clip: str) -> None:
    with wave.open(str(media / "crema_d" / f"{clip}.ref16k.wav")) as file:
        want = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_array_equal(store.read(f"crema_d/{clip}", "audio_16k").values, want)


def test_plan_names_what_a_parameter_change_touches(real_store: Path, facts: Facts) -> None:
    change = ("--set", "faces.min_face=40", "--features", BASIC)
    plan = facts("plan", "--store", real_store, *change)
    assert plan["tasks"] == 6
    assert plan["by_feature"]["faces"]["reasons"] == {"parameter faces.min_face 20→40": 6}
    assert plan["by_feature"]["face_track"]["maybe"] == 6
    assert plan["by_feature"]["mfcc_mel"] == {
        "clips": 0,
        "maybe": 0,
        "quarantined": 0,
        "blocked": 0,
        "reasons": {},
    }


def test_inspect_tells_shape_validity_and_fingerprint(real_store: Path, facts: Facts) -> None:
    found = facts("inspect", "--store", real_store, "a02_single_face_mp3_in_mp4")
    assert found["frames"] == 72
    assert found["duration"] == pytest.approx(2.4, abs=0.1)
    crop = found["features"]["face_112"]
    assert crop["shape"] == [72, 112, 112, 3]
    assert crop["dtype"] == "uint8"
    assert crop["valid_share"] > 0.95
    assert len(crop["fingerprint"]) == 64


def test_exports_open_in_other_programs(real_store: Path, tmp_path: Path, cli: Cli) -> None:
    import cv2
    import pyarrow.parquet as pq

    clip = "a02_single_face_mp3_in_mp4"
    args = ("export", "--store", real_store, "--clip", clip)
    cli(*args, "--feature", "mfcc_mel", "--to", tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy").shape == (72, 168)
    cli(*args, "--feature", "mfcc_mel", "--to", tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 72
    cli(*args, "--feature", "faces", "--to", tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().startswith('"corpus","clip","row","time","valid"')
    cli(*args, "--feature", "audio_16k", "--to", tmp_path / "x.wav")
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (16000, 1)
    cli(*args, "--feature", "face_112", "--to", tmp_path / "faces")
    assert len(list((tmp_path / "faces").glob("*.png"))) == 72
    image = cv2.imread(str(tmp_path / "faces" / "000000.png"))
    assert image.shape == (112, 112, 3)


@pytest.mark.long
def test_all_real_clips(media: Path, tmp_path: Path, cli: Cli, facts: Facts) -> None:
    root = tmp_path / "store"
    assert facts("ingest", media, "--store", root, "--corpus", "real")["clips"] == 13
    words = ("--features", "all", "--runner", "processes", "--workers", 2)
    cli("extract", "--store", root, *words, within=3000)
    store = FeatureStore.open(root)
    clips = store.clips("real")["clip"].to_pylist()
    assert len(clips) == 13
    check_store(store, clips)
    for clip in ("a08_closeup_no_audio_720x576", "a09_man_talking_portrait_hevc"):
        assert store.rows(clip, "face_track").valid_share > 0.95
    assert store.rows("a08_closeup_no_audio_720x576", "mfcc_mel").valid_share == 0
    first = store.read("a06_stage_dark_profile_many_faces", "timeline").values[0]
    assert first == pytest.approx(0.852, abs=1e-3)
    late = "a03_face_then_noface_vfr_hevc"
    times, audio = store.read(late, "timeline").values, store.read(late, "mfcc_mel")
    assert not audio.valid[times < 2.38].any()
    assert audio.valid[times > 2.48].all()
    assert store.rows("a01_woman_emotions_silent_audio", "mfcc_mel").valid_share == 1
