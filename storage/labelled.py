"""Features as xarray datasets: named dimensions, times in container seconds, units.

Of a feature ``f`` with rows at rate

- frame: dimension ``time``, with the timeline's seconds where a timeline is published;
- segment: dimension ``f_time``, with the rows' seconds;
- sample: dimension ``sample``, with ``sample_time`` (``f_sample`` where another sample-rate
  feature has other times);
- clip: no dimension for one clip's single row; ``clip`` for a corpus.

A row's own axes are ``f_dim`` (``f_dim1``, ``f_dim2``, … where there are several), with the
column names as coordinate. ``f_valid`` is a coordinate along the rows. Items of a ragged feature
lie along ``f_item``, with ``f_row`` telling the row of each. For a corpus, ``<dimension>_clip``
names the clip of every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from features.spec import FeatureSpec, Rows
from storage.array import LazyArray, lazy_array
from storage.errors import NotPublished, StoreError
from storage.lookup import Stale
from storage.records import Published
from storage.selection import TIMELINE

if TYPE_CHECKING:
    from storage.reading import StoreReader


def clip_dataset(
    store: StoreReader,
    clip: str,
    features: Sequence[str],
    corpus: str | None,
    variant: str | None,
    stale: Stale,
) -> xr.Dataset:
    """Features of one clip, in memory; errors as ``FeatureStore.read``, and StoreError if two
    frame-rate features of the clip have different numbers of rows.
    """
    variables: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    for feature in features:
        found = store.rows(clip, feature, corpus=corpus, variant=variant, stale=stale)
        rows, spec = store.read_result(found), store.spec(found)
        dim = _row_dimension(spec, rows, coords)
        if spec.rate == "frame" and dim not in coords:
            coords |= _frame_times(store, clip, corpus, variant, stale)
        _check_length(clip, feature, dim, rows.rows, coords, variables)
        valid = np.repeat(rows.valid, rows.block)[: rows.rows]
        dims: tuple[str, ...] = (dim,)
        values = rows.values
        if rows.offsets is not None:
            dims = (f"{feature}_item",)
            index = np.repeat(np.arange(rows.rows), np.diff(rows.offsets))
            coords[f"{feature}_row"] = (dims, index)
        elif spec.rate == "clip" and rows.rows == 1:
            dims, values, valid = (), values[0], valid[0]
        elif rows.step is not None:
            times = rows.t0 + rows.step * np.arange(rows.rows)
            coords[f"{dim}_time" if spec.rate == "sample" else dim] = (dim, times, _SECONDS)
        coords[f"{feature}_valid"] = (dims if rows.offsets is None else (dim,), valid)
        coords |= _columns(spec)
        variables[feature] = ((*dims, *_axes(spec)), values, _attributes(spec, found))
    corpus = store.clip(clip, corpus)["corpus"]
    return xr.Dataset(variables, coords, {"corpus": corpus, "clip": clip})


def corpus_dataset(
    store: StoreReader,
    features: Sequence[str],
    corpus: str | None,
    variant: str | None,
    stale: Stale,
) -> xr.Dataset:
    """Features of all clips that have every one of them, lazily, one clip after the other.

    Raises:
        NotPublished: no clip has them all. StoreError: a feature is ragged (see ``array``), or
        two frame-rate features of a clip have different numbers of rows.
    """
    selected = store.select(features, corpus, variant=variant, stale=stale)
    by_feature = {f: {(r.corpus, r.clip): r for r in selected if r.feature == f} for f in features}
    common = sorted(set.intersection(*(set(found) for found in by_feature.values())))
    if not common:
        raise NotPublished(f"no clip has all of {', '.join(features)}")
    variables: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    for feature in features:
        results = [by_feature[feature][key] for key in common]
        spec = store.spec(results[0])
        if spec.ragged:
            raise StoreError(f"{feature} is ragged: use store.array({feature!r})")
        array = lazy_array(store.location, spec, results)
        dim = {"frame": "time", "segment": f"{feature}_time", "clip": "clip"}.get(
            spec.rate, f"{feature}_sample"
        )
        owners = np.repeat(
            np.array([clip for _, clip in common]), [result.rows for result in results]
        )
        name = "clip" if spec.rate == "clip" else f"{dim}_clip"
        if name in coords and not np.array_equal(coords[name][1], owners):
            raise StoreError(f"{feature} has other numbers of rows than the features before it")
        coords[name] = (dim, owners)
        coords[f"{feature}_valid"] = (dim, _valid_rows(array))
        coords |= _columns(spec)
        variables[feature] = ((dim, *_axes(spec)), array.values, _describe(spec))
    return xr.Dataset(variables, coords, {"corpus": corpus or "", "clips": len(common)})


_SECONDS = {"units": "s", "description": "container seconds"}


def _row_dimension(spec: FeatureSpec, rows: Rows, coords: dict[str, Any]) -> str:
    if spec.rate == "frame":
        return "time"
    if spec.rate == "segment":
        return f"{spec.name}_time"
    if spec.rate == "clip":
        return f"{spec.name}_row"
    if "sample_time" in coords and rows.step is not None:
        times = coords["sample_time"][1]
        if len(times) != rows.rows or not np.array_equal(times[:1], [rows.t0][: rows.rows]):
            return f"{spec.name}_sample"
    return "sample"


def _frame_times(
    store: StoreReader, clip: str, corpus: str | None, variant: str | None, stale: Stale
) -> dict[str, Any]:
    try:
        times = store.read(clip, TIMELINE, corpus=corpus, variant=variant, stale=stale).values
    except NotPublished:
        return {}
    return {"time": ("time", times.reshape(-1).astype(np.float64), _SECONDS)}


def _check_length(
    clip: str, feature: str, dim: str, rows: int, coords: dict[str, Any], variables: dict[str, Any]
) -> None:
    known = [(TIMELINE, len(coords[dim][1]))] if dim in coords else []
    known += [(n, len(v[1])) for n, v in variables.items() if v[0][:1] == (dim,)]
    for other, length in known:
        if length != rows:
            raise StoreError(
                f"{clip}: {feature} has {rows} rows and {other} {length}; "
                "affectstore plan tells which of them is old"
            )


def _axes(spec: FeatureSpec) -> tuple[str, ...]:
    if len(spec.dims) == 1:
        return (f"{spec.name}_dim",)
    return tuple(f"{spec.name}_dim{i}" for i in range(1, len(spec.dims) + 1))


def _columns(spec: FeatureSpec) -> dict[str, Any]:
    if not spec.columns or not spec.dims:
        return {}
    axis = _axes(spec)[-1]
    return {axis: (axis, np.array(spec.columns))}


def _valid_rows(array: LazyArray) -> Any:
    """Validity per row, lazily; for sample rate each clip's flags are spread over its samples."""
    if array.spec.block == 1:
        return array.valid
    flags: NDArray[np.bool_] = array.valid.compute()  # type: ignore[no-untyped-call]
    spread = [
        np.repeat(flags[c["flag_start"] : c["flag_stop"]], array.spec.block)[
            : c["row_stop"] - c["row_start"]
        ]
        for c in array.clips.to_pylist()
    ]
    return np.concatenate(spread)


def _describe(spec: FeatureSpec) -> dict[str, Any]:
    return {"units": spec.units, "rate": spec.rate, "description": spec.description}


def _attributes(spec: FeatureSpec, found: Published) -> dict[str, Any]:
    return _describe(spec) | {
        "fingerprint": found.fingerprint,
        "content": found.content,
        "extractor_key": found.extractor_key,
        "t0": found.t0,
        "run": found.run,
    }
