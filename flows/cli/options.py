"""Options that several commands share, and how facts are printed."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import Annotated, TextIO

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Store = Annotated[str, typer.Option("--store", "-s", help="Path or URL (s3://…) of the store.")]
Corpus = Annotated[str | None, typer.Option("--corpus", "-c", help="One corpus only.")]
Features = Annotated[str, typer.Option("--features", "-f", help="Names joined by commas, or all.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="EXTRACTOR.PARAM=VALUE, for this run only; may be repeated."),
]
Variant = Annotated[
    str | None, typer.Option("--variant", help="Name of a configuration beside the default one.")
]
At = Annotated[
    str | None,
    typer.Option("--at", help="As it was: a tag, a version of the log, or a time (ISO 8601)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]

#: columns of a log or a pipe, which have no width of their own
WIDE = 160
#: columns from which on a table has room for descriptions
ROOMY = 120
#: columns below which a table leaves out what can be asked for elsewhere
NARROW = 80
_tty = sys.stdout is not None and sys.stdout.isatty()  # a closed one is None
_width = None if _tty or "COLUMNS" in os.environ else WIDE
# names, paths and messages are printed as they are: [brackets] and :colons: mean nothing in them
out = Console(highlight=False, markup=False, emoji=False, width=_width)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)


def styled(*parts: str | tuple[str, str]) -> Text:
    """A line of plain pieces and of (piece, style); the only way to colours."""
    return Text.assemble(*parts)


def warn(text: str) -> None:
    """A line that a person should look at, on standard error."""
    err.print(styled("  ", ("!", "yellow"), f" {text}"), soft_wrap=True)


def fault(text: str) -> None:
    """A line on something that failed, on standard error."""
    err.print(styled("  ", ("x", "red"), f" {text}"), soft_wrap=True)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    unicode = speaks_unicode(sys.stdout)
    typer.echo(json.dumps(value, indent=2, default=_plain, ensure_ascii=not unicode))


def speaks_unicode(stream: TextIO | None) -> bool:
    """Whether it can print every name; one of an old locale can't."""
    return stream is None or (stream.encoding or "").lower().replace("-", "").startswith("utf")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def table(*columns: str, numbers: tuple[str, ...] = ()) -> Table:
    """An empty table in the house style; ``numbers`` are right-aligned."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(
            name,
            justify="right" if name in numbers else "left",
            overflow="fold",
            # names are what a person copies
            no_wrap=name == columns[0],
        )
    return made


def count(number: int, word: str) -> str:
    """``1, "clip"`` -> ``1 clip``; ``2,000, "clip"`` -> ``2,000 clips``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def size(count: float) -> str:
    """``1234567`` -> ``1.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """``3723`` -> ``1 h 02 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
