"""The picture of a clip, drawn from a real store over real decodes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

from corpora.adapters import load
from corpora.demo import make_demo
from corpora.manifest import ClipEntry, Manifest
from features.errors import RequestError
from flows.clip_view import LANDSCAPE, ClipView, Line, clip_view
from flows.ingest import ingest_manifest
from flows.picture import DPI, WIDTH, clip_picture, draw
from flows.pipeline import configure
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore, UnknownClip
from tests.real_clips import BASIC


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("picture")


@pytest.fixture(scope="module")
def store(folder: Path) -> FeatureStore:
    """Two made clips, 1 s each, with all their features."""
    manifest = load("demo", make_demo(folder / "media", clips=2, seconds=1.0), "demo")
    opened = FeatureStore.create(folder / "store")
    ingest_manifest(opened, manifest)
    assert extract_plain(Request(str(folder / "store"), BASIC, device="cpu")).complete
    return opened


@pytest.fixture(scope="module")
def view(store: FeatureStore) -> ClipView:
    return clip_view(store, "demo_1", "demo")


def panels(view: ClipView) -> list[str]:
    """Names that stand beside panels, from top to bottom."""
    known = {"frames", "face_112", "face_112x96", "mel bands", "MFCC", "frame labels"}
    texts = [t.get_text() for axes in draw(view).axes for t in axes.texts]
    return [t for t in texts if t in known]


def bars(view: ClipView) -> Axes:
    return next(a for a in draw(view).axes if "timeline" in _names(a))


def _names(axes: Axes) -> list[str]:
    return [t.get_text() for t in axes.get_yticklabels()]


def test_a_picture_is_a_png_with_a_panel_for_each_published_feature(
    store: FeatureStore, view: ClipView, tmp_path: Path
) -> None:
    out = clip_picture(store, "demo_1", "demo", tmp_path / "new" / "demo_1.png")

    pixels = imread(out)
    assert pixels.shape[1] == round(WIDTH * DPI)
    assert panels(view) == [
        *("frames", "face_112", "face_112x96", "mel bands", "MFCC", "frame labels"),
    ]
    assert [p.name for p in out.parent.iterdir()] == ["demo_1.png"]


def test_the_title_tells_clip_duration_and_frames(view: ClipView) -> None:
    texts = [t.get_text() for t in draw(view).texts]

    assert texts[0] == "demo_1"
    assert texts[1] == "demo  ·  1.00 s  ·  25 frames  ·  320 x 240  ·  synthetic_1  ·  train"
    assert "emotion happy" in texts[2]


def test_the_strip_shows_the_frames_of_its_times(view: ClipView) -> None:
    with av.open(view.facts["uri"]) as container:
        frames = list(container.decode(video=0))

    assert len(view.shots) == LANDSCAPE
    assert [s.row for s in view.shots] == sorted({s.row for s in view.shots})
    for shot in view.shots:
        assert shot.image is not None
        assert shot.time == pytest.approx(frames[shot.row].time)
        expected = frames[shot.row].to_ndarray(format="rgb24").astype(float)
        assert np.abs(shot.image - expected).mean() < 3


def test_boxes_lie_around_the_face_and_crops_are_what_the_store_holds(
    store: FeatureStore, view: ClipView
) -> None:
    crops = store.read("demo_1", "face_112", corpus="demo")

    for shot in view.shots:
        assert shot.main is not None
        x0, y0, x1, y1 = shot.main[:4]
        points = shot.main[5:].reshape(5, 2)
        assert ((points > (x0, y0)) & (points < (x1, y1))).all()
        assert np.array_equal(shot.crops["face_112"], crops.values[shot.row])


def test_all_panels_share_the_clips_time_axis(view: ClipView) -> None:
    limits = {
        axes.get_xlim()
        for axes in draw(view).axes
        if axes.axison and axes.get_position().width > 0.5
    }

    assert limits == {(0.0, 1.0)}


def test_what_is_not_published_has_no_panel(view: ClipView) -> None:
    bare = replace(
        view, crops=[], sound=None, lines=[], shots=[replace(s, crops={}) for s in view.shots]
    )

    assert panels(bare) == ["frames"]


def test_a_clip_with_nothing_published_still_shows_its_frames(
    store: FeatureStore, folder: Path
) -> None:
    entry = ClipEntry("fresh", str(folder / "media" / "demo_2.mp4"), 0.2, 0.8)
    ingest_manifest(store, Manifest("fresh", (entry,)))

    view = clip_view(store, "fresh", "fresh")

    assert panels(view) == ["frames"]
    assert view.edges[[0, -1]] == pytest.approx([0.2, 0.8])
    assert all(s.image is not None and s.main is None for s in view.shots)


def test_a_clip_whose_file_is_gone_shows_what_is_published(
    store: FeatureStore, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder / "store", copy)
    media = folder / "media" / "demo_1.mp4"
    media.rename(media.with_suffix(".away"))
    try:
        view = clip_view(FeatureStore.open(copy, read_only=True), "demo_1", "demo")
    finally:
        media.with_suffix(".away").rename(media)

    assert "demo_1.mp4" in view.problem
    assert "frames" not in panels(view)
    assert panels(view)[0] == "face_112"
    assert any("no frames: " in t.get_text() for axes in draw(view).axes for t in axes.texts)


def test_an_unknown_clip_is_an_error_and_writes_nothing(
    store: FeatureStore, tmp_path: Path
) -> None:
    with pytest.raises(UnknownClip):
        clip_picture(store, "nobody", "demo", tmp_path / "x.png")

    assert not list(tmp_path.iterdir())


def test_bars_are_in_the_order_of_the_pipeline_with_labels_last(view: ClipView) -> None:
    names = _names(bars(view))

    assert names[0] == "timeline"
    assert names.index("faces") < names.index("face_track") < names.index("face_112")
    assert names[-2:] == ["label.arousal", "label.valence"]


@pytest.mark.media
def test_validity_spans_show_where_face_and_sound_are(media: Path, tmp_path: Path) -> None:
    """a03: sound begins 2.43 s after the video."""
    store = FeatureStore.create(tmp_path / "store")
    clip = ClipEntry("a03", str(media / "a03_face_then_noface_vfr_hevc.mov"))
    ingest_manifest(store, Manifest("c", (clip,)))
    features = "timeline,audio_16k,mfcc_mel,shortterm_34,stft_map"
    extract_plain(Request(store=str(tmp_path / "store"), features=features, device="cpu"))

    view = clip_view(store, "a03", "c")

    spans = {v.feature: v.spans for v in view.validity}
    assert spans["timeline"] == ((view.edges[0], view.edges[-1]),)
    assert len(spans["audio_16k"]) == len(spans["mfcc_mel"]) == 1
    assert spans["audio_16k"][0][0] == pytest.approx(2.43, abs=0.01)
    assert spans["mfcc_mel"][0][0] == pytest.approx(2.43, abs=0.1)
    ((_, end),) = spans["audio_16k"]
    assert spans["shortterm_34"] == ((pytest.approx(2.43, abs=0.01), pytest.approx(end, abs=0.05)),)
    # maps of 3.015 s, one each second while there is sound for them
    ((first, last),) = spans["stft_map"]
    assert first == pytest.approx(2.43, abs=0.01)
    whole = last - first - 3.015
    assert whole == pytest.approx(round(whole), abs=1e-6)
    assert first < last <= end + 3.015
    assert view.sound is not None
    assert np.isnan(view.sound[0]).all()
    assert np.isfinite(view.sound[-1]).all()


def test_labels_beyond_one_have_their_own_axis(view: ClipView) -> None:
    counts = Line("count", np.arange(view.frames, dtype=float))

    assert panels(replace(view, lines=[*view.lines, counts])).count("frame labels") == 2


def test_a_label_that_nobody_gave_can_be_drawn(view: ClipView) -> None:
    empty = Line("empty", np.full(view.frames, np.nan))

    assert panels(replace(view, lines=[empty])).count("frame labels") == 1


def test_stale_rows_are_drawn_and_named_stale(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "store", tmp_path / "store")
    store = FeatureStore.open(tmp_path / "store")
    assert not any(v.stale for v in clip_view(store, "demo_1", "demo").validity)

    store.save_configuration(configure({"faces": {"min_face": 77}}))

    stale = clip_view(store, "demo_1", "demo")
    assert "faces" in {v.feature for v in stale.validity if v.stale}
    assert "timeline" not in {v.feature for v in stale.validity if v.stale}
    assert "stale" in [t.get_text() for t in bars(stale).texts]


def test_a_name_that_is_no_png_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"x\.png"):
        clip_picture(store, "demo_1", "demo", tmp_path / "x.jpg")
    assert not any(tmp_path.iterdir())
