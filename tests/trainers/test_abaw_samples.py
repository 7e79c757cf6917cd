"""What the two streams see of a frame, and how it is changed in training."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from storage import FeatureStore
from storage.audio_windows import logmel_window
from storage.selection import Selection, select_clips
from tests.trainers.face_kit import (
    NAMES,
    SOUNDS,
    TIMES,
    face_of,
    made_face_store,
    mask_of,
    sound_of,
)
from trainers.abaw.augment import Augmentation, augmented, shifted
from trainers.abaw.labels import LabelReader
from trainers.abaw.samples import Samples, Seen, View
from trainers.ahead import ahead
from trainers.errors import WrongSetting

FEATURES = ("timeline", "face_112", "face_mask", "logmel_64")
VIEW = View("face_112", "face_mask", "logmel_64")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return made_face_store(tmp_path_factory.mktemp("faces") / "store")


@pytest.fixture(scope="module")
def selection(store: FeatureStore) -> Selection:
    return select_clips(store, FEATURES, "c")


def samples(selection: Selection, view: View = VIEW) -> Samples:
    """The clips in the order of ``NAMES``."""
    by_name = {clip.clip: clip for clip in selection.clips}
    return Samples(selection, [by_name[name] for name in NAMES], view)


def expected(clip: int, rows: list[int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Faces and masks of rows; -1, and row 5, which has no face, are black."""
    black = np.zeros((112, 112, 3), np.uint8)
    faces = [black if r in (-1, 5) else face_of(clip, r) for r in rows]
    masks = [black[..., 0] if r in (-1, 5) else mask_of(clip, r) for r in rows]
    return np.stack(faces), np.stack(masks)


@pytest.mark.parametrize(
    ("clip", "row", "rows"),
    [
        (0, 59, [17, 23, 29, 35, 41, 47, 53, 59]),
        (0, 47, [5, 11, 17, 23, 29, 35, 41, 47]),
        (0, 42, [0, 6, 12, 18, 24, 30, 36, 42]),
        (0, 41, [-1, 5, 11, 17, 23, 29, 35, 41]),
        (1, 0, [-1] * 7 + [0]),
        (1, 19, [-1] * 4 + [1, 7, 13, 19]),
    ],
)
def test_a_clip_is_eight_frames_six_apart_black_before_the_start(
    selection: Selection, clip: int, row: int, rows: list[int]
) -> None:
    seen = samples(selection).read(np.array([clip]), np.array([row]))
    faces, masks = expected(clip, rows)
    assert seen.faces is not None
    assert seen.masks is not None
    np.testing.assert_array_equal(seen.faces[0], faces)
    np.testing.assert_array_equal(seen.masks[0], masks)


def test_at_thirty_frames_a_second_frames_are_counted_by_time(selection: Selection) -> None:
    view = replace(VIEW, fps=30.0, frames=4, dilation=3, sound=None)
    made = samples(selection, view)
    seen = made.read(np.array([0, 2, 2, 1]), np.array([9, 9, 3, 3]))
    assert seen.faces is not None
    assert seen.maps is None
    wanted = [
        (0, [0, 3, 6, 9]),
        (2, [7, 8, 8, 9]),  # .7 .8 .9 1.0: of two equally near ones the earlier
        (2, [-1, 0, 1, 3]),  # -.05 .05 .15 .25
        (1, [-1, -1, 0, 3]),  # .32 .42 .52 .62, the clip starts at .5
    ]
    for found, (clip, rows) in zip(seen.faces, wanted, strict=True):
        np.testing.assert_array_equal(found, expected(clip, rows)[0])


@pytest.mark.parametrize("border", ["centred", "released"])
def test_sound_is_the_window_of_the_clips_own_clock(selection: Selection, border: str) -> None:
    made = samples(selection, replace(VIEW, border=border))  # type: ignore[arg-type]
    asked = [(0, 0), (1, 0), (0, 59), (2, 4), (1, 19), (0, 30)]
    clips, rows = (np.array(x) for x in zip(*asked, strict=True))
    seen = made.read(clips, rows)
    assert seen.maps is not None
    for found, (clip, row) in zip(seen.maps, asked, strict=True):
        sound = np.nan_to_num(sound_of(clip), nan=-100.0)
        times = TIMES[clip]
        wanted = logmel_window(sound, SOUNDS[clip][0], times[row], border, times[0])  # type: ignore[arg-type]
        np.testing.assert_array_equal(found, wanted)


def test_streams_and_masks_that_are_not_wanted_are_not_read(selection: Selection) -> None:
    first = (np.array([0]), np.array([50]))
    aural = samples(selection, View(None, None, "logmel_64")).read(*first)
    bare = samples(selection, View("face_112", None, None)).read(*first)
    assert aural.faces is None
    assert aural.maps is not None
    assert bare.masks is None
    assert bare.maps is None
    with pytest.raises(WrongSetting, match="face_mask has rows of uint8"):
        samples(selection, View("face_mask", None, None))


def test_a_clip_gives_the_labels_of_the_tasks_in_which_it_is_of_the_split(
    store: FeatureStore, selection: Selection
) -> None:
    reader = LabelReader(store, "c", ("AU12", "AU25"))
    assert reader.tasks_in("one", ("train",)) == ("va",)
    assert [c.clip for c in reader.clips_in(selection, ("val",))] == ["one", "three"]
    train, val = (reader.read("one", 60, (s,)) for s in ("train", "val"))
    known = np.arange(60) % 7 != 3
    np.testing.assert_array_equal(np.isfinite(train.va).all(1), known)
    assert (train.expression == -1).all()
    assert np.isnan(val.va).all()
    np.testing.assert_array_equal(val.expression >= 0, known)
    two = reader.read("two", 25, ("train",))  # more rows than labels
    labelled = [i % 7 != 3 and i < 20 for i in range(25)]
    assert np.isfinite(two.units[:, 0]).tolist() == labelled
    assert np.isnan(two.units[:, 1]).all()
    both = reader.read("one", 60, ("train", "val"))
    np.testing.assert_array_equal(both.va, train.va)
    np.testing.assert_array_equal(both.expression, val.expression)


def test_a_mirrored_clip_is_mirrored_with_its_masks_and_nothing_else() -> None:
    faces = np.stack([expected(0, [0, 6, 12])[0], expected(1, [0, 6, 12])[0]])
    masks = np.stack([expected(0, [0, 6, 12])[1], expected(1, [0, 6, 12])[1]])
    how = Augmentation(flip=1.0, hue=0, saturation=0, value=0)
    found = augmented(Seen(faces.copy(), masks.copy(), None), how, np.random.default_rng(0))
    np.testing.assert_array_equal(found.faces, faces[..., ::-1, :])
    np.testing.assert_array_equal(found.masks, masks[..., ::-1])
    half = replace(how, flip=0.5)
    many = np.repeat(faces[:1, :1], 400, 0)
    some = augmented(Seen(many.copy(), None, None), half, np.random.default_rng(0))
    assert some.faces is not None
    mirrored = (some.faces != many).any((1, 2, 3, 4)).mean()
    assert 0.4 < mirrored < 0.6


def test_colours_move_in_opencvs_units_and_hue_goes_round() -> None:
    rng = np.random.default_rng(2)
    pictures = rng.integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    shift = np.array([-9, 24, -19])
    found = shifted(pictures, shift)
    for before, after in zip(pictures, found, strict=True):
        hsv = cv2.cvtColor(before, cv2.COLOR_RGB2HSV).astype(np.int64) + shift
        hsv[..., 0] %= 180
        wanted = cv2.cvtColor(hsv.clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
        np.testing.assert_array_equal(after, wanted)


def test_one_shift_holds_for_a_whole_clip_and_stays_within_its_range() -> None:
    grey = np.full((300, 2, 4, 4, 3), 100, np.uint8)
    how = Augmentation(flip=0.0, saturation=0.0)
    found = augmented(Seen(grey, None, None), how, np.random.default_rng(0)).faces
    assert found is not None
    assert (found == found[:, :1, :1, :1]).all()
    values = found[:, 0, 0, 0, 0].astype(int) - 100
    assert values.min() >= -19
    assert values.max() <= 19
    assert len(set(values.tolist())) > 30


@pytest.mark.parametrize("threads", [0, 3])
def test_what_is_done_ahead_comes_in_order(threads: int) -> None:
    assert list(ahead(lambda x: x * x, range(20), threads)) == [x * x for x in range(20)]

    def fails(x: int) -> int:
        if x == 5:
            raise ValueError("five")
        return x

    with pytest.raises(ValueError, match="five"):
        list(ahead(fails, range(20), threads))
