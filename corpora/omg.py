"""The adapter ``omg``: OMG-Emotion's utterances with arousal, valence and emotion."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

from corpora.errors import BadTable, DuplicateClip, EmptyCorpus, SourceMissing
from corpora.files import Row, absent_files, csv_header, csv_rows, number
from corpora.manifest import ClipEntry, Label, Manifest, id_problem
from corpora.tree import EXTENSIONS, extension, hidden

#: column EmotionMaxVote, by number
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
#: word in a table's name -> split, and the folders that hold its media, besides the table's name
SPLITS = {
    "train": ("train", ("Train", "train")),
    "valid": ("val", ("Validation", "validation", "Val")),
    "test": ("test", ("Test", "test")),
}
#: split -> those whose people it must not have, for ``read_omg_by_link``
SCORED = {"train": ("val", "test"), "val": ("test",)}
NEEDED = ("link", "start", "end", "video", "utterance")
LABELS = ("arousal", "valence", "EmotionMaxVote")
#: columns, and word in a name in lower case, that tell tables of utterances from transcripts
CUT, VIDEOS = frozenset({"start", "end"}), "videos"


def read_omg(source: str | Path, corpus: str) -> Manifest:
    """A clip per row of the folder's CSV tables; the split is in a table's name.

    Media are ``<folder of the split>/<video>/<utterance>``, with this extension or another, or the
    whole ``<video>.mp4``, which is cut by the row's start and end. Labels: ``arousal`` 0..1,
    ``valence`` -1..1, ``emotion``; tables without them are test sets, whose utterances are passed
    over where a table with labels has them too. The subject is the link: utterances of one link
    are of one person (the official splits share some). Tables without start and end, such as
    transcripts, are passed over.
    Attributes: ``video``, ``utterance``, ``row`` (from 1, for the submission's order).

    Raises:
        SourceMissing: no such folder. EmptyCorpus: no table is there.
        BadTable: a table can't be read; the message has file and line. Rows at a table's end
            that are none are passed over with a warning: a known mirror has some.
        DuplicateClip: an utterance stands in the tables twice, with labels or in two splits.
    """
    root = Path(os.path.abspath(source))
    if not root.is_dir():
        raise SourceMissing(f"{root}: there is no such folder; give the one with the tables")
    clips: dict[str, ClipEntry] = {}
    places: dict[str, tuple[Path, str]] = {}
    tables, warnings = _tables(root)
    videos = _Videos()
    for table, word, labelled in tables:
        split, folders = SPLITS[word]
        roots = [root / table.stem, *(root / f for f in folders), root]
        roots.insert(1, root / table.stem.split("_With")[0])
        rows, junk = _whole_rows(csv_rows(table, NEEDED, ragged=True))
        if junk:
            warnings.append(f"{table.name}: {junk} rows at the end are no utterances, passed over")
        again: Counter[str] = Counter()
        for i, row in enumerate(rows, 1):
            entry = _entry(row, split, roots, i, videos)
            if entry.clip in places:
                first, place = places[entry.clip]
                if not labelled and first != table and clips[entry.clip].split == split:
                    again[first.name] += 1
                    continue
                raise DuplicateClip(
                    f"{row.place}: utterance {entry.clip} stands in {place} too; remove one row, "
                    "or one of the tables"
                )
            places[entry.clip], clips[entry.clip] = (table, row.place), entry
        for name, count in again.items():
            warnings.append(
                f"{table.name}: {count} of {len(rows)} utterances were passed over, since "
                f"{name} has them with their labels"
            )
    if not clips:
        raise EmptyCorpus(
            f"{root}: no table such as omg_TrainVideos.csv; give the folder that holds the tables"
            + "".join(f" ({warning})" for warning in warnings[:1])
        )
    warnings += absent_files(clips.values())
    return Manifest(corpus, tuple(clips.values()), warnings=tuple(warnings))


def read_omg_by_link(source: str | Path, corpus: str) -> Manifest:
    """As ``read_omg``, but nobody is learned from who is scored: the official splits share links.

    An utterance of ``train`` whose link is in ``val`` or ``test``, too, has no split, and so has
    one of ``val`` whose link is in ``test``; a warning counts them.

    Raises:
        See ``read_omg``.
    """
    whole = read_omg(source, corpus)
    there = {(c.subject, c.split) for c in whole.clips}
    clips, left = [], Counter[str]()
    for entry in whole.clips:
        if any((entry.subject, s) in there for s in SCORED.get(entry.split or "", ())):
            left[str(entry.split)] += 1
            entry = replace(entry, split=None)
        clips.append(entry)
    said = [
        f"{count} utterances of {split} have no split, since their links are in "
        f"{' or '.join(SCORED[split])} too"
        for split, count in left.items()
    ]
    return replace(whole, clips=tuple(clips), warnings=(*whole.warnings, *said))


def _tables(root: Path) -> tuple[list[tuple[Path, str, bool]], list[str]]:
    """Tables of utterances with the word for their split, and whether they have labels: those
    that do come first. And a line for each table that is none."""
    found, passed = [], []
    for path in sorted(root.iterdir()):
        if hidden(path.name) or path.suffix.lower() != ".csv" or not path.is_file():
            continue
        name, columns = path.stem.lower(), set(csv_header(path))
        word = next((w for w in SPLITS if w in name), None)
        if word is None:
            passed.append(f"{path.name} was passed over: its name says no split")
        elif VIDEOS not in name and not columns >= CUT:
            passed.append(f"{path.name} was passed over: it has no columns start and end")
        else:
            found.append((path, word, columns >= set(LABELS)))
    return sorted(found, key=lambda table: not table[2]), passed


def _whole_rows(rows: list[Row]) -> tuple[list[Row], int]:
    """The rows up to the last one that names an utterance, and how many follow it.

    Raises:
        BadTable: a row before that doesn't.
    """
    good = [all(row.cells.get(name) for name in NEEDED) for row in rows]
    last = max((i for i, g in enumerate(good) if g), default=-1) + 1
    bad = next((i for i in range(last) if not good[i]), None)
    if bad is not None:
        missing = next(name for name in NEEDED if not rows[bad].cells.get(name))
        raise BadTable(f"{rows[bad].place}: {missing} is empty; correct or remove the row")
    return rows[:last], len(rows) - last


class _Videos:
    """Finds videos by folder and name without extension; a folder is listed once."""

    def __init__(self) -> None:
        self._known: dict[Path, dict[str, Path]] = {}

    def find(self, folder: Path, stem: str) -> Path | None:
        """The video of that name; of several the one whose extension is first in EXTENSIONS."""
        if folder not in self._known:
            self._known[folder] = {}
            with suppress(OSError):  # not there, or closed
                names = [n for n in os.listdir(folder) if not hidden(n)]
                files = [n for n in names if extension(n) in EXTENSIONS]
                for name in sorted(files, key=lambda n: (EXTENSIONS.index(extension(n)), n)):
                    self._known[folder].setdefault(Path(name).stem, folder / name)
        return self._known[folder].get(stem)


def _entry(row: Row, split: str, roots: list[Path], order: int, videos: _Videos) -> ClipEntry:
    cells = row.cells
    video, utterance = cells["video"], cells["utterance"]
    clip = f"{video}/{Path(utterance).stem}"
    problem = id_problem(clip)
    if problem:
        raise BadTable(f"{row.place}: utterance {clip!r}: {problem}")
    exact = (r / video / utterance for r in roots)
    # a copy may have been converted, or written in capitals
    other = (videos.find(r / video, Path(utterance).stem) for r in roots)
    file = next((path for path in chain(exact, other) if path and path.is_file()), None)
    start: float | None = None
    stop: float | None = None
    if file is None:
        whole = (videos.find(r, video) for r in roots)
        file = next((path for path in whole if path and path.is_file()), None)
        if file is not None:
            start, stop = number(row, "start", 0, 1e6), number(row, "end", 0, 1e6)
            if stop <= start:
                raise BadTable(f"{row.place}: end {stop:g} isn't after start {start:g}")
    labels: dict[str, Label] = dict.fromkeys(("arousal", "valence", "emotion"))
    if any(cells.get(name) for name in LABELS):
        labels["arousal"] = number(row, "arousal", 0, 1)
        labels["valence"] = number(row, "valence", -1, 1)
        place = number(row, "EmotionMaxVote", 0, len(EMOTIONS) - 1)
        if not place.is_integer():
            raise BadTable(f"{row.place}: EmotionMaxVote is {place:g}; it must be a whole number")
        labels["emotion"] = EMOTIONS[int(place)]
    return ClipEntry(
        clip,
        str(file or roots[0] / video / utterance),
        start=start,
        stop=stop,
        subject=cells["link"],
        split=split,
        attrs={"video": video, "utterance": utterance, "row": str(order)},
        labels=labels,
    )
