"""What the networks of guo2018 see of a clip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from features.spec import FeatureSpec, Rows
from storage import FeatureStore
from storage.clip_view import ClipView
from storage.loading import Mode
from storage.selection import Selection, select_clips
from tests.trainers.guo_kit import FACE, TIMELINE
from tests.trainers.trainer_kit import clips_table, published
from trainers.clips import Clips, Sampler, predict_clips
from trainers.guo2018.settings import Model
from trainers.guo2018.views import any_window, face_sequences, maps_of, single_faces, windows
from trainers.settings import TrainSettings
from trainers.targets import Values


@pytest.mark.parametrize(
    ("count", "starts"),
    [(16, [0]), (17, [0, 1]), (24, [0, 8]), (30, [0, 8, 14]), (32, [0, 8, 16])],
)
def test_windows_begin_every_stride_and_the_last_one_stops_at_the_end(
    count: int, starts: list[int]
) -> None:
    rows = windows(count, 16, 8)
    assert rows[:, 0].tolist() == starts
    assert (rows == rows[:, :1] + np.arange(16)).all()
    assert rows.max() == count - 1


def test_what_is_shorter_than_a_window_repeats_its_last_row() -> None:
    assert windows(3, 5, 2).tolist() == [[0, 1, 2, 2, 2]]
    assert any_window(3, 5, np.random.default_rng(0)).tolist() == [[0, 1, 2, 2, 2]]


def test_training_windows_begin_anywhere() -> None:
    rng = np.random.default_rng(0)
    starts = {int(any_window(9, 4, rng)[0, 0]) for _ in range(200)}
    assert starts == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("rows", "maps"), [(1, 1), (33, 1), (34, 1), (35, 2), (51, 2), (52, 3), (153, 8), (170, 9)]
)
def test_maps_are_34_rows_each_17_and_the_last_row_is_repeated(rows: int, maps: int) -> None:
    given = np.arange(rows * 34, dtype=np.float32).reshape(rows, 34)
    found = maps_of(given)
    assert found.shape == (maps, 34, 34)
    padded = max(34, -(-rows // 17) * 17)
    assert maps == (padded - 17) // 17
    whole = np.concatenate([given, np.repeat(given[-1:], padded - rows, 0)])
    for k in range(maps):
        np.testing.assert_array_equal(found[k], whole[17 * k : 17 * k + 34])


@pytest.fixture(scope="module")
def selection(tmp_path_factory: pytest.TempPathFactory) -> Selection:
    """One clip is long, the others short."""
    store = FeatureStore.create(tmp_path_factory.mktemp("views") / "store")
    names = [f"clip_{i}" for i in range(4)]
    store.upsert_clips("c", clips_table(names, ["val"] * 4, {}))
    rng = np.random.default_rng(0)
    made: dict[FeatureSpec, list[Rows]] = {FACE: [], TIMELINE: []}
    for count in (20, 900, 30, 40):
        faces = rng.integers(0, 255, (count, *FACE.dims)).astype(np.uint8)
        made[FACE].append(Rows(faces, rng.random(count) > 0.2))
        made[TIMELINE].append(Rows(np.arange(count) / 25, np.ones(count, bool)))
    store.commit([p for spec, rows in made.items() for p in published(store, spec, names, rows)])
    return select_clips(store, (FACE.name, TIMELINE.name), "c")


class Greys(nn.Module):
    def forward(self, values: dict[str, torch.Tensor]) -> torch.Tensor:
        return values["x"].double().flatten(1).mean(1, keepdim=True)


@pytest.mark.parametrize("mode", ["ram", "stream"])
@pytest.mark.parametrize("make", [single_faces, face_sequences])
def test_a_long_clip_is_scored_in_pieces_to_the_same_numbers(
    selection: Selection,
    make: Callable[[str, Model], Sampler],
    mode: Mode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, target = TrainSettings(batch=3, device="cpu"), Values(["level"])
    clips = Clips(selection, make(FACE.name, Model()), mode=mode)
    first = list(clips.batches(3))
    assert [len(set(batch.clips.tolist())) for batch in first] == [2, 2]
    whole = predict_clips(Greys(), clips, target, settings)
    # as many as three views, of which the long clip has a lot more
    each = first[0].values["x"][0].nbytes
    monkeypatch.setattr("trainers.clips.SCORED_BYTES", 3 * each + 1)
    taken: list[int] = []
    before = ClipView.take
    monkeypatch.setattr(
        ClipView, "take", lambda *given: (taken.append(given[2].size), before(*given))[1]
    )
    batches = list(clips.batches(3))
    assert len(batches) > 10
    assert max(batch.values["x"].nbytes for batch in batches) <= 3 * each
    assert max(taken) <= 3 * len(first[0].values["x"][0])
    joined, wanted = (torch.cat([b.values["x"] for b in given]) for given in (batches, first))
    assert torch.equal(joined, wanted)
    again = predict_clips(Greys(), clips, target, settings)
    np.testing.assert_array_equal(again.values, whole.values)
    # a view that is larger than all that may be is scored alone
    monkeypatch.setattr("trainers.clips.SCORED_BYTES", 1)
    assert {len(batch) for batch in clips.batches(3)} == {1}
