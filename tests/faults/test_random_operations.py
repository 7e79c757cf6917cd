"""Whatever is done to a store, in any order: what is read is what a store made anew would hold."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from corpora.manifest import Asset, ClipEntry, Manifest
from flows.configured import DEFAULT, change
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore, NotPublished, StaleResult
from storage.compact import compact
from storage.content import content_hash
from storage.copy import copy
from storage.forget import forget
from storage.gc import gc
from storage.repair import repair
from storage.verify import verify
from tests.features.made_clips import make_clip
from tests.flows.chain_kit import ALL, installed
from tests.storage.upkeep_kit import file_of, flip

pytestmark = pytest.mark.long

FEATURES = "timeline,light,half_light,red_share,level,green,noted"
SETTINGS: tuple[dict[str, dict[str, Any]], ...] = (
    {"light": {"step": 1.0}},
    {"light": {"step": 4.0}},
    {"light": {"step": 16.0}},
    {"light": {"fail_at": 0}},
    {"light": {"fail_at": -1}},
    {"half_light": {"parts": 4.0}},
    {"half_light": {"parts": 2.0}},
    {"half_light": {"light": "level"}},
    {"half_light": {"light": "light"}},
)
NONE = timedelta(0)
OTHER = "other"

#: (corpus, clip, feature) -> what tells one result from another
Read = dict[tuple[str, str, str], tuple[object, ...]]


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch, ALL):
        yield


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Media of other lengths and contents, and a file that is none."""
    folder = tmp_path_factory.mktemp("pool")
    for i, seconds in enumerate((1.0, 1.0, 0.8, 1.2)):
        picture = f"testsrc2=size=64x48:rate=10,hue=h={60 * i}"
        make_clip(folder / f"{i}.mp4", seconds=seconds, picture=picture, sound=i == 2)
    (folder / "4.mp4").write_bytes(b"no medium" * 50)
    return sorted(folder.iterdir())


def reads(store: FeatureStore, variant: str | None, **how: Any) -> Read:
    """All that a read gives, compared with its hash."""
    found: Read = {}
    clips = [r for r in store.clips().to_pylist() if r["state"] != "forgotten"]
    for row in clips:
        for feature in FEATURES.split(","):
            where: dict[str, Any] = {"corpus": row["corpus"], "variant": variant}
            try:
                result = store.rows(row["clip"], feature, **where, **how)
            except (NotPublished, StaleResult):
                continue
            assert content_hash(store.read_result(result)) == result.content
            facts = (result.fingerprint, result.content, result.rows, result.t0, result.step)
            found[row["corpus"], row["clip"], feature] = facts
    return found


class World:
    """A store, the media that are about, and what is known of both."""

    def __init__(self, folder: Path, pool: list[Path], seed: int) -> None:
        self.folder, self.pool, self.draw = folder, pool, random.Random(seed)
        self.store = FeatureStore.create(folder / "store")
        self.clips: dict[str, dict[str, ClipEntry]] = {"c": {}, "d": {}}
        self.tags: dict[str, dict[str | None, Read]] = {}
        self.forgotten: set[tuple[str, str]] = set()
        #: a clip's further files stay known when a later ingest says nothing of them
        self.notes: dict[tuple[str, str], tuple[Asset, ...]] = {}
        self.count = 0
        for corpus, clip in (("c", "a"), ("c", "b"), ("d", "a")):
            self.clips[corpus][clip] = ClipEntry(clip, str(self.medium()))
        self.ingest()

    # --- what may happen ------------------------------------------------------------------

    def add_a_clip_or_change_its_file(self) -> None:
        corpus, clip = self.draw.choice("cd"), self.draw.choice("abcde")
        self.clips[corpus][clip] = ClipEntry(clip, str(self.medium()))

    def take_a_clip_out(self) -> None:
        corpus, clip = self.any_clip()
        if len(self.clips[corpus]) > 1:
            del self.clips[corpus][clip]

    def rename_a_clip(self) -> None:
        corpus, clip = self.any_clip()
        new = self.draw.choice("abcde")
        if new not in self.clips[corpus]:
            entry = self.clips[corpus].pop(clip)
            self.clips[corpus][new] = ClipEntry(new, entry.uri)

    def move_a_file(self) -> None:
        corpus, clip = self.any_clip()
        entry = self.clips[corpus][clip]
        self.clips[corpus][clip] = ClipEntry(clip, str(Path(entry.uri).rename(self.path())))

    def touch_a_file(self) -> None:
        corpus, clip = self.any_clip()
        Path(self.clips[corpus][clip].uri).touch()

    def cut_or_note_a_clip(self) -> None:
        corpus, clip = self.any_clip()
        notes = self.path().with_suffix(".txt")
        notes.write_text("n" * self.draw.randint(1, 4))
        start, stop = self.draw.choice([(None, None), (0.2, 0.7), (0.0, 0.5)])
        entry = self.clips[corpus][clip]
        assets = (Asset("notes", str(notes)),)
        self.clips[corpus][clip] = ClipEntry(clip, entry.uri, start, stop, assets=assets)

    def ingest(self, revive: bool = False) -> None:
        for corpus, clips in self.clips.items():
            for clip, entry in clips.items():
                if entry.assets and (revive or (corpus, clip) not in self.forgotten):
                    self.notes[corpus, clip] = entry.assets
            manifest = Manifest(corpus, tuple(clips.values()))
            ingest_manifest(self.store, manifest, force_forgotten=revive)

    def take_forgotten_clips_in_again(self) -> None:
        self.ingest(revive=True)
        self.forgotten -= {(c, clip) for c, clips in self.clips.items() for clip in clips}

    def set_a_parameter(self) -> None:
        change(self.store, self.draw.choice(SETTINGS), self.draw.choice([DEFAULT, OTHER]))

    def extract_some(self) -> None:
        some = self.draw.sample(FEATURES.split(","), self.draw.randint(1, 4))
        self.extract(",".join(some), settings=self.draw.choice([{}, {}, *SETTINGS]))

    def tag(self) -> None:
        name = self.draw.choice("xyz")
        self.store.tag(name, move=True)
        self.tags[name] = self.at(name)

    def untag(self) -> None:
        for name in list(self.tags)[:1]:
            self.store.delete_tag(name)
            del self.tags[name]

    def collect(self) -> None:
        gc(self.store, keep=NONE, grace=NONE, superseded=self.draw.random() < 0.5)

    def compact(self) -> None:
        compact(self.store)

    def forget_a_clip(self) -> None:
        name = self.any_clip()
        known = {(r["corpus"], r["clip"]) for r in self.store.clips().to_pylist()}
        if name in known - self.forgotten and self.draw.random() < 0.5:
            forget(self.store, [name], grace=NONE)
            self.forgotten.add(name)
            self.notes.pop(name, None)
            for taken in (*self.tags.values(),):
                for found in taken.values():
                    for key in [key for key in found if key[:2] == name]:
                        del found[key]

    def damage_a_result(self) -> None:
        self.complete()
        here = {(c, e.clip) for c, clips in self.clips.items() for e in clips.values()}
        names = [k for k in reads(self.store, None) if k[:2] in here]
        if not names:
            return
        corpus, clip, feature = self.draw.choice(names)
        hurt = self.store.rows(clip, feature, corpus=corpus)
        place = hurt.pieces[0].row_start * self.store.spec(hurt).row_bytes
        flip(file_of(self.store, hurt, "values"), place)
        assert (hurt.feature, hurt.content) in {
            (r.feature, r.content) for r in verify(self.store).damaged
        }
        repair(self.store)
        self.complete()
        repair(self.store)

    def compare_with_a_store_made_anew(self) -> None:
        self.complete()
        anew = FeatureStore.create(self.path().with_suffix(".store"))
        for corpus, clips in self.clips.items():
            left = tuple(
                replace(entry, assets=self.notes.get((corpus, clip), ()))
                for clip, entry in clips.items()
                if (corpus, clip) not in self.forgotten
            )
            if left:
                ingest_manifest(anew, Manifest(corpus, left))
        for variant in self.variants():
            held = self.store.configuration(variant or DEFAULT)
            change(anew, held.settings if held else {}, variant or DEFAULT)  # type: ignore[arg-type]
            extract_plain(Request(anew.root, FEATURES, variant=variant, workers=1))
        copied = FeatureStore.create(self.folder / "copy", exist_ok=True)
        assert copy(self.store, copied).damaged == []
        listed = {(c, clip) for c, clips in self.clips.items() for clip in clips}
        for variant in self.variants():
            mine = self.listed(reads(self.store, variant), listed)
            assert mine == reads(anew, variant)
            assert self.listed(reads(copied, variant), listed - self.forgotten) == mine

    # --- what must be true ----------------------------------------------------------------

    def check(self) -> None:
        """Sound, and every tag reads as on its first day."""
        assert verify(self.store).problems == []
        assert {t.name for t in self.store.tags()} == set(self.tags)
        for name, before in self.tags.items():
            assert self.at(name) == before

    def complete(self) -> None:
        """Compute all that can be; then nothing is left to do."""
        self.ingest()
        for variant in self.variants() * 2:
            self.extract(FEATURES, variant=variant)
        for variant in self.variants():
            plan = plan_request(self.store, Request(self.store.root, FEATURES, variant=variant))
            assert (plan.tasks, plan.maybe, plan.adopted.num_rows) == (0, 0, 0)

    def extract(self, features: str, **how: Any) -> None:
        """Run, and compare what came of it with the plan."""
        self.ingest()
        asked = Request(self.store.root, features, workers=1, **how)
        plan = plan_request(self.store, asked)
        done = extract_plain(asked)
        # more where clips of one medium lack the same
        assert done.adopted >= plan.adopted.num_rows
        assert not done.lost
        for feature, planned in plan.by_feature.items():
            if not (done.failed or done.quarantined):
                made = {why: counts.clips for why, counts in done.reasons.get(feature, {}).items()}
                at_most = planned.clips + planned.maybe
                assert planned.clips <= sum(made.values()) <= at_most
                assert all(made.get(why, 0) >= n for why, n in planned.reasons.items())

    def variants(self) -> list[str | None]:
        return [None, OTHER] if self.store.configuration(OTHER) else [None]

    def at(self, name: str) -> dict[str | None, Read]:
        then = FeatureStore.open(self.store.root, at=name)
        names = [None, OTHER] if then.configuration(OTHER) else [None]
        gone = self.forgotten
        found = {v: reads(then, v, stale="allow") for v in names}
        return {v: {k: x for k, x in r.items() if k[:2] not in gone} for v, r in found.items()}

    def listed(self, found: Read, clips: set[tuple[str, str]]) -> Read:
        return {key: facts for key, facts in found.items() if key[:2] in clips}

    # --- media ----------------------------------------------------------------------------

    def any_clip(self) -> tuple[str, str]:
        return self.draw.choice([(c, clip) for c, clips in self.clips.items() for clip in clips])

    def path(self) -> Path:
        self.count += 1
        return self.folder / f"{self.count}.mp4"

    def medium(self) -> Path:
        made = Path(shutil.copyfile(self.draw.choice(self.pool), self.path()))
        os.utime(made, (10**9 + self.count,) * 2)
        return made


OPERATIONS = (
    *(World.add_a_clip_or_change_its_file,) * 3,
    *(World.take_a_clip_out, World.rename_a_clip, World.move_a_file, World.touch_a_file),
    *(World.cut_or_note_a_clip, World.ingest, World.take_forgotten_clips_in_again),
    *(World.set_a_parameter,) * 3,
    *(World.extract_some,) * 4,
    *(World.tag, World.tag, World.untag, World.collect, World.collect, World.compact),
    *(World.forget_a_clip, World.damage_a_result, World.compare_with_a_store_made_anew),
)


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_operations_leaves_a_sound_store(
    tmp_path: Path, pool: list[Path], seed: int
) -> None:
    world = World(tmp_path, pool, seed)
    done: list[str] = []
    for _ in range(30):
        operation = world.draw.choice(OPERATIONS)
        done.append(operation.__name__)
        try:
            operation(world)
            world.check()
        except Exception as error:
            raise AssertionError(f"seed {seed}, after {done}") from error
    world.compare_with_a_store_made_anew()
