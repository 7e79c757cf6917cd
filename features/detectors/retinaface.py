"""Faces by RetinaFace: anchors, decoding, and the choice among boxes that overlap."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.mtcnn.boxes import suppress
from features.mtcnn.detector import Detections
from features.nets.exact import exact
from features.nets.retinaface import RetinaFace
from features.nets.runner import placed

#: blue, green and red of the mean pixel (the public version's detect.py)
MEAN_BGR = (104.0, 117.0, 123.0)
#: pixels of the image per place of each map, and sides of the anchors there (its config.py)
STEPS, SIDES = (8, 16, 32), ((16, 32), (64, 128), (256, 512))
#: what boxes' and points' raw places, and boxes' raw sizes, are multiplied by
PLACE, SIZE = 0.1, 0.2
#: candidates per frame that are compared with each other
MOST = 5000


@lru_cache(maxsize=2)
def anchors(height: int, width: int) -> Tensor:
    """Middle x, y, width, height of every anchor, px: float64 ``(n, 4)``, not to be changed.

    Kept for the next frame: clips of a corpus are mostly of one size.
    """
    found = []
    for step, sides in zip(STEPS, SIDES, strict=True):
        rows, columns = math.ceil(height / step), math.ceil(width / step)
        places = [(torch.arange(n, dtype=torch.float64) + 0.5) * step for n in (rows, columns)]
        lengths = torch.tensor(sides, dtype=torch.float64)
        y, x, side = torch.meshgrid(*places, lengths, indexing="ij")
        found.append(torch.stack([x, y, side, side], -1).reshape(-1, 4))
    return torch.cat(found)


def decode(raw: Tensor, raw_points: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes ``(n, 4)`` x0 y0 x1 y1 and points ``(n, 5, 2)`` in px, from raw answers and anchors."""
    middle = at[:, :2] + raw[:, :2] * PLACE * at[:, 2:]
    half = at[:, 2:] * torch.exp(raw[:, 2:] * SIZE) / 2
    boxes = torch.cat([middle - half, middle + half], 1)
    return boxes, at[:, None, :2] + raw_points.reshape(-1, 5, 2) * PLACE * at[:, None, 2:]


class Retina:
    """RetinaFace on one device, frame by frame, at the frames' own size.

    Args:
        net: the network with its weights, on the CPU.
        least: least score of a face.
        overlap: intersection over union above which the weaker of two boxes goes.
    """

    def __init__(
        self,
        net: RetinaFace,
        device: str,
        *,
        least: float,
        overlap: float,
    ) -> None:
        self.device, self.least, self.overlap = torch.device(device), least, overlap
        self.net = placed(net, device)
        self.mean = torch.tensor(MEAN_BGR, device=self.device)

    def detect(self, frames: NDArray[np.uint8]) -> Detections:
        """All faces of uint8 RGB frames ``(n, height, width, 3)``."""
        with torch.inference_mode(), exact(self.device):
            found = [self._one(frame) for frame in frames]
        counts = [len(scores) for _, scores, _ in found]
        return Detections(
            frames=np.repeat(np.arange(len(frames)), counts),
            boxes=np.concatenate([np.zeros((0, 4)), *(f[0] for f in found)]).astype(np.float32),
            scores=np.concatenate([np.zeros(0), *(f[1] for f in found)]).astype(np.float32),
            points=np.concatenate([np.zeros((0, 5, 2)), *(f[2] for f in found)]).astype(np.float32),
        )

    def _one(
        self, frame: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).to(self.device)
        image = (pixels.flip(-1).float() - self.mean).permute(2, 0, 1)[None]
        image = image.contiguous(memory_format=torch.channels_last)
        scores, raw, points = (answer[0].double().cpu() for answer in self.net(image))
        kept = torch.nonzero(scores > self.least)[:, 0]
        kept = kept[scores[kept].argsort(descending=True, stable=True)[:MOST]]
        at = anchors(*frame.shape[:2])[kept]
        boxes, places = decode(raw[kept], points[kept], at)
        one_frame = torch.zeros(len(kept), dtype=torch.int64)
        stays = suppress(boxes.float(), scores[kept].float(), one_frame, self.overlap)
        return boxes[stays].numpy(), scores[kept][stays].numpy(), places[stays].numpy()
