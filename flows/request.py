"""What extract was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.pipeline import Settings
from flows.runners import RunnerName


@dataclass(frozen=True)
class Request:
    """What ``extract`` was asked for; picklable and JSON-like, so that flows can take it.

    Attributes:
        features: names joined by commas, or ``all``.
        settings: extractor -> parameter or slot -> value, for this run only.
        retry: quarantined results and what waits for them are tried again, and nothing else;
            limited to failures of ``retry_feature`` or with ``retry_code`` if given.
        variant: configuration of the store to use; the default one if None.
        max_failures: share of the clips, 0..1; when more have failed, the run stops.
    """

    store: str
    features: str = "all"
    corpus: str | None = None
    settings: Settings = field(default_factory=dict)
    runner: RunnerName = "local"
    workers: int | None = None
    scheduler: str | None = None
    device: str = "auto"
    shard: str = "1/1"
    retry: bool = False
    retry_feature: str | None = None
    retry_code: str | None = None
    variant: str | None = None
    max_failures: float = 1.0
    storage_options: Mapping[str, str] = field(default_factory=dict)
