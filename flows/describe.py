"""All that is known of a feature, as plain facts: for lists, help and docs."""

from __future__ import annotations

import inspect
import json
from typing import Any

from features.registry import declaration_of
from features.weights import entry, is_present
from flows.media_settings import MEDIA, MediaSettings


def describe(name: str) -> dict[str, Any]:
    """All facts of one feature."""
    declaration = declaration_of(name)
    spec = next(s for s in declaration.outputs if s.name == name)
    schema = declaration.cls.Params.model_json_schema().get("properties", {})
    params = declaration.cls.Params()
    defaults = json.loads(params.model_dump_json())
    weights = declaration.weights_for(params)
    unsaid = "MIT" if declaration.cls.__module__.startswith("features.") else "not stated"
    licences = [declaration.licence, *(entry(w).licence for w in weights)]
    return {
        "feature": name,
        "description": spec.description or declaration.doc.splitlines()[0],
        "rate": spec.rate,
        "dims": list(spec.dims),
        "ragged": spec.ragged,
        "dtype": spec.dtype,
        "units": spec.units,
        "columns": list(spec.columns),
        "groups": {name: stop - start for name, start, stop in spec.groups},
        "extractor": declaration.name,
        "version": declaration.version,
        "device": declaration.device,
        "reads": declaration.reads,
        "frame_local": declaration.frame_local,
        "licence": ", ".join(dict.fromkeys(filter(None, licences))) or unsaid,
        "unavailable": declaration.unavailable(params),
        "inputs": declaration.inputs_for(params),
        "params": {
            key: {"default": value, "description": schema.get(key, {}).get("description", "")}
            for key, value in defaults.items()
        },
        "media": _of_media() if declaration.reads != "none" else {},
        "weights": [
            {
                "name": weight,
                "present": is_present(weight),
                "licence": entry(weight).licence,
                "commercial": entry(weight).commercial,
            }
            for weight in weights
        ],
        "doc": inspect.cleandoc(declaration.doc),
    }


def _of_media() -> dict[str, Any]:
    """The settings of the medium: name -> default and description."""
    return {
        f"{MEDIA}.{name}": {"default": field.default, "description": field.description}
        for name, field in MediaSettings.model_fields.items()
    }


def shape(facts: dict[str, Any]) -> str:
    """``112x112x3``, ``n x 15`` for any number of items, ``?`` where none knows yet."""
    dims = "x".join(str(d or "?") for d in facts["dims"]) or "1"
    return f"n x {dims}" if facts["ragged"] else dims
