"""import openface: what another program made already, given to the clips it belongs to."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from flows.cli.app import import_app
from flows.cli.options import Corpus, Json, Store, count, err, fault, out, print_json, warn

#: clips or files named; --json names all
NAMED = 5


@import_app.command("openface")
def openface(
    folder: Annotated[Path, typer.Argument(help="Folder with OpenFace's CSV files.")],
    store: Store,
    corpus: Corpus = None,
    json: Json = False,
) -> None:
    """Give clips the OpenFace CSV files of a folder, by name; extract then publishes them."""
    from features.openface.settings import NOTICE
    from flows.import_openface import import_openface
    from storage import FeatureStore

    report = import_openface(FeatureStore.open(store), folder, corpus)
    if json:
        print_json(report.to_json())
    else:
        layouts = ", ".join(f"{n} with {columns} columns" for columns, n in report.layouts.items())
        faces = f", {report.faces} with aligned faces" if report.faces else ""
        found = count(len(report.clips), "clip")
        out.print(f"{found} with a CSV ({layouts or 'none'}{faces})")
        for clip, lacking in list(report.missing.items())[:NAMED]:
            warn(f"{clip}: NaN for want of {lacking}")
        if len(report.missing) > NAMED:
            err.print(f"  … and {len(report.missing) - NAMED} more lack columns")
        for path in report.unmatched[:NAMED]:
            warn(f"{path} belongs to no one clip")
        if len(report.unmatched) > NAMED:
            err.print(f"  … and {len(report.unmatched) - NAMED} more belong to none")
        if report.without:
            err.print(f"  {count(report.without, 'clip')} without one")
        if report.clips:
            then = f"affectstore extract --store {quote(store)} --features openface"
            out.print(f"next: {then}", soft_wrap=True)
        err.print(f"  {NOTICE}", soft_wrap=True)
    for path, why in report.refused.items():
        fault(f"{path}: {why}")
    if report.refused:
        raise typer.Exit(1)
