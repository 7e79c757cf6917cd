"""Plan, partition, execute, commit: the run that every way of calling extract shares."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa

from flows import backoff
from flows.absent import NOT_PUBLISHED, absent_clips, names_of
from flows.availability import check_available, empty, hopeless, lacks
from flows.configured import DEFAULT, configured, keep
from flows.coordinator import Coordinator
from flows.cost import estimate
from flows.device import check_device, count_cards, find_device
from flows.partition import ClipWork, Partition, clip_works, cut, partitions
from flows.pipeline import select
from flows.plan import Plan, make_plan, present_clips
from flows.process import stopping
from flows.request import Request
from flows.retrying import lift
from flows.runners import Runner
from flows.shard import Shard
from flows.stages import apart, by_stage
from flows.summary import Progress, Summary
from storage import FeatureStore
from storage.layout import METADATA, part_key
from storage.records import Run
from storage.resolve import CLIP_COLUMNS
from storage.withdrawn import commit_kept

#: what a plan reads of the clips; the rest is most of their bytes
PLAN_CLIP_COLUMNS = (*CLIP_COLUMNS, "earlier_cuts", "state", "problem", "duration", "fps")


def plan_request(store: FeatureStore, request: Request) -> Plan:
    """What ``extract`` or ``retry`` with the same request would do.

    Raises:
        UnknownFeature, UnknownParameter, UnknownCorpus: the request doesn't fit the store.
    """
    name = request.variant or DEFAULT
    configuration = configured(store, request.settings, name)
    clips = store.clips(request.corpus, columns=PLAN_CLIP_COLUMNS)
    catalogue = store.snapshot["catalogue"].fixed().batches
    only = None
    if request.retry:
        lifted = lift(store, request, configuration, clips, catalogue)
        features, clips, failures = lifted.features, lifted.clips, lifted.failures
        only = lifted.only
    else:
        features = select(configuration, request.features)
        failures = backoff.in_quarantine(store.failures(columns=backoff.COLUMNS))
    present = present_clips(clips)
    lacking = lacks(configuration, present)
    skipped: dict[str, str] = {}
    if request.features.strip() == "all":
        useless = hopeless(lacking) | empty(configuration, present)
        skipped = {
            f: why
            for f, why in useless.items()
            if f in features and (only is None or only[f].any())
        }
        features = tuple(f for f in features if f not in useless)
    plan = make_plan(
        configuration,
        features,
        clips,
        catalogue,
        failures,
        store.earlier_nodes(),
        unable={feature: ~lack.able for feature, lack in lacking.items() if lack.own},
        only=only,
    )
    skipped |= check_available(plan, lacking)
    costs = estimate(plan.by_feature, plan.nodes, clips, catalogue)
    # a retry is about what was in quarantine before it lifts anything
    states: Sequence[str] = NOT_PUBLISHED
    if request.retry:
        failures, states = store.failures(columns=backoff.COLUMNS), ["quarantined"]
    absent = absent_clips(configuration, features, clips, catalogue, failures, states)
    return replace(plan, costs=costs, skipped=skipped, absent=absent)


def prepare(store: FeatureStore, request: Request) -> tuple[Plan, list[ClipWork], Summary]:
    """Plan, record what is found under other names, and list the clips that have work.

    Raises:
        WrongDevice: the asked device isn't here; a given scheduler's workers look for themselves.
        ReadOnlyStore, StoreFull: there is work, and no place for its results.
    """
    plan = plan_request(store, request)
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    shard = Shard.parse(request.shard)
    standing, absent = _ours(store, plan.standing, shard), _ours(store, plan.absent, shard)
    summary = Summary(run, skipped=plan.skipped, quarantined=len(standing), absent=names_of(absent))
    check_device(request.device)
    works = clip_works(store, plan, shard)
    if works:
        store.check_writable()
        place(request)
    work = bool(works or plan.adopted.num_rows)
    summary.configuration = keep(store, plan.configuration, request.settings, run, work)
    if plan.adopted.num_rows:
        summary.adopted = adopt(store, plan, run, shard, summary.lost)
    return plan, works, summary


def _ours(store: FeatureStore, names: pa.Table, shard: Shard) -> pa.Table:
    """The rows (corpus, clip) of a shard's clips."""
    if shard.count == 1 or not len(names):
        return names
    rows = store.clips(columns=("corpus", "clip", "sha256"))
    held = rows.filter(pa.array([shard.holds(sha256) for sha256 in rows["sha256"].to_pylist()]))
    return names.join(held.select(names.column_names), names.column_names, join_type="left semi")


def place(request: Request) -> str:
    """The device of this machine, or as it was asked where a given scheduler's workers decide.

    Raises:
        WrongDevice: the asked device isn't here.
    """
    return request.device if request.scheduler else find_device(request.device)


def make_partitions(
    store: FeatureStore,
    request: Request,
    plan: Plan,
    works: Sequence[ClipWork],
    on: Runner,
    run: str,
) -> list[Partition]:
    """The clips as partitions for the runner's workers, stages apart where it has GPU slots."""
    made = partitions(
        store,
        plan,
        cut(works, max(request.workers or 1, on.slots, on.gpu_slots)),
        device=place(request),
        run=run,
        retry=request.retry,
        max_failures=request.max_failures,
    )
    return apart(made) if on.gpu_slots else made


def adopt(store: FeatureStore, plan: Plan, run: str, shard: Shard, lost: list[str]) -> int:
    """Record results that another clip with the same media already has: no computing.

    Those of the shard's own clips, since it may need them to go on from. What can't be recorded,
    for its part is gone, is told in ``lost``.
    """
    rows = store.clips(columns=("corpus", "clip", "sha256")).to_pylist()
    ours = {(r["corpus"], r["clip"]) for r in rows if shard.holds(r["sha256"])}
    wanted = [w for w in plan.adopted.to_pylist() if (w["corpus"], w["clip"]) in ours]
    found = {
        p.fingerprint: p
        for p in store.published(fingerprints=sorted({w["fingerprint"] for w in wanted}))
    }
    adopted = [
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
    whole = []
    there: dict[str, bool] = {}
    for result in adopted:
        keys = [f"{part_key(result.feature, p.part)}/{METADATA}" for p in result.pieces]
        for key in keys:
            if key not in there:
                there[key] = store.location.exists(key)
        if all(there[key] for key in keys):
            whole.append(result)
            continue
        lost.append(
            f"{result.clip}: {result.feature} is published under another clip's name, and its part "
            "is gone; affectstore repair makes it stale, and the next extract computes it"
        )
    return len(commit_kept(store, whole, [])[0])


def short_of_space(store: FeatureStore, plan: Plan) -> tuple[float, int] | None:
    """Bytes that the plan's results may take and bytes that are free, where those are fewer.

    None where there is room, or nobody can tell: an object store has no end.
    """
    if not store.location.is_local:
        return None
    most = sum(cost.bytes + cost.maybe_bytes for cost in plan.costs.values())
    free = shutil.disk_usage(store.location.path).free
    return (most, free) if most > free else None


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
    plan, works, summary = prepare(store, request)
    extract_prepared(store, request, plan, works, summary, progress or Progress())
    return summary


#: how a coordinator's partitions are gone through: all at once, or in batches as Prefect's tasks
Loop = Callable[[Coordinator, Sequence[Partition], Runner], None]


def extract_prepared(
    store: FeatureStore,
    request: Request,
    plan: Plan,
    works: Sequence[ClipWork],
    summary: Summary,
    progress: Progress,
    loop: Loop | None = None,
) -> None:
    """Run the clips that ``prepare`` found; ``loop`` may bring its own way through them."""
    from flows.runners import runner

    started, clock = datetime.now(UTC), time.perf_counter()
    if works:
        cards = 0 if request.scheduler else count_cards(place(request))
        with (
            runner(
                request.runner, workers=request.workers, scheduler=request.scheduler, cards=cards
            ) as on,
            stopping(on, summary, progress),
        ):
            on.told = progress.clip
            made = make_partitions(store, request, plan, works, on, summary.run)
            for stage, some in by_stage(made).items():
                clips = [work for partition in some for work in partition.clips]
                progress.stage(stage, len(clips), sum(work.duration for work in clips))
            coordinator = Coordinator(store, made, on, summary, progress)
            if loop is None:
                coordinator.run(made)
            else:
                loop(coordinator, made, on)
            summary.lost += coordinator.lost
    summary.seconds = time.perf_counter() - clock
    finish(store, request, plan, summary, started)
