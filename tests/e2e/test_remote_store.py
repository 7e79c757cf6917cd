"""The commands on a store in an S3 bucket, as on a local one."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest

from corpora.demo import make_demo
from flows.cli import main
from tests.storage.s3_server import s3_server

NAMES = ("timeline", "audio_16k", "mfcc_mel")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a fresh bucket; what opens it is in the environment, as for other S3 programs."""
    with s3_server() as url:
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        }.items():
            monkeypatch.setenv(name, value)
        name = f"bucket-{secrets.token_hex(6)}"
        boto3.client("s3").create_bucket(Bucket=name)
        yield f"s3://{name}"


@pytest.fixture
def facts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Run a command in this process with --json; its facts."""

    def run(*words: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["affectstore", *words, "--json"])
        with suppress(SystemExit):
            main()
        return json.loads(capsys.readouterr().out)

    return run


def test_ingest_extract_status_tag_diff_and_gc(
    bucket: str, facts: Callable[..., Any], tmp_path: Path
) -> None:
    store = f"{bucket}/corpora/demo"
    media = make_demo(tmp_path / "media", clips=2, seconds=1.0)
    found = facts("ingest", str(media), "--store", store, "--corpus", "demo")
    assert found["clips"] == 2

    run = ("extract", "--store", store, "--features", ",".join(NAMES), "--no-prefect")
    assert facts(*run)["published"] == 6
    assert facts(*run)["published"] == 0
    features = facts("status", "--store", store)["corpora"]["demo"]["features"]
    assert [features[name]["published"] for name in NAMES] == [2, 2, 2]

    facts("tag", "before", "--store", store)
    make_demo(tmp_path / "media", clips=3, seconds=1.0)
    assert facts("ingest", str(media), "--store", store, "--corpus", "demo")["clips"] == 3
    assert facts(*run)["published"] == 3
    diff = facts("diff", "before", "now", "--store", store)
    added = {f["feature"]: len(f["added"]) for f in diff["features"] if f["added"]}
    assert added == dict.fromkeys((*NAMES, "label.arousal", "label.valence"), 1)

    facts("compact", "--store", store)
    at_once = ("gc", "--store", store, "--keep-days", "0", "--grace-hours", "0")
    assert len(facts(*at_once)["parts"]) == len(added)
    facts("tag", "before", "--store", store, "--delete")
    assert len(facts(*at_once)["parts"]) == len(added)
    assert facts("verify", "--store", store)["problems"] == []
