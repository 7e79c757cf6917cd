"""One small picture per visual feature, of a made clip: what its rows look like."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from corpora.adapters import load
from corpora.demo import make_demo
from features.media.media import Media
from features.registry import declaration_of, feature_specs
from features.spec import FeatureSpec, Rows
from flows.availability import unavailable
from flows.ingest import ingest_manifest
from flows.pipeline import configure
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore

CLIP, CORPUS = "demo_1", "demo"
FRAMES = 4
#: columns of a feature that holds boxes
BOX = ("x0", "y0", "x1", "y1")
#: pixels shown around points
MARGIN = 30
INCHES, DPI = 1.6, 100

Image = NDArray[np.uint8]


def make_pictures(features: Sequence[str], folder: Path) -> Iterator[Path]:
    """Extract a made clip's visual features and draw four frames of each as ``<feature>.png``."""
    wanted = drawable(features)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        media = make_demo(Path(temporary) / "media", clips=1, seconds=2.0)
        store = FeatureStore.create(Path(temporary) / "store")
        ingest_manifest(store, load("demo", str(media), CORPUS))
        extract_plain(Request(store.root, ",".join(wanted)))
        uri = store.clips(CORPUS).to_pylist()[0]["uri"]
        frames = np.concatenate([b.frames for b in Media(uri).video(32) if b.frames is not None])
        for feature in wanted:
            path = folder / f"{feature}.png"
            draw(feature_specs()[feature], store.read(CLIP, feature), frames).savefig(path, dpi=DPI)
            yield path


def drawable(features: Sequence[str]) -> list[str]:
    """The visual ones that can be made here, of a clip that brings no further files."""
    lacking = unavailable(configure({}))
    return [
        feature
        for feature in features
        if is_visual(feature_specs()[feature]) and feature not in lacking and not _asks(feature)
    ]


def _asks(feature: str) -> bool:
    """It reads files that a corpus must bring."""
    declaration = declaration_of(feature)
    return bool(declaration.assets_for(declaration.cls.Params()))


def is_visual(spec: FeatureSpec) -> bool:
    """Its rows are images, points or boxes in the frame."""
    return spec.rate == "frame" and (_is_image(spec) or _is_points(spec) or _is_boxes(spec))


def draw(spec: FeatureSpec, rows: Rows, frames: NDArray[np.uint8]) -> Figure:
    """Four of the valid frames side by side."""
    valid = np.flatnonzero(rows.valid)
    shown = valid[np.linspace(0, len(valid) - 1, FRAMES).astype(int)]
    figure = Figure(figsize=(INCHES * FRAMES, INCHES), layout="tight")
    for place, row in enumerate(shown):
        axes = figure.add_subplot(1, FRAMES, place + 1)
        axes.set_axis_off()
        items = rows.slice(int(row), int(row) + 1).values
        if _is_image(spec):
            axes.imshow(items[0], cmap="gray", vmin=0, vmax=255)
        elif _is_points(spec):
            _draw_points(axes, np.asarray(items[0], float), frames[row])
        else:
            _draw_boxes(axes, np.asarray(items, float), spec, frames[row])
    return figure


def _draw_points(axes: Axes, points: NDArray[np.float64], frame: Image) -> None:
    axes.imshow(frame)
    axes.scatter(points[:, 0], points[:, 1], s=240 / len(points) + 0.3, c="#7CFC00", linewidths=0)
    low, high = points[:, :2].min(0) - MARGIN, points[:, :2].max(0) + MARGIN
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(high[1], low[1])


def _draw_boxes(axes: Axes, boxes: NDArray[np.float64], spec: FeatureSpec, frame: Image) -> None:
    axes.imshow(frame)
    left, top, right, bottom = (boxes[:, spec.columns.index(name)] for name in BOX)
    for x0, y0, x1, y1 in zip(left, top, right, bottom, strict=True):
        axes.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], c="#7CFC00", linewidth=1.2)
    xs = [i for i, name in enumerate(spec.columns) if name.endswith("_x")]
    axes.scatter(boxes[:, xs], boxes[:, [i + 1 for i in xs]], s=4, c="#FFD700", linewidths=0)


def _is_image(spec: FeatureSpec) -> bool:
    return spec.dtype == "uint8" and len(spec.dims) >= 2


def _is_points(spec: FeatureSpec) -> bool:
    return len(spec.dims) == 2 and spec.dims[1] in (2, 3) and spec.units.startswith("px")


def _is_boxes(spec: FeatureSpec) -> bool:
    return set(BOX) <= set(spec.columns)
