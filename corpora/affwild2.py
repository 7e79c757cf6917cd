"""The adapter ``affwild2``: Aff-Wild2 with the annotations of the ABAW challenges."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from corpora.abaw_labels import read_labels
from corpora.errors import DuplicateClip, EmptyCorpus
from corpora.files import absent_files
from corpora.manifest import Asset, ClipEntry, FrameLabels, Label, Manifest, have
from corpora.tree import Tree
from features.spelling import shortened

TASKS = ("va", "expr", "au")
#: first word of a folder's name, in lower case -> task
TASK_FOLDERS = {
    **{task: task for task in TASKS},
    **{"valence": "va", "expression": "expr", "action": "au"},
}
#: how the name of a split's folder begins, in lower case
SPLIT_FOLDER = re.compile(r"(train|val(?!ence)|test)")
#: endings that tell which of two people a file is about
SIDE = re.compile(r"(.+)_(left|right)")
#: role of the provided faces: images numbered from 1, image i + 1 is of frame i
FACES = "faces"
#: beginning of the names of the folders that hold them, one folder per subject
ALIGNED = "cropped_aligned"


@dataclass
class _Found:
    """What is known of one video and subject."""

    splits: dict[str, str] = field(default_factory=dict)
    labels: list[FrameLabels] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    blank: list[Path] = field(default_factory=list)
    out_of_range: int = 0


def read_affwild2(source: str | Path, corpus: str) -> Manifest:
    """A clip per annotated video and subject, and per video without annotations.

    Annotations are found by their folders: one whose name begins with VA, EXPR or AU, holding
    ``Train…``, ``Validation…`` and ``Test…`` with a text file per video and subject. Names differ
    between the challenges; the number of expressions and of action units is read from each
    file's header, and so is their order: columns and expressions go by name. ``name_left`` and
    ``name_right`` are subjects of ``name``'s video (attribute ``side``). Frame labels:
    ``valence``, ``arousal``, ``expression`` (position in ``EXPRESSIONS`` of abaw_labels.py), and
    each action unit, such as ``AU12``; row i belongs to decoded frame i. Values that no label can
    have are unknown too, and counted in a warning; where a file has such, ``va_out_of_range``
    (``expr_…``, ``au_…``) marks the frames.

    Splits differ between the tasks: they are the clip labels ``split_va``, ``split_expr`` and
    ``split_au``; the clip's split is that of the first of them. ``cropped_aligned/name`` (or in
    any folder whose name begins so) becomes the asset ``faces``; other folders of images don't.

    Annotations without rows, as test sets have them, give no labels and are named in a warning.

    Raises:
        SourceMissing: no such folder. EmptyCorpus: neither annotations nor videos are there.
        BadLabels: an annotation can't be read, or its header is of another task or names
            something twice or unknown; with file and line.
        DuplicateClip: a video, an annotation or a subject's folder of faces is there twice.
    """
    tree = Tree(source)
    root = tree.root
    videos = _videos(tree)
    found: defaultdict[str, _Found] = defaultdict(_Found)
    astray = []
    for path, task, split in _annotations(tree):
        if not task or not split:
            astray.append(str(path.relative_to(root)))
            continue
        entry = found[path.stem]
        if task in entry.files:
            raise DuplicateClip(
                f"{path}: {task.upper()} of {path.stem} is in {entry.files[task]} too; keep one"
            )
        entry.files[task], entry.splits[task] = path, split
        labels, strange = read_labels(path, task)
        if not labels:
            entry.blank.append(path)
        entry.labels += labels
        entry.out_of_range += strange
    bare = [name for name in videos if not any(_video_of(n, videos) == name for n in found)]
    names = [*sorted(found), *sorted(bare)]
    faces, others = _faces(tree, names)
    clips = [_clip(root, name, found.get(name, _Found()), videos, faces) for name in names]
    if not clips:
        raise EmptyCorpus(
            f"{root}: no annotations such as VA_Set/Training_Set/name.txt and no videos; give the "
            "folder that holds both"
        )
    said = [
        *tree.warnings(),
        *_warnings(root, clips, found, bare),
        *_face_warnings(names, faces, others),
    ]
    if astray:
        said.append(
            "text files that don't lie in a split's folder of a task were passed over: "
            f"{shortened(astray)}"
        )
    return Manifest(
        corpus,
        tuple(clips),
        {name: tuple(entry.labels) for name, entry in found.items() if entry.labels},
        tuple(said),
    )


def _annotations(tree: Tree) -> Iterator[tuple[Path, str | None, str | None]]:
    """Each text file with the task and split that its folders name."""
    for path in tree.files("txt"):
        parts = path.relative_to(tree.root).parts[:-1]
        words = [re.split(r"[\W_]", part.lower())[0] for part in parts]
        found = SPLIT_FOLDER.match(words[-1]) if words else None
        tasks = [TASK_FOLDERS[word] for word in words if word in TASK_FOLDERS]
        yield path, tasks[-1] if tasks else None, found[1] if found else None


def _videos(tree: Tree) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in tree.videos():
        if path.stem in found:
            raise DuplicateClip(f"{path}: video {path.stem} is {found[path.stem]} too; keep one")
        found[path.stem] = path
    return found


def _video_of(name: str, videos: Mapping[str, Path]) -> str:
    """The name of the video that an annotation is about."""
    sided = SIDE.fullmatch(name)
    return sided[1] if sided and name not in videos else name


def _faces(tree: Tree, clips: Collection[str]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Clip -> its folder of provided faces; and -> a folder of images that lies elsewhere."""
    faces: dict[str, Path] = {}
    others: dict[str, Path] = {}
    wanted = set(clips)
    for path in tree.image_folders():
        if path.name not in wanted:
            continue
        above = path.relative_to(tree.root).parts[:-1]
        if not any(part.lower().startswith(ALIGNED) for part in above):
            others[path.name] = path
        elif path.name in faces:
            raise DuplicateClip(
                f"{path}: faces of {path.name} are in {faces[path.name]} too; keep one"
            )
        else:
            faces[path.name] = path
    return faces, others


def _face_warnings(
    clips: Collection[str], faces: Mapping[str, Path], others: Mapping[str, Path]
) -> list[str]:
    said = []
    without = [name for name in clips if name not in faces]
    if faces and without:
        said.append(f"{have(len(without), 'clip')} no provided faces: {shortened(without)}")
    elsewhere = [str(others[name]) for name in without if name in others]
    if elsewhere:
        said.append(
            "folders of images were passed over, since only those below a folder named "
            f"{ALIGNED}… are taken for faces: {shortened(elsewhere)}"
        )
    return said


def _clip(
    root: Path, name: str, entry: _Found, videos: Mapping[str, Path], faces: Mapping[str, Path]
) -> ClipEntry:
    video = _video_of(name, videos)
    sided = SIDE.fullmatch(name)
    labels: dict[str, Label] = {f"split_{task}": entry.splits.get(task) for task in TASKS}
    return ClipEntry(
        name,
        str(videos.get(video, root / "videos" / f"{video}.mp4")),
        subject=name,
        split=next((entry.splits[t] for t in TASKS if t in entry.splits), None),
        attrs={"side": sided[2]} if sided and video != name else {},
        assets=(Asset(FACES, str(faces[name])),) if name in faces else (),
        labels=labels,
    )


def _warnings(
    root: Path, clips: list[ClipEntry], found: Mapping[str, _Found], bare: list[str]
) -> list[str]:
    said = absent_files(clips)
    blank = [str(path.relative_to(root)) for entry in found.values() for path in entry.blank]
    if blank:
        said.append(f"{have(len(blank), 'annotation')} no rows, so no labels: {shortened(blank)}")
    strange = {name: entry.out_of_range for name, entry in found.items() if entry.out_of_range}
    if strange:
        said.append(
            f"{sum(strange.values())} frames have labels that can't be and count as unlabelled: "
            f"{shortened(f'{name} ({n})' for name, n in strange.items())}"
        )
    differ = [name for name, entry in found.items() if len(set(entry.splits.values())) > 1]
    if differ:
        said.append(
            f"{len(differ)} clips are in other splits of other tasks (labels split_va, split_expr, "
            f"split_au): {shortened(differ)}"
        )
    unequal = [
        name for name, e in found.items() if len({len(label.values) for label in e.labels}) > 1
    ]
    if unequal:
        said.append(
            f"{have(len(unequal), 'clip')} tasks with unequal numbers of rows; readers keep the "
            f"overlap: {shortened(unequal)}"
        )
    if bare:
        said.append(f"{have(len(bare), 'video')} no annotations: {shortened(bare)}")
    return said
