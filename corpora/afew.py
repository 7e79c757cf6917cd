"""The adapter ``afew``: AFEW's clips, one folder per split and emotion, with provided faces."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from corpora.errors import BadClip, DuplicateClip, EmptyCorpus
from corpora.manifest import Asset, ClipEntry, Label, Manifest, have
from corpora.tree import Tree
from features.spelling import shortened

#: words in names of folders, in lower case -> split
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    "test": "test",
}
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
#: role of the provided faces: a folder of images per clip
FACES = "faces"


def read_afew(source: str | Path, corpus: str) -> Manifest:
    """A clip per video below ``Train``, ``Val`` and ``Test``.

    A folder is of a split if one word of its name is, as in ``Train_AFEW``; the innermost counts.
    Ids are ``Train/000046280``: the same name in two splits is two clips. The folder below is
    the label ``emotion``; clips of the test set may have none. Faces that the challenge provides
    lie in folders of their own whose path names the split too (``Train_Faces/…/000046280/*.jpg``,
    or ``Faces/Train/…``): they become the asset ``faces``.

    Raises:
        SourceMissing: no such folder. EmptyCorpus: none of the split's folders holds a video.
        BadClip: a folder is no emotion. DuplicateClip: a split has two videos of one name, or two
            folders of faces.
    """
    tree = Tree(source)
    root = tree.root
    clips: dict[str, ClipEntry] = {}
    known: dict[tuple[str, str], Path] = {}
    faces = _faces(tree, {path.stem for path in tree.videos()})
    astray = []
    for path in tree.videos():
        parts = path.relative_to(root).parts[:-1]
        place, split = _split(parts)
        if split is None:
            astray.append(str(path.relative_to(root)))
            continue
        emotion = _emotion(path, parts[place], parts[place + 1 :], split)
        clip, key = f"{parts[place]}/{path.stem}", (split, path.stem)
        if key in known:
            raise DuplicateClip(f"{path}: clip {clip} is {known[key]} too; remove one")
        known[key] = path
        labels: dict[str, Label] = {"emotion": emotion}
        images = faces.get(key)
        clips[clip] = ClipEntry(
            clip,
            str(path),
            split=split,
            assets=(Asset(FACES, str(images)),) if images else (),
            labels=labels,
        )
    if not clips:
        raise EmptyCorpus(f"{root}: no videos below Train, Val or Test; give AFEW's own folder")
    warnings = tree.warnings()
    if astray:
        warnings.append(f"videos in no folder of a split were passed over: {shortened(astray)}")
    if faces:
        without = [name for name, entry in clips.items() if not entry.assets]
        if without:
            warnings.append(f"{have(len(without), 'clip')} no provided faces: {shortened(without)}")
    names = defaultdict(list)
    for clip in clips:
        names[clip.partition("/")[2]].append(clip)
    twice = [name for name, found in names.items() if len(found) > 1]
    if twice:
        warnings.append(f"{len(twice)} names are in more than one split: {shortened(twice)}")
    return Manifest(corpus, tuple(clips.values()), warnings=tuple(warnings))


def _split(parts: Sequence[str]) -> tuple[int, str | None]:
    """Place and split of the innermost folder that names one."""
    for place in reversed(range(len(parts))):
        for word in re.split(r"[\W_]+", parts[place].lower()):
            if word in SPLITS:
                return place, SPLITS[word]
    return -1, None


def _emotion(path: Path, folder: str, below: Sequence[str], split: str) -> str | None:
    """The emotion that a video's folder names.

    Raises:
        BadClip: it names none, and it's no test set.
    """
    if below and below[0].strip().lower() in EMOTIONS:
        return below[0].strip().lower()
    if split == "test":
        return None
    if not below:
        raise BadClip(f"{path}: lies in no folder of an emotion; move it into one")
    raise BadClip(
        f"{path}: {below[0]!r} is no emotion; the folders of {folder} must be "
        f"{', '.join(e.capitalize() for e in EMOTIONS)}"
    )


def _faces(tree: Tree, names: Collection[str]) -> dict[tuple[str, str], Path]:
    """(split, clip's name) -> its folder of images; folders of other names are no clip's."""
    found: dict[tuple[str, str], Path] = {}
    for folder in tree.image_folders():
        _, split = _split(folder.relative_to(tree.root).parts[:-1])
        if split is None or folder.name not in names:
            continue
        key = (split, folder.name)
        if key in found:
            raise DuplicateClip(
                f"{folder}: faces of {folder.name} are in {found[key]} too; keep one"
            )
        found[key] = folder
    return found
