"""Which adapters there are: ours, and those of packages that declare an entry point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from corpora.afew import read_afew
from corpora.affwild2 import read_affwild2
from corpora.audformat import read_audformat
from corpora.cremad import read_cremad
from corpora.demo.adapter import read_demo
from corpora.demo.make import is_demo
from corpora.errors import CorpusError, UnknownAdapter
from corpora.fer2013 import read_fer2013
from corpora.folder import read_folder
from corpora.manifest import Manifest
from corpora.omg import read_omg
from corpora.table import SHEETS, SUFFIXES, read_table
from features.spelling import nearest

ENTRY_POINTS = "affectstore.adapters"

#: (source, name of the corpus) -> manifest
Adapter = Callable[[str | Path, str], Manifest]

BUILT_IN: Mapping[str, Adapter] = {
    "folder": read_folder,
    "table": read_table,
    "demo": read_demo,
    "affwild2": read_affwild2,
    "afew": read_afew,
    "audformat": read_audformat,
    "cremad": read_cremad,
    "fer2013": read_fer2013,
    "omg": read_omg,
}


@cache
def adapters() -> Mapping[str, Adapter]:
    """Name -> adapter.

    Raises:
        CorpusError: a package declares an adapter that can't be used.
    """
    found = dict(BUILT_IN)
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda e: e.name):
        if entry.name in found:
            raise CorpusError(f"two adapters are named {entry.name}; uninstall one's package")
        adapter = entry.load()
        if not callable(adapter):
            raise CorpusError(
                f"adapter {entry.name} ({entry.value}) is no function; correct its package"
            )
        found[entry.name] = adapter
    return found


def load(adapter: str | None, source: str | Path, corpus: str) -> Manifest:
    """Read a corpus' own files.

    Args:
        adapter: its name; None chooses by what ``source`` is.
        source: a folder, a table, or what the adapter takes.
        corpus: the name under which its clips are kept.

    Raises:
        UnknownAdapter: no adapter has that name.
        CorpusError: the source can't be read; see corpora/errors.py.
    """
    name = adapter or fitting(source)
    known = adapters()
    if name not in known:
        raise UnknownAdapter(
            f"no adapter is named {name!r}{nearest(name, known)}; there are {', '.join(known)}"
        )
    return known[name](source, corpus)


def fitting(source: str | Path) -> str:
    """``table`` for a CSV, TSV or Parquet file and for a spreadsheet, which it refuses; ``demo``
    for a folder that the demo made; ``folder`` for anything else."""
    path = Path(source)
    if is_demo(path):
        return "demo"
    known = path.suffix.lower() in SUFFIXES + SHEETS
    return "table" if known and not path.is_dir() else "folder"
