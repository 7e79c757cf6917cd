"""Where stores may lie: a local folder, memory, and a real S3 protocol server on loopback."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from s3_server import s3_server

from storage.location import Location


@pytest.fixture(scope="session")
def s3_options() -> Iterator[dict[str, str]]:
    """Storage options of a running S3 server."""
    with s3_server() as url:
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        }


@pytest.fixture
def s3(s3_options: dict[str, str]) -> Location:
    """A fresh bucket, and a folder in it."""
    name = f"bucket-{secrets.token_hex(6)}"
    boto3.client(
        "s3",
        endpoint_url=s3_options["AWS_ENDPOINT_URL"],
        region_name=s3_options["AWS_REGION"],
        aws_access_key_id=s3_options["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3_options["AWS_SECRET_ACCESS_KEY"],
    ).create_bucket(Bucket=name)
    return Location.parse(f"s3://{name}/stores/first", s3_options)


@pytest.fixture(params=["local", "memory", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty location of each kind."""
    if request.param == "local":
        return Location.parse(tmp_path / "root")
    if request.param == "memory":
        return Location.parse(f"memory://{secrets.token_hex(6)}/stores/first")
    found: Location = request.getfixturevalue("s3")
    return found
