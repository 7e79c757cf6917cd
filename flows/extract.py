"""The Prefect flow: batches of partitions as tasks, on one shared runner."""

from __future__ import annotations

import os

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

from prefect import flow, get_run_logger, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.coordinator import Coordinator, slots
from flows.partition import ClipWork, Partition
from flows.pipeline import parse_settings
from flows.plan import Plan
from flows.prefect_server import end_with_us, ended_with_us, reached
from flows.request import Request
from flows.run import extract_prepared, prepare
from flows.runners import Runner, RunnerName, runner_of
from flows.stages import by_stage, place_of
from flows.summary import Progress, Summary
from storage import FeatureStore

#: Prefect keeps a record per task: batches keep a stage of any size to this many
TASKS_PER_STAGE = 100
#: a batch whose partitions were lost (a dead worker, a store out of reach) is tried again
BATCH_RETRIES = 2
RETRY_DELAY_SECONDS = 2


class ExtractFailed(Exception):
    """Some of the asked work isn't published; the run's state is Failed."""


@dataclass(frozen=True)
class _Batch:
    """Partitions of one stage that are one task; ``needs``: numbers of batches that it follows."""

    number: int
    stage: str
    partitions: tuple[Partition, ...]
    needs: frozenset[int]


#: of a request, what the flow takes in another form or not at all
OTHERWISE = ("settings", "storage_options")

#: run -> what its tasks share in memory; Prefect knows a batch by its stage and number alone
_runs: dict[str, tuple[Coordinator, dict[int, _Batch]]] = {}
_prepared: dict[str, tuple[Plan, list[ClipWork], Summary, Progress]] = {}


@task(
    name="extract-batch",
    task_run_name="{stage}-{batch}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=BATCH_RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECONDS,
)
def extract_batch(run: str, stage: str, batch: int) -> dict[str, int]:
    """Execute one batch of partitions and commit each; those already committed are left out."""
    coordinator, batches = _runs[run]
    partitions = batches[batch].partitions
    lost = coordinator.run(partitions)
    if lost:
        raise ExtractFailed("; ".join(lost))
    return {"partitions": len(partitions)}


#: tasks wait for the runner's workers most of the time; ``_submit`` bounds how many there are
_threads: Any = ThreadPoolTaskRunner(max_workers=4 * TASKS_PER_STAGE)


@flow(name="extract", persist_result=False, task_runner=_threads)
def extract(
    store: str,
    features: str = "all",
    corpus: str | None = None,
    settings: list[str] | None = None,
    runner: RunnerName | None = None,
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
        runner=runner_of(runner, workers, scheduler),
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
def retry(
    store: str,
    features: str = "all",
    corpus: str | None = None,
    feature: str | None = None,
    code: str | None = None,
    settings: list[str] | None = None,
    runner: RunnerName | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "auto",
    shard: str = "1/1",
    variant: str | None = None,
    max_failures: float = 1.0,
) -> dict[str, Any]:
    """Try again what is in quarantine under a configuration, and what waits for it.

    Args:
        feature, code: only failures of this feature, or with this code.
        store, features and the others: see ``extract``.

    Raises:
        ExtractFailed: some of that isn't published; the rest is.
    """
    result: dict[str, Any] = extract(
        store,
        features=features,
        corpus=corpus,
        settings=settings,
        runner=runner,
        workers=workers,
        scheduler=scheduler,
        device=device,
        shard=shard,
        retry=True,
        retry_feature=feature,
        retry_code=code,
        variant=variant,
        max_failures=max_failures,
    )
    return result


def extract_with_prefect(
    request: Request, settings: list[str], made: tuple[Plan, list[ClipWork], Summary, Progress]
) -> Summary:
    """Run the flow for a request that is planned already; the summary, also of a failed run.

    Raises:
        PrefectUnreachable: the server isn't there, or ended meanwhile.
    """
    summary = made[2]
    _prepared[summary.run] = made
    asked = {f.name: getattr(request, f.name) for f in fields(request) if f.name not in OTHERWISE}
    # what failed is in the summary; anything else that ends the flow is raised as it is
    with ended_with_us(), reached(), suppress(ExtractFailed):
        extract(**asked, settings=settings, prepared=summary.run)
    return summary


def _run(request: Request, given: tuple[Plan, list[ClipWork], Summary, Progress] | None) -> Summary:
    end_with_us()
    log = get_run_logger()
    store = FeatureStore.open(request.store, storage_options=dict(request.storage_options))
    plan, works, summary, progress = given or (*prepare(store, request), Progress())
    log.info("%d certain, up to %d more, over %d clips", plan.tasks, plan.maybe, plan.clips)

    def loop(coordinator: Coordinator, made: Sequence[Partition], on: Runner) -> None:
        batches = {batch.number: batch for batch in _batches(made)}
        _runs[summary.run] = coordinator, batches
        try:
            _submit(summary.run, batches, on)
        finally:
            del _runs[summary.run]

    extract_prepared(store, request, plan, works, summary, progress, loop)
    log.info("%s", summary.sentence())
    return summary


def _submit(run: str, batches: dict[int, _Batch], on: Runner) -> None:
    """One task per batch, as many at a time as keep the workers busy, clips' last stages first."""
    waiting = sorted(batches.values(), key=lambda b: not b.needs)
    running: dict[PrefectFuture[Any], _Batch] = {}
    over: set[int] = set()
    while waiting or running:
        held = list[_Batch]()
        for batch in waiting:
            place = place_of(batch.partitions[0])
            busy = sum(
                len(b.partitions) for b in running.values() if place_of(b.partitions[0]) == place
            )
            if busy >= 2 * slots(on, place) or not batch.needs <= over:
                held.append(batch)
                continue
            with tags(batch.stage):
                running[extract_batch.submit(run, batch.stage, batch.number)] = batch
        waiting = held
        future = next(as_completed(list(running)))
        over.add(running.pop(future).number)


def _batches(made: Sequence[Partition]) -> list[_Batch]:
    """Each stage's partitions in at most so many tasks."""
    found: list[_Batch] = []
    place: dict[str, int] = {}
    for stage, partitions in by_stage(made).items():
        size = math.ceil(len(partitions) / TASKS_PER_STAGE)
        for start in range(0, len(partitions), size):
            some = tuple(partitions[start : start + size])
            needs = frozenset(place[p] for partition in some for p in partition.follows)
            found.append(_Batch(len(found), stage, some, needs))
            place |= {partition.id: found[-1].number for partition in some}
    return found
