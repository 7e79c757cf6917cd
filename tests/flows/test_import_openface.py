"""affectstore import openface: files by name, and their values bit by bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from features.errors import RequestError, Unavailable
from features.openface_columns import COLUMNS_714, GROUPS
from flows.assets import add_assets
from flows.export import export
from flows.import_openface import import_openface
from flows.pipeline import Settings
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore
from storage.errors import NotPublished
from tests.features.openface_kit import CLIPS, cells, kept, reference, text_of
from tests.flows.openface_kit import CORPUS, extracted, failures, ingested, new_store
from tests.real_clips import Cli

pytestmark = pytest.mark.media

A02, A04, A10 = "a02_single_face_mp3_in_mp4", "a04_no_face", "a10_man_talking_vfr"


@pytest.fixture
def store(tmp_path: Path, media: Path) -> FeatureStore:
    return new_store(tmp_path, [media / f"{name}.mp4" for name in (A02, A04, A10)])


@pytest.fixture
def given(tmp_path: Path) -> Path:
    folder = tmp_path / "csv"
    folder.mkdir()
    return folder


def test_imported_values_are_those_of_the_files_bit_by_bit(
    store: FeatureStore, given: Path, tmp_path: Path
) -> None:
    for name in (A02, A04, A10):
        shutil.copy(reference(name), given)
    (given / "somebody.csv").write_text(text_of(A02))
    found = import_openface(store, given)
    assert (found.layouts, found.changed, found.without) == ({714: 3}, 3, 0)
    assert [Path(p).name for p in found.unmatched] == ["somebody.csv"]
    assert extracted(store, source="imported").complete
    for name in (A02, A04, A10):
        rows, (header, expected) = store.read(name, "openface"), cells(name)
        np.testing.assert_array_equal(rows.values.view(np.uint32), expected.view(np.uint32))
        success = expected[:, header.index("success")] == 1
        sure = expected[:, header.index("confidence")] >= np.float32(0.8)
        np.testing.assert_array_equal(rows.valid, success & sure)
        assert rows.rows == CLIPS[name]
    assert not store.read(A04, "openface").valid.any()
    gaze = store.read(A10, "openface.gaze", 5, 10)
    np.testing.assert_array_equal(gaze.values, cells(A10)[1][5:10, slice(*GROUPS["gaze"])])
    export(store, "openface.pose", tmp_path / "pose.npy")
    assert np.load(tmp_path / "pose.npy").shape == (sum(CLIPS[n] for n in (A02, A04, A10)), 6)
    assert import_openface(store, given).changed == 0


def test_missing_columns_are_nan_and_told(store: FeatureStore, given: Path) -> None:
    start, stop = GROUPS["eye_landmarks"]
    old = {"face_id", "gaze_angle_x", "gaze_angle_y", *COLUMNS_714[start:stop]}
    columns = [c for c in COLUMNS_714 if c not in old]
    (given / f"{A02}.csv").write_text(kept(A02, columns, ", "))
    found = import_openface(store, given)
    assert found.layouts == {431: 1}
    told = "face_id, gaze_angle_x, gaze_angle_y, eye_landmarks"
    assert found.missing == {f"{CORPUS}/{A02}": told}
    extracted(store, source="imported")
    rows = store.read(A02, "openface")
    lacks = np.array([c in old for c in COLUMNS_714])
    assert np.isnan(rows.values[:, lacks]).all()
    np.testing.assert_array_equal(rows.values[:, ~lacks], cells(A02)[1][:, ~lacks])
    assert rows.valid.all()


def test_a_cut_off_file_is_refused_and_the_others_are_imported(
    store: FeatureStore, given: Path
) -> None:
    (given / f"{A02}.csv").write_text(text_of(A02)[:-500])
    shutil.copy(reference(A10), given)
    found = import_openface(store, given)
    assert "stops in the middle of line 73" in found.refused[str(given / f"{A02}.csv")]
    said = failures(extracted(store, source="imported"))
    assert said[A02].startswith("openface_csv: a02_single_face_mp3_in_mp4.mp4: no OpenFace CSV")
    assert store.read(A10, "openface").valid.all()
    with pytest.raises(NotPublished, match="openface_csv"):
        store.read(A02, "openface")


def test_a_file_of_several_faces_is_refused(store: FeatureStore, given: Path) -> None:
    header, first, *rest = text_of(A02).splitlines()
    (given / f"{A02}.csv").write_text("\n".join([header, first, first, *rest]) + "\n")
    assert "several rows of a frame" in next(iter(import_openface(store, given).refused.values()))


def test_aligned_faces_beside_the_file_are_imported_too(store: FeatureStore, given: Path) -> None:
    aligned = given / f"{A02}_aligned"
    aligned.mkdir()
    shutil.copy(reference(A02), given)
    for i in range(72):
        image = np.full((112, 112, 3), (i, 100, 200), np.uint8)
        cv2.imwrite(str(aligned / f"frame_det_00_{i + 1:06d}.bmp"), image)
    assert import_openface(store, given).faces == 1
    extracted(store, "openface_face_112", source="imported")
    rows = store.read(A02, "openface_face_112")
    assert rows.valid.all()
    np.testing.assert_array_equal(rows.values[:, 0, 0], [(200, 100, i) for i in range(72)])


def test_a_cut_takes_its_rows_of_the_whole_file(tmp_path: Path, media: Path, given: Path) -> None:
    table = tmp_path / "clips.csv"
    table.write_text(f"clip_id,path,start,end\nmiddle,{media / A10}.mp4,1.0,3.0\n")
    shutil.copy(reference(A10), given)
    store = ingested(tmp_path / "store", table)
    import_openface(store, given)
    extracted(store, source="imported")
    times, rows = store.read("middle", "timeline").values, store.read("middle", "openface")
    first = int(rows.values[0, 0]) - 1
    assert 0 < first < CLIPS[A10] - len(times)
    assert 1.0 <= times[0] < 1.1
    np.testing.assert_array_equal(rows.values, cells(A10)[1][first : first + len(times)])


def test_an_import_plans_the_clip_again_and_nothing_else(store: FeatureStore, given: Path) -> None:
    for name in (A02, A04, A10):
        shutil.copy(reference(name), given)
    import_openface(store, given)
    extracted(store, source="imported")
    (given / f"{A02}.csv.gz").unlink()
    (given / f"{A02}.csv").write_text(text_of(A02).replace(",0.98,", ",0.50,"))
    import_openface(store, given)
    assert extracted(store, source="imported").published == 1
    assert not store.read(A02, "openface").valid.any()


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


def test_without_an_engine_clips_with_a_file_are_extracted_and_the_others_told(
    store: FeatureStore, given: Path, no_engine: None
) -> None:
    for name in (A02, A10):
        shutil.copy(reference(name), given)
    import_openface(store, given)
    told = "1 clip of 3: no container engine and no binary; get "
    for asked in ("openface", "openface,face_112"):
        made = plan_request(store, Request(store.root, asked))
        assert made.by_feature["openface"].clips + made.by_feature["openface"].maybe == 2
        assert made.by_feature["openface"].blocked == 1
        assert made.skipped["openface"].startswith(told)
    summary = extract_plain(Request(store.root, "openface"))
    assert summary.complete
    assert summary.skipped["openface"].startswith(told)
    assert failures(summary) == {}
    assert store.read(A10, "openface").valid.all()
    with pytest.raises(NotPublished):
        store.read(A04, "openface")
    again = plan_request(store, Request(store.root, "openface"))
    assert (again.tasks, again.maybe, again.by_feature["openface"].blocked) == (0, 0, 1)


def test_what_reads_openface_is_left_out_of_the_same_clips(
    store: FeatureStore, given: Path, no_engine: None
) -> None:
    shutil.copy(reference(A02), given)
    import_openface(store, given)
    bound: Settings = {"expnet": {"face": "openface_face_112", "weights": "random"}}
    made = plan_request(store, Request(store.root, "all", settings=bound))
    assert made.skipped["openface_multi"].startswith("no container engine")
    assert "openface_multi" not in made.by_feature
    for name in ("openface", "openface_face_112", "expnet"):
        assert made.skipped[name].startswith("2 clips of 3: "), name
        work = made.by_feature[name]
        assert (work.clips + work.maybe, work.blocked) == (1, 2), name
    assert made.by_feature["face_track"].blocked == 0


def test_a_file_that_is_gone_makes_up_for_nothing(
    store: FeatureStore, given: Path, no_engine: None
) -> None:
    shutil.copy(reference(A02), given)
    import_openface(store, given)
    (given / f"{A02}.csv.gz").unlink()
    add_assets(store, CORPUS, {A02: [{"role": "openface", "uri": str(given / f"{A02}.csv.gz")}]})
    with pytest.raises(Unavailable, match="no container engine and no binary"):
        plan_request(store, Request(store.root, "openface"))


def test_a_person_of_the_track_needs_a_run(
    store: FeatureStore, given: Path, no_engine: None
) -> None:
    shutil.copy(reference(A02), given)
    import_openface(store, given)
    with pytest.raises(Unavailable, match="no container engine and no binary"):
        plan_request(
            store, Request(store.root, "openface", settings={"openface": {"face": "track"}})
        )


def test_the_command_says_what_it_did(store: FeatureStore, given: Path, cli: Cli) -> None:
    shutil.copy(reference(A02), given)
    done = cli("import", "openface", given, "--store", store.root)
    assert "1 clip with a CSV (1 with 714 columns)" in done.stdout
    assert "OpenFace is for academic" in done.stderr


@pytest.mark.parametrize("where", ["nowhere", "csv"])
def test_a_folder_without_files_is_refused(where: str, store: FeatureStore, given: Path) -> None:
    with pytest.raises(RequestError, match=r"is no folder|holds no \.csv"):
        import_openface(store, given.parent / where)
