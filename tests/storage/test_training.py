"""What trainers read: windows, sequences, clip rows, and how rows are kept meanwhile."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from store_kit import FACES, SEGMENT, TIMELINE, WHOLE, clip_table

from features.spec import FeatureSpec, Rows
from storage import FeatureStore, NotPublished, UnknownLabel, loading
from storage.batches import Windows, lay_windows
from storage.loading import Mode, choose, kept
from storage.resample import Resample, nearest_valid
from storage.selection import select_clips
from storage.statistics import compute, feature_statistics

LABEL = FeatureSpec("label.arousal", "frame", (), "float32")
FRAMES = {"a": 7, "b": 23, "c": 30, "d": 15}


def frames(rows: int, seed: int) -> Rows:
    """Values that tell their clip and row: seed, row, 1; every fifth row is invalid."""
    values = np.stack([np.full(rows, seed), np.arange(rows), np.ones(rows)], 1).astype(np.float32)
    valid = np.arange(rows) % 5 != 4
    values[~valid] = np.nan
    return Rows(values, valid)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    root = tmp_path_factory.mktemp("training") / "store"
    made = FeatureStore.create(root)
    splits: list[object] = ["train", "train", "val", "val", "val"]
    emotions: list[object] = ["sad", "happy", None, "sad", "sad"]
    ages: list[object] = [1, 2, 3, 4, 5]
    made.upsert_clips(
        "c",
        clip_table(
            *[*FRAMES, "bare"],
            split=splits,
            **{"label.emotion": emotions, "label.arousal": ages},
        ),
    )
    for seed, (clip, rows) in enumerate(FRAMES.items()):
        made.publish(clip, FACES, frames(rows, seed))
        times = np.arange(rows) / 10 + 0.5
        made.publish(clip, TIMELINE, Rows(times, np.ones(rows, bool)))
        # labels run two rows over the frames
        label = np.arange(rows + 2, dtype=np.float32) / 100
        made.publish(clip, LABEL, Rows(label, label != label[3]))
        steps = np.stack([np.arange(4), np.arange(4)], 1).astype(np.float32)
        made.publish(clip, SEGMENT, Rows(steps, np.ones(4, bool), 0.5, 1.0))
        made.publish(clip, WHOLE, Rows(np.full((1, 4), float(seed)), np.ones(1, bool)))
    return made


@pytest.mark.parametrize("mode", ["ram", "stream"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_gives_every_window_once_with_its_own_rows(
    store: FeatureStore, mode: Mode, shuffle: bool
) -> None:
    made = store.windows(["faces"], 10, 5, "c", labels=["arousal"], mode=mode)
    seen = set()
    for batch in made.batches(4, shuffle=shuffle, seed=3):
        for i, (clip, start) in enumerate(zip(batch.clips, batch.starts, strict=True)):
            seen.add((int(clip), int(start)))
            count = int(batch.mask[i].sum())
            found = batch.values["faces"][i, :count].numpy()
            wanted = frames(list(FRAMES.values())[clip], clip)
            np.testing.assert_array_equal(found, wanted.values[start : start + count])
            np.testing.assert_array_equal(
                batch.valid["faces"][i, :count].numpy(), wanted.valid[start : start + count]
            )
            label = batch.labels["arousal"][i, :count].numpy()
            np.testing.assert_allclose(label, np.arange(start, start + count) / 100)
            assert batch.labelled["arousal"][i, :count].tolist() == [
                r != 3 for r in range(start, start + count)
            ]
    assert len(seen) == len(made)
    assert seen == set(zip(made.clips.tolist(), made.starts.tolist(), strict=True))


def test_modes_give_the_same_windows_in_order(store: FeatureStore) -> None:
    ram, stream = (
        list(store.windows(["faces"], 6, 6, "c", "val", mode=m).batches(3))
        for m in ("ram", "stream")
    )
    for x, y in zip(ram, stream, strict=True):
        np.testing.assert_array_equal(x.values["faces"].numpy(), y.values["faces"].numpy())
        np.testing.assert_array_equal(x.mask.numpy(), y.mask.numpy())


@pytest.mark.parametrize("mode", ["ram", "stream"])
def test_a_seed_repeats_an_epoch_and_epochs_differ(store: FeatureStore, mode: Mode) -> None:
    made = store.windows(["faces"], 4, 1, "c", mode=mode)

    def order(seed: int, epoch: int) -> list[tuple[int, int]]:
        batches = made.batches(8, shuffle=True, seed=seed, epoch=epoch)
        return [p for b in batches for p in zip(b.clips.tolist(), b.starts.tolist(), strict=True)]

    first = order(1, 0)
    assert order(1, 0) == first
    assert order(1, 1) != first != order(2, 0)
    assert sorted(order(1, 1)) == sorted(first) != first


def test_rows_that_windows_leave_over_are_reached_by_one_that_stops_at_the_end() -> None:
    rows = np.array([4, 10, 12, 0])
    clips, starts, counts = lay_windows(rows, 5, 5)
    laid = list(zip(clips.tolist(), starts.tolist(), counts.tolist(), strict=True))
    assert laid == [(0, 0, 4), (1, 0, 5), (1, 5, 5), (2, 0, 5), (2, 5, 5), (2, 7, 5)]
    padded = [a.tolist() for a in lay_windows(rows, 5, 5, "pad")]
    assert list(zip(*padded, strict=True))[-1] == (2, 10, 2)
    assert lay_windows(rows, 5, 5, "drop")[0].tolist() == [1, 1, 2, 2]


def test_sequences_are_padded_and_masked(store: FeatureStore) -> None:
    made = store.sequences(["faces", "segment", "whole"], "c", labels=["emotion"])
    batch = next(made.batches(4))
    assert batch.mask.sum(1).tolist() == list(FRAMES.values())
    assert batch.values["faces"].shape == (4, 30, 3)
    assert not batch.values["faces"][0, 7:].any()
    assert not batch.valid["faces"][0, 7:].any()
    # frames lie 0.1 s apart and segments 1 s: the last segment that has begun counts
    assert batch.values["segment"][2, :, 0].tolist() == [i // 10 for i in range(30)]
    assert batch.values["whole"][3, :15].eq(3).all()
    assert made.selection.classes == {"emotion": ("happy", "sad")}
    assert batch.labels["emotion"].tolist() == [1, 0, 0, 1]
    assert batch.labelled["emotion"].tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("span", "resample", "first", "last"),
    [
        (None, None, 5, 25),
        (0.5, None, 5, 20),
        (0.5, Resample(20, "previous"), 10, 40),
    ],
)
def test_a_frame_without_a_segment_beneath_it_is_invalid(
    tmp_path: Path, span: float | None, resample: Resample | None, first: int, last: int
) -> None:
    made = FeatureStore.create(tmp_path / "store")
    made.upsert_clips("c", clip_table("late"))
    times = np.arange(30) / 10 + 0.5
    made.publish("late", FACES, Rows(np.ones((30, 3), np.float32), np.ones(30, bool)))
    made.publish("late", TIMELINE, Rows(times, np.ones(30, bool)))
    # sound from 1 s on; its rows begin at 1, 1.5 and 2 s
    steps = np.stack([np.arange(3), np.arange(3)], 1).astype(np.float32)
    made.publish("late", replace(SEGMENT, span=span), Rows(steps, np.ones(3, bool), 1.0, 0.5))

    line = store_line(made, resample)
    assert np.flatnonzero(line).tolist() == list(range(first, last))
    assert store_line(made, resample, fill=("segment",)).all()


def store_line(
    store: FeatureStore, resample: Resample | None, fill: tuple[str, ...] = ()
) -> np.ndarray:
    """Validity of the segments on the line of frames."""
    made = store.sequences(["faces", "segment"], "c", resample=resample, fill=fill)
    return next(made.batches(1)).valid["segment"][0].numpy()


@pytest.mark.parametrize("mode", ["ram", "stream"])
@pytest.mark.parametrize(("resample", "rows"), [(None, 23), (Resample(20), 45)])
def test_labels_after_the_last_frame_have_no_segments_and_do_not_count(
    store: FeatureStore, mode: Mode, resample: Resample | None, rows: int
) -> None:
    # labels are the only rows of frames, and run two rows over them
    made = store.sequences(
        ["segment"], "c", clips=["b"], labels=["arousal"], resample=resample, mode=mode
    )
    (batch,) = made.batches(1)
    assert made.rows.cut == 1
    assert batch.mask.shape == (1, rows)
    moments = np.arange(rows) / (10 if resample is None else 20)
    wanted = np.floor(moments + 1e-6).clip(max=3)
    np.testing.assert_array_equal(batch.values["segment"][0, :, 0].numpy(), wanted)


@pytest.mark.parametrize(
    ("resample", "wanted"),
    [
        (Resample(20, "previous"), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]),
        (Resample(5), [0, 2, 4, 6]),
        (Resample(4, "nearest"), [0, 2, 5]),
        (Resample(4, "previous"), [0, 2, 5]),
    ],
)
def test_resampling_is_an_index_by_time(
    store: FeatureStore, resample: Resample, wanted: list[int]
) -> None:
    made = store.sequences(["faces"], "c", clips=["a"], resample=resample, fill=())
    batch = next(made.batches(1))
    stored = frames(7, 0).values
    np.testing.assert_array_equal(batch.values["faces"][0].numpy(), stored[wanted])


def test_resampling_follows_variable_frame_rates() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.6, 1.0])
    assert Resample(5, "previous").index(times).tolist() == [0, 2, 2, 3, 3, 4]
    assert Resample(5, "nearest").index(times).tolist() == [0, 2, 2, 3, 3, 4]
    assert Resample(10, "nearest").index(times).tolist() == [0, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4]
    assert Resample(5).index(np.zeros(0)).tolist() == []


def test_invalid_rows_are_filled_from_the_nearest_valid_one(store: FeatureStore) -> None:
    batch = next(store.sequences(["faces"], "c", clips=["b"], fill=["faces"]).batches(1))
    assert batch.valid["faces"].all()
    assert batch.values["faces"][0, :, 1].tolist() == [r - (r % 5 == 4) for r in range(23)]
    assert nearest_valid(np.zeros(3, bool)).tolist() == [0, 1, 2]
    assert repr(batch).startswith("Batch(1 windows: faces (1, 23, ")


def test_clip_rows_are_one_row_per_clip_with_clip_labels(store: FeatureStore) -> None:
    table = store.clip_rows(["whole"], "c", "train", labels=["emotion", "arousal"])
    assert table.values["whole"][:, 0].tolist() == [0, 1]
    assert table.labels["emotion"].tolist() == [1, 0]
    assert table.labels["arousal"].tolist() == [1, 2]
    with pytest.raises(NotPublished, match="not per clip"):
        store.clip_rows(["faces"], "c")


def test_what_is_left_out_is_told(store: FeatureStore) -> None:
    selection = select_clips(store, ["faces"], "c", split="val")
    assert [c.clip for c in selection.clips] == ["c", "d"]
    assert selection.notes == ("1 clip of c val left out: no faces",)
    with pytest.raises(UnknownLabel, match="did you mean 'emotion'"):
        store.windows(["faces"], 2, 2, "c", labels=["emotions"])
    with pytest.raises(NotPublished, match="c/bare: faces was never published; affectstore ex"):
        select_clips(store, ["faces"], "c", clips=["bare"])
    with pytest.raises(NotPublished, match=r"c/bare: label.arousal was never .*; other clips have"):
        store.read("bare", "label.arousal")


def test_forgotten_clips_are_not_lacking(tmp_path: Path) -> None:
    from storage.forget import forget

    made = FeatureStore.create(tmp_path / "s")
    made.upsert_clips("c", clip_table("a", "b", "bare"))
    for clip in ("a", "b"):
        made.publish(clip, FACES, frames(5, 0))
    forget(made, [("c", "b")])
    found = select_clips(made, ["faces"], "c")
    assert [clip.clip for clip in found.clips] == ["a"]
    assert found.notes == ("1 clip of c left out: no faces",)


def test_statistics_are_those_of_the_valid_rows_and_are_made_once(store: FeatureStore) -> None:
    selection = select_clips(store, ["faces"], "c", split="train")
    found = feature_statistics(selection, "faces")
    rows = np.concatenate([frames(FRAMES[c], i).values for i, c in enumerate("ab")])
    rows = rows[~np.isnan(rows[:, 0])].astype(np.float64)
    np.testing.assert_allclose(found.mean, rows.mean(0))
    np.testing.assert_allclose(found.std, rows.std(0))
    np.testing.assert_array_equal(found.min, rows.min(0))
    np.testing.assert_array_equal(found.max, rows.max(0))
    (kept,) = store.location.list("statistics/faces/")
    before = store.location.read_bytes(kept[0])
    again = feature_statistics(select_clips(store, ["faces"], "c", split="train"), "faces")
    np.testing.assert_array_equal(again.std, found.std)
    assert list(store.location.list("statistics/faces/")) == [kept]
    for damaged in (b"{damaged", before.replace(b'"mean": [', b'"mean": [1', 1)):
        assert damaged != before
        store.location.write_bytes(kept[0], damaged)
        mended = feature_statistics(selection, "faces")
        np.testing.assert_array_equal(mended.mean, found.mean)
        assert store.location.read_bytes(kept[0]) == before


def test_statistics_keep_precision_and_leave_nan_out_by_column() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(1e6, 1e-2, (1000, 3))
    rows[:, 1] = np.nan
    rows[::3, 2] = np.nan
    pieces = [(rows[i : i + 7], np.ones(len(rows[i : i + 7]), bool)) for i in range(0, 1000, 7)]
    found = compute(pieces)
    np.testing.assert_allclose(found.std[0], rows[:, 0].std(), rtol=1e-6)
    np.testing.assert_allclose(found.std[2], np.nanstd(rows[:, 2]), rtol=1e-6)
    assert np.isnan([found.mean[1], found.std[1], found.min[1], found.max[1]]).all()
    assert found.count.tolist() == [1000, 0, 666]


def test_the_mode_is_chosen_by_size_and_told() -> None:
    small, huge = choose(1000, torch.device("cpu")), choose(1 << 60, torch.device("cpu"))
    assert (small.mode, huge.mode) == ("ram", "stream")
    assert "resident in memory" in str(small)
    assert "streamed" in str(huge)


def test_two_halves_are_kept_only_if_they_fit_together(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half() -> Windows:
        return store.windows(["faces"], 4, 2, "c")

    size = half().loading.bytes
    monkeypatch.setattr(loading, "free_ram", lambda: int(2.02 * size))
    first, second = half(), half()
    assert (first.loading.mode, second.loading.mode) == ("ram", "stream")
    streamed = [batch.values["faces"] for batch in second.batches(5)]
    # rows that are there are no promise any more: free_ram itself has become less by them
    resident = [batch.values["faces"] for batch in first.batches(5)]
    assert all(
        torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(resident, streamed, strict=True)
    )
    assert half().loading.mode == "ram"
    monkeypatch.setattr(loading, "free_ram", lambda: int(4.02 * size))
    one, two = half(), half()
    assert (one.loading.mode, two.loading.mode) == ("ram", "ram")
    del one, two
    assert half().loading.mode == "ram"


def test_a_gpu_is_not_promised_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    monkeypatch.setattr(loading, "free_ram", lambda: 10_000)
    device = torch.device("cuda")
    first, second = choose(500, device), choose(500, device)
    assert (first.mode, second.mode) == ("device", "ram")
    assert second.free == 10_000
    assert choose(100, device).mode == "device"
    kept(first)
    assert choose(500, device).mode == "device"


def test_streaming_reads_each_clip_once(store: FeatureStore) -> None:
    made = store.windows(["faces"], 4, 1, "c", mode="stream")
    read: list[int] = []
    before = made.rows.read

    def counting(clip: int) -> object:
        read.append(clip)
        return before(clip)

    made.rows.read = counting  # type: ignore[assignment, method-assign]
    list(made.batches(5, shuffle=True))
    assert sorted(read) == list(range(len(FRAMES)))


@pytest.mark.parametrize("refusal", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_where_statistics_cannot_be_kept_they_are_computed(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(refusal, os.strerror(refusal))

    selection = select_clips(store, ["faces"], "c", split="train")
    store.location.delete_tree("statistics")
    with monkeypatch.context() as patched:
        patched.setattr("storage.local.os.replace", refuse)
        found = feature_statistics(selection, "faces")
    assert not list(store.location.list("statistics/"))
    again = feature_statistics(selection, "faces")
    np.testing.assert_array_equal(again.mean, found.mean)


def test_statistics_go_when_a_clip_is_forgotten(tmp_path: Path) -> None:
    from storage.forget import forget

    made = FeatureStore.create(tmp_path / "s")
    made.upsert_clips("c", clip_table("a"))
    made.publish("a", WHOLE, Rows(np.ones((1, 4)), np.ones(1, bool)))
    feature_statistics(select_clips(made, ["whole"], "c"), "whole")
    assert list(made.location.list("statistics/"))
    forget(made, [("c", "a")])
    assert not list(made.location.list("statistics/"))
