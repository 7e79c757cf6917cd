"""The schemas of the store's Delta tables."""

from __future__ import annotations

import pyarrow as pa

TIME = pa.timestamp("us", "UTC")
TEXT = pa.string()

CLIPS = pa.schema(
    [
        ("corpus", TEXT),
        ("clip", TEXT),
        ("uri", TEXT),
        ("sha256", TEXT),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("start_us", pa.int64()),
        ("stop_us", pa.int64()),
        ("media_key", TEXT),
        # media keys of this same file under cuts that the clip had before
        ("earlier_cuts", pa.list_(TEXT)),
        ("subject", TEXT),
        ("split", TEXT),
        ("state", TEXT),
        ("problem", TEXT),
        ("duration", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("fps", pa.float64()),
        ("video_codec", TEXT),
        ("audio_codec", TEXT),
        ("audio_rate", pa.int32()),
        ("audio_channels", pa.int32()),
        ("attrs", TEXT),
        ("assets", pa.list_(pa.struct([("role", TEXT), ("uri", TEXT), ("sha256", TEXT)]))),
        ("time", TIME),
    ]
)
CATALOGUE = pa.schema(
    [
        ("corpus", TEXT),
        ("clip", TEXT),
        ("feature", TEXT),
        ("fingerprint", TEXT),
        ("extractor_key", TEXT),
        ("media_key", TEXT),
        ("inputs", pa.list_(pa.struct([("slot", TEXT), ("feature", TEXT), ("content", TEXT)]))),
        ("content", TEXT),
        ("rows", pa.int64()),
        ("valid_share", pa.float64()),
        ("t0", pa.float64()),
        ("step", pa.float64()),
        (
            "pieces",
            pa.list_(
                pa.struct([("part", TEXT), ("row_start", pa.int64()), ("row_stop", pa.int64())])
            ),
        ),
        ("bytes", pa.int64()),
        ("computed", pa.int64()),
        ("reused", pa.int64()),
        ("seconds", pa.float64()),
        ("device", TEXT),
        ("host", TEXT),
        ("run", TEXT),
        ("time", TIME),
    ]
)
FAILURES = pa.schema(
    [
        ("corpus", TEXT),
        ("clip", TEXT),
        ("feature", TEXT),
        ("fingerprint", TEXT),
        ("code", TEXT),
        ("message", TEXT),
        ("log", TEXT),
        ("attempts", pa.int64()),
        ("run", TEXT),
        ("time", TIME),
    ]
)
RUNS = pa.schema(
    [
        ("run", TEXT),
        ("started", TIME),
        ("stopped", TIME),
        ("state", TEXT),
        ("features", pa.list_(TEXT)),
        ("configuration", TEXT),
        ("published", pa.int64()),
        ("failed", pa.int64()),
        ("message", TEXT),
    ]
)
#: spec and description are JSON: what the feature is, what made it
EXTRACTORS = pa.schema(
    [
        ("extractor_key", TEXT),
        ("feature", TEXT),
        ("spec", TEXT),
        ("description", TEXT),
        ("time", TIME),
    ]
)
#: nodes and settings are JSON
CONFIGURATIONS = pa.schema(
    [
        ("name", TEXT),
        ("version", pa.int64()),
        ("id", TEXT),
        ("nodes", TEXT),
        ("settings", TEXT),
        ("time", TIME),
    ]
)
#: versions is JSON: table -> its version
TAGS = pa.schema(
    [("tag", TEXT), ("versions", TEXT), ("message", TEXT), ("state", TEXT), ("time", TIME)]
)

SCHEMAS: dict[str, pa.Schema] = {
    "catalogue": CATALOGUE,
    "clips": CLIPS,
    "failures": FAILURES,
    "runs": RUNS,
    "extractors": EXTRACTORS,
    "configurations": CONFIGURATIONS,
    "tags": TAGS,
}
