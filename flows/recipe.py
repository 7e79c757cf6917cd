"""Recipes from the media on: which features there are, extracting what is missing, training."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from features import weights
from features.canonical import H, Json
from features.registry import feature_specs
from flows.availability import lacks
from flows.configured import DEFAULT, change, configured, merged_settings
from flows.pipeline import parse_settings
from flows.request import Request
from flows.run import extract_prepared, prepare
from flows.summary import Progress as ExtractProgress
from flows.summary import Summary
from flows.trainable import remedy
from storage import FeatureStore
from storage.clips import LABEL, is_listed
from storage.errors import NotPublished
from storage.selection import TIMELINE
from trainers.data import hold
from trainers.errors import NothingToTrain, WrongSetting
from trainers.files import alone, made_folder, publish, published
from trainers.loop import Progress
from trainers.recipe import Binding, Context, Outcome, Predictions, Recipe, Sheet, recipe
from trainers.results import write_results
from trainers.run import RunConfig, start, store_root
from trainers.settings import GROUPS, Settings, parse

#: where runs go if nobody says otherwise
RUNS = Path("runs")


@dataclass(frozen=True)
class Trained:
    """What ``train`` gave: the run's folder, its page, and the figures."""

    folder: Path
    page: Path
    outcome: Outcome
    context: Context


def split_settings(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """``train.`` and ``model.`` settings, and those of extractors."""
    own = [t for t in texts if t.partition(".")[0].strip() in GROUPS]
    return own, [t for t in texts if t not in own]


def make_config(
    name: str, store: str, corpus: str, texts: Sequence[str], at: str | None = None
) -> RunConfig:
    """What a run of a recipe is asked for, its features chosen.

    Extractors' settings are kept in the store as a configuration of their own, so that what they
    make can be read later; the default one isn't touched.

    Raises:
        UnknownRecipe, WrongSetting, UnknownParameter, UnknownCorpus.
    """
    made = recipe(name)
    own, others = split_settings(texts)
    settings = parse(made.kind, own)
    if isinstance(made, Binding):
        others = [*made.extractor_settings(settings), *others]
    opened = FeatureStore.open(store, at=at)
    opened.clips(corpus, ["corpus", "clip"])
    variant, merged = None, dict[str, dict[str, Json]]()
    if others:
        merged = merged_settings(opened, parse_settings(others))
        variant = f"{name}-{H('settings', merged)[:8]}"
        change(opened, merged, variant)
    features = _features(made, settings, opened, corpus, variant)
    pretrained = {
        n: weights.sha256(n) if weights.is_present(n) else weights.ABSENT
        for n in made.pretrained(settings)
    }
    held, root = settings.model_dump(), store_root(store)
    return RunConfig(name, root, corpus, held, features, at, variant, pretrained, merged)


def known_features(
    store: FeatureStore, corpus: str, variant: str | None, *, of_all: bool = False
) -> set[str]:
    """Features that can be extracted here, or are published already.

    Args:
        of_all: of each clip that is listed; else of any.
    """
    configuration = configured(store, {}, variant or DEFAULT)
    table = store.clips(corpus)
    clips = table.filter(pa.array([is_listed(row) for row in table.to_pylist()], pa.bool_()))
    able = {name: np.ones(len(clips), bool) for name in feature_specs()}
    able |= {feature: lack.able for feature, lack in lacks(configuration, clips).items()}
    published = store.catalogue(corpus, columns=["feature", "clip"])
    names = sorted({*able, *pc.unique(published["feature"]).to_pylist()})
    known = set()
    for name in names:
        there = published.filter(pc.equal(published["feature"], name))["clip"]
        has = np.asarray(pc.is_in(clips["clip"], value_set=there.combine_chunks()))
        has = has | able.get(name, np.zeros(len(clips), bool))
        if has.all() if of_all else has.any():
            known.add(name)
    return known


def _features(
    made: Recipe, settings: Settings, store: FeatureStore, corpus: str, variant: str | None
) -> tuple[str, ...]:
    """What the recipe reads; where it has a choice, what all clips have or can have."""
    try:
        return made.features(settings, known_features(store, corpus, variant, of_all=True))
    except WrongSetting:
        return made.features(settings, known_features(store, corpus, variant))


def extract_missing(config: RunConfig, progress: ExtractProgress) -> Summary | None:
    """Extract what the run reads and isn't published; None if nothing was missing."""
    store = FeatureStore.open(config.store)
    specs = feature_specs()
    wanted = [name for name in config.features if name in specs]
    if not wanted:
        return None
    by_time = any(specs[name].rate != "frame" for name in wanted)
    if by_time and TIMELINE not in wanted and _framed(config, store):
        # segments lie beneath frames by the frames' times
        wanted.append(TIMELINE)
    request = Request(config.store, ",".join(wanted), config.corpus, variant=config.variant)
    plan, works, summary = prepare(store, request)
    if not works:
        return None
    # extracting takes one thread, and what is trained afterwards as many as there would be without
    threads = torch.get_num_threads()
    try:
        extract_prepared(store, request, plan, works, summary, progress)
    finally:
        torch.set_num_threads(threads)
    return summary


def _framed(config: RunConfig, store: FeatureStore) -> bool:
    """Labels that the recipe learns are of frames in this corpus."""
    made = recipe(config.recipe)
    settings = made.kind.model_validate(config.settings)
    labels = {LABEL + name for name in made.labels(settings)}
    return not labels.isdisjoint(store.features(config.corpus))


def train(config: RunConfig, folder: Path | None, progress: Progress) -> Trained:
    """Train (or go on), score the validation split, write results.

    Raises:
        NothingToTrain: features, labels or a split are missing; the message says which.
        RunMismatch: the folder holds another run, or another process trains there.
        WeightsDamaged: weights to start from aren't what was added.
    """
    there = {n: weights.proved(n) for n, s in config.pretrained.items() if s != weights.ABSENT}
    folder = made_folder(folder or RUNS / config.folder_name)
    with alone(folder):
        made, context = start(config, folder, progress, there)
        try:
            hold(made, context)
            outcome = made.train(context)
        except NotPublished as error:
            raise NothingToTrain(f"{error}{remedy(context, config)}") from error
        page = write_results(made, context, config, outcome)
    return Trained(context.folder, page, outcome, context)


def weights_behind(config: RunConfig) -> dict[str, list[str]]:
    """Feature that the run reads -> names of all weights that it rests on."""
    store = FeatureStore.open(config.store, at=config.at)
    saved = store.wanted(config.variant)
    # what a store's configuration doesn't know yet is extracted as the registry has it now
    current = configured(store, {}, config.variant or DEFAULT).nodes
    nodes = {node.feature: node for node in (*current, *(saved.nodes if saved else ()))}

    def behind(feature: str) -> set[str]:
        node = nodes.get(feature)
        if node is None:
            return set()
        return set(node.weights).union(*(behind(bound) for _, bound in node.inputs))

    return {feature: sorted(behind(feature)) for feature in config.features}


def absent_weights(config: RunConfig) -> dict[str, str]:
    """Weights that training would start from but that aren't there -> how to get them."""
    return {
        name: weights.remedy_of(weights.entry(name))
        for name, digest in config.pretrained.items()
        if digest == weights.ABSENT
    }


def write_predictions(found: Predictions, path: Path) -> int:
    """One CSV, or, where the path has no suffix or is a folder, a text file per clip.

    Predictions per frame become what the ABAW challenges take: a header with the labels and a
    line per frame; where there are several tasks, each has a folder, such as ``VA_Set``. Of
    classes per clip, each file holds the class alone, as for EmotiW.

    Returns:
        How many files were written.

    Raises:
        WrongSetting: a folder is asked for, and the predictions are neither.
        CantWrite: of a file that can't be written nothing is left.
    """
    if path.suffix and not path.is_dir():
        _write_rows(path, found.columns, found.rows)
        return 1
    if found.columns[:2] == ("clip", "class"):
        for clip, word, *_ in found.rows:
            file = path / f"{clip}.txt"
            made_folder(file.parent)
            publish(file, f"{word}\n")
        return len(found.rows)
    if found.columns[:2] != ("clip", "frame"):
        raise WrongSetting(
            f"--to {path}: only predictions per frame and classes go to a folder; give x.csv"
        )
    sheets = found.sheets or {"": Sheet(found.columns[2:], found.columns[2:])}
    written = 0
    # rows of a clip follow each other; those of one clip are held at a time
    for clip, of_clip in groupby(found.rows, key=lambda row: row[0]):
        rows = list(of_clip)
        for folder, sheet in sheets.items():
            places = [found.columns.index(column) for column in sheet.columns]
            if rows[0][places[0]] is not None:
                chosen = [tuple(row[place] for place in places) for row in rows]
                _write_rows(path / folder / f"{clip}.txt", sheet.header, chosen)
                written += 1
    return written


def _write_rows(path: Path, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    made_folder(path.parent)
    with published(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        text.detach()


def described(made: Recipe) -> list[tuple[str, str, str]]:
    """Setting, default, description: of both groups."""
    found = []
    settings = made.kind()
    for group in GROUPS:
        held = getattr(settings, group)
        for name, info in type(held).model_fields.items():
            found.append((f"{group}.{name}", str(getattr(held, name)), info.description or ""))
    return found
