"""What a retry tries again: failures, and what waited for the failed results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.errors import RequestError
from features.registry import declaration_of
from features.spelling import nearest
from flows.backoff import COLUMNS, known_codes
from flows.pipeline import select, with_ancestors
from flows.plan import present_clips
from flows.request import Request
from storage import FeatureStore
from storage.database import database
from storage.records import Configuration
from storage.resolve import Catalogue, Resolution


@dataclass(frozen=True, eq=False)
class Lifted:
    """What is tried again, and nothing else is.

    Attributes:
        features: those asked for; without names, those that failed or that any run asked for.
        clips: the rows of clips with failures that are lifted.
        failures: those that stay in the way.
        only: feature -> which of the clips that are present wait for a failure to be lifted,
            bool ``(present clips,)``.
    """

    features: tuple[str, ...]
    clips: pa.Table
    failures: pa.Table
    only: Mapping[str, NDArray[np.bool_]]


def lift(
    store: FeatureStore,
    request: Request,
    configuration: Configuration,
    clips: pa.Table,
    catalogue: Catalogue,
) -> Lifted:
    """The failures that a retry is about: all, or those of one feature or with one code.

    Raises:
        UnknownFeature: no feature of that name. RequestError: no failure has, or could have, that
            code.
    """
    if request.retry_feature is not None:
        declaration_of(request.retry_feature)
    failures = store.failures(columns=COLUMNS)
    _check_code(request.retry_code, set(failures["code"].to_pylist()))
    lifted, kept = _parted(failures, request)
    features = select(configuration, request.features)
    if request.features.strip() == "all":
        asked = {name for run in store.runs()["features"].to_pylist() for name in run}
        asked |= set(lifted["feature"].to_pylist())
        features = tuple(name for name in features if name in asked)
    with database() as db:
        db.register("clips", clips)
        db.register("lifted", lifted)
        clips = db.execute(
            "SELECT * FROM clips SEMI JOIN lifted USING (corpus, clip) ORDER BY corpus, clip"
        ).to_arrow_table()
    only = _waiting(configuration, features, present_clips(clips), catalogue, failures)
    return Lifted(features, clips, kept, only)


def _check_code(code: str | None, there: set[str]) -> None:
    if code is not None and code not in there | known_codes():
        raise RequestError(
            f"no failure has the code {code!r}{nearest(code, there | known_codes())}; affectstore "
            "failures lists those that there are"
        )


def _parted(failures: pa.Table, request: Request) -> tuple[pa.Table, pa.Table]:
    """The failures to be lifted, by the newest one of each result, and the others."""
    asked = {"feature": request.retry_feature, "code": request.retry_code}
    terms = [f"{column} = ${column}" for column, value in asked.items() if value is not None]
    values = {column: value for column, value in asked.items() if value is not None}
    with database() as db:
        db.register("failures", failures)
        db.execute(
            f"""CREATE TABLE lifted AS SELECT corpus, clip, feature, fingerprint FROM (
                SELECT corpus, clip, feature, fingerprint, arg_max(code, time) AS code
                FROM failures GROUP BY ALL) WHERE {" AND ".join(terms) or "true"}""",
            values or None,
        )
        lifted, kept = (
            db.execute(
                f"SELECT * FROM failures {kind} JOIN lifted USING (corpus, clip, feature, "
                "fingerprint)"
            ).to_arrow_table()
            for kind in ("SEMI", "ANTI")
        )
    return lifted, kept


def _waiting(
    configuration: Configuration,
    features: Sequence[str],
    clips: pa.Table,
    catalogue: Catalogue,
    failures: pa.Table,
) -> dict[str, NDArray[np.bool_]]:
    """Feature -> which clips' results are in quarantine, for own failures or others', as now."""
    nodes = with_ancestors(configuration, features)
    found = {node.feature: np.zeros(len(clips), bool) for node in nodes}
    with Resolution(nodes, clips, catalogue, failures) as resolution:
        for node in resolution.states():
            rows = resolution.db.execute("SELECT id FROM state WHERE state = 'quarantined'")
            found[node.feature][rows.fetchnumpy()["id"]] = True
    return found
