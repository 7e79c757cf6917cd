"""demo: six made clips, from media to features, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.app import EVERYDAY, app
from flows.cli.options import Json, count, out, print_json


@app.command(rich_help_panel=EVERYDAY)
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the clips go.")] = Path("demo-media"),
    clips: Annotated[int, typer.Option(help="How many.")] = 6,
    json: Json = False,
) -> None:
    """Make short synthetic clips with labels to try things on (a real portrait, moved about)."""
    from corpora.demo import make_demo

    made = make_demo(folder, clips=clips)
    if json:
        print_json({"folder": str(made), "clips": clips})
        return
    out.print(f"{count(clips, 'synthetic clip')} with labels in {made}", soft_wrap=True)
    out.print(
        f"next: affectstore ingest {made} --adapter demo --store demo-store --corpus demo",
        soft_wrap=True,
    )
