"""A user's openSMILE .conf: what it includes, and how the library can feed it and read it."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from features.errors import RequestError

#: an include by name, \{other.conf.inc}; \{\cm[...]} is an option of the command line instead
_INCLUDE = re.compile(r"\\\{([^\\}]+)\}")
#: one whose name an option of the command line may replace: \{\cm[sinks{my.conf.inc}:what it is]}
_OPTION = re.compile(r"\\\{\\cm\[[^\]{]*\{([^}]*)\}")
_INSTANCE = re.compile(r"^\s*instance\[(\w+)\]\.type\s*=\s*(c\w+)", re.MULTILINE)
_LEVEL = re.compile(r"^\s*reader\.dmLevel\s*=\s*(\S+)", re.MULTILINE)
_SOURCE, _SINK = r"\{\cm[source{?}:sound]}", r"\{\cm[sink{?}:rows]}"


def config_digest(path: Path) -> str:
    """sha256 (hex) over a .conf and the files that it includes by name, however deep."""
    state = sha256()
    waiting, seen = [path], set[Path]()
    while waiting:
        one = waiting.pop(0).resolve()
        if one in seen or not one.is_file():
            continue
        seen.add(one)
        content = one.read_bytes()
        state.update(len(content).to_bytes(8, "little") + content)
        text = content.decode("latin-1")
        names = [*_INCLUDE.findall(text), *_OPTION.findall(text)]
        waiting += [one.parent / name for name in names]
    return state.hexdigest()


@cache
def for_library(path: str, digest: str) -> tuple[str, str]:
    """A .conf whose source and sink the library provides, and what its first sink reads.

    The sets of openSMILE 3 take source and sink from the command line and are returned as they
    are, with no level. Older ones (emobase2010.conf) read a wave file and write a table: those
    components are taken out of a copy, the rest is left untouched.

    Args:
        digest: ``config_digest`` of the file, so that a changed one is read again.

    Raises:
        RequestError: the file's name can't be given to the library.
    """
    text = Path(path).read_text("latin-1")
    folder, name = _in_ascii(Path(path).parent), Path(path).name
    if not name.isascii():
        raise RequestError(f"openSMILE reads no file named {name}; rename it in letters of ASCII")
    if re.search(r"\\cm\[source", text):
        return str(folder / name), ""
    levels: list[str] = []
    for name, kind in _INSTANCE.findall(text):
        if kind != "cWaveSource" and not kind.endswith("Sink"):
            continue
        section = re.compile(rf"^\[{name}:{kind}\].*?(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
        if kind.endswith("Sink"):
            levels += _LEVEL.findall("".join(section.findall(text)))
        text = section.sub(lambda found: _own_sections(found[0], folder), text)
        text = re.sub(rf"^\s*instance\[{name}\]\.type.*$", "", text, flags=re.MULTILINE)
    text = _INCLUDE.sub(lambda found: rf"\{{{folder / found[1]}}}", text)
    # The library's own parts bring their component lists with them.
    copy = _folder() / digest / name
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(f"{text}\n\n{_SOURCE}\n\n{_SINK}\n", "latin-1")
    return str(copy), levels[0] if levels else ""


def _own_sections(section: str, folder: Path) -> str:
    """The includes after a section that open sections themselves, and so aren't part of it."""
    kept = []
    for name in _INCLUDE.findall(section):
        file = folder / name
        if file.is_file() and re.search(r"^\[", file.read_text("latin-1"), re.MULTILINE):
            kept.append(rf"\{{{name}}}")
    return "\n".join(["", *kept, ""])


def _in_ascii(folder: Path) -> Path:
    """The folder, by a link where its path has letters that the library doesn't take."""
    if str(folder).isascii():
        return folder
    link = _folder() / sha256(str(folder).encode()).hexdigest()
    with suppress(FileExistsError):  # threads may make it at once
        link.symlink_to(folder)
    return link


@cache
def _held() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="affectstore-opensmile-")


def _folder() -> Path:
    """A folder that goes with the process."""
    return Path(_held().name)
