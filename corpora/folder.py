"""The adapter ``folder``: every video file below a folder is a clip."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from corpora.errors import EmptyCorpus, SourceMissing
from corpora.manifest import ClipEntry, Manifest, id_problem
from corpora.tree import EXTENSIONS, Tree, extension
from features.spelling import shortened


def read_folder(source: str | Path, corpus: str) -> Manifest:
    """A clip per video file, in order of path; its id is the relative path without extension.

    Of two files that differ in their extension alone, both keep it. Hidden files are passed over;
    links are followed, but no folder is read twice. A single video file is a corpus of one clip.

    Raises:
        SourceMissing: nothing is at ``source``.
        EmptyCorpus: no file there has a video's extension.
    """
    root = Path(os.path.abspath(source))
    found, closed = _Found(), list[str]()
    if root.is_dir():
        tree = Tree(root)
        closed = tree.warnings()
        for path in tree.files():
            found.take(path, path.relative_to(root).as_posix())
    elif root.is_file():
        found.take(root, root.name)
    else:
        raise SourceMissing(f"{root}: there is no such folder or file; check the path")
    if not found.videos:
        raise EmptyCorpus(
            f"{root}: no video files; looked for the extensions {', '.join(EXTENSIONS)}"
            f"{found.passed_over_phrase}"
        )
    names = sorted(found.videos)
    clips = (
        ClipEntry(clip, str(found.videos[name]))
        for clip, name in zip(clip_ids(names), names, strict=True)
    )
    return Manifest(corpus, tuple(clips), warnings=(*found.warnings(), *closed))


def clip_ids(names: Sequence[str]) -> list[str]:
    """Relative paths without extension; with it where two would be equal.

    Args:
        names: relative POSIX paths, each once.
    """
    ids = [str(PurePosixPath(name).with_suffix("")) for name in names]
    while True:
        count = Counter(ids)
        clash = [i for i, clip in enumerate(ids) if count[clip] > 1 and clip != names[i]]
        if not clash:
            return ids
        for i in clash:
            ids[i] = names[i]


@dataclass
class _Found:
    """What a walk came across.

    Attributes:
        videos: relative POSIX path -> file.
        others: lower-case extension -> how many files have it.
        broken, unnamable: what can't be read, by name.
    """

    videos: dict[str, Path] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    unnamable: list[str] = field(default_factory=list)

    def take(self, path: Path, name: str) -> None:
        """Sort one file in."""
        kind = extension(name)
        if kind not in EXTENSIONS:
            self.others[kind or "no extension"] += 1
        elif id_problem(name):
            self.unnamable.append(repr(name))
        elif not os.path.isfile(path):  # never raises, not even for links in a circle
            self.broken.append(name)
        else:
            self.videos[name] = path

    @property
    def passed_over_phrase(self) -> str:
        """``; 3 other files are there (wav 2, jpg 1)``, or nothing."""
        if not self.others:
            return ""
        return f"; {self.others.total()} other files are there ({self._kinds()})"

    def _kinds(self) -> str:
        """``wav 2, jpg 1``: the most frequent first, then by name."""
        kinds = sorted(self.others.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{kind} {n}" for kind, n in kinds[:5])

    def warnings(self) -> Iterator[str]:
        """What the person who ingests should know, one line each."""
        if self.others:
            yield f"files without a video's extension were passed over: {self._kinds()}"
        if self.broken:
            yield f"broken links and the like were passed over: {shortened(self.broken)}"
        if self.unnamable:
            yield f"files whose names can't be ids were passed over: {shortened(self.unnamable)}"
