"""From the extractors' declarations and the user's settings to a configuration of the store."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from features.bindings import misfit
from features.canonical import H, Json, canonical_json
from features.errors import (
    ToolDiffers,
    UnknownFeature,
    UnknownParameter,
    WeightsDamaged,
)
from features.extractor import Declaration, Extractor, Params
from features.media.tools import decode_tool
from features.registry import declaration_of, declarations, feature_specs
from features.spec import FeatureSpec
from features.spelling import nearest
from features.weights import sha256 as weights_sha256
from flows.assets import PREFIX as ASSET
from flows.media_settings import MEDIA, MediaSettings, is_media_setting
from flows.node_order import in_order
from storage.keys import extractor_key
from storage.records import Configuration, Node

#: extractor, or ``media`` -> parameter or slot -> value, as the user gave it
Settings = Mapping[str, Mapping[str, Json]]

P = TypeVar("P", bound=Params)


def parse_settings(texts: Iterable[str]) -> dict[str, dict[str, Json]]:
    """``["faces.min_face=40"]`` -> ``{"faces": {"min_face": 40}}``.

    Values are JSON where they are (``[.6,.7,.95]`` too, though JSON wants a leading 0), else text.

    Raises:
        UnknownParameter: not of the form EXTRACTOR.PARAM=VALUE.
    """
    settings: dict[str, dict[str, Json]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        extractor, dot, param = name.strip().partition(".")
        if not (equals and dot and extractor and param):
            raise UnknownParameter(
                f"--set {text}: write it as EXTRACTOR.PARAM=VALUE, such as faces.min_face=40"
            )
        settings.setdefault(extractor, {})[param] = _value(value.strip())
    return settings


def configure(
    settings: Settings, name: str = "default", kept: Configuration | None = None
) -> Configuration:
    """The nodes of all extractors under the given settings.

    Args:
        kept: what the store keeps so far; its nodes of extractors that aren't installed here, and
            their settings, stay as they are: another machine made their results.

    Raises:
        UnknownParameter: no such extractor, parameter or slot (with the nearest name), or a
            value that doesn't fit.
    """
    known = declarations()
    saved = cast(Settings, kept.settings if kept else {})
    elsewhere = {
        name: dict(values) for name, values in saved.items() if name not in {*known, MEDIA}
    }
    for extractor in settings:
        if extractor in known or extractor == MEDIA:
            continue
        if settings[extractor] != elsewhere.get(extractor):
            raise UnknownParameter(
                f"--set {extractor}.…: no extractor is named {extractor!r} here"
                f"{nearest(extractor, [*known, MEDIA])}; affectstore features list shows all"
            )
    others = [] if kept is None else _others(kept)
    features = [*feature_specs(), *(n.feature for n in others)]
    medium = changed_params(_checked(MEDIA, MediaSettings, settings.get(MEDIA, {})))
    nodes = [
        n for d in known.values() for n in _nodes(d, settings.get(d.name, {}), medium, features)
    ]
    ordered = in_order([*nodes, *others])
    plain = elsewhere | {name: _kept(d, settings.get(name, {})) for name, d in known.items()}
    plain[MEDIA] = medium
    plain = {extractor: values for extractor, values in plain.items() if values}
    return Configuration(name, identity_of(plain, ordered), tuple(ordered), dict(plain))


def _others(kept: Configuration) -> list[Node]:
    """The nodes whose extractors aren't installed here."""
    known, made = declarations(), feature_specs()
    return [n for n in kept.nodes if n.extractor not in known and n.feature not in made]


def identity_of(settings: Mapping[str, Mapping[str, Json]], nodes: Iterable[Node]) -> str:
    """What tells a configuration from others: its settings, and the extractors as they are."""
    keys = sorted([n.feature, n.extractor_key] for n in nodes)
    plain = {name: dict(values) for name, values in settings.items()}
    return H("configuration", plain, keys)[:16]


def _kept(declaration: Declaration, settings: Mapping[str, Json]) -> dict[str, Json]:
    """The settings that differ from the declaration: parameters and bindings."""
    slots = declaration.inputs
    bound = {s: v for s, v in settings.items() if s in slots and v != slots[s]}
    return {**changed_params(params_of(declaration, settings)), **bound}


def params_of(declaration: Declaration, settings: Mapping[str, Json]) -> Params:
    """The extractor's parameters with the user's values in them.

    Raises:
        UnknownParameter: see ``configure``.
    """
    remedy = f"affectstore features show {declaration.name} lists what it takes"
    model = declaration.cls.Params
    return _checked(declaration.name, model, settings, tuple(declaration.inputs), remedy)


def _checked(
    name: str,
    model: type[P],
    settings: Mapping[str, Json],
    slots: tuple[str, ...] = (),
    remedy: str = "give a value of these",
) -> P:
    values = {k: v for k, v in settings.items() if k not in slots}
    for key in values:
        if key not in model.model_fields:
            known = [*model.model_fields, *slots]
            raise UnknownParameter(
                f"{name} has no parameter {key!r}{nearest(key, known)}; "
                f"it has: {', '.join(known) or 'none'}"
            )
    try:
        return model(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join([name, *(str(p) for p in problem["loc"])])
        # what a validator of several parameters says needs no list of all of them
        got = f" (got {problem['input']!r})" if problem["loc"] else ""
        raise UnknownParameter(
            f"{where}: {problem['msg'].removeprefix('Value error, ')}{got}; {remedy}"
        ) from None


def changed_params(params: Params) -> dict[str, Json]:
    """Parameters that differ from their default, as plain JSON; keys are made of these, less what
    says where a file lies."""
    values: dict[str, Json] = json.loads(params.model_dump_json())
    defaults = json.loads(type(params)().model_dump_json())
    return {k: v for k, v in values.items() if v != defaults[k]}


def instantiate(node: Node, device: str) -> Extractor:
    """The extractor that computes a node, set up on ``cpu`` or ``cuda``; one per process.

    Raises:
        WeightsDamaged: the weights here aren't those that the node's key names.
        ToolDiffers: a program here, or the extractor itself, isn't.
    """
    declaration = declarations()[node.extractor]
    if declaration.version != node.version:
        raise ToolDiffers(
            f"{node.extractor} is version {declaration.version} on this machine, {node.version} in "
            "the plan; install the same release on all machines, or plan again"
        )
    for name, digest in node.weights.items():
        if weights_sha256(name) != digest:
            raise WeightsDamaged(
                f"weights {name}: those on this machine aren't those of the plan; add the same "
                f"file everywhere (affectstore weights add {name} FILE), or plan again"
            )
    here = _tools(declaration, declaration.cls.Params(**node.params))
    wanted = {name: value for name, value in node.tools.items() if not is_media_setting(name)}
    if here != wanted:
        name = next(n for n in {**here, **wanted} if here.get(n) != wanted.get(n))
        raise ToolDiffers(
            f"{node.extractor}: {name} is {here.get(name)} on this machine, {wanted.get(name)} "
            "in the plan; let all machines use the same one, or plan again"
        )
    place = device if declaration.device == "gpu" else "cpu"
    params, weights = canonical_json(node.params), canonical_json(node.weights)  # type: ignore[arg-type]
    return _instance(node.extractor, params, weights, place)


@lru_cache(maxsize=64)
def _instance(name: str, params: str, weights: str, device: str) -> Extractor:
    """Weights that were replaced meanwhile are another instance."""
    declaration = declarations()[name]
    extractor = declaration.cls(declaration.cls.Params(**json.loads(params)))
    extractor.setup(device)
    return extractor


def spec_of(node: Node) -> FeatureSpec:
    """What a node's feature is, with all its columns; only where it can be computed."""
    declaration = declarations()[node.extractor]
    outputs = declaration.outputs_for(declaration.cls.Params(**node.params))
    return next(spec for spec in outputs if spec.name == node.feature)


def select(configuration: Configuration, asked: str) -> tuple[str, ...]:
    """Feature names from ``a,b`` or ``all``, in topological order.

    Raises:
        UnknownFeature: with the nearest name.
    """
    names = [n.feature for n in configuration.nodes]
    if asked.strip() == "all":
        here = feature_specs()
        return tuple(n for n in names if n in here)
    wanted = [a.strip() for a in asked.split(",") if a.strip()]
    if not wanted:
        raise UnknownFeature("--features is empty; name features, or all")
    for name in wanted:
        if name not in names:
            declaration_of(name)
    return tuple(n for n in names if n in wanted)


def with_ancestors(configuration: Configuration, features: Iterable[str]) -> tuple[Node, ...]:
    """The nodes of the features and of all that they read, in topological order."""
    by_name = {n.feature: n for n in configuration.nodes}
    needed: set[str] = set()
    stack = list(features)
    while stack:
        name = stack.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            stack += [f for _, f in by_name[name].inputs]
    return tuple(n for n in configuration.nodes if n.feature in needed)


def _nodes(
    declaration: Declaration,
    settings: Mapping[str, Json],
    medium: Mapping[str, Json],
    features: Collection[str],
) -> list[Node]:
    chosen = params_of(declaration, settings)
    params = changed_params(chosen)
    weights = {name: weights_sha256(name) for name in declaration.weights_for(chosen)}
    tools = _tools(declaration, chosen)
    if declaration.reads != "none":
        tools |= {f"{MEDIA}.{name}": str(value) for name, value in medium.items()}
    keyed = {name: value for name, value in params.items() if name not in chosen.places}
    key = extractor_key(declaration.name, declaration.version, keyed, weights, tools)
    inputs = declaration.inputs_for(chosen)
    for slot in declaration.inputs:
        if slot in settings:
            bound = _bound(declaration, slot, settings[slot], features)
            if slot in inputs:
                inputs[slot] = bound
    return [
        Node(
            feature=spec.name,
            extractor=declaration.name,
            version=declaration.version,
            params=dict(params),
            weights=weights,
            tools=tools,
            extractor_key=key,
            reads_media=declaration.reads != "none",
            inputs=tuple(sorted(inputs.items())),
            attrs=(*declaration.attrs, *(ASSET + role for role in declaration.assets_for(chosen))),
            frame_local=declaration.frame_local,
        )
        for spec in declaration.outputs
    ]


def _tools(declaration: Declaration, params: Params) -> dict[str, int | str]:
    told = declaration.tools_for(params)
    return {name: _tool(name, version) for name, version in told.items()}


def _tool(name: str, version: int | str) -> int | str:
    """A tool's part in the key: its declared version, or what is really installed."""
    return decode_tool() if name == "decode" else version


def _bound(declaration: Declaration, slot: str, value: Any, features: Collection[str]) -> str:
    if value not in features:
        near = nearest(str(value), features)
        raise UnknownParameter(f"{declaration.name}.{slot}: no feature is named {value!r}{near}")
    specs, default = feature_specs(), declaration.inputs[slot]
    # of what other machines make no more than the name is known
    if value in specs and (wrong := misfit(declaration, slot, specs[default], specs[value])):
        raise UnknownParameter(
            f"{declaration.name}.{slot} can't be {value}: {wrong}; the default is {default}"
        )
    return str(value)


def _value(text: str) -> Json:
    try:
        value: Json = json.loads(text)
        return value
    except json.JSONDecodeError:
        pass
    try:
        import ast

        literal: Json = ast.literal_eval(text)
        return list(literal) if isinstance(literal, tuple) else literal
    except (ValueError, SyntaxError):
        return text


def default_of(extractor: str, param: str) -> object:
    """The default of one parameter as plain JSON; None if there is no such parameter."""
    declaration = declarations().get(extractor)
    if declaration is None and extractor != MEDIA:
        return None
    model: type[Params] = MediaSettings if declaration is None else declaration.cls.Params
    values: dict[str, object] = json.loads(model().model_dump_json())
    return values.get(param)
