"""Between the store's records and the rows of its Delta tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from features.spec import FeatureSpec
from storage.layout import groups_of
from storage.records import Failure, Piece, Published, Run
from storage.schemas import CATALOGUE, EXTRACTORS, FAILURES, RUNS

#: features that a commit names; of more it tells the number
NAMED = 4


def published_table(results: Sequence[Published]) -> pa.Table:
    """Catalogue rows, in order of clip, so that a reader of one clip can skip row groups."""
    ordered = sorted(results, key=lambda r: (r.corpus, r.clip, r.feature))
    return pa.Table.from_pylist([_published_row(r) for r in ordered], schema=CATALOGUE)


def said_of(results: Sequence[Published]) -> str:
    """What a commit of these results says of itself in the log."""
    clips = len({(r.corpus, r.clip) for r in results})
    features = sorted({r.feature for r in results})
    named = ", ".join(features) if len(features) <= NAMED else f"{len(features)} features"
    runs = ", ".join(sorted({r.run for r in results}))
    made = f"{counted(len(results), 'result')} of {named}"
    return f"{made} for {counted(clips, 'clip')}, run {runs}"


def counted(number: int, noun: str) -> str:
    """``1 clip``, ``2 clips``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def published_records(rows: pa.Table) -> list[Published]:
    """The records of whole catalogue rows, oldest first."""
    found = [
        Published(
            **row
            | {
                "inputs": {i["slot"]: (i["feature"], i["content"]) for i in row["inputs"]},
                "pieces": tuple(Piece(**p) for p in row["pieces"]),
            }
        )
        for row in rows.select(CATALOGUE.names).to_pylist()
    ]
    return sorted(found, key=lambda r: r.time)


def failure_table(failures: Sequence[Failure]) -> pa.Table:
    """Rows of the failures table."""
    return pa.Table.from_pylist([asdict(f) for f in failures], schema=FAILURES)


def run_table(run: Run) -> pa.Table:
    """The row of one run."""
    return pa.Table.from_pylist([asdict(run) | {"features": list(run.features)}], schema=RUNS)


def extractor_table(
    entries: Mapping[tuple[str, str], tuple[FeatureSpec, Mapping[str, object]]],
) -> pa.Table:
    """Rows of the extractors table from (extractor key, feature) -> what it is, what made it."""
    now = datetime.now(UTC)
    rows = [
        {
            "extractor_key": key,
            "feature": feature,
            "spec": json.dumps(asdict(spec)),
            "description": json.dumps(description),
            "time": now,
        }
        for (key, feature), (spec, description) in sorted(entries.items(), key=lambda e: e[0])
    ]
    return pa.Table.from_pylist(rows, schema=EXTRACTORS)


def spec_of(text: str) -> FeatureSpec:
    """The feature that the extractors table describes in JSON."""
    fields = json.loads(text)
    typed = {
        "dims": tuple(fields["dims"]),
        "columns": tuple(fields["columns"]),
        "groups": groups_of(fields.get("groups", ())),
    }
    return FeatureSpec(**fields | typed)


def _published_row(result: Published) -> dict[str, Any]:
    inputs = [
        {"slot": slot, "feature": feature, "content": content}
        for slot, (feature, content) in sorted(result.inputs.items())
    ]
    pieces = [asdict(p) for p in result.pieces]
    return vars(result) | {"inputs": inputs, "pieces": pieces}
