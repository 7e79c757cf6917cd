"""Plan, partition, execute, commit: the run that every way of calling extract shares."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from features.canonical import Json
from flows import backoff
from flows.availability import check_available, hopeless, lacks
from flows.cost import estimate
from flows.execute import Results
from flows.partition import Partition, Shard, clip_works, cut, loaded, partitions
from flows.pipeline import Settings, configure, select
from flows.plan import Plan, make_plan, present_clips
from flows.process import find_device, stopping
from flows.request import Request
from flows.runners import Runner, WorkerDied
from flows.summary import Progress, Summary
from storage import FeatureStore
from storage.errors import UnknownVariant
from storage.records import Configuration, Run
from storage.resolve import CLIP_COLUMNS
from storage.withdrawn import commit_kept

#: attempts at a partition whose worker died or whose store failed for a moment
PARTITION_ATTEMPTS = 3
#: clips after which a run can be judged to go wrong everywhere (``max_failures``)
CLIPS_TO_JUDGE = 10
DEFAULT = "default"
#: what a plan reads of the clips; the rest is most of their bytes
PLAN_CLIP_COLUMNS = (*CLIP_COLUMNS, "state", "duration")

log = logging.getLogger(__name__)


def plan_request(store: FeatureStore, request: Request) -> Plan:
    """What ``extract`` with the same request would do.

    Raises:
        UnknownFeature, UnknownParameter, UnknownCorpus: the request doesn't fit the store.
    """
    name = request.variant or DEFAULT
    configuration = configure(merged_settings(store, request.settings, name), name)
    features = select(configuration, request.features)
    clips = store.clips(request.corpus, columns=PLAN_CLIP_COLUMNS)
    lacking = lacks(configuration, present_clips(clips))
    skipped: dict[str, str] = {}
    if request.features.strip() == "all":
        skipped = {f: why for f, why in hopeless(lacking).items() if f in features}
        features = tuple(f for f in features if f not in skipped)
    failures = backoff.in_quarantine(store.failures())
    if request.retry:
        failures = _still_quarantined(failures, request)
    catalogue = store.snapshot["catalogue"].fixed().batches
    plan = make_plan(
        configuration,
        features,
        clips,
        catalogue,
        failures,
        store.earlier_nodes(),
        unable={feature: ~lack.able for feature, lack in lacking.items() if lack.own},
    )
    skipped |= check_available(plan, lacking)
    costs = estimate(plan.by_feature, clips, catalogue)
    return replace(plan, costs=costs, skipped=skipped)


def merged_settings(
    store: FeatureStore, settings: Settings, name: str = DEFAULT, *, create: bool = False
) -> dict[str, dict[str, Json]]:
    """A configuration of the store with one run's settings on top.

    Raises:
        UnknownVariant: the store has no configuration of that name, and ``create`` is false.
    """
    saved = store.configuration(name)
    if saved is None and name != DEFAULT and not create:
        raise UnknownVariant(
            f"there is no configuration {name!r}; make it: affectstore config set "
            f"--variant {name} EXTRACTOR.PARAM=VALUE"
        )
    base = cast(Settings, saved.settings if saved else {})
    merged: dict[str, dict[str, Json]] = {}
    for layer in (base, settings):
        for extractor, values in layer.items():
            merged.setdefault(extractor, {}).update(values)
    return merged


def prepare(store: FeatureStore, request: Request) -> tuple[Plan, list[Partition], Summary]:
    """Plan, record what is found under other names, and cut the work into partitions."""
    plan = plan_request(store, request)
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    summary = Summary(run, skipped=plan.skipped, quarantined=plan.quarantined)
    save_configuration(store, plan.configuration, request, run)
    shard = Shard.parse(request.shard)
    if plan.adopted.num_rows and shard.number == 1:
        summary.adopted = adopt(store, plan, run)
    works = clip_works(store, plan, shard)
    made = partitions(
        store,
        plan,
        cut(works, request.workers or 1),
        device=find_device(request.device) if works else "cpu",
        run=run,
        retry=request.retry,
        max_failures=request.max_failures,
    )
    return plan, made, summary


def save_configuration(
    store: FeatureStore, configuration: Configuration, request: Request, run: str
) -> None:
    """Keep the nodes under their configuration's name, or the run's where ``--set`` was used.

    The default is always kept, so that readers know what is wanted of a store.
    """
    if any(request.settings.values()):
        store.save_configuration(replace(configuration, name=f"run:{run}"))
        if store.configuration(DEFAULT) is None:
            store.save_configuration(configure({}))
    else:
        store.save_configuration(configuration)


def adopt(store: FeatureStore, plan: Plan, run: str) -> int:
    """Record results that another clip with the same media already has: no computing."""
    wanted = plan.adopted.to_pylist()
    found = {
        p.fingerprint: p
        for p in store.published(fingerprints=sorted({w["fingerprint"] for w in wanted}))
    }
    rows = [
        replace(
            found[w["fingerprint"]],
            corpus=w["corpus"],
            clip=w["clip"],
            computed=0,
            reused=found[w["fingerprint"]].rows,
            seconds=0.0,
            run=run,
            time=datetime.now(UTC),
        )
        for w in wanted
        if w["fingerprint"] in found
    ]
    return len(commit_kept(store, rows, [])[0])


def run_partitions(
    store: FeatureStore,
    made: Sequence[Partition],
    on: Runner,
    summary: Summary,
    progress: Progress,
) -> None:
    """Execute partitions on a runner and commit each as it comes back."""
    waiting: list[tuple[Partition, int]] = []
    coming = loaded(store, made)
    running: dict[Future[Results], tuple[Partition, int]] = {}
    while True:
        while len(running) < 2 * on.slots and not summary.interrupted:
            if not waiting:
                waiting += [(p, 1) for p in islice(coming, 1)]
            if not waiting:
                break
            partition, attempt = waiting.pop()
            running[on.submit(partition)] = (partition, attempt)
            if on.slots == 1:
                break
        if not running:
            return
        future = next(as_completed(running))
        partition, attempt = running.pop(future)
        try:
            results = future.result()
        except CancelledError:
            summary.interrupted = True
            continue
        except Exception as error:
            transient = isinstance(error, WorkerDied | OSError)
            if transient and attempt < PARTITION_ATTEMPTS:
                waiting += [(p, attempt + 1) for p in _again(partition, error, attempt + 1)]
            else:
                _lose(partition, error, summary, progress)
                if isinstance(error, WorkerDied):
                    commit_kept(store, [], backoff.lost(partition, str(error)))
            continue
        commit(store, partition, results, summary, progress)
        if _goes_wrong(summary, partition.max_failures) and not summary.lost:
            share = f"{summary.failed_clips} of {summary.clips} clips"
            summary.lost.append(f"stopped after {share} failed; affectstore failures tells why")
            summary.interrupted = True
            on.stop()
        if results.interrupted:
            summary.interrupted = True


def _again(partition: Partition, error: Exception, attempt: int) -> list[Partition]:
    """The partition; at the last attempt after a death clip by clip, to find the one at fault."""
    if attempt < PARTITION_ATTEMPTS or not isinstance(error, WorkerDied):
        return [partition]
    return [
        replace(partition, id=f"{partition.id}-{i}", clips=(work,))
        for i, work in enumerate(partition.clips)
    ]


def _goes_wrong(summary: Summary, limit: float) -> bool:
    """More than the allowed share of clips failed, and there were enough of them to tell."""
    enough = summary.clips >= CLIPS_TO_JUDGE
    return enough and summary.failed_clips > limit * summary.clips


def _lose(partition: Partition, error: Exception, summary: Summary, progress: Progress) -> None:
    """Note a partition that failed as a whole; the others go on."""
    log.debug("partition %s failed", partition.id, exc_info=error)
    clips = ", ".join(w.clip for w in partition.clips[:3])
    more = f" and {len(partition.clips) - 3} more" if len(partition.clips) > 3 else ""
    what = str(error) if hasattr(error, "code") else f"{type(error).__name__}: {error}"
    summary.lost.append(f"{clips}{more}: {what}")
    progress.lost(partition, summary.lost[-1])


_committing = threading.Lock()


def commit(
    store: FeatureStore,
    partition: Partition,
    results: Results,
    summary: Summary,
    progress: Progress,
) -> None:
    """One atomic append for the partition's rows, then the counts."""
    with _committing:
        results.published, results.failures = commit_kept(
            store, results.published, results.failures
        )
        summary.published += len(results.published)
        summary.failed += len(results.failures)
        summary.cut_off += results.cut_off
        summary.clips += results.clips
        summary.failed_clips += len({(f.corpus, f.clip) for f in results.failures})
        for row in results.published:
            summary.by_feature[row.feature] += 1
            summary.computed_rows += row.computed
            summary.reused_rows += row.reused
        summary.note(results.reasons)
        summary.failures += [
            {"clip": f.clip, "feature": f.feature, "code": f.code, "message": f.message}
            for f in results.failures
        ]
        progress.partition(partition, results)


def finish(
    store: FeatureStore, request: Request, plan: Plan, summary: Summary, started: datetime
) -> None:
    """Write the run's record."""
    if store.read_only or not (summary.published or summary.failed or summary.lost):
        return
    state = "interrupted" if summary.interrupted else "complete" if summary.complete else "failed"
    store.record_run(
        Run(
            run=summary.run,
            started=started,
            stopped=datetime.now(UTC),
            state=state,
            features=plan.features,
            configuration=plan.configuration.id,
            published=summary.published,
            failed=summary.failed,
            message="; ".join(summary.lost)[:1000],
        )
    )


def extract_plain(request: Request, progress: Progress | None = None) -> Summary:
    """Run a request without Prefect: the same functions, the same result."""
    store = FeatureStore.open(request.store, storage_options=dict(request.storage_options))
    plan, made, summary = prepare(store, request)
    extract_prepared(store, request, plan, made, summary, progress or Progress())
    return summary


def extract_prepared(
    store: FeatureStore,
    request: Request,
    plan: Plan,
    made: Sequence[Partition],
    summary: Summary,
    progress: Progress,
    run: Callable[[Runner], None] | None = None,
) -> None:
    """Run partitions that ``prepare`` made; ``run`` may bring its own way of looping over them."""
    from flows.runners import runner

    started, clock = datetime.now(UTC), time.perf_counter()
    if made:
        works = [w for p in made for w in p.clips]
        progress.plan(plan, len(works), sum(w.seconds for w in works))
        with (
            runner(request.runner, workers=request.workers, scheduler=request.scheduler) as on,
            stopping(on, summary),
        ):
            on.told = progress.clip
            if run is None:
                run_partitions(store, made, on, summary, progress)
            else:
                run(on)
    summary.seconds = time.perf_counter() - clock
    finish(store, request, plan, summary, started)


def _still_quarantined(failures: pa.Table, request: Request) -> pa.Table:
    """The failures that a retry leaves alone."""
    kept = pa.array([False] * failures.num_rows, pa.bool_())
    for column, value in (("feature", request.retry_feature), ("code", request.retry_code)):
        if value is not None:
            kept = pc.or_(kept, pc.not_equal(failures[column], value))
    return failures.filter(kept)
