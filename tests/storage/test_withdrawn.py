"""A run that began before its clip was forgotten publishes nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from storage import Failure, FeatureStore, Published
from storage.forget import forget
from storage.inventory import take_inventory
from storage.verify import verify
from storage.withdrawn import commit_kept
from tests.storage.store_kit import FACES, POINTS, assert_same, configure, failure, make_rows
from tests.storage.store_kit import new_store as empty_store
from tests.storage.upkeep_kit import NODES, ROWS, seed_of, staged_together

B = ("c", "b")


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    store = empty_store(tmp_path / "store", ("a", "b", "d"))
    configure(store, *NODES.values())
    return store


def remains(store: FeatureStore) -> tuple[set[str], int]:
    """Clips with results, and how many parts there are; nothing else is left of ``b``."""
    assert verify(store).clean
    assert forget(store, [B], grace=timedelta(0)).removed == 0
    return {r.clip for r in store.published()}, len(take_inventory(store.location).parts)


def test_rows_of_a_clip_forgotten_meanwhile_are_neither_published_nor_left(
    store: FeatureStore,
) -> None:
    together = staged_together(store, FACES, ("a", "b", "d"))
    alone = staged_together(store, POINTS, ("b",))
    failed = failure("b", NODES["sound"], "key", "a message")
    forget(FeatureStore.open(store.root), [B])
    kept, failures = commit_kept(store, [*together, *alone], [failed])
    assert [r.clip for r in kept] == ["a", "d"]
    assert failures == []
    assert remains(store) == ({"a", "d"}, 1)
    assert_same(store.read("d", "faces"), make_rows(FACES, ROWS["faces"], seed_of("d")))


def test_a_clip_forgotten_in_the_moment_of_the_commit_is_forgotten_again(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = staged_together(store, FACES, ("a", "b"))
    real: Callable[..., None] = store.commit

    def late(published: Sequence[Published], failures: Sequence[Failure] = ()) -> None:
        forget(FeatureStore.open(store.root), [B])
        real(published, failures)

    monkeypatch.setattr(store, "commit", late)
    kept, _ = commit_kept(store, staged, [])
    assert [r.clip for r in kept] == ["a"]
    assert remains(store) == ({"a"}, 1)


def test_without_tombstones_all_is_published(store: FeatureStore) -> None:
    staged = staged_together(store, FACES, ("a", "b"))
    assert commit_kept(store, staged, []) == (staged, [])
