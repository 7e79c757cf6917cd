"""The Prefect flow: batches of partitions as tasks, on one shared runner."""

from __future__ import annotations

import os

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")

import math
import threading
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner

from flows.execute import Results
from flows.partition import Partition
from flows.pipeline import parse_settings
from flows.plan import Plan
from flows.request import Request
from flows.run import extract_prepared, prepare, run_partitions
from flows.runners import Runner, RunnerName
from flows.summary import Progress, Summary
from storage import FeatureStore

#: Prefect keeps a record per task: batches keep a run of any size to this many
TASKS_PER_RUN = 200
#: tasks in flight; they wait for the runner most of the time
THREADS = 16
#: a batch whose partitions were lost (a dead worker, a store out of reach) is tried again
BATCH_RETRIES = 2
RETRY_DELAY_SECONDS = 2


class ExtractFailed(Exception):
    """Some of the asked work isn't published; the run's state is Failed."""


class _Shared:
    """What a run's tasks share in memory; a batch is known to Prefect by its number alone."""

    def __init__(
        self,
        store: FeatureStore,
        batches: list[list[Partition]],
        on: Runner,
        summary: Summary,
        progress: Progress,
    ) -> None:
        self.store, self.batches, self.on = store, batches, on
        self.summary, self.progress = summary, progress
        self.committed: set[str] = set()
        self.lost: dict[int, list[str]] = {}


_runs: dict[str, _Shared] = {}
_prepared: dict[str, tuple[Plan, list[Partition], Summary, Progress]] = {}
_lock = threading.Lock()


@task(
    name="extract-batch",
    task_run_name="batch-{batch}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=BATCH_RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
)
def extract_batch(run: str, batch: int) -> dict[str, int]:
    """Execute one batch of partitions and commit each; those already committed are left out."""
    shared = _runs[run]
    open_ = [p for p in shared.batches[batch] if p.id not in shared.committed]
    part = Summary(run)
    run_partitions(shared.store, open_, shared.on, part, _Recording(shared))
    with _lock:
        shared.summary.add(part)
        shared.lost[batch] = part.lost
    if part.lost:
        raise ExtractFailed("; ".join(part.lost))
    return {"published": part.published, "failed": part.failed}


class _Recording(Progress):
    """Notes what was committed, for a task's second attempt, and passes it on."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared

    def partition(self, partition: Partition, results: Results) -> None:
        with _lock:
            self._shared.committed.add(partition.id)
            self._shared.progress.partition(partition, results)

    def lost(self, partition: Partition, reason: str) -> None:
        with _lock:
            self._shared.progress.lost(partition, reason)


_threads: Any = ThreadPoolTaskRunner(max_workers=THREADS)


@flow(name="extract", persist_result=False, task_runner=_threads)
def extract(
    store: str,
    features: str = "all",
    corpus: str | None = None,
    settings: list[str] | None = None,
    runner: RunnerName = "local",
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "auto",
    shard: str = "1/1",
    retry: bool = False,
    retry_feature: str | None = None,
    retry_code: str | None = None,
    variant: str | None = None,
    max_failures: float = 1.0,
    prepared: str | None = None,
) -> dict[str, Any]:
    """Publish what is missing of a store's features.

    Args:
        store: path or URL of the store.
        features: names joined by commas, or ``all``.
        max_failures: share of the clips; when more have failed, the run stops.
        variant: name of a configuration that the store keeps; the default one if None.
        settings: ``EXTRACTOR.PARAM=VALUE`` texts, for this run only.
        runner, workers, scheduler: where partitions are executed (see ``affectstore extract``).
        prepared: used by the command line, which has already planned.

    Raises:
        ExtractFailed: some of the asked work isn't published; the rest is.
    """
    request = Request(
        store=store,
        features=features,
        corpus=corpus,
        settings=parse_settings(settings or []),
        runner=runner,
        workers=workers,
        scheduler=scheduler,
        device=device,
        shard=shard,
        retry=retry,
        retry_feature=retry_feature,
        retry_code=retry_code,
        variant=variant,
        max_failures=max_failures,
    )
    summary = _run(request, _prepared.pop(prepared, None) if prepared else None)
    if not summary.complete:
        raise ExtractFailed(summary.sentence())
    return summary.to_json()


@flow(name="retry", persist_result=False)
def retry(store: str, features: str = "all", runner: RunnerName = "local") -> dict[str, Any]:
    """Try again what is in quarantine."""
    result: dict[str, Any] = extract(store, features=features, runner=runner, retry=True)
    return result


def extract_with_prefect(
    request: Request, settings: list[str], made: tuple[Plan, list[Partition], Summary, Progress]
) -> Summary:
    """Run the flow for a request that is planned already; the summary, also of a failed run."""
    summary = made[2]
    _prepared[summary.run] = made
    extract(
        request.store,
        features=request.features,
        corpus=request.corpus,
        settings=settings,
        runner=request.runner,
        workers=request.workers,
        scheduler=request.scheduler,
        device=request.device,
        shard=request.shard,
        retry=request.retry,
        retry_feature=request.retry_feature,
        retry_code=request.retry_code,
        variant=request.variant,
        max_failures=request.max_failures,
        prepared=summary.run,
        return_state=True,
    )
    return summary


def _run(
    request: Request, given: tuple[Plan, list[Partition], Summary, Progress] | None
) -> Summary:
    log = get_run_logger()
    store = FeatureStore.open(request.store, storage_options=dict(request.storage_options))
    plan, made, summary, progress = given or (*prepare(store, request), Progress())
    log.info("%d certain, up to %d more, over %d clips", plan.tasks, plan.maybe, plan.clips)
    batches = _batches(made)

    def run(on: Runner) -> None:
        _submit(_Shared(store, batches, on, summary, progress))

    extract_prepared(store, request, plan, made, summary, progress, run)
    log.info("%s", summary.sentence())
    return summary


def _submit(shared: _Shared) -> None:
    """One task per batch; the runner's slots decide how many partitions run at once."""
    run = shared.summary.run
    _runs[run] = shared
    try:
        for future in [extract_batch.submit(run, i) for i in range(len(shared.batches))]:
            future.wait()
    finally:
        del _runs[run]
        shared.summary.lost = [reason for batch in shared.lost.values() for reason in batch]


def _batches(made: list[Partition]) -> list[list[Partition]]:
    size = math.ceil(len(made) / TASKS_PER_RUN)
    return [made[i : i + size] for i in range(0, len(made), size)]
