"""peng2018 from OMG-Emotion's own layout to its scorer's format, by the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import flows.cli.commands  # noqa: F401  registers the commands
from corpora.demo import make_demo
from corpora.demo.make import TABLE
from features import weights
from flows.cli.app import app
from trainers.errors import WrongSetting

HEADER = ("link", "start", "end", "video", "utterance", "arousal", "valence", "EmotionMaxVote")
#: split -> OMG's table
TABLES = {"train": "omg_TrainVideos.csv", "val": "omg_ValidationVideos.csv"}
SMALL = (
    *("train.epochs=1", "train.joint_epochs=1", "train.batch=2", "train.joint_batch=2"),
    *("train.lr=0.001", "model.scale=0.02", "model.frames=4", "model.maps=2"),
)


def run(*words: object) -> Any:
    """What a command prints as JSON."""
    done = CliRunner().invoke(app, [*(str(w) for w in words), "--json"])
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout)


def settings(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--set", text)]


def omg_tree(root: Path, clips: int, seconds: float) -> dict[str, list[tuple[str, str]]]:
    """Utterances of made clips, laid out as OMG-Emotion; (video, utterance) in each table's order.

    The last subject is ``val``. The tables are in reverse, so that their order is none of names.
    """
    made = make_demo(root / "made", clips=clips, seconds=seconds)
    with (made / TABLE).open() as file:
        rows = list(csv.DictReader(file))[::-1]
    order: dict[str, list[tuple[str, str]]] = {split: [] for split in TABLES}
    lines: dict[str, list[tuple[object, ...]]] = {split: [] for split in TABLES}
    for i, row in enumerate(rows):
        split = "val" if row["subject"] == rows[0]["subject"] else "train"
        video, utterance = f"video_{row['subject']}", f"utterance_{i}.mp4"
        place = root / "omg" / TABLES[split].removesuffix(".csv") / video / utterance
        place.parent.mkdir(parents=True, exist_ok=True)
        (made / row["path"]).rename(place)
        order[split].append((video, utterance))
        cut = (f"https://youtu.be/{row['subject']}", 0, seconds)
        arousal = (float(row["arousal"]) + 1) / 2  # OMG's is 0 to 1
        lines[split].append((*cut, video, utterance, arousal, row["valence"], 4))
    for split, name in TABLES.items():
        with (root / "omg" / name).open("w", newline="") as file:
            csv.writer(file).writerows([HEADER, *lines[split]])
    return order


@pytest.fixture
def omg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any]:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    order = omg_tree(tmp_path, clips=4, seconds=0.5)
    run("ingest", tmp_path / "omg", "--adapter", "omg", "-s", tmp_path / "store", "-c", "omg")
    return tmp_path, order


def test_two_commands_lead_from_omgs_files_to_its_submission(omg: tuple[Path, Any]) -> None:
    root, order = omg
    where = ["-s", root / "store", "-c", "omg"]
    words = ["run-recipe", "peng2018", *where, "--to", root / "run"]
    with pytest.raises(WrongSetting, match="affectstore weights show sphere20a"):
        run(*words, *settings(*SMALL))

    said = run(*words, *settings(*SMALL, "model.vnet=crops"))
    assert said["features"] == ["stft_map", "face_112x96"]
    assert set(said["metrics"]) == {"ccc_arousal", "ccc_valence", "ccc_total"}
    assert "joint: vnet starts as trained alone" in said["notes"]
    for stage in ("vnet", "anet", "joint"):
        assert (root / "run" / stage / "model.safetensors").is_file()
    scored = run("evaluate", root / "run", "--split", "val")
    assert scored["metrics"] == pytest.approx(said["metrics"], abs=1e-6)

    run("predict", root / "run", "--to", root / "p.csv", "--split", "val")
    with (root / "p.csv").open() as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames == ["video", "utterance", "arousal", "valence"]
    assert [(r["video"], r["utterance"]) for r in rows] == order["val"]
    assert all(-1 <= float(r["arousal"]) <= 1 and -1 <= float(r["valence"]) <= 1 for r in rows)

    # numbers without meaning in the place of sphere20a's: the way of stored features, from nothing
    words = ["run-recipe", "peng2018", *where, "--to", root / "lean"]
    more = ("model.part=vnet", "sphereface.weights=random")
    assert run(*words, *settings(*SMALL, *more))["features"] == ["sphereface"]
