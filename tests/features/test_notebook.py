"""features.extract: one feature of one file, with what it reads under the parameters given."""

from __future__ import annotations

from pathlib import Path

import pytest

import features
from features.errors import UnknownParameter
from features.extractor import Declaration, Params
from features.registry import declarations
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
    from features.notebook import _collect

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


def test_a_parameter_that_it_does_not_have_is_named_with_the_nearest(clip: Path) -> None:
    with pytest.raises(UnknownParameter, match=r"'min_fase'.*min_face"):
        features.extract("faces", clip, min_fase=40)
