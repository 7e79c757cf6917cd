"""features list and features show: what can be extracted, from the declarations alone."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.app import features_app
from flows.cli.options import NARROW, ROOMY, Json, Set, out, print_json, styled, table


@features_app.command("list")
def list_features(json: Json = False) -> None:
    """Every feature with its rate, shape, device, licence and weights."""
    from features.registry import feature_specs, left_out
    from flows.describe import describe, shape

    facts = [describe(name) for name in feature_specs()]
    if json:
        print_json(facts)
        return
    columns = ["feature", "rate", "row", "on", "weights"]
    if out.width >= NARROW:
        columns.insert(4, "licence")
    if out.width >= ROOMY:
        columns.append("what")
    made = table(*columns)
    if "licence" in columns:
        made.columns[4].min_width = len("non-commercial")
    for f in facts:
        weights = [w["name"] + ("" if w["present"] else " (missing)") for w in f["weights"]]
        state = styled(", ".join(weights) or "-")
        if f["unavailable"]:
            state = styled(("unavailable", "red"))
        cells = {
            "feature": f["feature"],
            "rate": f["rate"],
            "row": f"{shape(f)} {f['dtype']}",
            "on": f["device"],
            "licence": f["licence"],
            "weights": state,
            "what": f["description"],
        }
        made.add_row(*(cells[column] for column in columns))
    for name in sorted(name for one in left_out() for name in one.names):
        cells = {"feature": name, "weights": styled(("left out", "red"))}
        made.add_row(*(cells.get(column, "") for column in columns))
    out.print(made)


@features_app.command("check")
def check_feature(
    name: Annotated[str, typer.Argument(help="A feature's name.")], set_: Set = None
) -> None:
    """Try an extractor on small made clips: does it keep the rules of docs/extractors.md?"""
    from features.contract import check
    from features.registry import declaration_of
    from flows.pipeline import params_of, parse_settings

    declaration = declaration_of(name)
    settings = parse_settings(set_ or ()).get(declaration.name, {})
    check(declaration.cls, **dict(params_of(declaration, settings)))
    out.print(f"{declaration.name} keeps the rules")


@features_app.command("show")
def show_feature(
    name: Annotated[str, typer.Argument(help="A feature's name.")], json: Json = False
) -> None:
    """One feature: inputs, parameters with defaults, weights with licence, columns."""
    from flows.describe import describe, shape

    f = describe(name)
    if json:
        print_json(f)
        return
    rest = f"  {f['rate']} rate, row {shape(f)} {f['dtype']}"
    out.print(styled((f["feature"], "bold"), rest))
    for paragraph in f["doc"].split("\n\n"):
        out.print(" ".join(paragraph.replace("``", "`").split()) + "\n")
    out.print(f"extractor {f['extractor']} version {f['version']}, runs on {f['device']}")
    if f["unavailable"]:
        why = styled(("  can't be computed here:", "red"), f" {f['unavailable']}")
        out.print(why, soft_wrap=True)
    out.print(f"  licence {f['licence']}")
    for slot, feature in f["inputs"].items():
        out.print(f"  input  {f['extractor']}.{slot} = {feature}")
    for key, param in f["params"].items():
        out.print(
            f"  param  {f['extractor']}.{key} = {param['default']}  {param['description']}",
        )
    for key, param in f["media"].items():
        out.print(f"  medium {key} = {param['default']}  {param['description']}")
    for w in f["weights"]:
        state = "present" if w["present"] else "missing"
        use = "commercial use allowed" if w["commercial"] else "non-commercial use only"
        get = "" if w["present"] else f"; affectstore weights show {w['name']} tells where they are"
        out.print(f"  weights {w['name']}: {state}, licence {w['licence']}, {use}{get}")
    if f["columns"]:
        columns = f["columns"]
        shown = ", ".join(columns if len(columns) <= 20 else [*columns[:8], "…", *columns[-4:]])
        out.print(f"  columns ({len(columns)}): {shown}")
    if f["groups"]:
        groups = ", ".join(f"{f['feature']}.{name} ({n})" for name, n in f["groups"].items())
        out.print(f"  groups: {groups}")
