"""The cascade with the steps of PyPI's mtcnn 1.0.0, which runs it under TensorFlow.

The networks are those of ``detector``. Other are the pyramid's sizes (cut off, not rounded up), how
it is scaled (areas with shares of pixels at their borders), the crops (bilinear between pixels,
mid-grey outside), boxes that stay unrounded between the networks, and the suppression: a box goes
if any better one overlaps it, even one that goes itself.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.mtcnn import nets
from features.mtcnn.boxes import regress, square
from features.mtcnn.detector import (
    CROPS_ONET,
    CROPS_RNET,
    OVERLAP_FINAL,
    OVERLAP_LEVEL,
    OVERLAP_STAGE,
    Detections,
    filled,
    nothing,
    points_of,
)
from features.mtcnn.load import load_networks
from features.mtcnn.nets import PIXEL_MEAN, PIXEL_SCALE, ONet, PNet, RNet
from features.nets.exact import exact

#: boxes that are compared with all others at once; bounds the memory, not the result
ROWS_AT_ONCE = 512


class PypiDetector:
    """MTCNN on one device, frame by frame; arguments and errors are ``Detector``'s."""

    def __init__(
        self,
        device: str,
        *,
        min_face: float,
        thresholds: tuple[float, float, float],
        factor: float,
    ) -> None:
        self.device = torch.device(device)
        self.min_face, self.thresholds, self.factor = min_face, thresholds, factor
        pnet, rnet, onet = load_networks()
        self.pnet, self.rnet = pnet.to(self.device), rnet.to(self.device)
        self.onet = onet.to(self.device)

    def detect(self, frames: NDArray[np.uint8]) -> Detections:
        """All faces of frames of one size: uint8 ``(n, height, width, 3)`` RGB."""
        with torch.inference_mode(), exact(self.device):
            found = [nothing(), *(self._one(frame, i) for i, frame in enumerate(frames))]
        return Detections(
            np.concatenate([f.frames for f in found]),
            np.concatenate([f.boxes for f in found]),
            np.concatenate([f.scores for f in found]),
            np.concatenate([f.points for f in found]),
        )

    def _one(self, frame: NDArray[np.uint8], number: int) -> Detections:
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).to(self.device)
        image = (pixels.float() - PIXEL_MEAN) * PIXEL_SCALE
        boxes, scores = self._propose(image)
        boxes = square(boxes)

        values = _answers(self.rnet, image, boxes, CROPS_RNET)
        boxes, scores, _ = _kept(boxes, values, self.thresholds[1], OVERLAP_STAGE, "union")
        boxes = square(boxes)

        values = _answers(self.onet, image, boxes, CROPS_ONET)
        points = points_of(boxes, values) if len(boxes) else boxes.new_zeros((0, 5, 2))
        boxes, scores, stays = _kept(boxes, values, self.thresholds[2], OVERLAP_FINAL, "smaller")
        return Detections(
            np.full(len(boxes), number),
            boxes.cpu().numpy(),
            scores.cpu().numpy(),
            points[stays].cpu().numpy(),
        )

    def _propose(self, image: Tensor) -> tuple[Tensor, Tensor]:
        height, width, _ = image.shape
        boxes, scores = [image.new_zeros((0, 4))], [image.new_zeros(0)]
        for scale in self._scales(min(height, width)):
            size = int(height * scale), int(width * scale)
            if min(size) < PNet.WINDOW:
                continue
            features = self.pnet(shrink(image, *size))[0]
            values = self.pnet.answer(features.reshape(-1, features.shape[-1]))
            score = nets.face_score(values)
            place = torch.nonzero(score > self.thresholds[0])[:, 0]
            columns = features.shape[1]
            corner = torch.stack([place % columns, place // columns], 1).float() * PNet.STRIDE
            window = torch.cat([corner + 1, corner + PNet.WINDOW], 1)
            moved = regress(window, values[place][:, nets.OFFSETS], last_pixel=False) / scale
            stays = suppress(moved, score[place], OVERLAP_LEVEL, "union")
            boxes.append(moved[stays])
            scores.append(score[place][stays])
        all_boxes, all_scores = torch.cat(boxes), torch.cat(scores)
        stays = suppress(all_boxes, all_scores, OVERLAP_STAGE, "union")
        return all_boxes[stays], all_scores[stays]

    def _scales(self, shorter: int) -> list[float]:
        """The pyramid's scales; how many there are doesn't depend on the smallest face."""
        if shorter <= PNet.WINDOW:
            return []
        count = round(-(math.log(shorter / PNet.WINDOW) / math.log(self.factor) + 1))
        return [PNet.WINDOW / self.min_face * self.factor**i for i in range(count)]


def shrink(image: Tensor, height: int, width: int) -> Tensor:
    """``(rows, columns, 3)`` at another size, as network input ``(1, 3, height, width)``.

    Each pixel is the mean of the area that it covers, pixels at its border by their share.
    """
    rows = _shares(image.shape[0], height).to(image)
    columns = _shares(image.shape[1], width).to(image)
    return torch.einsum("hr,rwc,vw->chv", rows, image, columns)[None]


def _shares(pixels: int, cells: int) -> Tensor:
    """Share of each pixel in each cell: float64 ``(cells, pixels)``, rows sum to 1."""
    edges = torch.arange(cells + 1, dtype=torch.float64) * (pixels / cells)
    place = torch.arange(pixels, dtype=torch.float64)
    start = torch.maximum(edges[:-1, None], place)
    stop = torch.minimum(edges[1:, None], place + 1)
    shares = (stop - start).clamp(min=0)
    return shares / shares.sum(1, keepdim=True)


def crop(image: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Crops ``(k, 3, size, size)`` of ``(rows, columns, 3)``, bilinear, 0 outside.

    A box's first and last pixel are the crop's; as a share of the image the box is laid over the
    distance between its first and its last pixel, as TensorFlow's crop_and_resize has it.
    """
    height, width, _ = image.shape
    step = torch.linspace(0, 1, size, device=image.device)
    shrunk = boxes * boxes.new_tensor([(width - 1) / width, (height - 1) / height] * 2)
    x = shrunk[:, 0, None] + (shrunk[:, 2] - shrunk[:, 0])[:, None] * step
    y = shrunk[:, 1, None] + (shrunk[:, 3] - shrunk[:, 1])[:, None] * step
    left, across, in_x = _between(x, width)
    top, down, in_y = _between(y, height)
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)

    def at(rows: Tensor, columns: Tensor) -> Tensor:
        return image[rows[:, :, None], columns[:, None, :]]

    weight_x, weight_y = across[:, None, :, None], down[:, :, None, None]
    upper = at(top, left) * (1 - weight_x) + at(top, right) * weight_x
    lower = at(bottom, left) * (1 - weight_x) + at(bottom, right) * weight_x
    made = upper * (1 - weight_y) + lower * weight_y
    made = made * (in_y[:, :, None] & in_x[:, None, :])[..., None]
    return made.permute(0, 3, 1, 2)


def _between(place: Tensor, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """The pixel before each place, how far behind it the place lies, and whether it is inside."""
    inside = (place >= 0) & (place <= pixels - 1)
    clamped = place.clamp(0, pixels - 1)
    before = clamped.floor()
    return before.long(), clamped - before, inside


def suppress(boxes: Tensor, scores: Tensor, threshold: float, over: str) -> Tensor:
    """Indices of the boxes that no better one overlaps by more, by falling score."""
    order = scores.argsort(descending=True, stable=True)
    p = boxes[order]
    area = (p[:, 2:] - p[:, :2]).prod(1)
    rank = torch.arange(len(p), device=p.device)
    stays = []
    for start in range(0, len(p), ROWS_AT_ONCE):
        some = rank[start : start + ROWS_AT_ONCE]
        q = p[some][:, None]
        sides = torch.minimum(q[..., 2:], p[:, 2:]) - torch.maximum(q[..., :2], p[:, :2])
        shared = sides.clamp(min=0).prod(2)
        smaller = torch.minimum(area[some][:, None], area)
        whole = smaller if over == "smaller" else area[some][:, None] + area - shared
        better = rank < some[:, None]
        stays.append(~((shared / whole > threshold) & better).any(1))
    return order[torch.cat(stays)] if stays else order


def _answers(net: RNet | ONet, image: Tensor, boxes: Tensor, together: int) -> Tensor:
    """A network's raw values for every box, in passes of one size."""
    found = [
        net(filled(crop(image, boxes[i : i + together], net.SIZE), together))[: len(boxes) - i]
        for i in range(0, len(boxes), together)
    ]
    return torch.cat(found) if found else image.new_zeros((0, 16))


def _kept(
    boxes: Tensor, values: Tensor, threshold: float, overlap: float, over: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes and scores after a network, by falling score, and which they were before it."""
    scores = nets.face_score(values)
    passing = torch.nonzero(scores > threshold)[:, 0]
    moved = regress(boxes[passing], values[passing][:, nets.OFFSETS], last_pixel=True)
    stays = suppress(moved, scores[passing], overlap, over)
    return moved[stays], scores[passing][stays], passing[stays]
