"""A run's folder: what was asked, so that it can go on, be scored and predict later."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from storage import FeatureStore
from storage.errors import UnknownVariant
from storage.location import Location
from storage.reading import StoreReader
from trainers.data import has_learned
from trainers.errors import RunMismatch
from trainers.files import made_folder, publish, sweep
from trainers.loop import Progress
from trainers.recipe import Context, Recipe, recipe
from trainers.settings import Settings, validate

CONFIG = "config.json"


@dataclass(frozen=True)
class RunConfig:
    """What a run was asked for.

    Attributes:
        settings: all of them, defaults too, so that a later default changes no old run.
        at: the point of the store's history that is read; None is now.
        variant: the configuration that is read; None is the default one.
        pretrained: name of weights that training starts from -> their sha256, or ``absent``.
        extractors: settings of the variant's extractors, as ``config set`` takes them.
    """

    recipe: str
    store: str
    corpus: str
    settings: Mapping[str, Any]
    features: tuple[str, ...]
    at: str | None = None
    variant: str | None = None
    pretrained: Mapping[str, str] = field(default_factory=dict)
    extractors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Equal for equal runs."""
        return hashlib.sha256(json.dumps(vars(self), sort_keys=True).encode()).hexdigest()[:8]

    @property
    def folder_name(self) -> str:
        """``rasipuram2020-demo-1a2b3c4d``."""
        return f"{self.recipe}-{self.corpus}-{self.id}"


def start(
    config: RunConfig,
    folder: Path,
    progress: Progress,
    weights: Mapping[str, Path] | None = None,
) -> tuple[Recipe, Context]:
    """Begin a run, or go on with the one that lies in the folder.

    Args:
        weights: the files of ``config.pretrained`` that are there.

    Raises:
        RunMismatch: the folder holds a run of other settings. CantWrite: it can't be made.
    """
    made_folder(folder)
    sweep(folder)
    path = folder / CONFIG
    text = json.dumps(vars(config), indent=2)
    if path.is_file() and has_learned(folder):
        if differ := _differences(read_config(folder), config):
            raise RunMismatch(
                f"{folder} holds a run with other {', '.join(differ)}; choose another folder "
                "(--to), or remove it"
            )
    elif not path.is_file() and any(not p.name.startswith(".") for p in folder.iterdir()):
        raise RunMismatch(f"{folder} holds something that is no run; choose another folder (--to)")
    else:
        publish(path, text + "\n")
    made, context = context_of(config, folder, progress)
    return made, replace(context, weights=dict(weights or {}))


def store_root(store: str) -> str:
    """The same text for a store, by whatever path and from whatever folder it is named."""
    location = Location.parse(store)
    return str(location.path.resolve()) if location.is_local else location.url


def open_run(
    folder: Path,
    progress: Progress,
    *,
    store: str | None = None,
    corpus: str | None = None,
    at: str | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Recipe, Context, RunConfig]:
    """A trained run, to score it or to predict with it.

    Args:
        store, corpus: other ones than those that it was trained on.
        at: another point of the store's history; None is the one that it was trained on, and of
            another store now, which ``progress`` is told.
        settings: group -> name -> value, for this call only (such as the device).

    Raises:
        RunMismatch: there is no run, or another store lacks the configuration that its features
            were made by.
    """
    config = read_config(folder)
    merged = {g: {**config.settings[g], **(settings or {}).get(g, {})} for g in config.settings}
    elsewhere = store is not None and store_root(store) != store_root(config.store)
    if elsewhere and config.at and not at:
        progress.say(f"{store} is read as it is now; the run learned from {config.at} (--at)")
    config = RunConfig(
        config.recipe,
        store or config.store,
        corpus or config.corpus,
        merged,
        config.features,
        at or (None if elsewhere else config.at),
        # another store must have a configuration of that name too: the default one may differ
        config.variant,
        config.pretrained,
        config.extractors,
    )
    made, context = context_of(config, folder, progress)
    if elsewhere:
        _need_variant(context.store, config)
    return made, context, config


def read_config(folder: Path) -> RunConfig:
    """What the run in a folder was asked for.

    Raises:
        RunMismatch: there is no run, or its file is damaged.
    """
    try:
        held = json.loads((folder / CONFIG).read_bytes())
        held["features"] = tuple(held["features"])
        return RunConfig(**held)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunMismatch(
            f"{folder} is no run ({CONFIG} is missing): affectstore train …"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunMismatch(
            f"{folder / CONFIG} is damaged ({error}); train again in another folder (--to)"
        ) from error


def settings_of(made: Recipe, config: RunConfig) -> Settings:
    """The run's settings, typed."""
    return validate(made.kind, config.settings)


def context_of(config: RunConfig, folder: Path, progress: Progress) -> tuple[Recipe, Context]:
    """The recipe, and what it works on; nothing is written."""
    made = recipe(config.recipe)
    opened = FeatureStore.open(config.store, at=config.at)
    context = Context(
        opened,
        config.corpus,
        settings_of(made, config),
        folder,
        config.features,
        config.variant,
        progress,
    )
    return made, context


def _need_variant(store: StoreReader, config: RunConfig) -> None:
    try:
        store.wanted(config.variant)
    except UnknownVariant as error:
        values = " ".join(
            shlex.quote(f"{extractor}.{name}={v if isinstance(v, str) else json.dumps(v)}")
            for extractor, given in config.extractors.items()
            for name, v in given.items()
        )
        where = f"-s {shlex.quote(config.store)}"
        raise RunMismatch(
            f"{config.store} lacks the configuration {config.variant} that the run's features are "
            f"made by: affectstore config set {where} --variant {config.variant} "
            f"{values or 'EXTRACTOR.PARAM=VALUE'}, then affectstore extract {where} "
            f"-c {shlex.quote(config.corpus)} --variant {config.variant} "
            f"--features {','.join(config.features)}"
        ) from error


def _differences(held: RunConfig, asked: RunConfig) -> list[str]:
    """What differs: its name, what is held, and what was asked for."""
    one, other = map(_flat, (held, asked))
    return [
        f"{name} ({json.dumps(one.get(name))}, not {json.dumps(other.get(name))})"
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]


def _flat(config: RunConfig) -> dict[str, object]:
    """A run's facts by name; settings as ``train.lr``."""
    plain: dict[str, Any] = json.loads(json.dumps(vars(config)))
    groups = plain.pop("settings")
    return plain | {
        f"{g}.{name}": value for g, held in groups.items() for name, value in held.items()
    }
