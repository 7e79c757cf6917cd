"""A store behind the S3 protocol, served on loopback, behaves as one on disk."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import boto3
import numpy as np
import pytest
from s3_server import s3_server
from store_kit import (
    FACES,
    POINTS,
    assert_same,
    clip_table,
    configure,
    extracted,
    make_rows,
    node,
    staged,
)

from storage import FeatureStore, NotAStore, StoreExists, tables

BUCKET = "bucket1"


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, str]]:
    """Storage options of a server with one empty bucket."""
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    with s3_server() as url:
        boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(
            Bucket=BUCKET
        )
        yield keys | {"aws_endpoint_url": url, "aws_region": "us-east-1", "aws_allow_http": "true"}


@pytest.fixture
def store(options: dict[str, str], request: pytest.FixtureRequest) -> FeatureStore:
    """A new store with two clips."""
    made = FeatureStore.create(f"s3://{BUCKET}/{request.node.name}", storage_options=options)
    made.upsert_clips("c", clip_table("a", "b"))
    return made


def test_rows_come_back_from_a_bucket(store: FeatureStore) -> None:
    rows, points = make_rows(FACES, 37), make_rows(POINTS, 20)
    configure(store, node(FACES))
    extracted(store, "a", FACES, node(FACES), rows)
    store.publish("b", POINTS, points)
    assert_same(store.read("a", "faces"), rows)
    assert_same(store.read("a", "faces", 5, 20), rows.slice(5, 20))
    assert_same(store.read("b", "points", 3, 9), points.slice(3, 9))
    np.testing.assert_array_equal(store.array("faces").compute(), rows.values)


def test_a_bucket_s_store_opens_in_another_process_s_shoes(store: FeatureStore) -> None:
    store.publish("a", FACES, make_rows(FACES, 3))
    again = pickle.loads(pickle.dumps(store))
    assert again.read("a", "faces").rows == 3
    assert "secret" not in repr(again)


def test_a_bucket_without_a_store_is_told(options: dict[str, str]) -> None:
    with pytest.raises(NotAStore, match="s3://bucket1/none is no store"):
        FeatureStore.open(f"s3://{BUCKET}/none", storage_options=options)


def test_one_of_many_creators_wins_in_a_bucket(options: dict[str, str]) -> None:
    def create(_: int) -> str:
        try:
            FeatureStore.create(f"s3://{BUCKET}/race", storage_options=options)
        except StoreExists:
            return "exists"
        return "made"

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(create, range(4))) == ["exists"] * 3 + ["made"]


def test_commits_at_once_lose_nothing_in_a_bucket(store: FeatureStore) -> None:
    result = staged(store, "a", FACES, node(FACES), make_rows(FACES, 1))

    def commit(number: int) -> None:
        own = pickle.loads(pickle.dumps(store))
        for i in range(6):
            own.commit([replace(result, fingerprint=f"{number}-{i}")])

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(commit, range(3)))
    found = pickle.loads(pickle.dumps(store)).published()
    assert sorted(r.fingerprint for r in found) == [f"{n}-{i}" for n in range(3) for i in range(6)]


def test_another_writer_s_commit_is_seen_once_the_wait_is_over(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.published() == []
    pickle.loads(pickle.dumps(store)).publish("a", FACES, make_rows(FACES, 3))
    monkeypatch.setattr(tables, "FRESH_SECONDS", 0.0)
    assert len(store.published()) == 1


def test_two_writers_of_clips_lose_nothing_in_a_bucket(store: FeatureStore) -> None:
    other = pickle.loads(pickle.dumps(store))
    assert other.corpora() == ["c"]
    store.upsert_clips("c", clip_table("x"))
    other.upsert_clips("c", clip_table("y"))
    assert other.clips("c")["clip"].to_pylist() == ["a", "b", "x", "y"]
