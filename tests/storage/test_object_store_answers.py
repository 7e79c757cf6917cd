"""What an object store or the system answers when it is busy or refuses: one clear line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from storage import FeatureStore, ReadOnlyStore, StoreError, StoreUnreachable
from storage.location import Location
from storage.tables import Table, _translated

#: answers every request with the status and the code that its bucket's name consists of
SERVER = """
import http.server
class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        status, code = self.path.split("/")[1].split("?")[0].split("-")
        body = f"<?xml version='1.0'?>\\n<Error><Code>{code}</Code></Error>".encode()
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_HEAD = do_PUT = do_GET
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
print("http://127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, str]]:
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield {
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
        "aws_endpoint_url": server.stdout.readline().strip(),
        "max_retries": "0",
    }
    server.kill()
    server.communicate()


@pytest.mark.parametrize(
    ("bucket", "kind", "told"),
    [
        ("503-SlowDown", StoreUnreachable, "can't be reached: .* or try again; .*503 Service"),
        ("403-AccessDenied", ReadOnlyStore, "refuses access to clips: check the credentials"),
        ("404-NoSuchBucket", StoreError, "there is no such bucket"),
    ],
)
def test_an_answer_of_the_object_store_is_told_in_one_line(
    options: dict[str, str], bucket: str, kind: type[StoreError], told: str
) -> None:
    location = Location.parse(f"s3://{bucket}/store", options)
    with pytest.raises(kind, match=told) as raised:
        Table(location, "clips").read()
    assert "\n" not in str(raised.value)
    assert "copy" not in str(raised.value), "nothing is damaged"


def test_a_bucket_that_is_not_there_is_no_missing_store(options: dict[str, str]) -> None:
    for attempt in (FeatureStore.open, FeatureStore.create):
        with pytest.raises(StoreError, match="s3://404-NoSuchBucket/s: there is no such bucket"):
            attempt("s3://404-NoSuchBucket/s", storage_options=options)


def test_a_refusal_of_the_system_is_told_without_what_delta_draws_around_it() -> None:
    drawn = "Generic\n \x1b[31m\u21b3\x1b[0m Unable to open x\n  Permission denied (os error 13)"
    error = _translated(OSError(drawn), "/data/s/catalogue")
    assert isinstance(error, ReadOnlyStore)
    assert str(error) == (
        "/data/s/catalogue can't be written to (Generic Unable to open x Permission denied "
        "(os error 13)): check its owner, its permissions and how it is mounted"
    )
