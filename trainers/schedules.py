"""Learning rates that fall by steps of the optimizer, where torch's schedulers count epochs."""

from __future__ import annotations

from typing import Any

import torch


class StepDecay:
    """Divides the learning rate after every so many steps of an optimizer.

    Args:
        every: steps between two divisions; factor: what the rate is multiplied by.
        restart: every epoch begins with the first rate again.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        every: int,
        factor: float = 0.1,
        *,
        restart: bool = False,
    ) -> None:
        self._optimizer, self._every, self._factor = optimizer, every, factor
        self._restart, self._steps = restart, 0
        self._first = [float(group["lr"]) for group in optimizer.param_groups]
        optimizer.register_step_post_hook(lambda *_: self._stepped())

    def step(self) -> None:
        """An epoch is done."""
        if self._restart:
            self._steps = 0
            self._apply()

    def state_dict(self) -> dict[str, Any]:
        """How many steps were made."""
        return {"steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go on after so many steps."""
        self._steps = int(state_dict["steps"])
        self._apply()

    def _stepped(self) -> None:
        self._steps += 1
        self._apply()

    def _apply(self) -> None:
        share = self._factor ** (self._steps // self._every)
        for group, first in zip(self._optimizer.param_groups, self._first, strict=True):
            group["lr"] = first * share
