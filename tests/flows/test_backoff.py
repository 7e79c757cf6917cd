"""Failures that may be over by themselves are tried again after a pause that grows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.made_store import make_store
from flows import backoff
from flows.backoff import FACTOR, FIRST_PAUSE, LONGEST_PAUSE, WORKER_DIED, due, in_quarantine, lost
from flows.partition import clip_works, cut, loaded, partitions
from flows.pipeline import configure, with_ancestors
from flows.request import Request
from flows.run import plan_request
from flows.shard import Shard
from flows.status import status
from storage.catalogue import failure_table
from storage.predicates import Where
from storage.records import Failure
from storage.tables import Table

Columns = Sequence[str] | None

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def failure(code: str, attempts: int = 1, ago: timedelta = timedelta(), clip: str = "a") -> Failure:
    return Failure("c", clip, "faces", "key", code, "m", "", attempts, "r", NOW - ago)


def codes(*failures: Failure) -> list[str]:
    table: pa.Table = in_quarantine(failure_table(failures), NOW)
    return sorted(table["code"].to_pylist())


@pytest.mark.parametrize("code", ["decode_failed", "media_empty", "extractor_failed"])
def test_bad_media_wait_for_retry(code: str) -> None:
    assert due(code, 1, NOW) is None
    assert codes(failure(code, ago=timedelta(days=900))) == [code]


@pytest.mark.parametrize("code", ["media_replaced", "damaged_input"])
def test_what_somebody_has_to_put_right_is_looked_at_by_every_extract(code: str) -> None:
    assert codes(failure(code)) == []


@pytest.mark.parametrize("code", ["media_missing", "decode_stalled", WORKER_DIED])
def test_what_may_be_over_is_tried_after_a_pause(code: str) -> None:
    assert codes(failure(code, ago=FIRST_PAUSE - timedelta(seconds=1))) == [code]
    assert codes(failure(code, ago=FIRST_PAUSE)) == []


def test_each_attempt_makes_the_pause_longer_up_to_a_day() -> None:
    pauses = [due(WORKER_DIED, n, NOW) - NOW for n in range(1, 40)]  # type: ignore[operator]
    assert pauses[1] == FIRST_PAUSE * FACTOR
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    late = FIRST_PAUSE * FACTOR
    first = failure(WORKER_DIED, 1, ago=late + timedelta(hours=1))
    assert codes(first, failure(WORKER_DIED, 2, ago=late - timedelta(seconds=1))) == [
        WORKER_DIED,
        WORKER_DIED,
    ]
    assert codes(first, failure(WORKER_DIED, 2, ago=late)) == []


def test_the_kinds_of_errors_are_looked_up_once_for_many_failures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(backoff, "transient_codes", lambda: asked.append("") or {WORKER_DIED})
    over = [failure(WORKER_DIED, ago=LONGEST_PAUSE, clip=f"c{i}") for i in range(50)]
    assert codes(*over) == []
    assert len(asked) <= 2


def test_the_newest_failure_of_a_result_counts() -> None:
    hour = timedelta(hours=1)
    found = codes(failure("media_missing", 1, 2 * hour), failure("media_empty", 2, hour))
    assert found == ["media_empty", "media_missing"]


def test_a_death_puts_what_was_due_into_quarantine_until_the_pause_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = with_ancestors(configure({}), ["identity"])
    store = make_store(tmp_path / "store", 2, nodes[:1])
    request = Request(store.root, "identity")
    plan = plan_request(store, request)
    groups = cut(clip_works(store, plan, Shard()), 1)
    made = partitions(store, plan, groups, device="cpu", run="r")
    (partition,) = loaded(store, made)
    assert partition.clips[0].available.keys() == {nodes[0].feature}
    deaths = lost(partition, "its worker died")
    assert {(f.clip, f.feature, f.attempts) for f in deaths} == {
        ("clip0000000", nodes[1].feature, 1),
        ("clip0000001", nodes[1].feature, 1),
    }
    store.commit([], deaths)

    read, asked = Table.read, list[object]()

    def reading(self: Table, where: Where | None = None, columns: Columns = None) -> pa.Table:
        if self.name == "failures":
            asked.append(columns)
        return read(self, where, columns)

    monkeypatch.setattr(Table, "read", reading)
    assert plan_request(store, request).by_feature[nodes[1].feature].quarantined == 2
    assert [*loaded(store, made)]
    assert status(store)
    logs = [columns for columns in asked if columns is None or "log" in columns]
    assert len(asked) >= 3
    assert not logs, "logs of many failures are gigabytes"
