"""The adapter ``afew``: AFEW's clips, one folder per split and emotion, with provided faces."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from corpora.errors import BadClip, DuplicateClip, EmptyCorpus
from corpora.files import folder_of, image_folders, videos_below
from corpora.manifest import Asset, ClipEntry, Label, Manifest, have, shortened

#: the dataset's folders, in lower case -> split
SPLITS = {"train": "train", "val": "val", "test": "test"}
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
#: role of the provided faces: a folder of images per clip
FACES = "faces"


def read_afew(source: str | Path, corpus: str) -> Manifest:
    """A clip per video below ``Train``, ``Val`` and ``Test``.

    Ids are ``Train/000046280``: the same name in two splits is two clips. The folder between is
    the label ``emotion``; clips of the test set may have none. Faces that the challenge provides
    lie in a parallel tree whose path names the split (``Train_Faces/…/000046280/*.jpg``, or
    ``Faces/Train/…``): they become the asset ``faces``.

    Raises:
        SourceMissing: no such folder. EmptyCorpus: none of the split's folders holds a video.
        BadClip: a folder is no emotion. DuplicateClip: a split has two videos of one name.
    """
    root = folder_of(source)
    clips: dict[str, ClipEntry] = {}
    splits = {p: SPLITS[p.name.lower()] for p in sorted(root.iterdir()) if _is_split(p)}
    faces = _faces(root, splits)
    for folder, split in splits.items():
        for path in videos_below(folder):
            between = path.relative_to(folder).parts[:-1]
            emotion = between[0].lower() if between else None
            if emotion is not None and emotion not in EMOTIONS:
                raise BadClip(
                    f"{path}: {between[0]!r} is no emotion; the folders of {folder.name} must be "
                    f"{', '.join(e.capitalize() for e in EMOTIONS)}"
                )
            if emotion is None and split != "test":
                raise BadClip(f"{path}: lies in no folder of an emotion; move it into one")
            clip = f"{folder.name}/{path.stem}"
            if clip in clips:
                raise DuplicateClip(f"{path}: clip {clip} is {clips[clip].uri} too; remove one")
            labels: dict[str, Label] = {"emotion": emotion}
            images = faces.get((split, path.stem))
            clips[clip] = ClipEntry(
                clip,
                str(path),
                split=split,
                assets=(Asset(FACES, str(images)),) if images else (),
                labels=labels,
            )
    if not clips:
        raise EmptyCorpus(f"{root}: no videos below Train, Val or Test; give AFEW's own folder")
    warnings = []
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


def _is_split(path: Path) -> bool:
    return path.is_dir() and path.name.lower() in SPLITS


def _faces(root: Path, splits: dict[Path, str]) -> dict[tuple[str, str], Path]:
    """(split, clip's name) -> its folder of images, in trees beside the clips or below a split."""
    found: dict[tuple[str, str], Path] = {}
    for folder in image_folders(root):
        words = "/".join(folder.relative_to(root).parts[:-1]).lower().replace("_", "/").split("/")
        split = next((SPLITS[w] for w in words if w in SPLITS), None)
        if split is None:
            continue
        key = (split, folder.name)
        if key in found:
            raise DuplicateClip(f"{folder}: faces of {folder.name} are in {found[key]} too")
        found[key] = folder
    return found
