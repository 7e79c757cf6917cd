"""What lies below a folder: the one walk of all adapters that look for files by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from corpora.errors import SourceMissing
from features.spelling import shortened

#: what counts as video, in lower case
EXTENSIONS = (
    *("mp4", "m4v", "mov", "mkv", "avi", "flv", "webm", "mpg", "mpeg", "mts", "m2ts", "wmv"),
    *("3gp", "3g2", "ogv", "ogm", "ts", "m2t", "vob", "asf", "mxf", "f4v", "qt", "divx", "dv"),
    *("mpe", "m1v", "m2v"),
)
IMAGES = ("jpg", "jpeg", "png", "bmp")
#: what systems keep beside the data: in archives of macOS, on network drives, of Windows
SYSTEM = frozenset(
    {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "Thumbs.db", "desktop.ini"},
)


def hidden(name: str) -> bool:
    """True for what systems put beside the data: ``.DS_Store``, ``._12.txt``, ``__MACOSX``."""
    return name.startswith(".") or name in SYSTEM


class Tree:
    """The folders and files below a folder, without hidden ones.

    Links are followed, but no folder is read twice; real folders come first, so that what is in
    both keeps its real path.

    Attributes:
        root: the folder, as an absolute path.
        folders: folder -> names of its files, both in order.
        closed: folders that can't be read.

    Raises:
        SourceMissing: there is no such folder, or it can't be read.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(os.path.abspath(root))
        if not self.root.is_dir():
            raise SourceMissing(
                f"{self.root}: there is no such folder; give the dataset's own folder"
            )
        found: dict[Path, list[str]] = {}
        self.closed: list[str] = []
        seen: set[tuple[int, int]] = set()
        waiting, links = [self.root], list[Path]()
        while waiting or links:
            folder = waiting.pop() if waiting else links.pop(0)
            try:
                status = folder.stat()
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                entries = sorted(os.scandir(folder), key=lambda e: e.name)
            except OSError as error:
                if folder == self.root:
                    raise SourceMissing(
                        f"{self.root}: can't be read ({error.strerror}); ask its owner for access"
                    ) from error
                self.closed.append(str(folder))
                continue
            found[folder] = []
            for entry in entries:
                if hidden(entry.name):
                    continue
                # never raises, not even for links in a circle
                if entry.is_symlink() and os.path.isdir(entry.path):
                    links.append(Path(entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    found[folder].append(entry.name)
        self.folders = {folder: found[folder] for folder in sorted(found)}

    def files(self, *extensions: str) -> Iterator[Path]:
        """All files with one of these extensions (in lower case), or all, folder by folder."""
        for folder, names in self.folders.items():
            for name in names:
                if not extensions or extension(name) in extensions:
                    yield folder / name

    def videos(self) -> Iterator[Path]:
        """All video files."""
        return self.files(*EXTENSIONS)

    def image_folders(self) -> Iterator[Path]:
        """All folders that hold images themselves."""
        for folder, names in self.folders.items():
            if any(extension(name) in IMAGES for name in names):
                yield folder

    def warnings(self) -> list[str]:
        """A line that names the folders that can't be read, if any."""
        if not self.closed:
            return []
        return [f"folders that can't be read were passed over: {shortened(self.closed)}"]


def extension(name: str) -> str:
    """A file's extension in lower case, without its dot."""
    return os.path.splitext(name)[1][1:].lower()
