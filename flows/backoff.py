"""Which failures are tried again by themselves, and when."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from features.errors import FeatureError
from storage.database import database
from storage.keys import fingerprint, placed
from storage.records import Failure
from storage.resolve import FAILURE_COLUMNS

if TYPE_CHECKING:
    from flows.partition import Partition

#: of a result whose worker process died
WORKER_DIED = "worker_died"
#: pause after the first failure; each further one makes it longer by the factor
FIRST_PAUSE = timedelta(minutes=1)
FACTOR = 4
LONGEST_PAUSE = timedelta(days=1)


def transient_codes() -> set[str]:
    """Codes of failures that may be over by themselves: a share out of reach, a stall, a death."""
    return {WORKER_DIED, *(kind.code for kind in _kinds(FeatureError) if kind.transient)}


def looked_at_codes() -> set[str]:
    """Codes of failures that every extract looks at again: what is there isn't what it should be,
    until somebody puts it right."""
    return {kind.code for kind in _kinds(FeatureError) if kind.looked_at}


def known_codes() -> set[str]:
    """Codes that a failure can have, of the extractors that were imported."""
    return {WORKER_DIED, *(kind.code for kind in _kinds(FeatureError))}


#: (code, attempts, time of the last one) -> when it is tried again
Due = Callable[[str, int, datetime], datetime | None]


def due(code: str, attempts: int, time: datetime) -> datetime | None:
    """When a later extract tries again by itself; None if only ``retry`` does."""
    return due_times()(code, attempts, time)


def due_times() -> Due:
    """``due``, for many failures: the codes of all kinds are looked up here, once."""
    looked_at, transient = looked_at_codes(), transient_codes()

    def again(code: str, attempts: int, time: datetime) -> datetime | None:
        if code in looked_at:
            return time
        if code not in transient:
            return None
        steps = min(max(attempts, 1) - 1, 16)
        return time + min(FIRST_PAUSE * int(FACTOR**steps), LONGEST_PAUSE)

    return again


#: what tells whether a failure stands in the way
COLUMNS = (*FAILURE_COLUMNS, "code", "attempts", "time")


def in_quarantine(failures: pa.Table, now: datetime | None = None) -> pa.Table:
    """The failures that still stand in the way: all but those whose pause is over.

    Of several failures of one result, the newest one counts.
    """
    moment = now or datetime.now(UTC)
    with database() as db:
        db.register("failures", failures)
        newest = db.execute(
            """SELECT corpus, clip, feature, fingerprint, arg_max(code, time) AS newest,
                max(attempts), max(time)
            FROM failures GROUP BY ALL HAVING newest IN (SELECT unnest(?))""",
            [sorted(transient_codes() | looked_at_codes())],
        ).fetchall()
        when = due_times()
        over = [
            key
            for *key, code, attempts, time in newest
            if (again := when(code, attempts, time)) is not None and again <= moment
        ]
        names = ("corpus", "clip", "feature", "fingerprint")
        columns = [pa.array([key[i] for key in over], pa.string()) for i in range(len(names))]
        db.register("over", pa.table(columns, names=names))
        kept = "SELECT * FROM failures ANTI JOIN over USING (corpus, clip, feature, fingerprint)"
        return db.execute(kept).to_arrow_table()


def lost(partition: Partition, message: str) -> list[Failure]:
    """Failures of what a partition was to compute when its worker died, where keys are known."""
    made = []
    for work in partition.clips:
        attrs = json.loads(work.attrs) if work.attrs else {}
        contents = {feature: placed(result) for feature, result in work.available.items()}
        for node in partition.nodes:
            if node.feature in work.todo and all(f in contents for _, f in node.inputs):
                key = fingerprint(node, work.media_key, attrs, contents)
                made.append(
                    Failure(
                        corpus=work.corpus,
                        clip=work.clip,
                        feature=node.feature,
                        fingerprint=key,
                        code=WORKER_DIED,
                        message=message,
                        log="",
                        attempts=work.attempts.get(key, 0) + 1,
                        run=partition.run,
                        time=datetime.now(UTC),
                    )
                )
    return made


def _kinds(base: type[FeatureError]) -> Iterator[type[FeatureError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)
