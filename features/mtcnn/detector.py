"""The cascade: proposals over a pyramid of sizes, then refinement, then the final answer.

The algorithm is ``detect_face`` of facenet-pytorch 2.6.0 for a single image, step by step; only
the way to its numbers differs. Every image and every crop passes through kernels of one fixed
shape, so that a frame's detections don't depend on the frames that are detected beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from features.mtcnn import nets
from features.mtcnn.area import crop, shrink, sum_tables
from features.mtcnn.boxes import clip, regress, square, suppress
from features.mtcnn.load import load_networks
from features.mtcnn.pyramid import pyramid_of
from features.nets.exact import exact

#: overlap above which the weaker box goes: within one pyramid level; after each of the first two
#: networks; and, by the smaller box, after the last (facenet-pytorch 2.6.0, detect_face)
OVERLAP_LEVEL, OVERLAP_STAGE, OVERLAP_FINAL = 0.5, 0.7, 0.7

#: crops per forward pass of the second and third network: the fastest sizes on one core, and so
#: many on a GPU that the start of its kernels doesn't take most of the time
CROPS_RNET, CROPS_ONET = 64, 16
GPU_CROPS_RNET, GPU_CROPS_ONET = 512, 128

#: bytes of integral images held at once, and frames at most; more is slower, since so large a
#: piece of memory is new to the process each time
TABLE_BYTES, FRAMES_AT_ONCE = 64 * 2**20, 32
#: the same on a GPU, whose memory is kept; a card of 8 GB has room for it and what follows
GPU_TABLE_BYTES = 256 * 2**20

#: on a CPU the first network sees frames one by one, which keeps the cache warm, but small levels
#: of the pyramid together, up to so many pixels and so many frames
PIXELS_PER_FORWARD, SMALL_LEVELS = 16_384, 8

#: the face logit's lead is compared first, its softmax only where that nearly suffices
LOGIT_MARGIN = 1e-3


@dataclass(frozen=True)
class Detections:
    """All faces of some frames, by frame, then by falling score.

    Attributes:
        frames: int64 ``(k,)`` index of the frame.
        boxes: float32 ``(k, 4)`` x0 y0 x1 y1 in pixels; may reach over the image's border.
        scores: float32 ``(k,)`` probability of a face.
        points: float32 ``(k, 5, 2)`` x, y of left eye, right eye, nose, left and right mouth
            corner (left in the image), in pixels.
    """

    frames: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    points: NDArray[np.float32]


@dataclass(frozen=True)
class _Boxes:
    """Candidates on their way through the cascade."""

    frames: Tensor
    boxes: Tensor
    scores: Tensor

    def __getitem__(self, index: Tensor) -> _Boxes:
        return _Boxes(self.frames[index], self.boxes[index], self.scores[index])


class Detector:
    """MTCNN on one device.

    Args:
        device: ``cpu`` or ``cuda``.
        min_face: side of the smallest face that is looked for, in pixels.
        thresholds: least probability after each of the three networks, between 0 and 1.
        factor: ratio of successive sizes of the pyramid, below 1.

    Raises:
        MissingWeights, WeightsDamaged: see ``features.weights.read``.
    """

    def __init__(
        self,
        device: str,
        *,
        min_face: float = 20.0,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        factor: float = 0.709,
    ) -> None:
        self.device = torch.device(device)
        self.min_face, self.thresholds, self.factor = min_face, thresholds, factor
        gpu = self.device.type != "cpu"
        self.crops = (GPU_CROPS_RNET, GPU_CROPS_ONET) if gpu else (CROPS_RNET, CROPS_ONET)
        self.table_bytes = GPU_TABLE_BYTES if gpu else TABLE_BYTES
        pnet, rnet, onet = load_networks()
        self.pnet = pnet.to(self.device)
        self.rnet = rnet.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.onet = onet.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def detect(self, frames: NDArray[np.uint8]) -> Detections:
        """All faces of frames of one size: uint8 ``(n, height, width, 3)`` RGB."""
        found = [nothing()]
        n, height, width = frames.shape[:3]
        table = 12 * (height + 1) * (width + 1)
        together = max(1, min(FRAMES_AT_ONCE, self.table_bytes // table))
        with torch.inference_mode(), exact(self.device):
            for start in range(0, n, together):
                tables = sum_tables(frames[start : start + together], self.device)
                found.append(self._cascade(tables, together, start))
        return Detections(
            np.concatenate([f.frames for f in found]),
            np.concatenate([f.boxes for f in found]),
            np.concatenate([f.scores for f in found]),
            np.concatenate([f.points for f in found]),
        )

    def _cascade(self, tables: Tensor, together: int, start: int) -> Detections:
        """All faces of the frames whose integral images these are."""
        height, width = tables.shape[1] - 1, tables.shape[2] - 1
        found = self._propose(tables, together)

        corners, inside = clip(found.boxes, height, width)
        found, corners = found[inside], corners[inside]
        values = self._crops(
            self.rnet, tables, found.frames, corners, self.rnet.SIZE, self.crops[0]
        )
        found, values = _passing(found, values, self.thresholds[1])
        kept = suppress(found.boxes, found.scores, found.frames, OVERLAP_STAGE)
        found, values = found[kept], values[kept]
        boxes = square(regress(found.boxes, values[:, nets.OFFSETS], last_pixel=True))
        found = _Boxes(found.frames, boxes, found.scores)

        corners, inside = clip(found.boxes, height, width)
        found, corners = found[inside], corners[inside]
        values = self._crops(
            self.onet, tables, found.frames, corners, self.onet.SIZE, self.crops[1]
        )
        found, values = _passing(found, values, self.thresholds[2])
        points = points_of(found.boxes, values)
        boxes = regress(found.boxes, values[:, nets.OFFSETS], last_pixel=True)
        kept = suppress(boxes, found.scores, found.frames, OVERLAP_FINAL, over="smaller")
        return Detections(
            found.frames[kept].cpu().numpy() + start,
            boxes[kept].cpu().numpy(),
            found.scores[kept].cpu().numpy(),
            points[kept].cpu().numpy(),
        )

    def _propose(self, tables: Tensor, together: int) -> _Boxes:
        """Squares that may hold a face, from the first network on every level of the pyramid."""
        n, height, width = len(tables), tables.shape[1] - 1, tables.shape[2] - 1
        pyramid = pyramid_of(height, width, self.min_face, self.factor, self.device)
        if not pyramid.sizes:
            none = torch.zeros(0, dtype=torch.int64, device=self.device)
            return _Boxes(none, none.new_zeros((0, 4)).float(), none.float())
        least = math.log(self.thresholds[0] / (1 - self.thresholds[0])) - LOGIT_MARGIN
        frames, places, chosen = [], [], []
        for size, base in zip(pyramid.sizes, pyramid.starts, strict=True):
            step = together
            if self.device.type == "cpu":
                step = min(SMALL_LEVELS, max(1, PIXELS_PER_FORWARD // (size[0] * size[1])))
            for first in range(0, n, step):
                pixels = filled(shrink(tables[first : first + step], *size), step)
                features = self.pnet(pixels)[: n - first].flatten(1, 2)
                frame, place = torch.nonzero(self.pnet.lead(features) >= least, as_tuple=True)
                frames.append(frame + first)
                places.append(place + base)
                chosen.append(features[frame, place])
        place, values = torch.cat(places), self.pnet.answer(torch.cat(chosen))
        found = _Boxes(torch.cat(frames), pyramid.windows[place], nets.face_score(values))
        passing = found.scores >= self.thresholds[0]
        found, values, level = found[passing], values[passing], pyramid.levels[place[passing]]

        group = found.frames * len(pyramid.sizes) + level
        kept = suppress(found.boxes, found.scores, group, OVERLAP_LEVEL)
        found, values = found[kept], values[kept]
        kept = suppress(found.boxes, found.scores, found.frames, OVERLAP_STAGE)
        found, values = found[kept], values[kept]
        boxes = square(regress(found.boxes, values[:, nets.OFFSETS], last_pixel=False))
        return _Boxes(found.frames, boxes, found.scores)

    def _crops(
        self,
        net: Callable[[Tensor], Tensor],
        tables: Tensor,
        frames: Tensor,
        corners: Tensor,
        size: int,
        together: int,
    ) -> Tensor:
        """A network's raw values for every crop."""
        found = []
        for start in range(0, len(frames), together):
            some = slice(start, start + together)
            pixels = filled(crop(tables, frames[some], corners[some], size), together)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            found.append(net(pixels)[: len(frames) - start])
        return torch.cat(found) if found else tables.new_zeros((0, 16)).float()


def _passing(found: _Boxes, values: Tensor, threshold: float) -> tuple[_Boxes, Tensor]:
    """Those whose new score is above the threshold, with that score."""
    scores = nets.face_score(values)
    passing = scores > threshold
    return _Boxes(found.frames, found.boxes, scores)[passing], values[passing]


def points_of(boxes: Tensor, values: Tensor) -> Tensor:
    """Five points in pixels, float32 ``(k, 5, 2)``, from shares of the box."""
    start, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2] + 1
    shares = torch.stack([values[:, nets.POINTS_X], values[:, nets.POINTS_Y]], 2)
    return size[:, None] * shares + start[:, None] - 1


def filled(pixels: Tensor, count: int) -> Tensor:
    """A batch filled up with zeros to the one size that the kernels see."""
    short = count - len(pixels)
    return functional.pad(pixels, (0, 0, 0, 0, 0, 0, 0, short)) if short else pixels


def nothing() -> Detections:
    return Detections(
        np.zeros(0, np.int64),
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
        np.zeros((0, 5, 2), np.float32),
    )
