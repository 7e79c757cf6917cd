"""What a store keeps of a configuration, by runs, by hand, and by machines that lack something."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from corpora.adapters import load
from features.errors import Unavailable, UnknownParameter
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.spec import FeatureSpec, Rows
from flows.configured import change, keep
from flows.differences import differences
from flows.ingest import ingest_manifest
from flows.pipeline import parse_settings
from flows.request import Request
from flows.run import extract_plain, plan_request
from flows.status import status
from flows.summary import Summary
from storage import FeatureStore
from tests.features.made_clips import make_clip
from tests.flows import chain_kit
from tests.flows.chain_kit import Base, column, spec


@extractor(name="brought", version=1, inputs={"light": "light"}, frame_local=True)
class Brought(Base):
    """Light by a program that not every machine has."""

    program: ClassVar[str] = "7.1"
    outputs: ClassVar[tuple[FeatureSpec, ...]] = (spec("brought"),)

    @classmethod
    def tools_for(cls, params: BaseParams) -> dict[str, str]:
        return {"program": cls.program}

    @classmethod
    def unavailable(cls, params: BaseParams) -> str | None:
        return "the program isn't here; bring it" if cls.program == "absent" else None

    def extract(self, batch: Batch) -> Rows:
        return column(np.asarray(batch.inputs["light"].values[:, 0]))


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with chain_kit.installed(monkeypatch, (*chain_kit.ALL, Brought)):
        yield


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    made = FeatureStore.create(tmp_path / "store")
    add(made, tmp_path, "a")
    return made


def add(store: FeatureStore, folder: Path, clip: str) -> None:
    (folder / "media").mkdir(exist_ok=True)
    picture = "testsrc2" if clip == "a" else "mandelbrot"
    path = folder / "media" / f"{clip}.mp4"
    make_clip(path, picture=f"{picture}=size=64x48:rate=40", sound=False)
    ingest_manifest(store, load("folder", str(folder / "media"), "c"))


def run(store: FeatureStore, features: str, *settings: str) -> Summary:
    return extract_plain(Request(store.root, features, settings=parse_settings(settings)))


def names(store: FeatureStore) -> list[str]:
    return store.snapshot["configurations"].read(columns=["name"])["name"].to_pylist()


def test_a_machine_without_a_program_leaves_its_results_as_good_as_they_were(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(store, "brought").complete
    before = store.read("a", "brought").values
    monkeypatch.setattr(Brought, "program", "absent")
    add(store, tmp_path, "b")
    assert run(store, "light").published == 1

    opened = FeatureStore.open(store.root)
    np.testing.assert_array_equal(opened.read("a", "brought").values, before)
    found = status(opened)["corpora"]["c"]["features"]["brought"]
    assert (found["published"], found["stale"], found["missing"]) == (1, 0, 1)
    assert "bring it" in plan_request(opened, Request(store.root, "all")).skipped["brought"]

    monkeypatch.setattr(Brought, "program", "7.2")
    changed = plan_request(opened, Request(store.root, "brought")).by_feature["brought"]
    assert changed.reasons == {"tool program 7.1→7.2": 1, "new feature": 1}


def test_equal_settings_of_several_runs_are_kept_once(store: FeatureStore) -> None:
    first = run(store, "light", "light.step=2")
    again = run(store, "light", "light.step=2")
    assert (first.published, again.published) == (1, 0)
    assert first.configuration == again.configuration == f"run:{first.run}"
    assert sorted(names(store)) == ["default", f"run:{first.run}"]


def test_a_binding_is_the_reason_once(store: FeatureStore) -> None:
    run(store, "half_light")
    assert run(store, "level").complete
    change(store, {"half_light": {"light": "level"}})
    assert both(store, "half_light") == ["binding half_light.light light→level"]
    again = run(store, "half_light", "light.step=2")
    assert [*again.reasons["half_light"]] == ["upstream level changed"]


def test_what_was_bound_so_before_has_another_reason(store: FeatureStore) -> None:
    run(store, "half_light")
    run(store, "level")
    run(store, "half_light", "half_light.light=level")
    run(store, "light", "light.step=2")
    assert both(store, "half_light", "light.step=2") == ["upstream light changed"]


def test_a_diff_tells_the_reason_by_what_the_two_results_were_made_of(store: FeatureStore) -> None:
    change(store, {"half_light": {"light": "level"}}, "bound_before")
    run(store, "half_light")
    store.tag("before")
    run(store, "half_light", "light.step=2")
    change(store, {"half_light": {"light": "level"}}, "bound_after")
    store.tag("after")
    points = [FeatureStore.open(store.root, at=name) for name in ("before", "after")]
    (found,) = differences(*points, ["half_light"])["features"]
    assert found["why"] == {"upstream light changed": 1}


def test_a_feature_is_new_whatever_else_is_asked_for(store: FeatureStore) -> None:
    run(store, "timeline")
    assert both(store, "light") == ["new feature"]


def both(store: FeatureStore, feature: str, *settings: str) -> list[str]:
    """The reasons for the only clip: the plan's, which the run gives too."""
    request = Request(store.root, feature, settings=parse_settings(settings))
    planned = plan_request(FeatureStore.open(store.root), request).by_feature[feature].reasons
    assert [*run(store, feature, *settings).reasons[feature]] == [*planned]
    return [*planned]


def test_what_is_set_while_a_run_is_planned_stays(store: FeatureStore) -> None:
    planned = plan_request(store, Request(store.root, "light"))
    change(store, {"light": {"step": 3.0}})
    keep(store, planned.configuration, {}, "run", work=True)
    held = store.configuration()
    assert held is not None
    assert held.settings == {"light": {"step": 3.0}}


def test_of_two_who_set_values_at_once_none_is_lost(store: FeatureStore) -> None:
    values = [{"light": {"step": 3.0}}, {"half_light": {"parts": 4.0}}, {"faces": {"min_face": 33}}]
    stores = [FeatureStore.open(store.root) for _ in values]
    with ThreadPoolExecutor(len(values)) as pool:
        versions = list(pool.map(change, stores, values))
    held = FeatureStore.open(store.root).configuration()
    assert held is not None
    assert held.settings == {k: v for given in values for k, v in given.items()}
    assert sorted(versions) == [1, 2, 3]


#: what a machine has installed on which the extractor ``light`` is unknown
WITHOUT_LIGHT = tuple(c for c in chain_kit.ALL if c in (chain_kit.Noted, chain_kit.Distant))


def test_a_machine_without_an_extractor_leaves_what_everybody_reads_as_it_is(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(store, "light,half_light")
    run(store, "light", "light.step=50")
    before = [store.read("a", f).values.tolist() for f in ("light", "half_light")]
    kept = names(store)
    with chain_kit.installed(monkeypatch, WITHOUT_LIGHT):
        assert run(store, "timeline").complete
        assert run(store, "timeline,light").complete, "it is published, if not by this machine"
        assert "light" not in plan_request(store, Request(store.root, "all")).by_feature
        assert [store.read("a", f).values.tolist() for f in ("light", "half_light")] == before
    assert [store.read("a", f).values.tolist() for f in ("light", "half_light")] == before
    with chain_kit.installed(monkeypatch, chain_kit.ALL):
        assert run(store, "light,half_light,timeline").published == 0
    assert names(store) == kept, "no machine undoes what another one keeps"


def test_a_setting_of_an_extractor_that_is_elsewhere_stands_in_nobodys_way(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(store, parse_settings(["light.step=4"]))
    run(store, "light")
    values = store.read("a", "light").values.tolist()
    add(store, tmp_path, "b")
    with chain_kit.installed(monkeypatch, WITHOUT_LIGHT):
        assert run(store, "timeline").complete
        counts = status(store)["corpora"]["c"]["features"]["light"]
        assert (counts["published"], counts["missing"]) == (1, 1)
        change(store, parse_settings(["mfcc_mel.placement=uniform"]))
        change(store, parse_settings(["mfcc_mel.placement=uniform"]), "other")
        with pytest.raises(UnknownParameter, match="no extractor is named 'light' here"):
            change(store, parse_settings(["light.step=5"]))
        with pytest.raises(Unavailable, match="its extractor, light, isn't installed here"):
            run(store, "light")
    settings = store.configuration().settings  # type: ignore[union-attr]
    assert settings == {"light": {"step": 4.0}, "mfcc_mel": {"placement": "uniform"}}
    assert store.read("a", "light").values.tolist() == values


def test_a_slot_stays_bound_to_a_feature_that_only_another_machine_makes(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(store, parse_settings(["half_light.light=brought"]))
    run(store, "half_light")
    with chain_kit.installed(monkeypatch, chain_kit.ALL):
        assert run(store, "half_light,timeline").complete
        bound = {n.feature: n.inputs for n in store.configuration().nodes}  # type: ignore[union-attr]
        assert bound["half_light"] == (("light", "brought"),)
        assert run(store, "half_light", "half_light.parts=4").published == 1
