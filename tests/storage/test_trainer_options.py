"""What trainers ask of a store is taken as it is meant, or refused."""

from __future__ import annotations

import pytest
from store_kit import FACES, clip_table, make_rows

from storage import FeatureStore, NotPublished


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    made = FeatureStore.create(tmp_path_factory.mktemp("options") / "s")
    made.upsert_clips("c", clip_table("a", "bc", **{"label.age": [1, 2]}))
    for clip in ("a", "bc"):
        made.publish(clip, FACES, make_rows(FACES, 12, seed=3))
    return made


def test_one_name_may_be_a_text(store: FeatureStore) -> None:
    made = store.windows("faces", 4, 4, "c", labels="age", fill="faces", clips="bc")
    assert made.selection.clip_labels == ("age",)
    assert [clip.clip for clip in made.selection.clips] == ["bc"]
    (batch,) = made.batches(9)
    assert batch.valid["faces"].all()
    assert store.sequences(["faces"], "c", labels="age").selection.clip_labels == ("age",)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (
            {"fil": ["faces"]},
            TypeError,
            r"no option 'fil'; did you mean 'fill'|no option 'fil'.*fill",
        ),
        ({"fill": ["facess"]}, ValueError, "fill has 'facess'.*faces"),
        ({"mode": "memory"}, ValueError, "mode='memory': choose one of None, device, ram, stream"),
        ({"tail": "keep"}, ValueError, "tail='keep': choose one of anchor, drop, pad"),
        ({"label_rate": "frames"}, ValueError, "label_rate='frames'"),
        ({"stale": "yes"}, ValueError, "stale='yes'"),
        ({"resample": 25}, ValueError, r"resample=25: give Resample\(fps\)"),
    ],
)
def test_other_options_are_refused(
    options: dict[str, object], error: type[Exception], said: str, store: FeatureStore
) -> None:
    with pytest.raises(error, match=said):
        store.windows(["faces"], 4, 4, "c", **options)  # type: ignore[arg-type]


def test_what_can_not_be_read_is_said_before_reading(store: FeatureStore) -> None:
    with pytest.raises(ValueError, match="features is empty"):
        store.windows([], 4, 4, "c", labels=["age"])
    with pytest.raises(ValueError, match="features is empty"):
        store.sequences([], "c")
    with pytest.raises(ValueError, match="features is empty"):
        store.clip_rows([], "c")
    with pytest.raises(NotPublished, match=r"faces\.box is a group of columns.*read faces"):
        store.windows(["faces.box"], 4, 4, "c")
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"batches of {size} windows"):
            store.windows(["faces"], 4, 4, "c").batches(size)
