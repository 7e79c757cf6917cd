"""Boxes by PyPI's mtcnn itself under TensorFlow, on made frames, and how they are made.

    python -m tests.features.tensorflow_goldens

writes tests/golden/mtcnn_tensorflow.json; it needs an environment of its own with mtcnn 1.0.0,
tensorflow-cpu, scikit-image and opencv-python-headless. TensorFlow is no part of the project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

GOLDEN = Path(__file__).parents[1] / "golden" / "mtcnn_tensorflow.json"

#: of the detector, in mtcnn's names; the thresholds are our defaults
OPTIONS = {"threshold_pnet": 0.6, "threshold_rnet": 0.7, "threshold_onet": 0.7}

Image = NDArray[np.uint8]


def frames() -> Iterator[tuple[str, Image]]:
    """Name and pixels of frames made of scikit-image's portrait of Eileen Collins (NASA)."""
    portrait = np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    yield "whole", portrait
    head = portrait[:240, 110:350]
    for degrees in (-20, -10, 10, 20):
        turn = cv2.getRotationMatrix2D((120, 120), degrees, 1.0)
        turned = cv2.warpAffine(head, turn, (240, 240), flags=cv2.INTER_LINEAR)
        yield f"turned by {degrees}", np.asarray(turned, np.uint8)
    for side in (360, 180, 120, 90):
        scaled = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
        yield f"{side} px", _on_grey(320, 400, [(scaled, 20, 10)])
    yield "dark", (head // 4).astype(np.uint8)
    yield "bright", np.clip(head.astype(int) * 2, 0, 255).astype(np.uint8)
    yield "mirrored", np.ascontiguousarray(head[:, ::-1])
    yield "grey", np.repeat(head.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    sizes = ((200, 0, 0), (150, 220, 10), (110, 400, 40), (80, 530, 20), (300, 20, 170))
    several = [(cv2.resize(head, (n, n), interpolation=cv2.INTER_AREA), x, y) for n, x, y in sizes]
    yield "five", _on_grey(480, 640, several)
    yield "nobody", np.full((240, 320, 3), 96, np.uint8)
    noise = np.random.default_rng(0).normal(0, 12, head.shape)
    yield "noisy", np.clip(head + noise, 0, 255).astype(np.uint8)


def _on_grey(height: int, width: int, parts: list[tuple[Image, int, int]]) -> Image:
    frame = np.full((height, width, 3), 96, np.uint8)
    for part, x, y in parts:
        room = frame[y : y + len(part), x : x + part.shape[1]]
        room[:] = part[: room.shape[0], : room.shape[1]]
    return frame


def main() -> None:
    """Detect and write."""
    import tensorflow
    from mtcnn import MTCNN

    detector = MTCNN()
    found = {}
    for name, frame in frames():
        faces = detector.detect_faces(frame, fit_to_image=False, box_format="xyxy", **OPTIONS)
        found[name] = [
            {
                "box": [round(float(v), 2) for v in face["box"]],
                "score": round(float(face["confidence"]), 4),
            }
            for face in faces
        ]
        print(name, found[name])
    origin = f"mtcnn 1.0.0 under tensorflow-cpu {tensorflow.__version__}, CPU, {OPTIONS}"
    GOLDEN.write_text(json.dumps({"origin": origin, "frames": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
