"""config show, set and diff: the pipeline configuration that a store keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.app import config_app
from flows.cli.options import At, Json, Store, Variant, out, print_json

if TYPE_CHECKING:
    from flows.pipeline import Settings
    from storage import FeatureStore


@config_app.command("show")
def show(store: Store, variant: Variant = None, at: At = None, json: Json = False) -> None:
    """The settings of a configuration: what differs from the extractors' defaults."""
    settings = _settings(_open(store, at), variant)
    if json:
        print_json(settings)
        return
    lines = _lines(settings)
    for line in lines:
        out.print(line)
    if not lines:
        out.print("every parameter has its default; affectstore features show NAME lists them")


@config_app.command("set")
def set_(
    store: Store,
    values: Annotated[
        list[str], typer.Argument(help="EXTRACTOR.PARAM=VALUE …; the default value removes it.")
    ],
    variant: Variant = None,
    json: Json = False,
) -> None:
    """Change a configuration; nothing is computed until the next extract."""
    from flows.configured import DEFAULT, change
    from flows.pipeline import parse_settings
    from storage import FeatureStore

    opened = FeatureStore.open(store)
    name = variant or DEFAULT
    version = change(opened, parse_settings(values), name)
    if json:
        print_json({"configuration": name, "version": version})
        return
    out.print(f"{name} is now at version {version}; affectstore plan shows what that touches")


@config_app.command("delete")
def delete(
    store: Store,
    variant: Annotated[str, typer.Argument(help="A variant, or run:… of du.")],
    json: Json = False,
) -> None:
    """Take a variant back; gc --superseded then frees what only it wants."""
    from storage import FeatureStore

    FeatureStore.open(store).delete_configuration(variant)
    if json:
        print_json({"deleted": variant})
        return
    out.print(f"{variant} is deleted; its results stay until affectstore gc --superseded")


@config_app.command("diff")
def diff(
    store: Store,
    one: Annotated[str, typer.Argument(help="A configuration.")] = "default",
    other: Annotated[
        str | None, typer.Argument(help="Another one; without it, the extractors' defaults.")
    ] = None,
    json: Json = False,
) -> None:
    """What differs between two configurations, or between one and the defaults."""
    from flows.pipeline import default_of

    opened = _open(store)
    left = _settings(opened, one)
    right = _settings(opened, other) if other else {}
    differs: list[dict[str, Any]] = []
    for extractor in sorted({*left, *right}):
        for param in sorted({*left.get(extractor, {}), *right.get(extractor, {})}):
            default = default_of(extractor, param)
            a = left.get(extractor, {}).get(param, default)
            b = right.get(extractor, {}).get(param, default)
            if a != b:
                differs.append({"parameter": f"{extractor}.{param}", one: a, other or "-": b})
    if json:
        print_json(differs)
        return
    for entry in differs:
        name, a, b = entry.values()
        out.print(f"{name}: {a} in {one}, {b} in {other or 'the defaults'}")
    if not differs:
        out.print("no difference")


def _open(store: str, at: str | None = None) -> FeatureStore:
    from storage import FeatureStore

    return FeatureStore.open(store, read_only=True, at=at)


def _settings(store: FeatureStore, variant: str | None) -> Settings:
    from flows.configured import DEFAULT, merged_settings

    return merged_settings(store, {}, variant or DEFAULT)


def _lines(settings: Settings) -> list[str]:
    return [f"{e}.{p}={v}" for e, values in sorted(settings.items()) for p, v in values.items()]
