"""What a store wants, as this machine can make it, with a run's settings on top; keeping it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from features.canonical import Json
from flows.availability import own_lack
from flows.media_settings import is_media_setting
from flows.pipeline import Settings, configure, identity_of
from storage import FeatureStore
from storage.configurations import RUN
from storage.errors import ReadOnlyStore, StoreFull, UnknownVariant
from storage.records import Configuration, Node

DEFAULT = "default"


def configured(store: FeatureStore, settings: Settings, name: str = DEFAULT) -> Configuration:
    """A configuration of the store with one run's settings on top, as today's extractors make it.

    What lacks its weights or its program here stands as the store keeps it: another machine made
    its results, and they are as good as before.

    Raises:
        UnknownVariant: the store has no configuration of that name. UnknownParameter.
    """
    kept = store.configuration(name) or store.configuration(DEFAULT)
    return _made(merged_settings(store, settings, name), name, kept)


def merged_settings(
    store: FeatureStore, settings: Settings, name: str = DEFAULT
) -> dict[str, dict[str, Json]]:
    """The settings of one of the store's configurations with others on top.

    Raises:
        UnknownVariant: the store has no configuration of that name.
    """
    saved = store.configuration(name)
    if saved is None and name != DEFAULT:
        raise UnknownVariant(
            f"there is no configuration {name!r}; make it: affectstore config set "
            f"--variant {name} EXTRACTOR.PARAM=VALUE"
        )
    return _merged(saved, settings)


def change(store: FeatureStore, settings: Settings, name: str = DEFAULT) -> int:
    """Set values of a configuration, which is made if there is none of the name; its version.

    Whoever else sets values at the same time, none is lost.
    """

    def changed(saved: Configuration | None) -> Configuration:
        return _made(_merged(saved, settings), name, saved or store.configuration(DEFAULT))

    return store.change_configuration(name, changed)


def keep(
    store: FeatureStore, configuration: Configuration, settings: Settings, run: str, work: bool
) -> str:
    """Keep what a run makes, so that readers know what is wanted: under its name, or the run's
    where it had settings of its own.

    A configuration whose settings were changed since the run was planned stays as it is then.

    Args:
        work: there is some; without, a store that can't be written to is left alone.

    Returns:
        The name.
    """
    name = configuration.name
    own = any(settings.values())
    if own:
        name = store.configuration_named(configuration.id) or f"{RUN}{run}"

    def newest(saved: Configuration | None) -> Configuration | None:
        if saved is None:
            return replace(configuration, name=name)
        # as the store keeps it by now: what other machines make may have changed since the plan
        made = _made(_merged(saved, {}), name, saved)
        return made if made.settings == configuration.settings else saved

    try:
        if own and store.configuration(DEFAULT) is None:
            store.save_configuration(configure({}))
        store.change_configuration(name, newest)
    except (ReadOnlyStore, StoreFull):
        if work:
            raise
    return name


def _merged(saved: Configuration | None, settings: Settings) -> dict[str, dict[str, Json]]:
    base = cast(Settings, saved.settings if saved else {})
    merged: dict[str, dict[str, Json]] = {}
    for layer in (base, settings):
        for extractor, values in layer.items():
            merged.setdefault(extractor, {}).update(values)
    return merged


def _made(settings: Settings, name: str, kept: Configuration | None) -> Configuration:
    """The configuration, with the kept nodes of what only another machine can compute."""
    made = configure(settings, name, kept)
    if kept is None:
        return made
    known = {node.feature: node for node in kept.nodes}
    nodes = tuple(_node(node, known) for node in made.nodes)
    return replace(made, nodes=nodes, id=identity_of(cast(Settings, made.settings), nodes))


def _node(node: Node, known: Mapping[str, Node]) -> Node:
    kept = known.get(node.feature)
    if kept is None or kept.extractor_key == node.extractor_key or _asked(kept) != _asked(node):
        return node
    lack = own_lack(node)
    # what clips' own files make up for is computed here, and keyed by how
    return kept if lack is not None and not lack[1] else node


def _asked(node: Node) -> tuple[object, ...]:
    settings = {name: value for name, value in node.tools.items() if is_media_setting(name)}
    return node.extractor, node.version, node.params, node.inputs, settings
