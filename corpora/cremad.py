"""The adapter ``cremad``: CREMA-D's clips, what actors intended, and what the crowd voted."""

from __future__ import annotations

import os
import re
from pathlib import Path

from corpora.errors import BadTable, DuplicateClip, EmptyCorpus
from corpora.files import csv_rows
from corpora.manifest import ClipEntry, Label, Manifest, have
from corpora.tree import Tree
from features.spelling import shortened

#: code in file names -> class
INTENDED = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
#: letter of a vote -> class
VOTES = {name[0].upper(): name for name in INTENDED.values()}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
#: where the dataset keeps its videos and the crowd's votes
MEDIA, SUMMARY = "VideoFlash", "processedResults/summaryTable.csv"

#: actor, sentence, emotion, level; one published name has a single X
_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX?)")


def read_cremad(source: str | Path, corpus: str) -> Manifest:
    """A clip per video of CREMA-D's folder (of ``VideoFlash``, where it has one or is one).

    Labels: ``emotion`` (intended), ``level``, ``sentence``, and, with
    ``processedResults/summaryTable.csv``, of the multimodal votes ``voted`` (none at a tie) and
    ``votes`` (all winners, joined by ``:``). The subject is the actor. There are no splits.

    Raises:
        SourceMissing: no such folder. EmptyCorpus: no video is named as CREMA-D names them.
        BadTable: the table of votes can't be read; the message has file and line.
        DuplicateClip: a clip is there twice (as flv and mp4, say).
    """
    root = Path(os.path.abspath(source))
    if root.name == MEDIA and (root.parent / SUMMARY).is_file():
        root = root.parent
    media = Tree(root / MEDIA if (root / MEDIA).is_dir() else root)
    votes = _votes(root / SUMMARY)
    clips: dict[str, ClipEntry] = {}
    strange = []
    for path in media.videos():
        found = _NAME.fullmatch(path.stem)
        if not found or found[3] not in INTENDED:
            strange.append(path.name)
            continue
        if path.stem in clips:
            raise DuplicateClip(
                f"{path}: clip {path.stem} is there as {clips[path.stem].uri} too; remove one"
            )
        labels: dict[str, Label] = {
            "emotion": INTENDED[found[3]],
            "level": LEVELS[found[4]],
            "sentence": found[2],
        }
        if votes:
            winners = votes.get(path.stem, ())
            labels["voted"] = winners[0] if len(winners) == 1 else None
            labels["votes"] = ":".join(winners) or None
        clips[path.stem] = ClipEntry(path.stem, str(path), subject=found[1], labels=labels)
    if not clips:
        raise EmptyCorpus(
            f"{media.root}: no video is named like 1001_DFA_ANG_XX.flv; give CREMA-D's own folder"
        )
    said = [*media.warnings(), *_warnings(root, clips, votes, strange)]
    return Manifest(corpus, tuple(clips.values()), warnings=tuple(said))


def _votes(path: Path) -> dict[str, tuple[str, ...]]:
    """Clip -> classes with the most votes; empty without the table."""
    if not path.is_file():
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for row in csv_rows(path, ("FileName", "MultiModalVote")):
        name, letters = row.cells["FileName"], row.cells["MultiModalVote"]
        unknown = [x for x in letters.split(":") if x not in VOTES]
        if unknown:
            raise BadTable(
                f"{row.place}: MultiModalVote is {letters!r}; it must be of "
                f"{', '.join(sorted(VOTES))}, ties joined by ':'"
            )
        if name in found:
            raise BadTable(f"{row.place}: {name} stands there twice; remove one row")
        found[name] = tuple(VOTES[x] for x in letters.split(":"))
    return found


def _warnings(
    root: Path,
    clips: dict[str, ClipEntry],
    votes: dict[str, tuple[str, ...]],
    strange: list[str],
) -> list[str]:
    said = []
    if strange:
        said.append(f"files that aren't named as CREMA-D's were passed over: {shortened(strange)}")
    if not votes:
        said.append(f"no {root / SUMMARY}: there are no voted labels")
        return said
    ties = sum(len(votes.get(name, ())) > 1 for name in clips)
    if ties:
        said.append(f"{ties} clips' votes are tied: they have no label voted, all winners in votes")
    without = sorted(clips.keys() - votes.keys())
    if without:
        said.append(f"{have(len(without), 'clip')} no votes: {shortened(without)}")
    gone = sorted(votes.keys() - clips.keys())
    if gone:
        said.append(f"{have(len(gone), 'clip')} votes but no video: {shortened(gone)}")
    return said
