"""The adapter ``table``: a user's own CSV or Parquet file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora.adapters import load
from corpora.errors import BadTable, DuplicateClip, EmptyCorpus, SourceMissing
from corpora.manifest import Asset, Manifest
from corpora.table import read_table


def csv_of(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "clips.csv"
    path.write_bytes(text.encode(encoding))
    return path


def read(folder: Path, text: str) -> Manifest:
    return read_table(csv_of(folder, text), "c")


def test_paths_are_relative_to_the_table(tmp_path: Path) -> None:
    manifest = read(tmp_path, "clip_id,path\na,x/a.mp4\nb,/abs/b.mp4\nc,../c.mp4\n")

    assert [c.uri for c in manifest.clips] == [
        str(tmp_path / "x/a.mp4"),
        "/abs/b.mp4",
        str(tmp_path.parent / "c.mp4"),
    ]


def test_paths_are_found_as_windows_and_macos_write_them(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    composed, decomposed = "videos/\u00e4 1.mp4", "videos/o\u0308 2.mp4"
    for name in (composed, decomposed):
        (tmp_path / name).touch()

    manifest = read(tmp_path, "clip_id,path\na,videos\\a\u0308 1.mp4\nb,videos/\u00f6 2.mp4\n")

    assert [c.uri for c in manifest.clips] == [f"{tmp_path}/{composed}", f"{tmp_path}/{decomposed}"]
    assert manifest.warnings == ()


@pytest.mark.parametrize("stop", ["stop", "end"])
def test_cuts_subjects_and_splits_are_read_and_may_be_empty(tmp_path: Path, stop: str) -> None:
    manifest = read(
        tmp_path, f"clip_id,path,start,{stop},subject,split\na,a.mp4,1.5,2,s1,train\nb,b.mp4,,,,\n"
    )

    a, b = manifest.clips
    assert (a.start, a.stop, a.subject, a.split) == (1.5, 2.0, "s1", "train")
    assert (b.start, b.stop, b.subject, b.split) == (None, None, None, None)


def test_further_columns_are_labels_with_one_type_each(tmp_path: Path) -> None:
    manifest = read(
        tmp_path,
        "clip_id,path,count,arousal,emotion,label.odd,code\n"
        "a,a.mp4,1,0.5,happy,NA,7.\n"
        "b,b.mp4,,2,,nan,1e-1\n",
    )

    assert manifest.clips[0].labels == {
        "count": 1,
        "arousal": 0.5,
        "emotion": "happy",
        "odd": None,
        "code": 7.0,
    }
    assert manifest.clips[1].labels == {
        "count": None,
        "arousal": 2.0,
        "emotion": None,
        "odd": None,
        "code": 0.1,
    }


@pytest.mark.parametrize("codes", ["007 012", "007 1", "00 1", "-01 2", "01.5 2", "1" * 19 + " 2"])
def test_numbers_that_are_names_stay_as_they_are_written(tmp_path: Path, codes: str) -> None:
    one, two = codes.split()
    manifest = read(tmp_path, f"clip_id,path,code\na,a.mp4,{one}\nb,b.mp4,{two}\n")

    assert [c.labels["code"] for c in manifest.clips] == [one, two]


def test_seconds_may_have_leading_zeros(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, "clip_id,path,start,stop\na,a.mp4,00.5,007\n").clips

    assert (clip.start, clip.stop) == (0.5, 7.0)


def test_columns_with_a_meaning_are_known_in_any_case(tmp_path: Path) -> None:
    (clip,) = read(
        tmp_path, "Clip_ID,Path,Start,END,Subject,SPLIT,Mood\na,a.mp4,1,2,s,train,x\n"
    ).clips

    assert (clip.clip, clip.start, clip.stop) == ("a", 1.0, 2.0)
    assert (clip.subject, clip.split, clip.labels) == ("s", "train", {"Mood": "x"})


def test_columns_without_a_name_are_passed_over(tmp_path: Path) -> None:
    for text in (
        ",clip_id,path,\n0,a,a.mp4,\n",
        "clip_id,path,,\na,a.mp4,,\n",
        "Unnamed: 1,Unnamed: 0,clip_id,path\n0,0,a,a.mp4\n",
    ):
        manifest = read(tmp_path, text)

        assert manifest.clips[0].labels == {}
        assert "columns without a name were passed over" in manifest.warnings


def test_what_is_hardly_meant_is_told(tmp_path: Path) -> None:
    rows = "a;a.mp4;Train;0,5;1,2,3;\nb;b.mp4;train;1;x;no\n"
    manifest = read(tmp_path, "clip_id;path;split;arousal;codes;asset.faces\n" + rows)

    assert [c.labels["arousal"] for c in manifest.clips] == ["0,5", "1"]
    assert manifest.warnings[1:] == (
        f"1 assets aren't there: {tmp_path / 'no'}",
        "column arousal has decimal commas and is text; write '0,5' (line 2) with a point",
        "recipes look for the splits train, val, test, in these words: Train (train?)",
    )


@pytest.mark.parametrize("cells", [("1.5", "0,4"), ("2", "-0,4"), (".5", "1,5e-3")])
def test_decimal_commas_among_decimal_points_are_told(
    tmp_path: Path, cells: tuple[str, str]
) -> None:
    (tmp_path / "a.mp4").touch()
    rows = "".join(f"{i};a.mp4;{cell}\n" for i, cell in enumerate(cells))
    said = read(tmp_path, "clip_id;path;arousal\n" + rows).warnings
    assert said == (
        f"column arousal has decimal commas and is text; write {cells[1]!r} (line 3) with a point",
    )


def test_a_decimal_comma_in_a_time_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match=r"line 2: stop is '0,5', .*; write 0\.5, with a point"):
        read(tmp_path, "clip_id;path;stop\na;a.mp4;0,5\n")


def test_a_cell_that_makes_a_column_of_numbers_text_is_told_with_its_line(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.mp4").touch()
    header = "clip_id,path,arousal,valence,code,mood,late\n"
    rows = "a,a.mp4,0.5,1e-1,007,calm,3\nb,b.mp4,0.7,-,012,2,\nc,b.mp4,0.9,1,7,x,inf\n"
    manifest = read(tmp_path, header + rows)

    assert [c.labels["valence"] for c in manifest.clips] == ["1e-1", "-", "1"]
    assert manifest.warnings == (
        "column valence is text, though 2 of its 3 cells are numbers: '-' (line 3) is no number; "
        "correct or empty them to learn from numbers",
        "column late is text, though 1 of its 2 cells are numbers: 'inf' (line 4) is no number; "
        "correct or empty them to learn from numbers",
    )


def test_words_for_splits_that_recipes_do_not_look_for_are_told(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.mp4").touch()
    rows = zip("abcd", ("Train", "validation", "dev", "fold1"), strict=True)
    text = "".join(f"{name},{name}.mp4,{split}\n" for name, split in rows)

    assert read(tmp_path, "clip_id,path,split\n" + text).warnings == (
        "recipes look for the splits train, val, test, in these words: Train (train?), dev (val?), "
        "validation (val?)",
    )


@pytest.mark.parametrize("name", ["t.xlsx", "t.XLS", "t.ods"])
def test_spreadsheets_are_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(BadTable, match="save it as CSV"):
        load(None, tmp_path / name, "c")


def test_attributes_and_assets_have_their_own_columns(tmp_path: Path) -> None:
    (clip,) = read(
        tmp_path, "clip_id,path,attr.side,asset.openface,asset.faces\na,a.mp4,left,of/a.csv,\n"
    ).clips

    assert clip.attrs == {"side": "left"}
    assert clip.assets == (Asset("openface", str(tmp_path / "of/a.csv")),)
    assert clip.labels == {}


def test_what_stands_before_a_columns_point_is_known_in_any_case(tmp_path: Path) -> None:
    (clip,) = read(
        tmp_path, "clip_id,path,Attr.Side,LABEL.Mood,my.own\na,a.mp4,left,calm,1\n"
    ).clips

    assert (clip.attrs, clip.labels) == ({"Side": "left"}, {"Mood": "calm", "my.own": 1})


def test_a_subject_may_be_called_na(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, "clip_id,path,subject\na,a.mp4,NA\n").clips

    assert clip.subject == "NA"


def test_files_that_are_not_there_are_kept_and_listed(tmp_path: Path) -> None:
    (tmp_path / "here.mp4").write_bytes(b"x")

    manifest = read(tmp_path, "clip_id,path\na,here.mp4\nb,gone.mp4\n")

    assert len(manifest.clips) == 2
    assert manifest.warnings == (f"1 media files aren't there: {tmp_path / 'gone.mp4'}",)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheet_exports_are_read(tmp_path: Path, delimiter: str) -> None:
    text = "\ufeffclip_id,path,arousal\r\na,a.mp4,0.5\r\n\r\n".replace(",", delimiter)

    (clip,) = read(tmp_path, text).clips

    assert (clip.clip, clip.labels) == ("a", {"arousal": 0.5})


def test_quoted_cells_may_hold_separators(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, 'clip_id,path\n"a, b","x, y.mp4"\n').clips

    assert clip.clip == "a, b"
    assert clip.uri == str(tmp_path / "x, y.mp4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,path\na,a.mp4\n", "line 1: no column 'clip_id'; .* rename 'clip'"),
        ("clip_id,file\na,a.mp4\n", "line 1: no column 'path'"),
        ("", "line 1: no column 'clip_id'; the columns are none"),
        ("clip_id,path,path\na,b,c\n", "line 1: column 'path' stands there twice"),
        ("clip_id,path,stop,end\na,b,1,1\n", "line 1: both stop and end"),
        ("clip_id,path,start\na,a,0\nb,b,1.5s\n", "line 3: start is '1.5s'"),
        ("clip_id;path;start\na;a;1,5\n", "line 2: start is '1,5'"),
        ("clip_id,path,start,stop\na,a,2,1\n", r"line 2: clip_id 'a': start 2.0 s isn't before"),
        ("clip_id,path\na,a\n\nb\n", "line 4: 1 cells, but the header has 2"),
        ("clip_id,path\na,\n", "line 2: clip_id 'a': path is empty"),
        ("clip_id,path\n,a.mp4\n", "line 2: clip_id '': the id is empty"),
        ("clip_id,path\n../../x,a.mp4\n", "line 2: .* no plain relative path"),
        ("clip_id,path\na,s3://bucket/a.mp4\n", "line 2: .* is a URL"),
        ('clip_id,path\na,"a.mp4\n', "line 2: .*quotes"),
        ("clip_id,path,x,label.x\na,a,1,2\n", "line 1: columns 'label.x' and 'x' are both label x"),
        ("clip_id,path,label.\na,a,1\n", "line 1: column 'label.' names no label"),
        ("clip_id,path,asset.\na,a,b\n", "line 1: column 'asset.' names no asset"),
        ("clip_id,path,x\na,a,1\nb,b,1e400\n", "line 3: x is 1e400, which is infinite"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadTable, match=message) as error:
        read(tmp_path, text)

    assert str(tmp_path / "clips.csv") in str(error.value)
    assert "\n" not in str(error.value)


def test_two_rows_of_one_id_are_refused_with_both_lines(tmp_path: Path) -> None:
    with pytest.raises(DuplicateClip, match=r"line 4: clip_id 'a' is already used in line 2"):
        read(tmp_path, "clip_id,path\na,a.mp4\nb,b.mp4\na,c.mp4\n")


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyCorpus, match="no rows"):
        read(tmp_path, "clip_id,path\n")


def test_a_table_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match="line 2: not UTF-8"):
        read_table(csv_of(tmp_path, "clip_id,path\nä,ä.mp4\n", encoding="latin-1"), "c")


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="nowhere"):
        read_table(tmp_path / "nowhere.csv", "c")


def test_parquet_gives_what_the_same_csv_gives(tmp_path: Path) -> None:
    text = "clip_id,path,start,stop,subject,arousal,emotion,n\na,a,0.5,1,7,.5,sad,1\nb,b,,,,,,2\n"
    table = pa.table(
        {
            "clip_id": ["a", "b"],
            "path": ["a", "b"],
            "start": [0.5, None],
            "stop": pa.array([1, None], pa.int32()),
            "subject": [7.0, float("nan")],
            "arousal": pa.array([0.5, None], pa.float32()),
            "emotion": pa.array(["sad", None]).dictionary_encode(),
            "n": [1, 2],
        }
    )
    path = tmp_path / "clips.PARQUET"
    pq.write_table(table, path)

    assert read_table(path, "c").clips == read(tmp_path, text).clips


def test_a_parquet_row_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"clip_id": ["a", "a"], "path": ["a", "b"]}), path)

    with pytest.raises(DuplicateClip, match="row 2: clip_id 'a' is already used in row 1"):
        read_table(path, "c")


def test_a_file_that_only_claims_to_be_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"clip_id,path\n")

    with pytest.raises(BadTable, match="no Parquet file"):
        read_table(path, "c")


def test_numbers_of_parquet_that_no_label_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    columns = {"clip_id": ["a", "b"], "path": ["a", "b"]}
    big = pa.array([1, 2**64 - 1], pa.uint64())
    pq.write_table(pa.table(columns | {"id": big}), path)
    assert [c.labels["id"] for c in read_table(path, "c").clips] == ["1", str(2**64 - 1)]

    pq.write_table(pa.table(columns | {"arousal": [0.5, float("-inf")]}), path)
    with pytest.raises(BadTable, match="row 2: arousal is -inf, which is infinite"):
        read_table(path, "c")


def test_the_rows_numbers_that_pandas_saves_are_no_label(tmp_path: Path) -> None:
    frame = pd.DataFrame({"clip_id": ["a", "b"], "path": ["a", "b"], "v": [1, 2]}, index=[7, 9])
    frame.to_parquet(tmp_path / "x.parquet")
    assert [c.labels for c in read_table(tmp_path / "x.parquet", "c").clips] == [{"v": 1}, {"v": 2}]
