"""The adapter ``fer2013``: 35,887 grey faces of 48 x 48 px from one CSV, each split as a video."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from corpora.errors import BadTable, EmptyCorpus, SourceMissing
from corpora.files import csv_lines
from corpora.manifest import ClipEntry, FrameLabels, Manifest

#: column Usage -> split
USAGES = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
#: images of each split as published
PUBLISHED = {"train": 28_709, "val": 3_589, "test": 3_589}
#: where the CSV is looked for: its own names, and how Kaggle packs it
TABLES = ("fer2013.csv", "fer2013/fer2013.csv", "icml_face_data.csv")
#: what the label's numbers mean: alphabetical, as AFEW's words are
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
#: the CSV's own numbers, 0 to 6
OWN = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SIDE = 48
#: frames per second of the videos; FER-2013 has no clock (ours)
FPS = 25
#: folder of the videos, beside the CSV
FOLDER = "fer2013-videos"

Images = NDArray[np.uint8]


def read_fer2013(source: str | Path, corpus: str) -> Manifest:
    """A clip per split, whose frames are the split's images in the CSV's order.

    The extractors read videos, so each split is written once as a lossless one (FFV1) to
    ``fer2013-videos`` beside the CSV, and left alone while it holds the same images. Label per
    frame: ``emotion``, the position in ``EMOTIONS``.

    Args:
        source: ``fer2013.csv`` (columns emotion, pixels, Usage, in any order; Kaggle's
            ``icml_face_data.csv`` is such a one), or a folder that holds it.

    Raises:
        SourceMissing: it isn't there, or the folder can't be written to.
        BadTable: a row can't be understood; the message has file and line.
        EmptyCorpus: there is no image.
    """
    table = _table_of(source)
    found = _read(table)
    clips, labels, sizes = [], {}, []
    for split, (images, emotions) in found.items():
        path = table.parent / FOLDER / f"{split}.mkv"
        try:
            write_video(path, images)
        except OSError as error:
            raise SourceMissing(
                f"{path.parent}: can't be written to ({error}); copy {table.name} to a folder of "
                "your own and ingest it from there"
            ) from error
        clips.append(ClipEntry(split, str(path), split=split))
        labels[split] = (
            FrameLabels(
                "emotion",
                emotions,
                np.ones(len(emotions), bool),
                units="class",
                description=", ".join(f"{i} {word}" for i, word in enumerate(EMOTIONS)),
            ),
        )
        count = f"{split}: {len(images)} images"
        other = len(images) != PUBLISHED[split]
        sizes.append(f"{count} (published: {PUBLISHED[split]})" if other else count)
    return Manifest(corpus, tuple(clips), frame_labels=labels, warnings=tuple(sizes))


def write_video(path: Path, images: Images) -> None:
    """Images ``(n, 48, 48)`` as a lossless video, unless it holds just these already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and _holds(path, images):
        return
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with av.open(
            str(aside), "w", format="matroska", options={"fflags": "+bitexact"}
        ) as container:
            # grey values would be taken for a narrower range by some decoders; RGB can't be
            video = container.add_stream("ffv1", rate=Fraction(FPS))
            video.width, video.height, video.pix_fmt = SIDE, SIDE, "bgr0"
            video.codec_context.thread_count = 1
            video.codec_context.flags |= av.codec.context.Flags.bitexact.value
            for number, image in enumerate(images):
                colour = np.full((SIDE, SIDE, 4), 255, np.uint8)
                colour[..., :3] = image[..., None]
                frame = av.VideoFrame.from_ndarray(colour, format="bgra").reformat(format="bgr0")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _holds(path: Path, images: Images) -> bool:
    """The video's frames are these images."""
    try:
        with av.open(str(path)) as container:
            number = 0
            for frame in container.decode(video=0):
                shown = frame.to_ndarray(format="rgb24")[..., 0]
                if number >= len(images) or not np.array_equal(shown, images[number]):
                    return False
                number += 1
    except (av.FFmpegError, ValueError):
        return False
    return number == len(images)


def _table_of(source: str | Path) -> Path:
    path = Path(os.path.abspath(source))
    tries = [path / name for name in TABLES] if path.is_dir() else [path]
    found = next((p for p in tries if p.is_file()), None)
    if found is None:
        raise SourceMissing(f"{path}: no {TABLES[0]} there; give the CSV or its folder")
    return found


def _read(table: Path) -> Mapping[str, tuple[Images, NDArray[np.int64]]]:
    """Split -> images ``(n, 48, 48)`` and classes ``(n,)``."""
    images: dict[str, list[Images]] = {split: [] for split in USAGES.values()}
    classes: dict[str, list[int]] = {split: [] for split in USAGES.values()}
    order = [EMOTIONS.index(word) for word in OWN]
    for row in csv_lines(table, ("emotion", "pixels", "Usage")):
        usage, own = row.cells["Usage"], row.cells["emotion"]
        split = USAGES.get(usage)
        if split is None:
            raise BadTable(f"{row.place}: Usage is {usage!r}; it must be {', '.join(USAGES)}")
        if own not in map(str, range(len(OWN))):
            raise BadTable(f"{row.place}: emotion is {own!r}; it must be a number from 0 to 6")
        images[split].append(_image(row.cells["pixels"], row.place))
        classes[split].append(order[int(own)])
    found = {
        split: (np.stack(images[split]), np.array(classes[split], np.int64))
        for split in images
        if images[split]
    }
    if not found:
        raise EmptyCorpus(f"{table}: it has no images; give FER-2013's own CSV")
    return found


def _image(text: str, place: str) -> Images:
    try:
        values = bytes(map(int, text.split()))
    except ValueError as error:
        raise BadTable(f"{place}: pixels must be numbers from 0 to 255 ({error})") from error
    if len(values) != SIDE * SIDE:
        raise BadTable(f"{place}: there are {len(values)} pixels; it must be {SIDE * SIDE}")
    return np.frombuffer(values, np.uint8).reshape(SIDE, SIDE)
