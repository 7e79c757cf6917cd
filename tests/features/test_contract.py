"""Every declared extractor keeps the rules of docs/extractors.md; one that doesn't is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

from features.contract import ContractBroken, check
from features.errors import MissingWeights, RequestError, Unavailable
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.faces import Faces
from features.registry import declarations
from features.spec import FeatureSpec, Rows

#: their weights come from the user: numbers without meaning take their place
RANDOM = ("expnet", "sphereface", "vggface")
#: seconds of CPU each
LONG = ("expnet", "vggface")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.long if n in LONG else ()) for n in declarations()]
)
def test_it_keeps_the_rules(name: str) -> None:
    params = {"weights": "random"} if name in RANDOM else {}
    try:
        check(declarations()[name].cls, **params)
    except (Unavailable, MissingWeights) as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize(
    "params", [{"backend": "retinaface", "weights": "random"}, {"stride": 3}], ids=str
)
def test_it_keeps_them_under_other_parameters(params: dict[str, Any]) -> None:
    check(Faces, **params)


def _numbers(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The numbers in a parameter's schema, those of tuples too."""
    if schema.get("type") in ("integer", "number"):
        yield schema
    for inner in (*schema.get("prefixItems", ()), *schema.get("anyOf", ())):
        yield from _numbers(inner)


@pytest.mark.parametrize("name", declarations())
def test_every_number_that_can_be_set_has_bounds(name: str) -> None:
    declared = declarations()[name].cls.Params.model_json_schema().get("properties", {})
    for param, schema in declared.items():
        for number in _numbers(schema):
            assert {"maximum", "exclusiveMaximum"} & number.keys(), param
            assert {"minimum", "exclusiveMinimum"} & number.keys(), param


@pytest.mark.parametrize(
    "params",
    [{"factor": 0.95, "min_face": 12}, {"factor": 0.1}, {"stride": 10**6}, {"min_face": 10_000}],
    ids=str,
)
def test_the_detector_works_at_its_parameters_bounds(params: dict[str, Any]) -> None:
    check(Faces, **params)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("shortterm_34", {"window": 1.0, "step": 3600}),
        ("shortterm_34", {"window": 0.02, "step": 0.005}),
        ("identity", {"every": 10**6, "most": 10_000}),
        ("face_track", {"gap": 10**6, "same": 100}),
        ("head_pose", {"focal": 1e6}),
        ("face_224", {"margin": 2}),
        ("faces_provided", {"first": 10**9}),
    ],
)
def test_others_work_at_theirs(name: str, params: dict[str, Any]) -> None:
    check(declarations()[name].cls, **params)


def made(spec: FeatureSpec, rows_of: Callable[[Any, Batch], Rows], **declared: Any) -> type[Any]:
    """An extractor of that feature, whose rows a function makes."""

    class Made:
        """What a test needs."""

        Params = BaseParams
        outputs: ClassVar[tuple[FeatureSpec, ...]] = (spec,)

        def __init__(self, params: BaseParams) -> None:
            self.params, self.calls = params, 0

        def setup(self, device: str) -> None:
            pass

        def extract(self, batch: Batch) -> Rows:
            self.calls += 1
            return rows_of(self, batch)

    return extractor(name=spec.name, version=1, **declared)(Made)


LIGHT = FeatureSpec("light", rate="frame", dims=(), dtype="float32")
PER_ROW = {"inputs": {"crop": "face_112"}, "frame_local": True}
ACROSS = {**PER_ROW, "across_clips": True}


def light(extractor: Any, batch: Batch) -> Rows:
    """As it should be."""
    crop = batch.inputs["crop"]
    values = crop.values.mean((1, 2, 3), dtype=np.float64).astype(np.float32)
    values[~crop.valid] = np.nan
    return Rows(values, crop.valid)


def of_the_batch(extractor: Any, batch: Batch) -> Rows:
    rows = light(extractor, batch)
    return Rows(rows.values - np.float32(np.nan_to_num(rows.values).sum()), rows.valid)


def changing(extractor: Any, batch: Batch) -> Rows:
    batch.inputs["crop"].values[...] = 0
    return light(extractor, batch)


def counting(extractor: Any, batch: Batch) -> Rows:
    rows = light(extractor, batch)
    return Rows(rows.values + np.float32(extractor.calls), rows.valid)


def numbers_in_invalid(extractor: Any, batch: Batch) -> Rows:
    crop = batch.inputs["crop"]
    return Rows(np.zeros(crop.rows, np.float32), crop.valid)


def one_row_less(extractor: Any, batch: Batch) -> Rows:
    rows = light(extractor, batch)
    return Rows(rows.values[1:], rows.valid[1:])


def failing_on_none(extractor: Any, batch: Batch) -> Rows:
    batch.inputs["crop"].values.max()
    return light(extractor, batch)


def in_doubles(extractor: Any, batch: Batch) -> Rows:
    rows = light(extractor, batch)
    return Rows(rows.values.astype(np.float64), rows.valid)


def always_valid(extractor: Any, batch: Batch) -> Rows:
    return Rows(np.zeros(batch.inputs["crop"].rows, np.float32), ~np.zeros_like(batch.times, bool))


def loud_in_silence(extractor: Any, batch: Batch) -> Rows:
    return Rows(np.zeros(1, np.float32), np.ones(1, bool))


def three_rows(extractor: Any, batch: Batch) -> Rows:
    return Rows(np.zeros(3, np.float32), np.ones(3, bool))


def never_invalid(extractor: Any, batch: Batch) -> Rows:
    crop = batch.inputs["crop"]
    return Rows(np.full(crop.rows, 3, np.float32), np.full(crop.rows, bool(crop.valid.any())))


def numbered(extractor: Any, batch: Batch) -> Rows:
    rows = light(extractor, batch)
    return Rows((rows.values + batch.numbers).astype(np.float32), rows.valid)


CLIP = FeatureSpec("loudness", rate="clip", dims=(), dtype="float32")
SEGMENT = FeatureSpec("loudness", rate="segment", dims=(), dtype="float32")
WHOLE = {"reads": "audio", "scope": "clip"}


@pytest.mark.parametrize(
    ("spec", "rows_of", "declared", "said"),
    [
        (LIGHT, of_the_batch, PER_ROW, "rows depend on where batches are cut"),
        (LIGHT, of_the_batch, PER_ROW, "it says frame_local, but a row depends on other rows"),
        (LIGHT, changing, PER_ROW, "it changes the frames or rows that it is given"),
        (LIGHT, counting, PER_ROW, "the same batch gives other rows the second time"),
        (LIGHT, numbers_in_invalid, PER_ROW, "holds numbers in an invalid row instead of NaN"),
        (LIGHT, one_row_less, PER_ROW, "light has 6 rows for 7 frames"),
        (LIGHT, failing_on_none, PER_ROW, "a clip without rows: ValueError: zero-size array"),
        (LIGHT, in_doubles, PER_ROW, "is float64 of shape (), declared is float32 of ()"),
        (LIGHT, always_valid, PER_ROW, "light has valid rows where no input has any"),
        (LIGHT, numbered, ACROSS, "across_clips, but a row depends on what it comes with"),
        (LIGHT, never_invalid, ACROSS, "light has valid rows where an input's isn't"),
        (LIGHT, light, {**ACROSS, "frame_local": False}, "across_clips needs frame_local"),
        (LIGHT, light, {**ACROSS, "attrs": ("side",)}, "no medium, attributes or further files"),
        (LIGHT, light, {"inputs": {"crop": "face_911"}}, "bound to face_911, which no extractor"),
        (CLIP, three_rows, WHOLE, "loudness has 3 rows; a clip has one"),
        (CLIP, loud_in_silence, WHOLE, "loudness has valid rows in a clip without sound"),
        (SEGMENT, three_rows, WHOLE, "has no step: seconds between its rows"),
    ],
)
def test_a_broken_rule_is_named(
    spec: FeatureSpec, rows_of: Any, declared: dict[str, Any], said: str
) -> None:
    with pytest.raises(ContractBroken) as broken:
        check(made(spec, rows_of, **declared))
    assert said in str(broken.value)


@pytest.mark.parametrize("declared", [PER_ROW, ACROSS], ids=["by clip", "across clips"])
def test_one_that_keeps_them_passes(declared: dict[str, Any]) -> None:
    check(made(LIGHT, light, **declared))


def test_rows_of_its_own_may_be_given() -> None:
    def strict(extractor: Any, batch: Batch) -> Rows:
        crop = batch.inputs["crop"]
        if not np.isin(crop.values, (0, 7)).all():
            raise RequestError("the test wants sevens")
        return light(extractor, batch)

    with pytest.raises(ContractBroken, match="an ordinary clip: RequestError: the test wants"):
        check(made(LIGHT, strict, **PER_ROW))
    sevens = Rows(np.full((7, 112, 112, 3), 7, np.uint8), np.ones(7, bool))
    check(made(LIGHT, strict, **PER_ROW), inputs={"crop": sevens})


def test_a_class_without_a_declaration_is_refused() -> None:
    with pytest.raises(RequestError, match="Rows is no class with @extractor"):
        check(Rows)
