"""The weights registry: what is known, where it lies, and that it is the right one."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from features import weights
from features.errors import MissingWeights, RequestError, WeightsDamaged
from features.mtcnn.load import load_networks
from features.weights import Weights

CONTENT = b"numbers"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """An entry whose one file the user has to bring."""
    made = Weights(
        name="own",
        files=("model.bin",),
        sha256s=(hashlib.sha256(CONTENT).hexdigest(),),
        source="https://example.org/model.bin",
        licence="CC-BY-NC-4.0",
        commercial=False,
        purpose="tests",
    )
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr("features.weights.lookup.registry", lambda: {"own": made})
    return made


def test_the_detectors_weights_come_with_the_installed_package() -> None:
    paths = weights.resolve("mtcnn")
    assert [path.name for path in paths] == ["pnet.lz4", "rnet.lz4", "onet.lz4"]
    assert weights.is_present("mtcnn")
    assert weights.entry("mtcnn").licence == "MIT"
    assert all(weights.read("mtcnn"))


def test_finding_and_loading_them_does_not_import_the_package() -> None:
    code = (
        "import sys; from features.mtcnn.load import load_networks; load_networks(); "
        "raise SystemExit('mtcnn' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_digest_in_keys_is_of_the_known_files_whether_they_are_there_or_not(
    own: Weights,
) -> None:
    assert not weights.is_present("own")
    assert weights.sha256("own") == own.sha256s[0]


def test_the_digest_of_several_files_covers_names_of_none_and_contents_of_all() -> None:
    assert weights.sha256("mtcnn") == (
        "e9c3848942dd21616d3eb3c09d18094e48fa4a4db76e53fbe53293e0ec2f812a"
    )


def test_missing_weights_say_where_to_get_them_and_where_to_put_them(
    own: Weights, tmp_path: Path
) -> None:
    with pytest.raises(MissingWeights) as caught:
        weights.resolve("own")
    assert own.source in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_weights_in_the_users_folder_are_found_and_proved(own: Weights, tmp_path: Path) -> None:
    path = tmp_path / "own" / "model.bin"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert weights.resolve("own") == (path,)
    assert weights.read("own") == (CONTENT,)


def test_a_file_with_another_digest_is_refused_before_anyone_reads_it(
    own: Weights, tmp_path: Path
) -> None:
    path = tmp_path / "own" / "model.bin"
    path.parent.mkdir()
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsDamaged, match="get it again"):
        weights.read("own")


def test_a_damaged_detector_does_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = []
    for path in weights.resolve("mtcnn"):
        copies.append(tmp_path / path.name)
        copies[-1].write_bytes(path.read_bytes() + b"!")
    monkeypatch.setattr("features.weights.files._paths", lambda _: tuple(copies))
    with pytest.raises(WeightsDamaged, match=r"mtcnn==1\.0\.0"):
        load_networks()


def test_a_package_that_is_not_installed_is_missing_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = weights.entry("mtcnn")
    absent = Weights(**{**vars(known), "package": "no_such_package_here"})
    monkeypatch.setattr("features.weights.lookup.registry", lambda: {"mtcnn": absent})
    assert not weights.is_present("mtcnn")
    with pytest.raises(MissingWeights, match=r"pip install mtcnn==1\.0\.0"):
        weights.resolve("mtcnn")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(RequestError, match="did you mean 'mtcnn'"):
        weights.entry("mtcn")


def test_without_a_chosen_folder_the_platforms_data_folder_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(weights.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert weights.folder().parts[-2:] == ("affectstore", "weights")


def test_an_entry_needs_a_digest_for_every_file() -> None:
    with pytest.raises(ValueError, match="sha256"):
        Weights("x", ("a", "b"), ("0",), "", "", True, "")


@pytest.mark.parametrize("content", [b'{"bad":', b"\xff\xfe", b"[]"])
def test_a_damaged_receipt_stops_who_needs_it_and_nobody_else(
    own: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    free = replace(own, sha256s=())
    monkeypatch.setattr("features.weights.lookup.registry", lambda: {"own": free})
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model.bin").write_bytes(CONTENT)
    (tmp_path / "own" / "weights.json").write_bytes(content)
    assert weights.sha256("own") == weights.ABSENT
    assert not weights.is_present("own")
    for ask in (weights.resolve, weights.read, weights.receipt):
        with pytest.raises(WeightsDamaged, match="add the weights again: affectstore weights add"):
            ask("own")
