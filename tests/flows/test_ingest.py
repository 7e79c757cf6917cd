"""Ingest tells what no adapter alone would."""

from __future__ import annotations

import json
from pathlib import Path

from tests.real_clips import Cli


def ingest(cli: Cli, folder: Path, *rows: str) -> list[str]:
    """The warnings of a table's ingest that aren't about its files."""
    table = folder / "clips.csv"
    table.write_text("clip_id,path,subject,split\n" + "".join(f"{row}\n" for row in rows))
    done = cli("ingest", table, "--store", folder / "store", "--corpus", "c", "--json")
    said: list[str] = json.loads(done.stdout)["warnings"]
    return [line for line in said if "aren't there" not in line]


def test_subjects_in_more_than_one_split_are_told(cli: Cli, tmp_path: Path) -> None:
    apart = (
        "a,a.mp4,s1,train",
        "b,b.mp4,s1,train",
        "c,c.mp4,s2,val",
        "d,d.mp4,,val",
        "e,e.mp4,s1,",
    )
    assert ingest(cli, tmp_path, *apart) == []

    shared = [f"{split}{i},x.mp4,p{i},{split}" for i in range(7) for split in ("train", "val")]
    assert ingest(cli, tmp_path, *apart, *shared) == [
        "7 subjects are in more than one split; a model would be scored on people that it learned "
        "from: p0 (train, val), p1 (train, val), p2 (train, val), p3 (train, val), p4 (train, val) "
        "and 2 more"
    ]
    (said,) = ingest(cli, tmp_path, "a,a.mp4,s1,train", "b,b.mp4,s1,test", "c,c.mp4,s1,val")
    assert said.startswith("1 subject is in more than one split")
    assert said.endswith("s1 (test, train, val)")
