"""Retry tries again what failed and what waited for it, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpora.adapters import load
from features.errors import DecodeFailed, FeatureError, MediaError, RequestError, UnknownFeature
from features.extractor import Batch
from features.spec import Rows
from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore
from tests.features.made_clips import make_clip
from tests.flows import chain_kit

pytestmark = pytest.mark.usefixtures("chain")


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    made = FeatureStore.create(tmp_path / "store")
    add(made, tmp_path / "media", "a", "64x48")
    add(made, tmp_path / "media", "b", "48x64")
    return made


def add(store: FeatureStore, folder: Path, clip: str, size: str) -> None:
    folder.mkdir(exist_ok=True)
    make_clip(folder / f"{clip}.mp4", picture=f"testsrc2=size={size}:rate=10", sound=False)
    ingest_manifest(store, load("folder", str(folder), "c"))


def failing(error: FeatureError, extractor: type = chain_kit.Light) -> pytest.MonkeyPatch:
    """Upright clips fail, until it is undone."""
    patch = pytest.MonkeyPatch()
    before: Callable[..., Rows] = extractor.extract  # type: ignore[attr-defined]

    def extract(self: object, batch: Batch) -> Rows:
        if batch.frames is None or batch.frames.shape[1] > batch.frames.shape[2]:
            raise error
        return before(self, batch)

    patch.setattr(extractor, "extract", extract)
    return patch


def failed(store: FeatureStore, features: str) -> None:
    patch = failing(MediaError("as the test wants"))
    assert extract_plain(Request(store.root, features)).failed == 1
    patch.undo()


def published(store: FeatureStore) -> set[tuple[str, str]]:
    return {(p.clip, p.feature) for p in store.published()}


def test_only_lifted_clips_and_what_was_asked_of_them_are_done(
    store: FeatureStore, tmp_path: Path
) -> None:
    failed(store, "half_light")
    before = published(store)
    assert before == {("a", "light"), ("a", "half_light")}
    add(store, tmp_path / "media", "new", "32x24")
    done = extract_plain(Request(store.root, retry=True))
    assert (done.complete, done.published) == (True, 2)
    assert published(store) - before == {("b", "light"), ("b", "half_light")}


def test_what_another_run_asked_for_and_waits_is_done_too(store: FeatureStore) -> None:
    failed(store, "light")
    extract_plain(Request(store.root, "half_light"))
    plan = plan_request(store, Request(store.root, retry=True, retry_feature="light"))
    counts = {name: (f.clips, f.maybe) for name, f in plan.by_feature.items()}
    assert counts == {"light": (1, 0), "half_light": (0, 1)}
    assert plan_request(store, Request(store.root, "light", retry=True)).maybe == 0


def test_what_is_not_to_be_lifted_fails_no_retry_and_stays(store: FeatureStore) -> None:
    green = failing(DecodeFailed("as the test wants"), chain_kit.Green)
    drift = failing(MediaError("as the test wants"), chain_kit.Drift)
    assert extract_plain(Request(store.root, "green,drift")).failed == 2
    green.undo(), drift.undo()
    words = ["retry", "--store", store.root, "--no-prefect"]
    none = CliRunner().invoke(app, [*words, "--feature", "light"])
    assert (none.exit_code, "nothing to do" in none.output) == (0, True), none.output
    some = CliRunner().invoke(app, [*words, "--code", MediaError.code])
    assert (some.exit_code, "1 published" in some.output) == (0, True), some.output
    assert ("b", "drift") in published(store)
    assert ("b", "green") not in published(store)
    rest = CliRunner().invoke(app, words)
    assert (rest.exit_code, "1 published" in rest.output) == (0, True), rest.output


def test_the_newest_failure_of_a_result_tells_its_code(store: FeatureStore) -> None:
    failed(store, "light")
    patch = failing(DecodeFailed("as the test wants"))
    extract_plain(Request(store.root, "light", retry=True))
    patch.undo()
    tasks = {
        code: plan_request(store, Request(store.root, retry=True, retry_code=code)).tasks
        for code in (MediaError.code, DecodeFailed.code)
    }
    assert tasks == {MediaError.code: 0, DecodeFailed.code: 1}


def test_a_misspelt_feature_is_refused(store: FeatureStore) -> None:
    with pytest.raises(UnknownFeature, match="light"):
        plan_request(store, Request(store.root, retry=True, retry_feature="lihgt"))


def test_a_misspelt_code_is_refused(store: FeatureStore) -> None:
    with pytest.raises(RequestError, match=r"'decode_faild' \(did you mean 'decode_failed'\?\)"):
        plan_request(store, Request(store.root, retry=True, retry_code="decode_faild"))
    assert plan_request(store, Request(store.root, retry=True, retry_code="media_empty")).tasks == 0


def test_the_flow_takes_what_the_command_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import extract as flow
    from flows.cli.run import retry

    given: dict[str, object] = {}
    monkeypatch.setattr(flow, "extract", lambda store, **more: given.update(more))
    flow.retry.fn("s", feature="light", code="media", corpus="c", shard="2/3")
    asked = {"retry_feature": "light", "retry_code": "media", "corpus": "c", "shard": "2/3"}
    assert given.items() >= {**asked, "retry": True}.items()
    command = {n.removesuffix("_") for n in inspect.signature(retry).parameters}
    taken = {n.replace("settings", "set") for n in inspect.signature(flow.retry.fn).parameters}
    assert command - taken == {"no_prefect", "json"}
