"""Cuts of one recording in a store: the same results as alone, from few decodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.adapters import load
from features.media import audio
from features.media.process import FFmpeg
from features.media.video import decoder_starts, set_decoder_starts
from flows import recordings
from flows.differences import differences
from flows.ingest import ingest_manifest
from flows.recordings import Recordings
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore
from tests.features.made_clips import make_clip

FEATURES = "timeline,audio_16k,mfcc_mel"
CUTS = 8
#: as many partitions, executed one after the other in this process
PARTITIONS = 2


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Cuts of one recording, named so that their names' order isn't theirs."""
    make_clip(tmp_path / "a.mp4", seconds=CUTS + 1)
    rows = [f"{i * 5 % CUTS},a.mp4,{i},{i + 1}" for i in range(CUTS)]
    path = tmp_path / "clips.csv"
    path.write_text("\n".join(["clip_id,path,start,stop", *rows]))
    return path


def contents(root: Path, table: Path) -> dict[tuple[str, str], str]:
    store = FeatureStore.create(root)
    ingest_manifest(store, load("table", str(table), "c"))
    assert extract_plain(Request(store.root, FEATURES, workers=PARTITIONS, device="cpu")).complete
    return {(r.clip, r.feature): r.content for r in store.published()}


def test_cuts_are_decoded_together_and_publish_what_they_do_alone(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds: list[str] = []

    class Counted(FFmpeg):
        def __init__(self, *args: object, name: str, stall: float) -> None:
            sounds.extend([name] if name.startswith("a.mp4") else [])
            super().__init__(*args, name=name, stall=stall)  # type: ignore[arg-type]

    monkeypatch.setattr(audio, "FFmpeg", Counted)
    set_decoder_starts(0)
    together = contents(tmp_path / "together", table)
    assert len(together) == 3 * CUTS
    assert decoder_starts() == PARTITIONS
    assert len(sounds) == 2, "one per kind of samples, and not per partition"
    assert recordings._shelf._kept is None, "nothing is left open after a run in this process"
    monkeypatch.setattr(Recordings, "of", lambda *_: None)
    assert contents(tmp_path / "alone", table) == together
    assert len(sounds) == 2 + 2 * CUTS


def test_another_cut_is_told_from_another_file(tmp_path: Path) -> None:
    first, other = (make_clip(tmp_path / f"{n}.mp4", seconds=s) for n, s in (("a", 2), ("b", 1)))
    store = FeatureStore.create(tmp_path / "store")
    listed = tmp_path / "clips.csv"

    def ingest(*rows: str) -> list[str]:
        """The reasons to compute the timeline, of a plan and of its run."""
        listed.write_text("\n".join(["clip_id,path,start,stop", *rows]))
        ingest_manifest(store, load("table", str(listed), "c"))
        request = Request(store.root, "timeline")
        planned = plan_request(store, request).by_feature["timeline"].reasons
        found = extract_plain(request).reasons.get("timeline", {})
        assert {why: counts.clips for why, counts in found.items()} == planned
        return sorted(planned)

    assert ingest("x,a.mp4,,", "y,a.mp4,,1") == ["new clip"]
    store.tag("before")
    assert ingest("x,a.mp4,0.5,", "y,a.mp4,,1") == ["cut changed"]
    assert ingest("x,a.mp4,0.7,", "y,a.mp4,0.3,1") == ["cut changed"]
    assert ingest("x,a.mp4,,", "y,a.mp4,,1") == []
    store.tag("same")
    other.replace(first)
    assert ingest("x,a.mp4,,", "y,a.mp4,,0.8") == ["media changed"]
    assert ingest("x,a.mp4,0.2,", "y,a.mp4,,0.8") == ["cut changed"]

    def why(a: str, b: str) -> list[str]:
        points = [FeatureStore.open(store.root, at=at) for at in (a, b)]
        return [*differences(*points)["features"][0]["why"]]

    assert why("before", "same") == ["cut changed"]
    assert why("before", "now") == ["media changed"]
