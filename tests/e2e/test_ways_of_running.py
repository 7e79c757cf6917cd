"""Every way of running publishes the same content; a kill loses nothing that was committed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import ConnectError

from corpora.adapters import load
from flows.dask_runner import local_cluster
from flows.ingest import ingest_manifest
from flows.prefect_server import PrefectUnreachable, reached
from flows.request import Request
from flows.run import prepare
from flows.runners import RunnerUnavailable
from flows.summary import Progress
from storage import FeatureStore
from tests.features.openface_kit import ends
from tests.real_clips import BASIC, COMMAND, FEW, SHORT, Cli, Facts, linked

pytestmark = pytest.mark.media


def contents(root: Path) -> dict[tuple[str, str], str]:
    """(clip, feature) -> content hash."""
    store = FeatureStore.open(root, read_only=True)
    rows = store.published()
    found = {(r.clip, r.feature): r.content for r in rows}
    assert len(found) == len(rows), "a result was published twice"
    return found


@pytest.fixture
def fresh(short_media: Path, tmp_path: Path, cli: Cli) -> Path:
    """A store with the short real clips ingested and nothing extracted."""
    root = tmp_path / "store"
    cli("ingest", short_media, "--store", root, "--corpus", "real")
    return root


@pytest.fixture(params=[FEW, pytest.param(SHORT, marks=pytest.mark.long)], ids=["few", "all"])
def some(request: pytest.FixtureRequest, media: Path, tmp_path: Path) -> Path:
    """The same with the shortest of them, or with them all."""
    folder = linked(media, tmp_path / "media", request.param)
    root = tmp_path / "store"
    ingest_manifest(FeatureStore.create(root), load(None, str(folder), "real"))
    return root


def same(made: Path, whole: Path) -> bool:
    """All results of the clips of ``made`` are there, with the content they have in ``whole``."""
    found = contents(made)
    clips = {row["clip"] for row in FeatureStore.open(made).clips().to_pylist()}
    want = {key: content for key, content in contents(whole).items() if key[0] in clips}
    return found == want and len(clips) >= len(FEW)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server of its own on loopback; its API address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("prefect")
    env = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
    log = (home / "server.log").open("w")
    server = subprocess.Popen(
        [*command, "--port", str(port)], env=env, stdout=log, stderr=log, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}/api"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1)
                break
            except OSError:
                assert server.poll() is None, (home / "server.log").read_text()
                time.sleep(0.25)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def test_dask_publishes_the_same(real_store: Path, some: Path, cli: Cli) -> None:
    cli(
        "extract",
        "--store",
        some,
        "--features",
        BASIC,
        "--runner",
        "dask",
        "--workers",
        2,
        "--no-prefect",
    )
    assert same(some, real_store)


def asked(server: str, what: str) -> Any:
    """All that a Prefect server has of one kind."""
    request = urllib.request.Request(
        f"{server}/{what}/filter", data=b"{}", headers={"Content-Type": "application/json"}
    )
    return json.load(urllib.request.urlopen(request, timeout=10))


def test_a_prefect_server_sees_each_stage_and_a_gpu_gets_its_own_alone(
    real_store: Path, some: Path, cli: Cli, prefect_server: str
) -> None:
    from distributed import Client

    # on CPUs: one of the two workers declares a GPU
    cluster = local_cluster(workers=1, cards=1)
    words = ["--runner", "dask", "--scheduler", cluster.scheduler_address, "--workers", 2]
    with cluster, Client(cluster) as client:  # type: ignore[no-untyped-call]
        client.get_task_stream()
        cli(
            *("extract", "--store", some, "--features", BASIC, "--device", "cpu", *words),
            PREFECT_API_URL=prefect_server,
        )
        workers = client.scheduler_info(n_workers=-1)["workers"]
        ran = [(entry["key"], entry["worker"]) for entry in client.get_task_stream()]
    assert same(some, real_store)
    assert len(ran) == 6
    for key, worker in ran:
        assert ("-gpu-" in key) == bool(workers[worker]["resources"])
    assert [r["state_type"] for r in asked(prefect_server, "flow_runs")] == ["COMPLETED"]
    tasks = {r["name"]: r["tags"] for r in asked(prefect_server, "task_runs")}
    assert tasks == {
        **{f"gpu-{i}": ["gpu"] for i in (0, 1)},
        **{f"cpu-{i}": ["cpu"] for i in (2, 3)},
        **{f"after-{i}": ["after"] for i in (4, 5)},
    }


def test_what_ends_the_flow_itself_is_raised_and_not_taken_for_nothing_to_do(
    a02: Path, tmp_path: Path, prefect_server: str
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.extract import extract_with_prefect

    store = FeatureStore.create(tmp_path / "s")
    ingest_manifest(store, load("folder", str(a02), "c"))
    request = Request(store.root, "timeline", runner="dask", scheduler="nonsense")
    plan, works, summary = prepare(store, request)
    with (
        temporary_settings({PREFECT_API_URL: prefect_server}),
        pytest.raises(RunnerUnavailable, match="--scheduler nonsense"),
    ):
        extract_with_prefect(request, [], (plan, works, summary, Progress()))


@pytest.mark.parametrize("error", [ConnectError("refused"), RuntimeError("Failed to reach API")])
def test_a_server_out_of_reach_is_told_with_the_way_on(error: Exception) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(PrefectUnreachable, match=f"127.0.0.1:9/api .*: {error}; .*--no-prefect"),
        reached(),
    ):
        raise error


def test_a_folder_that_prefect_cannot_write_to_is_told_at_once(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    (tmp_path / "file").touch()
    home = tmp_path / "file" / "prefect"
    with (
        temporary_settings({PREFECT_HOME: home}, restore_defaults={PREFECT_API_URL}),
        pytest.raises(PrefectUnreachable, match=f"{home} .*PREFECT_HOME.*--no-prefect"),
        reached(),
    ):
        raise AssertionError("no server was to be waited for")


@pytest.mark.long
def test_three_shards_at_once_are_one_run(real_store: Path, some: Path) -> None:
    words = ["extract", "--store", str(some), "--features", BASIC, "--no-prefect", "--shard"]
    shards = [subprocess.Popen([*COMMAND, *words, f"{i}/3"]) for i in (1, 2, 3)]
    assert [s.wait(250) for s in shards] == [0, 0, 0]
    assert same(some, real_store)


@pytest.mark.long
def test_a_killed_run_is_completed_by_the_next(
    real_store: Path, fresh: Path, cli: Cli, facts: Facts
) -> None:
    words = [*COMMAND, "extract", "--store", str(fresh), "--features", BASIC, "--no-prefect"]
    run = subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)
    time.sleep(6)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait(10)
    facts("status", "--store", fresh)
    cli("extract", "--store", fresh, "--features", BASIC, "--no-prefect")
    assert contents(fresh) == contents(real_store)


@pytest.mark.long
@pytest.mark.parametrize("starting", [True, False])
def test_a_killed_run_leaves_no_server(fresh: Path, starting: bool) -> None:
    words = [*COMMAND, "extract", "--store", str(fresh), "--features", BASIC]
    run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    while not (found := servers(run.pid)) and run.poll() is None:
        time.sleep(0.05)
    if starting:
        time.sleep(0.3)
    else:
        # the first line of progress: the server stands
        assert any(line.startswith("extract: ") for line in run.stderr)
    run.kill()
    run.communicate()
    (server,) = found
    assert ends(server, 20)


def servers(pid: int) -> list[int]:
    """Prefect's servers among the processes that one has started."""
    started = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(p) for p in started if b"uvicorn" in Path(f"/proc/{p}/cmdline").read_bytes()]


def test_ctrl_c_publishes_what_is_done_and_the_next_run_goes_on(
    real_store: Path, some: Path, cli: Cli
) -> None:
    words = [*COMMAND, "extract", "--store", str(some), "--features", BASIC, "--no-prefect"]
    run = subprocess.Popen(words, start_new_session=True, stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    assert run.stderr.readline().startswith("extract: ")
    time.sleep(3)
    os.kill(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode in (0, 130), errors
    assert "Traceback" not in errors
    cli("extract", "--store", some, "--features", BASIC, "--no-prefect")
    assert same(some, real_store)


def test_an_idle_run_does_not_import_prefect(real_store: Path) -> None:
    code = (
        "import sys; sys.argv = ['affectstore', 'extract', '--store', *sys.argv[1:]]\n"
        "from flows.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "assert 'prefect' not in sys.modules and 'torch' not in sys.modules\n"
    )
    words = [sys.executable, "-c", code, str(real_store), "--features", BASIC]
    subprocess.run(words, check=True, timeout=60)
