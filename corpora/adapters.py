"""Which adapters there are: ours, and those of packages that declare an entry point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
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
from corpora.omg import read_omg, read_omg_by_link
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
    "omg_by_link": read_omg_by_link,
}


def names() -> list[str]:
    """The adapters: ours, then those of packages that declare an entry point."""
    return [*BUILT_IN, *(name for name in _theirs() if name not in BUILT_IN)]


def adapter(name: str) -> Adapter:
    """The adapter of that name; of other packages, only the one that has it is imported.

    Raises:
        UnknownAdapter: there is none; the message has the nearest.
        CorpusError: a package declares it, but it can't be used.
    """
    theirs = _theirs().get(name, [])
    if len(theirs) + (name in BUILT_IN) > 1:
        raise CorpusError(
            f"two adapters are named {name} ({', '.join(map(_origin, theirs))}); uninstall one's "
            "package"
        )
    if name in BUILT_IN:
        return BUILT_IN[name]
    if not theirs:
        known = names()
        raise UnknownAdapter(
            f"no adapter is named {name!r}{nearest(name, known)}; there are {', '.join(known)}"
        )
    try:
        made = theirs[0].load()
    except Exception as error:  # a package's import may raise whatever it likes
        raise CorpusError(
            f"adapter {name} ({_origin(theirs[0])}) can't be imported: {type(error).__name__}: "
            f"{error}; correct or uninstall its package"
        ) from error
    if not callable(made):
        raise CorpusError(
            f"adapter {name} ({_origin(theirs[0])}) is no function; correct its package"
        )
    found: Adapter = made
    return found


def _theirs() -> dict[str, list[EntryPoint]]:
    """Name -> what packages declare under it."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda e: e.name):
        found.setdefault(entry.name, []).append(entry)
    return found


def _origin(entry: EntryPoint) -> str:
    """What an entry point names, and the package that declares it."""
    return f"{entry.value}, package {entry.dist.name}" if entry.dist else entry.value


def load(name: str | None, source: str | Path, corpus: str) -> Manifest:
    """Read a corpus' own files.

    Args:
        name: the adapter's; None chooses by what ``source`` is.
        source: a folder, a table, or what the adapter takes.
        corpus: the name under which its clips are kept.

    Raises:
        UnknownAdapter: no adapter has that name.
        CorpusError: the source can't be read; see corpora/errors.py.
    """
    chosen = name or fitting(source)
    manifest = adapter(chosen)(source, corpus)
    if not isinstance(manifest, Manifest):
        raise CorpusError(
            f"adapter {chosen} gave {type(manifest).__name__} for {source}, no Manifest; correct "
            "its package"
        )
    return manifest


def fitting(source: str | Path) -> str:
    """``table`` for a CSV, TSV or Parquet file and for a spreadsheet, which it refuses; ``demo``
    for a folder that the demo made; ``folder`` for anything else."""
    path = Path(source)
    if is_demo(path):
        return "demo"
    known = path.suffix.lower() in SUFFIXES + SHEETS
    return "table" if known and not path.is_dir() else "folder"
