"""What a read gives: the result that the configuration wants, whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from store_kit import (
    CROP,
    FACES,
    POINTS,
    SEGMENT,
    SOUND,
    WHOLE,
    assert_same,
    clip_table,
    configure,
    extracted,
    failure,
    make_rows,
    new_store,
    node,
    staged,
)

from features.spec import FeatureSpec
from storage import (
    DamagedPart,
    FeatureStore,
    NotPublished,
    Piece,
    StaleResult,
    UnknownClip,
    UnknownVariant,
)
from storage.keys import media_key
from storage.tables import Table

SPECS = [FACES, CROP, POINTS, SEGMENT, WHOLE]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_rows_come_back_as_they_were_published(tmp_path: Path, spec: FeatureSpec) -> None:
    store = new_store(tmp_path / "s")
    rows = make_rows(spec, 37)
    published = store.publish("a", spec, rows)
    assert_same(store.read("a", spec.name), rows)
    assert_same(store.read("a", spec.name, 5, 20), rows.slice(5, 20))
    assert store.rows("a", spec.name) == published
    assert store.spec(published) == spec


def test_a_waveform_comes_back_from_a_block_border_on(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    rows = make_rows(SOUND, 150_000)
    store.publish("a", SOUND, rows)
    assert_same(store.read("a", "sound"), rows)
    assert_same(store.read("a", "sound", 65_536, 140_000), rows.slice(65_536, 140_000))


@pytest.mark.parametrize(
    ("start", "stop", "said"),
    [
        (0, -1, r"stop is -1, but rows are counted from 0 on; store\.rows"),
        (-5, None, "start is -5, but"),
        (10, 5, "start 10 lies after stop 5"),
    ],
)
def test_a_range_that_is_none_is_refused(
    tmp_path: Path, start: int, stop: int | None, said: str
) -> None:
    store = new_store(tmp_path / "s")
    store.publish("a", FACES, make_rows(FACES, 20))
    with pytest.raises(ValueError, match=said):
        store.read("a", "faces", start, stop)
    assert store.read("a", "faces", 5, 5).rows == 0
    assert store.read("a", "faces", 15, 99).rows == 5


@pytest.mark.parametrize("spec", [FACES, POINTS, SOUND], ids=lambda s: s.name)
def test_a_result_without_rows_is_a_result(tmp_path: Path, spec: FeatureSpec) -> None:
    store = new_store(tmp_path / "s")
    store.publish("a", spec, spec.empty(t0=1.5))
    found = FeatureStore.open(tmp_path / "s").read("a", spec.name)
    assert found.rows == 0
    assert found.values.shape == (0, *spec.dims)
    assert found.t0 == 1.5


def test_a_part_that_was_not_committed_is_not_visible(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    extractor = node(FACES)
    configure(store, extractor)
    result = staged(store, "a", FACES, extractor, make_rows(FACES, 9))
    assert list((tmp_path / "s/parts/faces").iterdir())
    with pytest.raises(NotPublished, match="c/a: faces was never published"):
        store.read("a", "faces")
    assert store.published() == []
    store.commit([result])
    assert store.read("a", "faces").rows == 9


def test_a_mistyped_feature_gets_the_nearest_name_and_no_command(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    store.publish("a", FACES, make_rows(FACES, 3))
    with pytest.raises(NotPublished) as caught:
        store.read("a", "fces")
    assert str(caught.value) == "c/a: fces was never published (did you mean 'faces'?)"


def test_what_a_notebook_shows_of_rows_are_sizes(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    rows = make_rows(POINTS, 3)
    store.publish("a", POINTS, rows)
    shown = repr(store.read("a", "points"))
    assert shown.startswith(f"Rows(rows=3, values {rows.values.shape} {rows.values.dtype}, ")
    assert len(shown) < 120
    shown = repr(store.array("points"))
    assert shown.startswith(f"LazyArray('points', clips=1, rows=3, values {rows.values.shape} ")
    assert len(shown) < 120


def test_a_commit_that_names_a_missing_part_publishes_nothing(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    good = staged(store, "a", FACES, node(FACES), make_rows(FACES, 9))
    store.commit([good])
    bad = replace(good, clip="b", pieces=(*good.pieces, Piece("nowhere", 0, 9)))
    with pytest.raises(DamagedPart, match="c/b: part nowhere of faces"):
        store.commit([replace(good, clip="b"), bad])
    assert store.published() == [good]


def test_a_commit_publishes_all_its_results_in_one_version(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    results = [staged(store, c, FACES, node(FACES), make_rows(FACES, 9)) for c in "ab"]
    version = store.versions["catalogue"]
    store.commit(results)
    assert store.versions["catalogue"] == version + 1
    assert store.published() == results


def test_the_configurations_result_is_read_and_not_the_newest(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    old, new = node(FACES), node(FACES, version=2)
    wanted = make_rows(FACES, 9, seed=2)
    extracted(store, "a", FACES, new, wanted)
    extracted(store, "a", FACES, old, make_rows(FACES, 9, seed=1))
    configure(store, new)
    assert_same(store.read("a", "faces"), wanted)


def test_a_variant_reads_its_own_result(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    one, two = node(FACES), node(FACES, version=2)
    configure(store, one)
    configure(store, two, name="fine")
    extracted(store, "a", FACES, one, make_rows(FACES, 9, seed=1))
    wanted = make_rows(FACES, 9, seed=2)
    extracted(store, "a", FACES, two, wanted)
    assert_same(store.read("a", "faces", variant="fine"), wanted)
    with pytest.raises(UnknownVariant, match="did you mean 'fine'"):
        store.read("a", "faces", variant="fien")


def test_a_stale_result_is_read_only_on_demand(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    rows = make_rows(FACES, 9)
    extracted(store, "a", FACES, node(FACES), rows)
    configure(store, node(FACES, version=2))
    with pytest.raises(StaleResult, match=r"c/a: faces .* affectstore extract --features faces"):
        store.read("a", "faces")
    assert_same(store.read("a", "faces", stale="allow"), rows)


def test_a_result_is_stale_once_its_upstream_has_other_content(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    faces, crop = node(FACES), node(CROP, "faces")
    configure(store, faces, crop)
    first = extracted(store, "a", FACES, faces, make_rows(FACES, 9, seed=1))
    extracted(store, "a", CROP, crop, make_rows(CROP, 9), reads=(first,))
    assert store.read("a", "crop").rows == 9
    configure(store, node(FACES, version=2), crop)
    second = make_rows(FACES, 9, seed=2)
    extracted(store, "a", FACES, node(FACES, version=2), second)
    with pytest.raises(StaleResult):
        store.read("a", "crop")


def test_an_equal_upstream_of_a_new_version_keeps_the_result(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    crop, rows = node(CROP, "faces"), make_rows(FACES, 9)
    first = extracted(store, "a", FACES, node(FACES), rows)
    wanted = extracted(store, "a", CROP, crop, make_rows(CROP, 9), reads=(first,))
    configure(store, node(FACES, version=2), crop)
    extracted(store, "a", FACES, node(FACES, version=2), rows)
    assert store.rows("a", "crop") == wanted


def test_a_renamed_file_reads_the_results_of_its_old_name(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    faces, crop = node(FACES), node(CROP, "faces")
    configure(store, faces, crop)
    found = extracted(store, "a", FACES, faces, make_rows(FACES, 9))
    rows = make_rows(CROP, 9)
    extracted(store, "a", CROP, crop, rows, reads=(found,))
    store.upsert_clips("d", clip_table("renamed", media_key=[media_key("sha-a")]))
    assert_same(store.read("renamed", "crop"), rows)
    assert store.rows("renamed", "crop").clip == "renamed"
    both = store.select(["faces", "crop"])
    keys = [(r.corpus, r.clip, r.feature) for r in both]
    assert keys == [(c, n, f) for c, n in (("c", "a"), ("d", "renamed")) for f in ("faces", "crop")]


def test_a_quarantined_clip_says_why(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    faces, crop = node(FACES), node(CROP, "faces")
    configure(store, faces, crop)
    key = staged(store, "a", FACES, faces, make_rows(FACES, 1)).fingerprint
    store.commit([], [failure("a", faces, key, "the file stops in frame 12")])
    for feature in ("faces", "crop"):
        with pytest.raises(NotPublished, match=r"quarantine: .*stops in frame 12; .* retry"):
            store.read("a", feature)
    assert store.failures()["clip"].to_pylist() == ["a"]


def test_labels_read_as_last_published_whatever_the_configuration(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    configure(store, node(FACES))
    label = FeatureSpec("label.valence", "frame", (), "float32")
    store.publish("a", label, make_rows(label, 9, seed=1))
    rows = make_rows(label, 9, seed=2)
    store.publish("a", label, rows, run="correction")
    assert_same(store.read("a", "label.valence"), rows)
    assert store.rows("a", "label.valence").run == "correction"


def test_equal_rows_are_not_published_twice(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    rows = make_rows(FACES, 9)
    first = store.publish("a", FACES, rows)
    version, parts = store.versions, sorted((tmp_path / "s/parts/faces").iterdir())
    assert store.publish("a", FACES, rows) == first
    assert store.versions == version
    assert sorted((tmp_path / "s/parts/faces").iterdir()) == parts


def test_an_unknown_feature_comes_with_the_nearest_name(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    configure(store, node(FACES))
    label = FeatureSpec("label.valence", "frame", (), "float32")
    store.publish("a", label, make_rows(label, 3))
    with pytest.raises(NotPublished, match="did you mean 'faces'"):
        store.read("a", "facse")
    with pytest.raises(NotPublished, match=r"did you mean 'label\.valence'"):
        store.read("a", "label.valance")


def test_another_process_s_commit_is_seen_at_once(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    with pytest.raises(NotPublished):
        store.read("a", "faces")
    FeatureStore.open(tmp_path / "s").publish("a", FACES, make_rows(FACES, 3))
    assert store.read("a", "faces").rows == 3


def test_many_clips_are_looked_up_as_one_is(tmp_path: Path) -> None:
    names = tuple(f"clip{i:04d}" for i in range(600))
    store = new_store(tmp_path / "s", names)
    faces = node(FACES)
    configure(store, faces)
    template = staged(store, names[0], FACES, faces, make_rows(FACES, 4))
    made = [
        replace(template, clip=name, fingerprint=_key(store, name, faces)) for name in names[::2]
    ]
    store.commit(made)
    assert store.select(["faces"]) == made
    for name in ("clip0000", "clip0254", "clip0256", "clip0598"):
        assert store.rows(name, "faces") == made[int(name[4:]) // 2]
    with pytest.raises(NotPublished):
        store.rows("clip0255", "faces")


def test_a_selection_holds_one_split(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    store.upsert_clips("c", clip_table("a", "b", split=["train", "test"]))
    for clip in "ab":
        store.publish(clip, FACES, make_rows(FACES, 3))
    assert [r.clip for r in store.select(["faces"], "c", split="test")] == ["b"]


def test_a_selection_refuses_stale_results_unless_told(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    old = extracted(store, "a", FACES, node(FACES), make_rows(FACES, 9))
    configure(store, node(FACES, version=2))
    with pytest.raises(StaleResult):
        store.select(["faces"])
    assert store.select(["faces"], stale="allow") == [old]


def test_current_gives_the_wanted_result_else_the_newest(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    new, old = node(FACES, version=2), node(FACES)
    configure(store, new, node(CROP, "faces"))
    wanted = extracted(store, "a", FACES, new, make_rows(FACES, 9, seed=2))
    other = extracted(store, "a", FACES, old, make_rows(FACES, 9, seed=1))
    stale = extracted(store, "a", CROP, node(CROP, "faces"), make_rows(CROP, 9), reads=(other,))
    label = store.publish("a", WHOLE, make_rows(WHOLE, 1))
    assert store.current("a") == [stale, wanted, label]


def test_memory_maps_give_the_same_rows(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    rows = make_rows(FACES, 50)
    store.publish("a", FACES, rows)
    assert_same(store.read("a", "faces", 3, 44, mode="mmap"), rows.slice(3, 44))


def test_a_compressed_part_gives_the_same_rows(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    rows = make_rows(FACES, 50)
    raw = staged(store, "a", FACES, node(FACES), rows)
    with store.writer(FACES, {}, codec="zstd") as writer:
        writer.begin()
        writer.append(rows)
        stored = writer.finish()
    assert stored.content == raw.content
    store.commit([replace(raw, pieces=tuple(stored.pieces))])
    np.testing.assert_array_equal(store.read("a", "faces").values, rows.values)


def test_what_makes_a_feature_is_recorded_once(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    for clip in "ab":
        extracted(store, clip, FACES, node(FACES), make_rows(FACES, 3))
    extracted(FeatureStore.open(tmp_path / "s"), "a", FACES, node(FACES), make_rows(FACES, 4))
    rows = store.snapshot["extractors"].read().to_pylist()
    assert [(r["extractor_key"], r["feature"]) for r in rows] == [
        (node(FACES).extractor_key, "faces")
    ]


def test_a_configuration_gets_a_new_version_only_when_it_differs(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    configure(store, node(FACES))
    configure(store, node(FACES))
    configure(store, node(FACES, version=2), node(CROP, "faces"))
    rows = store.snapshot["configurations"].read().to_pylist()
    assert sorted(r["version"] for r in rows) == [1, 2]
    found = store.configuration()
    assert found is not None
    assert found.nodes == (node(FACES, version=2), node(CROP, "faces"))
    assert set(store.earlier_nodes()) == {
        n.extractor_key for n in (node(FACES), node(FACES, version=2), node(CROP, "faces"))
    }


def _key(store: FeatureStore, clip: str, made_by: object) -> str:
    from storage.keys import fingerprint

    return fingerprint(made_by, media_key(f"sha-{clip}"), {}, {})  # type: ignore[arg-type]


def test_to_read_all_clips_of_a_corpus_needs_few_looks_at_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"c{i:02d}" for i in range(16)]
    store = new_store(tmp_path / "s", names)
    for i, clip in enumerate(names):
        store.publish(clip, WHOLE, make_rows(WHOLE, 1, seed=i))
    looks, read = list[str](), Table.read
    monkeypatch.setattr(
        Table, "read", lambda t, *a, **k: (looks.append(t.name), read(t, *a, **k))[1]
    )
    for i, clip in enumerate(names):
        assert_same(store.read(clip, WHOLE.name, corpus="c"), make_rows(WHOLE, 1, seed=i))
    assert looks.count("clips") < len(names)
    with pytest.raises(UnknownClip, match="did you mean"):
        store.read("c7", WHOLE.name, corpus="c")
