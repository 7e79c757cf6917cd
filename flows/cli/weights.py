"""weights list, show, add and path: the registry of networks' weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.app import weights_app
from flows.cli.options import Json, out, print_json, styled, table

if TYPE_CHECKING:
    from features.weights import Weights

Name = Annotated[str, typer.Argument(help="A name of weights; weights list shows them.")]

#: the converters in words
CONVERTERS = {
    "keep": "none: files are kept as they are",
    "state_dict": "a state_dict (torch or safetensors) becomes safetensors",
    "tf_checkpoint": "the TensorFlow checkpoint becomes safetensors",
    "expnet": "the TensorFlow checkpoint becomes safetensors",
    "mean_image": "the numpy file becomes safetensors",
}


def describe(weights: Weights) -> dict[str, Any]:
    """All facts of one entry, and what is there of it."""
    from features.errors import WeightsDamaged
    from features.weights import ABSENT, is_present, receipt, remedy_of, sha256

    added, damage = None, None
    try:
        added = receipt(weights.name)
    except WeightsDamaged as error:
        damage = str(error)
    digest = sha256(weights.name)
    return {
        "name": weights.name,
        "present": is_present(weights.name),
        "damaged": damage,
        "purpose": weights.purpose,
        "source": weights.source,
        "licence": weights.licence,
        "commercial": weights.commercial,
        "note": weights.note,
        "package": weights.package,
        "converter": weights.converter,
        "structure": weights.structure.network if weights.structure else None,
        "files": list(weights.files),
        "known_sha256": list(weights.sha256s or weights.originals),
        "sha256": None if digest == ABSENT else digest,
        "added": added.model_dump() if added else None,
        "remedy": remedy_of(weights),
    }


@weights_app.command("list")
def list_weights(json: Json = False) -> None:
    """Every set of weights: present or missing, licence, what it is for."""
    from features.weights import left_out, registry

    facts = [describe(weights) for weights in registry().values()]
    if json:
        print_json(facts)
        return
    made = table("weights", "state", "licence", "commercial", "for")
    for f in facts:
        state = "present" if f["present"] else styled((_state(f), "yellow"))
        made.add_row(f["name"], state, f["licence"], _use(f), f["purpose"])
    for name in sorted(name for one in left_out() for name in one.names):
        made.add_row(name, styled(("left out", "red")), "", "", "")
    out.print(made)


@weights_app.command("show")
def show(name: Name, json: Json = False) -> None:
    """One set of weights: where to get it, its licence, its sha256, how it is converted."""
    from features.weights import entry

    f = describe(entry(name))
    if json:
        print_json(f)
        return
    unknown = "none; names and shapes are checked" if f["structure"] else "none"
    lines = {
        "for": f["purpose"],
        "state": _state(f),
        "source": f["source"],
        "licence": f"{f['licence']}; commercial use: {_use(f)}",
        "note": f["note"],
        "known sha256": ", ".join(f["known_sha256"]) or unknown,
        "conversion": CONVERTERS[f["converter"]],
        "in keys": f["sha256"] or "nothing yet",
    }
    out.print(styled((f["name"], "bold")))
    for label, value in lines.items():
        if value:
            out.print(f"  {label:13} {value}", soft_wrap=True)
    if f["added"]:
        originals = ", ".join(f"{k} ({v[:16]}…)" for k, v in f["added"]["originals"].items())
        how = f["added"]["verified"]
        when = f["added"]["added"]
        text = f"  {'added':13} {when} from {originals}, verified by {how}"
        out.print(text, soft_wrap=True)
    if not f["present"]:
        out.print(f"  {'to do':13} {f['damaged'] or f['remedy']}", soft_wrap=True)


@weights_app.command("add")
def add_weights(
    name: Name,
    files: Annotated[list[Path], typer.Argument(help="The file, archive or folder you have.")],
    unknown: Annotated[
        bool,
        typer.Option("--unknown", help="Take a file whose sha256 isn't the known one, if it fits."),
    ] = False,
    json: Json = False,
) -> None:
    """Verify a file, convert it without running anything in it, and keep it for extractors."""
    from features.weights import entry, resolve
    from features.weights.adding import add

    receipt = add(name, files, unknown=unknown)
    if json:
        print_json(receipt.model_dump())
        return
    for path in resolve(name):
        out.print(f"added {name}: {path}", soft_wrap=True)
    out.print(f"verified by {receipt.verified}; sha256 in keys: {receipt.sha256[:16]}…")
    use = _use({"commercial": entry(name).commercial})
    out.print(f"licence: {receipt.licence}; commercial use: {use}")


@weights_app.command("path")
def path(
    name: Annotated[str | None, typer.Argument(help="A name; without it, the folder.")] = None,
) -> None:
    """Where weights lie: the folder for your own, or the files of one name."""
    from features.weights import folder, resolve

    for place in [folder()] if name is None else resolve(name):
        typer.echo(str(place))


def _state(facts: dict[str, Any]) -> str:
    if facts["present"]:
        return f"in package {facts['package']}" if facts["package"] else "present"
    return "damaged" if facts["damaged"] else "missing"


def _use(facts: dict[str, Any]) -> str:
    return "yes" if facts["commercial"] else "no"
