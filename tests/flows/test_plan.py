"""The plan: pure, with reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from features.errors import UnknownFeature, UnknownParameter
from flows.pipeline import configure, parse_settings, select, with_ancestors
from flows.plan import make_plan
from flows.reasons import reason
from storage.keys import fingerprint, media_key
from storage.records import Configuration, Node
from storage.schemas import CATALOGUE

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROW = pa.schema(
    [
        ("corpus", pa.string()),
        ("clip", pa.string()),
        ("feature", pa.string()),
        ("fingerprint", pa.string()),
        ("extractor_key", pa.string()),
        ("media_key", pa.string()),
        ("inputs", CATALOGUE.field("inputs").type),
        ("content", pa.string()),
        ("t0", pa.float64()),
        ("step", pa.float64()),
        ("time", pa.timestamp("us", "UTC")),
    ]
)


def clips(count: int, state: str = "present", media: str = "m") -> pa.Table:
    return pa.table(
        {
            "corpus": ["c"] * count,
            "clip": [f"clip{i}" for i in range(count)],
            "media_key": [media_key(f"{media}{i}") for i in range(count)],
            "attrs": pa.array([None] * count, pa.string()),
            "state": [state] * count,
        }
    )


def rows_of(
    configuration: Configuration, features: tuple[str, ...], table: pa.Table, at: int = 0
) -> list[dict[str, object]]:
    """Catalogue rows as an extract would have left them."""
    made = []
    for row in table.to_pylist():
        contents: dict[str, str] = {}
        for node in with_ancestors(configuration, features):
            contents[node.feature] = f"content-{node.feature}-{row['clip']}"
            made.append(
                {
                    "corpus": "c",
                    "clip": row["clip"],
                    "feature": node.feature,
                    "fingerprint": fingerprint(node, row["media_key"], {}, contents),
                    "extractor_key": node.extractor_key,
                    "media_key": row["media_key"] if node.reads_media else None,
                    "inputs": [
                        {"slot": slot, "feature": feature, "content": contents[feature]}
                        for slot, feature in node.inputs
                    ],
                    "content": contents[node.feature],
                    "t0": 0.0,
                    "time": NOW + timedelta(seconds=at),
                }
            )
    return made


def table(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=ROW)


NO_FAILURES = ROW.empty_table().select(["corpus", "clip", "feature", "fingerprint"])
DEFAULT = configure({})
EARLIER = {n.extractor_key: n for n in DEFAULT.nodes}


def changed(configuration: Configuration, feature: str, **values: object) -> Configuration:
    """The configuration with one node's fields replaced, and another key."""
    nodes = tuple(
        replace(n, extractor_key="changed", **values) if n.feature == feature else n
        for n in configuration.nodes
    )
    return replace(configuration, nodes=nodes)


def test_what_was_never_computed_is_a_new_clip_and_its_descendants_are_maybe() -> None:
    plan = make_plan(DEFAULT, ["face_112"], clips(3), table([]), NO_FAILURES, {})
    assert plan.by_feature["faces"].reasons == {"new clip": 3}
    assert plan.tasks == 3
    assert plan.by_feature["face_112"].maybe == 3
    assert set(plan.by_feature) == {"faces", "identity", "face_track", "face_112"}


def test_nothing_is_to_do_when_all_is_published() -> None:
    done = table(rows_of(DEFAULT, select(DEFAULT, "all"), clips(2)))
    plan = make_plan(DEFAULT, select(DEFAULT, "all"), clips(2), done, NO_FAILURES, EARLIER)
    assert (plan.tasks, plan.maybe, plan.todo.num_rows) == (0, 0, 0)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"version": 9}, "extractor version 2→9"),
        ({"params": {"min_face": 40.0}}, "parameter faces.min_face 20→40"),
        ({"weights": {"mtcnn": "other"}}, "weights changed"),
        ({"tools": {"decode": 99}}, "tool decode 1→99"),
    ],
)
def test_a_changed_extractor_is_the_reason(values: dict[str, object], reason: str) -> None:
    done = table(rows_of(DEFAULT, select(DEFAULT, "all"), clips(2)))
    new = changed(DEFAULT, "faces", **values)
    plan = make_plan(new, select(new, "all"), clips(2), done, NO_FAILURES, EARLIER)
    assert plan.by_feature["faces"].reasons == {reason: 2}
    assert plan.tasks == 2
    assert plan.by_feature["face_track"].maybe == 2
    assert plan.by_feature["mfcc_mel"].clips == 0


def test_changed_media_is_the_reason() -> None:
    done = table(rows_of(DEFAULT, ("audio_16k",), clips(2)))
    plan = make_plan(DEFAULT, ["audio_16k"], clips(2, media="other"), done, NO_FAILURES, EARLIER)
    assert plan.by_feature["audio_16k"].reasons == {"media changed": 2}


def test_a_run_with_other_settings_in_between_hides_no_reason() -> None:
    table_of_clips = clips(2)
    other = configure(parse_settings(["faces.min_face=40"]))
    rows = rows_of(DEFAULT, ("faces",), table_of_clips)
    rows += rows_of(other, ("faces",), table_of_clips, at=1)
    known = EARLIER | {n.extractor_key: n for n in other.nodes}
    for configuration, why in (
        (DEFAULT, "media changed"),
        (configure(parse_settings(["faces.min_face=30"])), "parameter faces.min_face 40→30"),
    ):
        plan = make_plan(
            configuration, ["faces"], clips(2, media="other"), table(rows), NO_FAILURES, known
        )
        assert plan.by_feature["faces"].reasons == {why: 2}


def test_a_feature_asked_for_later_is_new_for_a_known_clip() -> None:
    done = table(rows_of(DEFAULT, ("audio_16k",), clips(1)))
    plan = make_plan(DEFAULT, ["faces"], clips(1), done, NO_FAILURES, EARLIER)
    assert plan.by_feature["faces"].reasons == {"new feature": 1}


def test_a_changed_upstream_is_named() -> None:
    rows = rows_of(DEFAULT, ("face_track",), clips(1))
    rows[0]["content"] = "another content of faces"
    plan = make_plan(DEFAULT, ["face_track"], clips(1), table(rows), NO_FAILURES, EARLIER)
    assert plan.by_feature["identity"].reasons == {"upstream faces changed": 1}
    assert plan.by_feature["face_track"].maybe == 1


def test_which_of_several_inputs_changed_is_told_once_it_is_known() -> None:
    node = next(n for n in DEFAULT.nodes if n.feature == "face_track")

    def told(changed: set[str] | None) -> str:
        same = {"media_changed": False, "fresh": "", "earlier": EARLIER, "read": dict(node.inputs)}
        return reason(node, node.extractor_key, **same, changed=changed)  # type: ignore[arg-type]

    assert told({"faces"}) == "upstream faces changed"
    assert told(set()) == "the clip's side, tracks changed"
    assert told(None) == "upstream faces or identity or the clip's side, tracks changed"


def test_the_same_media_under_another_name_is_adopted() -> None:
    done = rows_of(DEFAULT, ("faces",), clips(1))
    for row in done:
        row["clip"] = "the old name"
    plan = make_plan(DEFAULT, ["faces"], clips(1), table(done), NO_FAILURES, EARLIER)
    assert plan.tasks == 0
    assert plan.adopted["clip"].to_pylist() == ["clip0"]


def test_quarantined_results_are_not_tried_again() -> None:
    node = next(n for n in DEFAULT.nodes if n.feature == "faces")
    failed = pa.table(
        {
            "corpus": ["c"],
            "clip": ["clip0"],
            "feature": ["faces"],
            "fingerprint": [fingerprint(node, media_key("m0"), {}, {})],
        }
    )
    plan = make_plan(DEFAULT, ["face_track"], clips(2), table([]), failed, EARLIER)
    assert plan.by_feature["faces"].quarantined == 1
    assert plan.by_feature["faces"].clips == 1
    assert plan.by_feature["face_track"].quarantined == 1


def test_clips_whose_file_vanished_are_left_out() -> None:
    plan = make_plan(DEFAULT, ["faces"], clips(2, "missing"), table([]), NO_FAILURES, {})
    assert (plan.tasks, plan.clips) == (0, 0)


def test_a_setting_at_its_default_changes_no_key() -> None:
    assert configure(parse_settings(["faces.min_face=20"])).nodes == DEFAULT.nodes
    assert configure(parse_settings(["faces.min_face=20.0"])).nodes == DEFAULT.nodes


def test_a_setting_changes_its_own_extractor_only() -> None:
    new = configure(parse_settings(["faces.thresholds=[.6,.7,.95]"]))
    differ = [a.feature for a, b in zip(new.nodes, DEFAULT.nodes, strict=True) if a != b]
    assert differ == ["faces"]
    assert new.nodes[[n.feature for n in new.nodes].index("faces")].params == {
        "thresholds": [0.6, 0.7, 0.95]
    }


def test_a_slot_can_be_bound_to_another_feature() -> None:
    new = configure(parse_settings(["face_112.points=faces"]))
    bound: Node = next(n for n in new.nodes if n.feature == "face_112")
    assert bound.inputs == (("points", "faces"),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("faces.min_fase=20", "min_face"),
        ("face.min_face=20", "faces"),
        ("faces.min_face=big", "faces.min_face"),
        ("faces.thresholds=[1]", "faces.thresholds"),
        ("nonsense", "EXTRACTOR.PARAM=VALUE"),
        ("face_112.points=facez", "faces"),
    ],
)
def test_a_wrong_setting_names_the_nearest_right_one(text: str, words: str) -> None:
    with pytest.raises(UnknownParameter, match=words):
        configure(parse_settings([text]))


def test_an_unknown_feature_names_the_nearest() -> None:
    with pytest.raises(UnknownFeature, match="mfcc_mel"):
        select(DEFAULT, "mfcc_mell")
