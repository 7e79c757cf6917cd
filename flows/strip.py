"""The rows of images in a clip's picture: frames with boxes and points, and aligned faces."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from flows.clip_view import Image, Shot

#: of the main face: stands out from skin for any colour vision, with a black rim
YELLOW = "#F0E442"
INK, FAINT = "#1a1a1a", "#6b6b6b"
#: share of its cell's width that a frame fills
FILL = 0.96
#: inches under a frame for its time
CAPTION = 0.2
POINTS_PER_INCH = 72
#: diameter of a point, as a share of the face's width; in printer's points, at least and at most
POINT_SHARE, POINT_LEAST, POINT_MOST = 0.08, 1.0, 3.2


def frame_height(image: Image, cell: float) -> float:
    """Inches that a row of such frames needs, captions included."""
    return float(cell * FILL * image.shape[0] / image.shape[1] + CAPTION)


def paint_frames(axes: Axes, shots: Sequence[Shot], cell: float, height: float) -> None:
    """Frames with the main face's box and points, and thin boxes around other faces.

    Args:
        cell: inches of width for each frame.
        height: inches of the whole row.
    """
    _in_inches(axes, cell * len(shots), height)
    for i, shot in enumerate(shots):
        if shot.image is not None:
            _paint_shot(axes, shot, shot.image, (i + (1 - FILL) / 2) * cell, cell * FILL)
    name_panel(axes, "frames")


def paint_crops(
    axes: Axes, shots: Sequence[Shot], feature: str, cell: float, height: float
) -> None:
    """The aligned faces of one feature, each below its frame."""
    _in_inches(axes, cell * len(shots), height)
    for i, shot in enumerate(shots):
        image, middle = shot.crops[feature], (i + 0.5) * cell
        if image is None:
            axes.text(middle, height / 2, "no face", fontsize=8, color=FAINT, ha="center",
                      va="center")  # fmt: skip
            continue
        wide = height * image.shape[1] / image.shape[0]
        _show(axes, image, middle - wide / 2, wide)
    name_panel(axes, feature)


def name_panel(axes: Axes, name: str) -> None:
    """A panel's name, left of it."""
    axes.annotate(
        name, (0, 0.5), (-0.42 * POINTS_PER_INCH, 0), xycoords="axes fraction",
        textcoords="offset points", fontsize=9, color=INK, ha="right", va="center",
        annotation_clip=False,
    )  # fmt: skip


def _paint_shot(axes: Axes, shot: Shot, image: Image, left: float, wide: float) -> None:
    scale = wide / image.shape[1]
    high = _show(axes, image, left, wide)
    # a box may reach past its frame, and must not be drawn over the next one
    inside = Rectangle((left, 0), wide, high, transform=axes.transData)

    def box(corners: Sequence[float], colour: str, width: float) -> None:
        x0, y0, x1, y1 = (value * scale for value in corners)
        for edge, thick in (("black", width + 1.0), (colour, width)):
            patch = Rectangle(
                (left + x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=edge, linewidth=thick
            )
            axes.add_patch(patch).set_clip_path(inside)

    for corners in shot.others.tolist():
        box(corners, "white", 0.8)
    if shot.main is not None:
        box(shot.main[:4].tolist(), YELLOW, 1.3)
        face = float(shot.main[2] - shot.main[0]) * scale * POINTS_PER_INCH
        size = min(max(face * POINT_SHARE, POINT_LEAST), POINT_MOST)
        points = shot.main[5:15].reshape(5, 2) * scale
        axes.plot(left + points[:, 0], points[:, 1], "o", color=YELLOW, markersize=size,
                  markeredgecolor="black", markeredgewidth=size / 7)  # fmt: skip
    axes.text(left + wide / 2, high + 0.04, f"{shot.time:.2f} s", fontsize=8, color=FAINT,
              ha="center", va="top")  # fmt: skip


def _show(axes: Axes, image: Image, left: float, wide: float) -> float:
    """Draw an image below the row's top; returns its height in inches."""
    high = float(wide * image.shape[0] / image.shape[1])
    extent = (left, left + wide, high, 0.0)
    axes.imshow(image, extent=extent, aspect="auto", interpolation="lanczos")
    return high


def _in_inches(axes: Axes, wide: float, high: float) -> None:
    """Make one unit of the axes an inch, y downwards, whatever is drawn."""
    axes.axis("off")
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)
    axes.autoscale(False)
