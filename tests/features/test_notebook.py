"""features.extract: one feature of one file, with what it reads under the parameters given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import features
from features.errors import OutOfMemory, UnknownParameter
from features.extractor import Declaration, Params
from features.notebook import _collect, _InMemory
from features.registry import declarations
from features.spec import Rows
from tests.features.made_clips import make_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "a.mp4", seconds=0.4)


def test_what_the_chosen_parameters_read_is_computed_on_the_way(clip: Path) -> None:
    rows = features.extract("expnet", clip, crop="authors", weights="random")
    assert rows.rows == features.extract("timeline", clip).rows
    assert not rows.valid.any()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("expnet", {"crop": "authors"}),
        ("openface", {"face": "track"}),
        ("landmarks_68", {"backend": "dlib"}),
        ("face_track", {"use_identity": False}),
    ],
)
def test_everything_that_is_read_is_made_before(name: str, params: dict[str, object]) -> None:
    last = declarations()[name]
    chain: dict[str, tuple[Declaration, Params]] = {}
    _collect(last, last.cls.Params(**params), chain)
    made: set[str] = set()
    for declaration, chosen in chain.values():
        assert set(declaration.inputs_for(chosen).values()) <= made
        made |= {spec.name for spec in declaration.outputs}
    assert [*chain][-1] == name
    used = {f for one, chosen in chain.values() for f in one.inputs_for(chosen).values()}
    assert all({s.name for s in one.outputs} & used for one, _ in [*chain.values()][:-1])


@pytest.mark.parametrize(
    "feature", ["mfcc_mel", "frame_48", "face_track", "head_pose", "face_mask"]
)
@pytest.mark.parametrize(("start", "stop", "rows"), [(0.15, 0.35, 2), (0.25, 0.35, 1)])
def test_a_frame_feature_of_a_cut_begins_with_its_first_frame(
    feature: str, start: float, stop: float, rows: int, clip: Path
) -> None:
    made = features.extract(feature, clip, start=start, stop=stop)
    first = features.extract("timeline", clip, start=start, stop=stop).values[0]
    assert made.rows == rows
    assert made.t0 == first
    assert start <= made.t0 < start + 0.1


@pytest.mark.parametrize("feature", ["shortterm_34", "mfcc_mel"])
def test_inputs_that_do_not_fit_into_memory_are_the_features_own_failure(
    feature: str, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(self: _InMemory, start: int, stop: int) -> Rows:
        return Rows(np.zeros(1 << 58, np.uint8), np.ones(1, bool))

    monkeypatch.setattr(_InMemory, "read", too_much)
    with pytest.raises(OutOfMemory, match=rf"{feature} ran out of memory on a\.mp4 \(Unable"):
        features.extract(feature, clip)


def test_a_parameter_that_it_does_not_have_is_named_with_the_nearest(clip: Path) -> None:
    with pytest.raises(UnknownParameter, match=r"'min_fase'.*min_face"):
        features.extract("faces", clip, min_fase=40)


def test_a_value_that_does_not_fit_is_refused_in_one_line(clip: Path) -> None:
    with pytest.raises(
        UnknownParameter, match=r"^faces\.min_face: Input should be.* features show"
    ):
        features.extract("faces", clip, min_face=2)
    with pytest.raises(UnknownParameter, match=r"^identity: weights isn't used by dlib"):
        features.extract("identity", clip, weights="random")
