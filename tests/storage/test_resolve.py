"""Keys and the join over them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.database import database
from storage.keys import clocked, clocked_sql, extractor_key, fingerprint, media_key
from storage.records import Node
from storage.resolve import packed, resolve, unpacked
from storage.resolve_few import resolve_few

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CATALOGUE = {
    "corpus": pa.string(),
    "clip": pa.string(),
    "feature": pa.string(),
    "fingerprint": pa.string(),
    "extractor_key": pa.string(),
    "media_key": pa.string(),
    "content": pa.string(),
    "t0": pa.float64(),
    "step": pa.float64(),
    "time": pa.timestamp("us", "UTC"),
}


def node(name: str, *inputs: str, reads_media: bool = False, version: int = 1, **more) -> Node:
    key = extractor_key(name, version, {}, {}, {})
    slots = tuple((f"s{i}", feature) for i, feature in enumerate(inputs))
    return Node(name, name, version, {}, {}, {}, key, reads_media, slots, **more)


FACES = node("faces", reads_media=True)
TRACK = node("track", "faces")
CROP = node("crop", "track", reads_media=True)
CHAIN = [FACES, TRACK, CROP]


def clips(*names: str, attrs: str | None = None) -> pa.Table:
    return pa.table(
        {
            "corpus": pa.array(["c"] * len(names), pa.string()),
            "clip": pa.array(names, pa.string()),
            "media_key": pa.array([media_key("00", None, None) for _ in names], pa.string()),
            "attrs": pa.array([attrs] * len(names), pa.string()),
        }
    )


def catalogue(
    *rows: tuple[str, str, str, str], clock: tuple[float, float | None] = (0.0, None)
) -> pa.Table:
    """Rows of (clip, feature, fingerprint, content), later ones newer."""
    full = [
        {
            "corpus": "c",
            "clip": clip,
            "feature": feature,
            "fingerprint": key,
            "extractor_key": "old",
            "media_key": None,
            "content": content,
            "t0": clock[0],
            "step": clock[1],
            "time": NOW + timedelta(seconds=i),
        }
        for i, (clip, feature, key, content) in enumerate(rows)
    ]
    return pa.Table.from_pylist(full, schema=pa.schema(CATALOGUE.items()))


def failures(*rows: tuple[str, str, str]) -> pa.Table:
    names = ("clip", "feature", "fingerprint")
    data = {n: pa.array([r[i] for r in rows], pa.string()) for i, n in enumerate(names)}
    return pa.table({"corpus": pa.array(["c"] * len(rows), pa.string()), **data})


def states(table: pa.Table) -> dict[tuple[str, str], tuple[str, str | None]]:
    return {(r["clip"], r["feature"]): (r["state"], r["fingerprint"]) for r in table.to_pylist()}


KEY = media_key("00")


def test_nothing_published_leaves_descendants_without_a_fingerprint() -> None:
    got = states(resolve(CHAIN, clips("a"), catalogue(), failures()))
    assert got["a", "faces"] == ("missing", fingerprint(FACES, KEY, {}, {}))
    assert got["a", "track"] == ("missing", None)


def test_a_descendant_is_keyed_on_its_upstream_content() -> None:
    done = catalogue(("a", "faces", fingerprint(FACES, KEY, {}, {}), "content1"))
    got = states(resolve(CHAIN, clips("a"), done, failures()))
    assert got["a", "faces"][0] == "published"
    assert got["a", "track"] == ("missing", fingerprint(TRACK, None, {}, {"faces": "content1"}))


def test_a_result_of_another_clip_with_the_same_media_counts() -> None:
    done = catalogue(("a", "faces", fingerprint(FACES, KEY, {}, {}), "content1"))
    table = resolve(CHAIN, clips("b"), done, failures())
    row = next(r for r in table.to_pylist() if r["feature"] == "faces")
    assert row["state"] == "published"
    assert not row["own"]


def test_another_key_makes_a_result_stale() -> None:
    done = catalogue(("a", "faces", "otherkey", "content1"))
    table = resolve(CHAIN, clips("a"), done, failures())
    row = next(r for r in table.to_pylist() if r["feature"] == "faces")
    assert row["state"] == "stale"
    assert row["own"] is False


def test_what_reads_a_quarantined_result_is_quarantined_too() -> None:
    failed = failures(("a", "faces", fingerprint(FACES, KEY, {}, {})))
    got = states(resolve(CHAIN, clips("a", "b"), catalogue(), failed))
    assert [got["a", f.feature][0] for f in CHAIN] == ["quarantined"] * 3
    assert got["b", "track"][0] == "missing"


def test_a_failure_under_another_key_is_forgotten() -> None:
    got = states(resolve(CHAIN, clips("a"), catalogue(), failures(("a", "faces", "old"))))
    assert got["a", "faces"][0] == "missing"


def test_only_declared_attributes_reach_the_key() -> None:
    plain, side = node("x"), node("x", attrs=("side",))
    one = states(resolve([side], clips("a", attrs='{"side":"left"}'), catalogue(), failures()))
    assert one["a", "x"][1] == fingerprint(side, None, {"side": "left"}, {})
    two = states(resolve([plain], clips("a", attrs='{"side":"left"}'), catalogue(), failures()))
    assert two["a", "x"][1] == fingerprint(plain, None, {}, {})


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
NAMES = TEXT.filter(lambda name: name not in ("", "up"))
SLOTS = st.lists(TEXT.filter(bool), max_size=3, unique=True)


# a database takes longer to make than a further key in it
@settings(deadline=None, max_examples=25)
@given(
    made=st.dictionaries(NAMES, SLOTS, min_size=4, max_size=6),
    values=st.lists(TEXT, min_size=4, max_size=6),
)
def test_the_sql_key_equals_the_python_key(made: dict[str, list[str]], values: list[str]) -> None:
    nodes = [
        Node(name, name, 1, {}, {}, {}, "ek", True, tuple((s, "up") for s in slots), ("q",))
        for name, slots in made.items()
    ]
    given = dict(zip("abcdef", values, strict=False))
    table = pa.concat_tables([clips(c, attrs=json.dumps({"q": v})) for c, v in given.items()])
    rows = catalogue(*((c, "up", "k", "cc") for c in given))
    got = states(resolve(nodes, table, rows, failures()))
    for n in nodes:
        for clip, value in given.items():
            assert got[clip, n.feature][1] == fingerprint(n, KEY, {"q": value}, {"up": "cc"})


MAKERS = [FACES, TRACK, CROP, node("named", "label", attrs=("side",))]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_few_clips_are_resolved_as_many_are(data: st.DataObject) -> None:
    media = [data.draw(st.sampled_from([None, media_key("00"), media_key("01")])) for _ in "abc"]
    attrs = [data.draw(st.sampled_from([None, "{}", '{"side":"left","x":"y"}'])) for _ in "abc"]
    table = clips(*"abc").drop_columns(["media_key", "attrs"])
    table = table.append_column("media_key", pa.array(media, pa.string()))
    table = table.append_column("attrs", pa.array(attrs, pa.string()))
    keys = {n.feature: [f"{n.feature}-old"] for n in MAKERS} | {"label": ["label"]}
    clock = data.draw(st.sampled_from([(0.0, None), (0.852, None), (0.0, 0.5)]))
    # keys that are wanted once what they read has this content
    for medium, side in ((m, a) for m in media for a in attrs):
        own = json.loads(side) if side else {}
        for n in MAKERS:
            for content in ("x", "y"):
                contents = {feature: clocked(content, *clock) for _, feature in n.inputs}
                keys[n.feature].append(fingerprint(n, medium, own, contents))
    pick = st.sampled_from(sorted(keys)).flatmap(
        lambda f: st.tuples(
            st.sampled_from("abcz"), st.just(f), st.sampled_from(keys[f]), st.sampled_from("xy")
        )
    )
    rows = catalogue(*data.draw(st.lists(pick, max_size=12)), clock=clock)
    failed = failures(*(row[:3] for row in data.draw(st.lists(pick, max_size=3))))
    order = [(c, "ascending") for c in ("clip", "feature")]
    found = resolve_few(MAKERS, table, rows, failed).sort_by(order)
    assert found.to_pylist() == resolve(MAKERS, table, rows, failed).sort_by(order).to_pylist()


@given(
    t0=st.floats(-1e6, 2e9, allow_nan=False),
    step=st.none() | st.sampled_from([1 / 16_000, 0.01, 0.5]) | st.floats(1e-6, 1e3),
)
@settings(deadline=None, max_examples=60)
def test_a_clock_is_written_in_the_database_as_it_is_in_python(t0: float, step: float) -> None:
    with database() as db:
        db.execute("CREATE TABLE r (c VARCHAR, t0 DOUBLE, step DOUBLE)")
        db.execute("INSERT INTO r VALUES ('ab', ?, ?), ('ab', 0, ?)", [t0, step, step])
        found = db.execute(f"SELECT {clocked_sql('c', 't0', 'step')} FROM r").fetchall()
    assert [row[0] for row in found] == [clocked("ab", t0, step), clocked("ab", 0.0, step)]


def test_rows_from_zero_on_are_their_content_and_all_others_tell_where_they_lie() -> None:
    assert clocked("ab", 0.0, None) == clocked("ab", 0.0, 1 / 16_000) == "ab"
    others = {(0.5, None), (0.5, 1 / 16_000), (0.0, 0.5), (0.0, 0.25), (0.5, 0.25), (-0.5, None)}
    assert len({clocked("ab", *clock) for clock in others} | {"ab"}) == 7


@pytest.mark.parametrize(("a", "b"), [((None, None), (0, None)), ((1, 2), (1, 3))])
def test_a_cut_changes_the_media_key(a: tuple, b: tuple) -> None:
    assert media_key("00", *a) != media_key("00", *b)


def test_keys_are_the_same_on_every_machine() -> None:
    assert (
        media_key("ab", 0, 1) == "b82d86cb29d11508a6d77124c388a8de9b97e80ec6cd40c1a784c4089a229b01"
    )
    assert (
        extractor_key("faces", 1, {"min_face": 40.0}, {"mtcnn": "ff"}, {"decode": 1})
        == "41111e82b5052d96c009360bfb847e916d4bb71123d88020002430d53ce11e4c"
    )


@given(texts=st.lists(st.text("0123456789abcdef-xA\0é", max_size=70), max_size=5))
@settings(deadline=None, max_examples=30)
def test_packing_loses_nothing(texts: list[str]) -> None:
    texts += ["", "a" * 64, "A" * 64, "0" * 31, "0" * 32]
    with database() as db:
        db.register("given", pa.table({"t": pa.array(texts, pa.string())}))
        db.execute(f"CREATE TABLE kept AS SELECT {packed('t')} AS p FROM given")
        found = db.execute(f"SELECT {unpacked('p')} FROM kept").fetchall()
        size = db.execute("SELECT octet_length(p) FROM kept").fetchall()[-4][0]
    assert [row[0] for row in found] == texts
    assert size == 32
