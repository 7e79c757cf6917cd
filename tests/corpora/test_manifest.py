"""The manifest: what it holds, and what it refuses."""

from __future__ import annotations

import json
import math
import unicodedata

import numpy as np
import pyarrow as pa
import pytest

from corpora.errors import BadClip, BadLabels, CorpusError, DuplicateClip, EmptyCorpus
from corpora.manifest import Asset, ClipEntry, FrameLabels, Manifest


def test_the_table_has_cuts_in_integer_microseconds() -> None:
    manifest = Manifest("c", (ClipEntry("a", "/a.mp4", 0.1234565, 2.0), ClipEntry("b", "/b.mp4")))

    table = manifest.to_table()

    assert table["start_us"].to_pylist() == [123456, None]
    assert table["stop_us"].to_pylist() == [2_000_000, None]
    assert table.schema.field("start_us").type == pa.int64()


def test_attributes_are_json_that_does_not_depend_on_their_order() -> None:
    one = Manifest("c", (ClipEntry("a", "/a", attrs={"side": "left", "b": "é"}),)).to_table()
    two = Manifest("c", (ClipEntry("a", "/a", attrs={"b": "é", "side": "left"}),)).to_table()

    assert one["attrs"].to_pylist() == two["attrs"].to_pylist()
    assert json.loads(one["attrs"][0].as_py()) == {"b": "é", "side": "left"}


def test_assets_keep_role_and_uri() -> None:
    entry = ClipEntry("a", "/a", assets=(Asset("openface", "/a.csv"),))

    table = Manifest("c", (entry, ClipEntry("b", "/b"))).to_table()

    assert table["assets"].to_pylist() == [[{"role": "openface", "uri": "/a.csv"}], []]


@pytest.mark.parametrize(
    ("labels", "kind", "values"),
    [
        ([1, None, 3], pa.int64(), [1, None, 3]),
        ([1, 0.5, None], pa.float64(), [1.0, 0.5, None]),
        ([1, "x", 0.5], pa.string(), ["1", "x", "0.5"]),
        ([None, None, None], pa.string(), [None, None, None]),
    ],
)
def test_a_label_has_one_type_over_all_clips(
    labels: list[float | int | str | None], kind: pa.DataType, values: list[object]
) -> None:
    clips = tuple(ClipEntry(f"c{i}", "/x", labels={"v": v}) for i, v in enumerate(labels))

    column = Manifest("c", clips).to_table()["label.v"]

    assert column.type == kind
    assert column.to_pylist() == values


def test_a_label_that_some_clips_lack_is_null_there() -> None:
    clips = (ClipEntry("a", "/a", labels={"v": 1.5}), ClipEntry("b", "/b"))

    assert Manifest("c", clips).to_table()["label.v"].to_pylist() == [1.5, None]


def test_two_clips_of_one_id_are_refused_with_both_files() -> None:
    with pytest.raises(DuplicateClip, match=r"'a'.*/one.mp4 and /two.mp4"):
        Manifest("c", (ClipEntry("a", "/one.mp4"), ClipEntry("a", "/two.mp4")))


def test_a_corpus_without_clips_is_refused() -> None:
    with pytest.raises(EmptyCorpus, match="no clips"):
        Manifest("c", ())


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (2.0, 2.0),
        (3.0, 2.0),
        (None, 0.0),
        (-1.0, 2.0),
        (float("nan"), None),
        (0.0, float("inf")),
        (1.0, 1.0000001),
    ],
)
def test_a_cut_that_holds_nothing_or_is_no_number_is_refused(
    start: float | None, stop: float | None
) -> None:
    with pytest.raises(BadClip, match="clip 'a' of c"):
        Manifest("c", (ClipEntry("a", "/a", start, stop),))


@pytest.mark.parametrize(
    "clip", ["", " ", "/abs", "../up", "a/../b", "a//b", "./a", "a\\b", "a\nb", "a\udcffb", "a/"]
)
def test_an_id_that_could_not_be_a_file_name_below_a_folder_is_refused(clip: str) -> None:
    with pytest.raises(BadClip):
        Manifest("c", (ClipEntry(clip, "/a"),))


@pytest.mark.parametrize("clip", ["a", "a b/ü.1", "1001_DFA_ANG_XX", "a..b", "..a", "七"])
def test_an_id_may_be_any_plain_relative_path(clip: str) -> None:
    assert Manifest("c", (ClipEntry(clip, "/a"),)).to_table()["clip"].to_pylist() == [clip]


def test_an_id_is_the_same_however_a_file_system_spells_its_letters() -> None:
    apart, typed = unicodedata.normalize("NFD", "Zoë/é"), "Zoë/é"
    labels = FrameLabels("v", np.zeros(3, np.float32), np.ones(3, bool))

    made = Manifest("c", (ClipEntry(apart, f"/{apart}"),), {apart: (labels,)})

    assert made.to_table()["clip"].to_pylist() == [typed]
    assert made.clips[0].uri == f"/{apart}"
    assert [*made.frame_labels] == [typed]
    with pytest.raises(DuplicateClip):
        Manifest("c", (ClipEntry(apart, "/a"), ClipEntry(typed, "/b")))


def test_frame_labels_of_a_clip_that_is_not_there_are_refused() -> None:
    labels = FrameLabels("v", np.zeros(3, np.float32), np.ones(3, bool))

    with pytest.raises(BadLabels, match="ghost"):
        Manifest("c", (ClipEntry("a", "/a"),), {"ghost": (labels,)})


def test_frame_labels_need_one_validity_flag_per_row() -> None:
    with pytest.raises(BadLabels, match="rows"):
        FrameLabels("v", np.zeros(3, np.float32), np.ones(2, bool))


def test_every_error_has_its_own_code() -> None:
    kinds = CorpusError.__subclasses__()

    assert len({k.code for k in kinds} | {CorpusError.code}) == len(kinds) + 1


def test_labels_are_finite() -> None:
    with pytest.raises(BadLabels, match="clip 'a' of c: label v is inf"):
        Manifest("c", (ClipEntry("a", "/a.mp4", labels={"v": math.inf}),))
    values = np.array([0.5, np.nan, np.inf], np.float32)
    with pytest.raises(BadLabels, match="label v: row 2 is inf and valid"):
        FrameLabels("v", values, np.array([True, False, True]))
    FrameLabels("v", values, np.array([True, False, False]))


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("", [0.5], "a label per frame can't be named ''"),
        ("../x", [0.5], "can't be named '../x'"),
        ("v", ["happy"], "label v: values are <U5; give numbers"),
        ("v", [1 + 2j], "values are complex128"),
        ("v", [None], "values are object"),
        ("v", [[0.5]], r"label v: values have shape \(1, 1\)"),
    ],
)
def test_frame_labels_are_numbers_under_a_name(name: str, values: list[object], said: str) -> None:
    with pytest.raises(BadLabels, match=said):
        FrameLabels(name, np.array(values), np.ones(1, bool))


def test_a_frame_label_is_there_once_and_of_one_type() -> None:
    def labels(*values: float) -> FrameLabels:
        return FrameLabels("v", np.array(values), np.ones(len(values), bool))

    clips = (ClipEntry("a", "/a.mp4"), ClipEntry("b", "/b.mp4"))
    with pytest.raises(BadLabels, match="a of c has two frame labels v; keep one"):
        Manifest("c", clips, {"a": (labels(0.5), labels(0.25))})
    with pytest.raises(BadLabels, match="label v of c is float64 of a and int64 of b"):
        Manifest("c", clips, {"a": (labels(0.5),), "b": (labels(1),)})
