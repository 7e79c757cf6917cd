"""Keys: what a result is known by, made from what produced it and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from features.canonical import H, Json, canonical_json
from storage.records import Node, Published

MICROSECONDS = 1_000_000
NANOSECONDS = 1_000_000_000
#: rows that are closer are a waveform's samples, s: their step is the medium's clock, and no choice
SAMPLES = 0.001


def media_key(sha256: str, start_us: int | None = None, stop_us: int | None = None) -> str:
    """Key of a medium: the file's sha256 and the cut in integer microseconds (None = open)."""
    return H("media", sha256, start_us, stop_us)


def extractor_key(
    name: str,
    version: int,
    params: Mapping[str, Json],
    weights: Mapping[str, str],
    tools: Mapping[str, int | str],
) -> str:
    """Key of an extractor; ``params`` holds only those that differ from their default."""
    return H("extractor", name, version, dict(params), dict(weights), dict(tools))


def fingerprint(
    node: Node, media: str | None, attrs: Mapping[str, str], contents: Mapping[str, str]
) -> str:
    """Key of one (clip, feature) result.

    Args:
        node: the feature as the configuration binds it.
        media: the clip's media key; used only if the node reads media.
        attrs: the clip's attributes; only those that the node declares are used.
        contents: bound feature -> content of the upstream rows and their clock: ``placed``.
    """
    inputs: list[Json] = [
        [slot, feature, contents[feature]] for slot, feature in sorted(node.inputs)
    ]
    return H(
        "fingerprint",
        node.extractor_key,
        node.feature,
        media if node.reads_media else None,
        declared_attrs(node, attrs),
        inputs,
    )


def placed(result: Published) -> str:
    """What stands in the keys of what reads a result: see ``clocked``."""
    return clocked(result.content, result.t0, result.step)


def clocked(content: str, t0: float, step: float | None) -> str:
    """The content hash of rows, and their clock where it tells more than the rows do.

    The same rows at another time make other results. Rows from second 0 on that follow the
    timeline or are samples are their content alone.

    Args:
        t0, step: container seconds of the first row, seconds between rows.
    """
    start, apart = _nanoseconds(t0), None if step is None else _nanoseconds(step)
    if start == 0 and (step is None or step < SAMPLES):
        return content
    return f"{content}@{start},{'' if apart is None else apart}"


def clocked_sql(content: str, t0: str, step: str) -> str:
    """DuckDB expression that equals ``clocked``."""
    start, apart = (f"CAST(floor({value} * {NANOSECONDS} + 0.5) AS BIGINT)" for value in (t0, step))
    return (
        f"CASE WHEN {start} = 0 AND coalesce({step}, 0) < {SAMPLES} THEN {content} "
        f"ELSE {content} || '@' || {start} || ',' || coalesce(CAST({apart} AS VARCHAR), '') END"
    )


def _nanoseconds(seconds: float) -> int:
    return math.floor(seconds * NANOSECONDS + 0.5)


def declared_attrs(node: Node, attrs: Mapping[str, str]) -> dict[str, Json]:
    """The clip attributes that the node's extractor reads."""
    return {name: attrs[name] for name in node.attrs if name in attrs}


def fingerprint_sql(node: Node, media: str, attrs: str, contents: Sequence[str]) -> str:
    """DuckDB expression that equals ``fingerprint``, for planning over millions of rows.

    Args:
        media: SQL expression of the media key (hex).
        attrs: SQL expression of the declared attributes' canonical JSON.
        contents: SQL expression of each input's content and clock (``clocked_sql``), in order of
            ``sorted(inputs)``.

    The hex strings and names in it need no JSON escapes, so that joining strings gives the
    canonical JSON; the result is NULL if any of the expressions is.
    """
    head = f'["fingerprint","{node.extractor_key}",{canonical_json(node.feature)},'
    parts = [_text(head)]
    parts += ["'\"' || " + media + " || '\"'"] if node.reads_media else ["'null'"]
    parts += ["','", attrs, "',['"]
    for i, ((slot, feature), content) in enumerate(zip(sorted(node.inputs), contents, strict=True)):
        opening = f'[{canonical_json(slot)},{canonical_json(feature)},"'
        parts += [_text(("," if i else "") + opening), content, "'\"]'"]
    parts.append("']]'")
    return f"sha256({' || '.join(parts)})"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
