"""Which adapter reads what."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from corpora.adapters import BUILT_IN, fitting, load, names
from corpora.demo.make import HEADER
from corpora.errors import CorpusError, SourceMissing, UnknownAdapter
from tests.corpora.trees import tree


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, package: str, code: str, *names: str
) -> None:
    """Put a package with adapters (``name=attribute``) where Python looks."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    entries = "".join(f"{a} = {module}:{b}\n" for a, b in (n.split("=") for n in names))
    (info / "entry_points.txt").write_text(f"[affectstore.adapters]\n{entries}")
    if str(folder) not in sys.path:
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])


def test_a_folder_is_read_as_folder_and_a_csv_as_table(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "t.CSV").write_text("clip_id,path\nfrom_table,a.mp4\n")

    assert load(None, tmp_path, "c").clips[0].clip == "a"
    assert load(None, tmp_path / "t.CSV", "c").clips[0].clip == "from_table"


def test_a_folder_that_is_named_like_a_table_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()

    assert fitting(tmp_path / "x.csv") == "folder"
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "demo.csv").write_text(",".join(HEADER) + "\ndemo_1,demo_1.mp4,,,,,\n")
    assert fitting(tmp_path / "made") == "demo"


def test_an_unknown_adapter_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownAdapter, match=r"'foldr' \(did you mean 'folder'\?\)"):
        load("foldr", tmp_path, "c")


THEIRS = """
from corpora.manifest import ClipEntry, Manifest
def read(source, corpus):
    return Manifest(corpus, (ClipEntry('theirs', str(source)),))
number = 3
def nothing(source, corpus):
    return None
"""


def test_a_package_adds_an_adapter_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "their-corpus", THEIRS, "theirs=read")
    assert names() == [*BUILT_IN, "theirs"]
    assert load("theirs", "/x", "c").clips[0].clip == "theirs"
    with pytest.raises(UnknownAdapter, match="did you mean 'theirs'"):
        load("their", "/x", "c")


def test_a_broken_package_stops_its_own_adapter_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "broken-corpus", "import nosuchlib", "broken=read")
    own = ("theirs=read", "number=number", "nothing=nothing", "folder=read")
    install(tmp_path, monkeypatch, "other-corpus", THEIRS, *own)
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.mp4").write_bytes(b"x")

    assert load("theirs", "/x", "c").clips[0].clip == "theirs"
    assert load("table", table(tmp_path / "t.csv"), "c").clips[0].clip == "a"
    for name, said in (
        ("broken", r"broken_corpus:read, package broken-corpus\) can't be imported: .*nosuchlib"),
        ("number", r"other_corpus:number, package other-corpus\) is no function"),
        ("nothing", "adapter nothing gave NoneType"),
        ("folder", r"two adapters are named folder \(other_corpus:read, package other-corpus\)"),
    ):
        with pytest.raises(CorpusError, match=said):
            load(name, tmp_path / "media", "c")


def table(path: Path) -> Path:
    """A table of one clip."""
    path.write_text("clip_id,path\na,a.mp4\n")
    return path


DOC = (Path(__file__).parents[2] / "docs" / "corpora.md").read_text()


def test_the_adapter_of_the_docs_reads_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = DOC.split("```python\n")[1].split("```")[0]
    install(tmp_path, monkeypatch, "interview-corpus", code, "interviews=read_interviews")
    root = tree(
        tmp_path / "data",
        {
            "interviews.csv": "video,person,mood\nmon.mp4,anna,calm\ntue.mp4,ben,\n",
            "mon.mp4": "x",
            "traces/mon.txt": "0.5\nnan\n-0.5\n",
        },
    )

    manifest = load("interviews", root, "talks")

    assert [(c.clip, c.subject, dict(c.labels)) for c in manifest.clips] == [
        ("mon", "anna", {"mood": "calm"}),
        ("tue", "ben", {"mood": None}),
    ]
    assert manifest.frame_labels["mon"][0].valid.tolist() == [True, False, True]
    assert manifest.warnings == (f"1 media files aren't there: {root / 'tue.mp4'}",)
    (root / "interviews.csv").unlink()
    with pytest.raises(SourceMissing, match=r"interviews\.csv: there is no such table"):
        load("interviews", root, "talks")


def test_the_table_of_the_docs_is_read_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line[4:] for line in DOC.splitlines() if line.startswith("    ")]
    start = next(i for i, line in enumerate(lines) if line.startswith("clip_id,"))
    root = tree(tmp_path / "study", {"clips.csv": "\n".join(lines[start : start + 4]) + "\n"})
    tree(root, {"videos/monday.mp4": "x", "videos/tuesday.mp4": "x"})
    monkeypatch.chdir(tmp_path)

    manifest = load(None, "study/clips.csv", "study")

    assert manifest.warnings == ()
    clips = {c.clip: (c.start, c.stop, c.subject, c.split) for c in manifest.clips}
    assert clips["talk_02"] == (12.5, 30.0, "anna", "train")
    assert manifest.clips[0].labels == {"arousal": 0.4, "emotion": "happy"}
    assert manifest.clips[1].labels == {"arousal": None, "emotion": None}
    assert manifest.clips[2].attrs == {"side": "left"}
