"""ExpNet on one core: the plain module beside ours, folded and fused, in fp32 and bf16."""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from features.nets.conv_bn import fold
from features.nets.expnet import SIZE, ExpNet
from features.nets.filling import filled
from features.nets.runner import placed

IMAGES, REPEATS = 4, 5


def made(plain: ExpNet, dtype: torch.dtype) -> ExpNet:
    """The network as the extractor runs it."""
    net = placed(fold(copy.deepcopy(plain)), "cpu")
    net.lower(dtype)
    return net


def main() -> None:
    """Print images per CPU second, ratios to the plain module and differences from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    # random weights: the arithmetic is that of the published ones
    plain = filled(ExpNet, "expnet", "random")
    fp32, bf16 = made(plain, torch.float32), made(plain, torch.bfloat16)
    images = torch.rand(IMAGES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 255
    laid = images.contiguous(memory_format=torch.channels_last)
    runs: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "plain module, fp32": lambda: plain(images),
        "folded, fused, fp32": lambda: fp32(laid),
        "folded, fused, bf16": lambda: bf16(laid),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    features: dict[str, Tensor] = {}
    with torch.inference_mode():
        for name, run in runs.items():
            features[name] = run()[0]
        for _ in range(repeats):
            for name, run in runs.items():
                start = time.process_time()
                run()
                seconds[name].append(time.process_time() - start)
    base, reference = "plain module, fp32", features["plain module, fp32"]
    for name in runs:
        ratios = [b / s for b, s in zip(seconds[base], seconds[name], strict=True)]
        rate = IMAGES / statistics.median(seconds[name])
        worst = (features[name] - reference).abs().max() / reference.abs().max()
        alike = torch.nn.functional.cosine_similarity(features[name], reference).min()
        print(
            f"{name:22} {rate:6.1f} images/s  {statistics.median(ratios):5.2f} x  "
            f"largest difference {worst:.1e} of the largest value, cosine {alike:.6f}"
        )


if __name__ == "__main__":
    main()
