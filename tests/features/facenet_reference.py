"""facenet-pytorch's MTCNN as the reference, importable beside a torch without torchvision.

Of torchvision it needs one function, greedy suppression per image; a plain one stands in.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

#: seconds spent in the stand-in, which a fair timing takes off
seconds_in_suppression = [0.0]


def greedy(boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float) -> list[int]:
    """Non-maximum suppression as textbooks have it: best first, one at a time, no ``+ 1``."""
    order = np.argsort(-scores, kind="stable")
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        start = np.maximum(boxes[best, :2], boxes[rest, :2])
        stop = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.maximum(stop - start, np.float32(0)).prod(1)
        order = rest[~(shared / (area[best] + area[rest] - shared) > np.float32(threshold))]
    return kept


def batched_nms(boxes: Tensor, scores: Tensor, images: Tensor, threshold: float) -> Tensor:
    """What torchvision's function of that name gives, image by image."""
    began = time.process_time()
    kept = []
    for image in torch.unique(images):  # type: ignore[no-untyped-call]
        here = torch.nonzero(images == image)[:, 0]
        chosen = greedy(boxes[here].numpy(), scores[here].numpy(), threshold)
        kept.append(here[torch.tensor(chosen, dtype=torch.int64)])
    every = torch.cat(kept) if kept else torch.zeros(0, dtype=torch.int64)
    result = every[scores[every].argsort(descending=True, stable=True)]
    seconds_in_suppression[0] += time.process_time() - began
    return result


def reference(**options: Any) -> Any:
    """``facenet_pytorch.MTCNN(keep_all=True)``; without the package, the test is skipped."""
    spec = importlib.util.find_spec("facenet_pytorch")
    if spec is None:
        pytest.skip("facenet-pytorch is not installed (tests/requirements-no-deps.txt)")
    # the package's own __init__ would import networks that need more packages
    package = ModuleType("facenet_pytorch")
    package.__path__ = list(spec.submodule_search_locations or [])
    with _modules({"facenet_pytorch": package, **_torchvision()}):
        module = importlib.import_module("facenet_pytorch.models.mtcnn")
        return module.MTCNN(keep_all=True, **options)


def _torchvision() -> dict[str, ModuleType]:
    names = ("", ".transforms", ".transforms.functional", ".ops", ".ops.boxes")
    made = {f"torchvision{name}": ModuleType(f"torchvision{name}") for name in names}
    vars(made["torchvision.transforms"])["functional"] = made["torchvision.transforms.functional"]
    vars(made["torchvision.ops.boxes"])["batched_nms"] = batched_nms
    return made


@contextlib.contextmanager
def _modules(stand_ins: dict[str, ModuleType]) -> Iterator[None]:
    """Modules that can be imported for a while, and no longer, lest others find them."""
    before = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in before.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
