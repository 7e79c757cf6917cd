"""A run's folder: what was asked, so that it can go on, be scored and predict later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from storage import FeatureStore
from trainers.errors import RunMismatch
from trainers.files import publish
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
    """

    recipe: str
    store: str
    corpus: str
    settings: Mapping[str, Any]
    features: tuple[str, ...]
    at: str | None = None
    variant: str | None = None
    pretrained: Mapping[str, str] = field(default_factory=dict)

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
        RunMismatch: the folder holds a run of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CONFIG
    text = json.dumps(vars(config), indent=2)
    if path.is_file():
        held = read_config(folder)
        differ = [k for k, v in vars(config).items() if _plain(v) != _plain(vars(held)[k])]
        if differ:
            raise RunMismatch(
                f"{folder} holds a run with other {', '.join(differ)}; choose another folder "
                "(--to), or remove it"
            )
    elif any(not held.name.startswith(".") for held in folder.iterdir()):
        raise RunMismatch(f"{folder} holds something that is no run; choose another folder (--to)")
    else:
        publish(path, text + "\n")
    made, context = _context(config, folder, progress)
    return made, replace(context, weights=dict(weights or {}))


def open_run(
    folder: Path,
    progress: Progress,
    *,
    store: str | None = None,
    corpus: str | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Recipe, Context, RunConfig]:
    """A trained run, to score it or to predict with it.

    Args:
        store, corpus: other ones than those that it was trained on.
        settings: group -> name -> value, for this call only (such as the device).

    Raises:
        RunMismatch: there is no run.
    """
    config = read_config(folder)
    merged = {g: {**config.settings[g], **(settings or {}).get(g, {})} for g in config.settings}
    elsewhere = store is not None and store != config.store
    config = RunConfig(
        config.recipe,
        store or config.store,
        corpus or config.corpus,
        merged,
        config.features,
        None if elsewhere else config.at,
        # another store must have a configuration of that name too: the default one may differ
        config.variant,
        config.pretrained,
    )
    made, context = _context(config, folder, progress)
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
        raise RunMismatch(f"{folder / CONFIG} is damaged ({error}); train again") from error


def settings_of(made: Recipe, config: RunConfig) -> Settings:
    """The run's settings, typed."""
    return validate(made.kind, config.settings)


def _context(config: RunConfig, folder: Path, progress: Progress) -> tuple[Recipe, Context]:
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


def _plain(value: object) -> object:
    return json.loads(json.dumps(value))
