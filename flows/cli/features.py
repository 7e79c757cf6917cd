"""features list and features show: what can be extracted, from the declarations alone."""

from __future__ import annotations

import json as json_module
from typing import Annotated, Any

import typer

from flows.cli.app import features_app
from flows.cli.options import Json, out, print_json, table


def describe(name: str) -> dict[str, Any]:
    """All facts of one feature."""
    from features.registry import declaration_of
    from features.weights import entry, is_present

    declaration = declaration_of(name)
    spec = next(s for s in declaration.outputs if s.name == name)
    schema = declaration.cls.Params.model_json_schema().get("properties", {})
    params = declaration.cls.Params()
    defaults = json_module.loads(params.model_dump_json())
    weights = declaration.weights_for(params)
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
        "licence": ", ".join(dict.fromkeys(filter(None, licences))) or "MIT",
        "unavailable": declaration.unavailable(params),
        "inputs": declaration.inputs_for(params),
        "params": {
            key: {"default": value, "description": schema.get(key, {}).get("description", "")}
            for key, value in defaults.items()
        },
        "weights": [
            {
                "name": weight,
                "present": is_present(weight),
                "licence": entry(weight).licence,
                "commercial": entry(weight).commercial,
            }
            for weight in weights
        ],
        "doc": declaration.doc,
    }


@features_app.command("list")
def list_features(json: Json = False) -> None:
    """Every feature with its rate, shape, device, licence and weights."""
    from features.registry import feature_specs

    facts = [describe(name) for name in feature_specs()]
    if json:
        print_json(facts)
        return
    made = table("feature", "rate", "row", "dtype", "device", "licence", "weights", "what")
    for f in facts:
        made.add_row(
            f["feature"],
            f["rate"],
            _shape(f),
            f["dtype"],
            f["device"],
            f["licence"],
            ", ".join(w["name"] + ("" if w["present"] else " (missing)") for w in f["weights"])
            or "-",
            f["description"] + (" [red](not here)[/]" if f["unavailable"] else ""),
        )
    out.print(made)


@features_app.command("show")
def show_feature(
    name: Annotated[str, typer.Argument(help="A feature's name.")], json: Json = False
) -> None:
    """One feature: inputs, parameters with defaults, weights with licence, columns."""
    f = describe(name)
    if json:
        print_json(f)
        return
    out.print(f"[bold]{f['feature']}[/]  {f['rate']} rate, row {_shape(f)} {f['dtype']}")
    out.print(f["doc"], markup=False)
    out.print(f"\nextractor {f['extractor']} version {f['version']}, runs on {f['device']}")
    if f["unavailable"]:
        out.print(f"  [red]can't be computed here:[/] {f['unavailable']}", soft_wrap=True)
    out.print(f"  licence {f['licence']}", markup=False)
    for slot, feature in f["inputs"].items():
        out.print(f"  input  {f['extractor']}.{slot} = {feature}")
    for key, param in f["params"].items():
        out.print(
            f"  param  {f['extractor']}.{key} = {param['default']}  {param['description']}",
            markup=False,
        )
    for w in f["weights"]:
        state = "present" if w["present"] else "missing"
        use = "commercial use allowed" if w["commercial"] else "non-commercial use only"
        out.print(f"  weights {w['name']}: {state}, licence {w['licence']}, {use}")
    if f["columns"]:
        columns = f["columns"]
        shown = ", ".join(columns if len(columns) <= 20 else [*columns[:8], "…", *columns[-4:]])
        out.print(f"  columns ({len(columns)}): {shown}", markup=False)
    if f["groups"]:
        groups = ", ".join(f"{f['feature']}.{name} ({n})" for name, n in f["groups"].items())
        out.print(f"  groups: {groups}", markup=False)


def _shape(facts: dict[str, Any]) -> str:
    dims = "x".join(str(d) for d in facts["dims"]) or "1"
    return f"n x {dims}" if facts["ragged"] else dims
