"""One PNG per clip: frames with faces, sound, labels and validity over one time axis."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from features.errors import RequestError
from flows.clip_view import N_MFCC, ClipView, Line, Validity, clip_view
from flows.strip import FAINT, FILL, INK, frame_height, name_panel, paint_crops, paint_frames
from storage import FeatureStore

#: inches; the columns hold names, panels and numbers
WIDTH, LEFT, RIGHT = 13.0, 1.45, 1.05
PANEL_WIDTH = WIDTH - LEFT - RIGHT
DPI = 120
#: colours that people with any colour vision tell apart (Okabe and Ito 2008)
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
PALE = "#e9e9e9"
LINES = (BLUE, RED, GREEN, ORANGE, PURPLE)
STYLES = ("-", "--", "-.", ":", "-")
#: dB below the loudest that the mel panel shows
MEL_RANGE = 70.0
#: columns of a panel; more wouldn't be seen
MOST_COLUMNS = 1500
#: inches
MEL, MFCC, LABELS, BAR, CROP, NOTE = 1.35, 1.05, 1.0, 0.19, 1.0, 0.4
GAP, HEAD, FOOT = 0.14, 0.85, 0.5

Floats = NDArray[np.float64]
#: height in inches, and what fills the axes
Panel = tuple[float, Callable[[Axes], None]]


def clip_picture(
    store: FeatureStore, clip: str, corpus: str, out: Path, variant: str | None = None
) -> Path:
    """Draw one clip as a PNG and return its path; panels whose feature is missing are left out.

    Raises:
        UnknownCorpus, UnknownClip, UnknownVariant: the store has none.
        RequestError: no name of a PNG.
    """
    out = Path(out)
    if out.suffix.lower() != ".png":
        raise RequestError(f"--to {out}: a picture is a PNG; name it {out.with_suffix('.png')}")
    figure = draw(clip_view(store, clip, corpus, variant))
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    figure.savefig(unfinished, format="png", dpi=DPI, facecolor="white")
    os.replace(unfinished, out)
    return out


def draw(view: ClipView) -> Figure:
    """The picture of what was gathered."""
    return _Sheet(view).figure


class _Sheet:
    """Panels below each other, all on one time axis; heights are in inches."""

    def __init__(self, view: ClipView) -> None:
        self._view = view
        self._panels = [*self._pictures(), *self._timed()]
        self._height = HEAD + FOOT + sum(height + GAP for height, _ in self._panels)
        self.figure = Figure(figsize=(WIDTH, self._height))
        FigureCanvasAgg(self.figure)
        self._head()
        top, last = HEAD, None
        for height, paint in self._panels:
            axes = self._axes(top, height)
            paint(axes)
            top += height + GAP
            last = axes if axes.axison else last
        if last is not None:
            last.tick_params(labelbottom=True)
            last.set_xlabel("container time (s)", fontsize=9, color=FAINT)

    def _pictures(self) -> list[Panel]:
        view = self._view
        image = next((s.image for s in view.shots if s.image is not None), None)
        panels: list[Panel] = []
        if image is None and view.problem:
            panels.append((NOTE, partial(_note, text=view.problem)))
        if not view.shots:
            return panels
        cell = PANEL_WIDTH / len(view.shots)
        if image is not None:
            high = frame_height(image, cell)
            panels.append((high, partial(paint_frames, shots=view.shots, cell=cell, height=high)))
        high = min(cell * FILL, CROP)
        panels += [
            (high, partial(paint_crops, shots=view.shots, feature=f, cell=cell, height=high))
            for f in view.crops
            if any(s.crops[f] is not None for s in view.shots)
        ]
        return panels

    def _timed(self) -> list[Panel]:
        view = self._view
        panels: list[Panel] = []
        if view.sound is not None and np.isfinite(view.sound).any():
            sound, edges = _thinned(view.sound, view.edges)
            panels.append((MEL, partial(self._mel, power=sound[:, N_MFCC:], edges=edges)))
            panels.append((MFCC, partial(self._mfcc, values=sound[:, :N_MFCC], edges=edges)))
        inside = [x for x in view.lines if np.nanmax(np.abs(x.values), initial=0) <= 1]
        if inside:
            panels.append((LABELS, partial(self._labels, lines=inside, within_one=True)))
        panels += [
            (LABELS, partial(self._labels, lines=[x])) for x in view.lines if x not in inside
        ]
        if view.validity and view.frames:
            height = BAR * len(view.validity) + 0.08
            panels.append((height, partial(self._bars, rows=view.validity)))
        return panels

    def _axes(self, top: float, height: float) -> Axes:
        place = (
            LEFT / WIDTH,
            1 - (top + height) / self._height,
            PANEL_WIDTH / WIDTH,
            height / self._height,
        )
        axes = self.figure.add_axes(place)
        axes.tick_params(labelsize=8, color=FAINT, labelcolor=FAINT, length=3, labelbottom=False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(FAINT)
        return axes

    def _head(self) -> None:
        view, facts = self._view, self._view.facts
        high = self._height
        self.figure.text(
            LEFT / WIDTH, 1 - 0.36 / high, view.clip, fontsize=15, weight="bold", color=INK
        )
        self.figure.text(
            LEFT / WIDTH, 1 - 0.62 / high, "  ·  ".join(_facts(view)), fontsize=9, color=FAINT
        )
        labels = [
            f"{name.removeprefix('label.')} {_short(value)}"
            for name, value in facts.items()
            if name.startswith("label.") and value is not None
        ]
        self.figure.text(
            1 - RIGHT / WIDTH,
            1 - 0.36 / high,
            "  ·  ".join(labels[:5]),
            fontsize=9,
            color=INK,
            ha="right",
        )

    def _over_time(self, axes: Axes, name: str) -> None:
        axes.set_xlim(float(self._view.edges[0]), float(self._view.edges[-1]))
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
        name_panel(axes, name)

    def _mel(self, axes: Axes, power: Floats, edges: Floats) -> None:
        decibels = 10 * np.log10(np.maximum(power, 1e-10))
        loudest = float(np.nanmax(decibels))
        image = axes.pcolormesh(
            edges,
            np.arange(power.shape[1] + 1),
            np.ma.masked_invalid(decibels.T),
            cmap="magma",
            vmin=loudest - MEL_RANGE,
            vmax=loudest,
            rasterized=True,
        )
        axes.set_facecolor(PALE)
        axes.set_yticks([0, 64, 128])
        self._over_time(axes, "mel bands")
        self._scale(axes, image, "dB")

    def _mfcc(self, axes: Axes, values: Floats, edges: Floats) -> None:
        spread = np.nanstd(values, 0)
        scaled = (values - np.nanmean(values, 0)) / np.where(spread > 0, spread, 1.0)
        image = axes.pcolormesh(
            edges,
            np.arange(values.shape[1] + 1),
            np.ma.masked_invalid(scaled.T),
            cmap="PuOr_r",
            vmin=-2.5,
            vmax=2.5,
            rasterized=True,
        )
        axes.set_facecolor(PALE)
        axes.set_yticks([0, 20, 40])
        self._over_time(axes, "MFCC")
        self._scale(axes, image, "sd")

    def _scale(self, axes: Axes, image: Any, unit: str) -> None:
        box = axes.get_position()
        place = (box.x1 + 0.1 / WIDTH, box.y0, 0.1 / WIDTH, box.height)
        bar = self.figure.colorbar(image, cax=self.figure.add_axes(place))
        bar.outline.set_visible(False)
        bar.ax.yaxis.set_major_locator(MaxNLocator(3))
        bar.ax.tick_params(labelsize=8, color=FAINT, labelcolor=FAINT, length=2)
        bar.set_label(unit, fontsize=8, color=FAINT)

    def _labels(self, axes: Axes, lines: Sequence[Line], within_one: bool = False) -> None:
        edges = self._view.edges
        # several lines share an axis, so each is named at its own height, kept apart
        heights = _apart([_last(x.values) for x in lines], 0.3 if within_one else 0.0)
        for i, (line, height) in enumerate(zip(lines, heights, strict=True)):
            colour, style = LINES[i % len(LINES)], STYLES[i % len(STYLES)]
            values = np.append(line.values, line.values[-1])
            axes.plot(edges, values, style, color=colour, linewidth=1.8, drawstyle="steps-post")
            axes.annotate(
                line.name,
                (1.0, height),
                (6, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                fontsize=8,
                color=colour,
                va="center",
                annotation_clip=False,
            )
        if within_one:
            axes.axhline(0, color=PALE, linewidth=1, zorder=0)
            axes.set_ylim(-1.05, 1.05)
            axes.set_yticks([-1, 0, 1])
        self._over_time(axes, "frame labels")

    def _bars(self, axes: Axes, rows: Sequence[Validity]) -> None:
        first, last = float(self._view.edges[0]), float(self._view.edges[-1])
        for i, row in enumerate(rows):
            y = len(rows) - 1 - i
            axes.add_patch(
                Rectangle((first, y + 0.18), last - first, 0.64, facecolor=PALE, hatch="////",
                          edgecolor="#c8c8c8", linewidth=0)
            )  # fmt: skip
            axes.broken_barh(
                [(start, stop - start) for start, stop in row.spans],
                (y + 0.18, 0.64),
                facecolor=ORANGE if row.stale else BLUE,
                linewidth=0,
            )
            share = "stale" if row.stale else f"{100 * row.share:.0f} % valid"
            axes.annotate(
                share, (last, y + 0.5), (6, 0), textcoords="offset points", fontsize=8,
                color=RED if row.stale else FAINT, va="center", annotation_clip=False,
            )  # fmt: skip
        axes.set_ylim(0, len(rows))
        axes.set_yticks([len(rows) - 0.5 - i for i in range(len(rows))], [r.feature for r in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(first, last)
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))


def _note(axes: Axes, text: str) -> None:
    axes.axis("off")
    axes.text(0, 0.5, f"no frames: {text}", fontsize=9, color=RED, va="center", wrap=True)


def _facts(view: ClipView) -> list[str]:
    facts = view.facts
    found = [view.corpus]
    if view.frames:
        seconds = float(view.edges[-1] - view.edges[0])
        found += [f"{seconds:.2f} s", f"{view.frames} frames"]
    if facts.get("width"):
        found.append(f"{facts['width']} x {facts['height']}")
    found += [str(facts[name]) for name in ("subject", "split") if facts.get(name)]
    return found


def _short(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _last(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else 0.0


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """The heights, moved up where needed so that any two are ``least`` apart."""
    out = list(heights)
    order = sorted(range(len(out)), key=lambda i: out[i])
    for below, above in pairwise(order):
        out[above] = max(out[above], out[below] + least)
    return out


def _thinned(values: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Means of equally many neighbouring rows, so that no more are left than can be seen."""
    every = -(-len(values) // MOST_COLUMNS)
    if every == 1:
        return values, edges
    starts = np.arange(0, len(values), every)
    known = np.isfinite(values)
    sums = np.add.reduceat(np.where(known, values, 0.0), starts)
    counts = np.add.reduceat(known.astype(np.float64), starts)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means, np.append(edges[starts], edges[-1])
