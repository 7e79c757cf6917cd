"""What a run gave, with everything needed to repeat it: ``results.json`` and ``results.html``."""

from __future__ import annotations

import json
import math
import platform
import sys
from collections.abc import Mapping
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from storage.reading import StoreReader
from storage.selection import read_digest
from trainers.data import Data, held, label_facts
from trainers.device import find_device
from trainers.files import publish
from trainers.recipe import Context, Outcome, Recipe
from trainers.run import RunConfig
from trainers.settings import changed

RESULTS, PAGE = "results.json", "results.html"
#: metrics that the page draws over the epochs
CURVES = ("ccc_", "accuracy", "uar")
#: Linux tells here what its processors are
CPUS = Path("/proc/cpuinfo")
#: packages whose versions change numbers
PACKAGES = (
    *("affectstore", "torch", "numpy", "scikit-learn", "safetensors"),
    *("opencv-python-headless", "scipy"),
)


def write_results(made: Recipe, context: Context, config: RunConfig, outcome: Outcome) -> Path:
    """Write the run's results; returns the page.

    Raises:
        RunMismatch: what the run was trained on isn't known; see ``trainers.data``.
    """
    document = describe(made, context, config, outcome)
    publish(context.folder / RESULTS, json.dumps(_finite(document), indent=2) + "\n")
    page = context.folder / PAGE
    publish(page, _page(made, document))
    return page


def describe(made: Recipe, context: Context, config: RunConfig, outcome: Outcome) -> dict[str, Any]:
    """The facts of ``results.json``."""
    data = held(context.folder)
    return {
        "recipe": made.name,
        "metrics": dict(outcome.metrics),
        "scored": outcome.scored or context.settings.train.val_split,
        "published": list(made.published),
        "notes": list(outcome.notes),
        "parameters": outcome.parameters,
        "details": dict(outcome.details),
        "store": _store_facts(context.store, config),
        "corpus": config.corpus,
        "data": data.digest,
        "features": _features(context, data),
        "labels": label_facts(data),
        "pretrained": dict(config.pretrained),
        "settings": dict(config.settings),
        "changed_settings": changed(context.settings),
        "seed": context.settings.train.seed,
        "environment": environment(context.settings.train.device),
        "history": [dict(entry) for entry in outcome.history],
    }


def environment(device: str) -> dict[str, str]:
    """What the numbers may depend on besides data and settings."""
    found = find_device(device)
    name = torch.cuda.get_device_name(found) if found.type == "cuda" else _processor()
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "device": found.type,
        "device_name": name,
        "threads": str(torch.get_num_threads()),
        **versions,
    }


def _processor() -> str:
    """The CPU's own name, where the system tells it: bits are equal on one kind alone."""
    lines = CPUS.read_text().splitlines() if CPUS.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, named), platform.processor() or platform.machine())


def weights_of(context: Context) -> dict[str, dict[str, str]]:
    """Feature that was read -> all weights (name -> sha256) that it rests on."""
    configuration = context.store.wanted(context.variant)
    nodes = {node.feature: node for node in (configuration.nodes if configuration else ())}

    def behind(feature: str) -> dict[str, str]:
        node = nodes.get(feature)
        if node is None:
            return {}
        found = dict(node.weights)
        for _, bound in node.inputs:
            found |= behind(bound)
        return dict(sorted(found.items()))

    return {feature: behind(feature) for feature in context.features}


def otherwise_made(context: Context) -> list[str]:
    """A line on features that the store makes otherwise now than when the run learned from them.

    Of runs without results nothing is known.
    """
    try:
        held = json.loads((context.folder / RESULTS).read_bytes())["features"]
        then = {name: facts["made_by"] for name, facts in held.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
    now = made_by(context)
    differ = [name for name in context.features if then.get(name, now[name]) != now[name]]
    if not differ:
        return []
    return [
        f"{', '.join(differ)}: made otherwise now than what the run learned from (another version, "
        "setting or weights, here or of what it is made from); the answers may mean nothing"
    ]


def made_by(context: Context) -> dict[str, str]:
    """Feature -> a digest of how the configuration that is read makes it, from the media on."""
    configuration = context.store.wanted(context.variant)
    nodes = {node.feature: node for node in (configuration.nodes if configuration else ())}

    def behind(feature: str) -> str:
        node = nodes.get(feature)
        if node is None:
            return feature
        bound = [[slot, behind(name)] for slot, name in node.inputs]
        return read_digest("made by", [node.extractor_key, *bound])

    return {feature: behind(feature) for feature in context.features}


def _store_facts(store: StoreReader, config: RunConfig) -> dict[str, Any]:
    versions = store.versions
    same = ("catalogue", "clips", "configurations")
    tags = [t.name for t in store.tags() if all(t.versions.get(n) == versions[n] for n in same)]
    return {
        "url": config.store,
        "versions": versions,
        "at": config.at,
        "tags": tags,
        "variant": config.variant,
    }


def _features(context: Context, data: Data) -> dict[str, dict[str, object]]:
    """What was read of each feature."""
    weights, made = weights_of(context), made_by(context)
    facts: dict[str, dict[str, object]] = {}
    for feature in context.features:
        items = data.of(feature)
        facts[feature] = {
            "clips": len(items),
            "fingerprints": read_digest(feature, [item.fingerprint for item in items]),
            "extractor_keys": sorted({item.extractor_key for item in items}),
            "made_by": made[feature],
            "weights": weights[feature],
        }
    return facts


def _finite(value: Any) -> Any:
    """NaN and infinities as null: JSON has none."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def _page(made: Recipe, facts: Mapping[str, Any]) -> str:
    metrics = {k: f"{v:.4f}" for k, v in facts["metrics"].items()}
    store = facts["store"]
    where = {
        "corpus": facts["corpus"],
        "store": store["url"],
        "catalogue version": store["versions"]["catalogue"],
        "tags": ", ".join(store["tags"]) or "none: affectstore tag keeps this version readable",
    }
    features = {
        name: f"{f['clips']} clips, fingerprints {str(f['fingerprints'])[:16]}, weights "
        + (", ".join(f["weights"]) or "none")
        for name, f in facts["features"].items()
    }
    labels = {
        name: f"of each {f['per']}, {f['clips']} clips, {str(f['fingerprints'])[:16]}"
        for name, f in facts["labels"].items()
    }
    parts = [
        f"<h1>{escape(made.name)}</h1><p>{escape(made.title)}</p><p>{escape(made.source)}</p>",
        _table(f"Metrics, {facts['scored']}", metrics),
        "<p>Published: " + escape("; ".join(facts["published"])) + "</p>",
        "".join(f"<p><b>{escape(note)}</b></p>" for note in facts["notes"]),
        _curve(facts["history"]),
        _table("Read", where),
        _table("Features", features),
        _table("Labels", labels),
        _table("Started from weights (sha256)", facts["pretrained"]),
        _table("Settings that differ from the recipe's", facts["changed_settings"]),
        _table("Model", {"parameters": f"{facts['parameters']:,}", **facts["details"]}),
        _table("Environment", {"seed": facts["seed"], **facts["environment"]}),
    ]
    style = (
        "body{font:15px/1.5 sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
        "td,th{text-align:left;padding:.1rem 1rem .1rem 0;vertical-align:top}h2{font-size:1.1rem}"
    )
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(made.name)}</title>"
        f"<style>{style}</style>{''.join(parts)}</html>\n"
    )


def _table(title: str, rows: Mapping[str, object]) -> str:
    cells = "".join(
        f"<tr><th>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in rows.items()
    )
    return f"<h2>{escape(title)}</h2><table>{cells or '<tr><td>none</td></tr>'}</table>"


def _curve(history: list[Mapping[str, float]]) -> str:
    """Loss and metrics over the epochs, each on its own scale, as SVG."""
    if len(history) < 2 or "loss" not in history[0]:
        return ""
    names = [k for k in history[0] if k == "loss" or k.startswith(CURVES)]
    colours = ("#333", "#b2182b", "#2166ac", "#1a9850")
    drawn = []
    for name, colour in zip(names, colours, strict=False):
        values = [entry[name] for entry in history]
        known = [v for v in values if math.isfinite(v)]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        points = " ".join(
            f"{600 * i / (len(values) - 1):.1f},"
            f"{150 - 140 * ((v if math.isfinite(v) else low) - low) / ((high - low) or 1.0):.1f}"
            for i, v in enumerate(values)
        )
        drawn.append(
            f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'>"
            f"<title>{escape(name)}: {low:.3f} to {high:.3f}</title></polyline>"
        )
    legend = ", ".join(
        f"<span style='color:{c}'>{escape(n)}</span>" for n, c in zip(names, colours, strict=False)
    )
    return (
        f"<h2>Epochs</h2><svg viewBox='0 0 600 155' width='600'>{''.join(drawn)}</svg>"
        f"<p>{legend}; each between its own least and greatest value</p>"
    )
