"""What is seen of an awake network while it learns a task: loss and accuracy of each epoch, and where it diverges."""

from __future__ import annotations

import math
from typing import Any

import torch

from neurosleep.continual.strategies import AwakeNetwork, trained
from neurosleep.learning import Batch

__all__ = ["WakeWatch"]


class WakeWatch:
    """Looks at each batch of a task (from 0) after its step; it changes nothing."""

    def __init__(self, network: AwakeNetwork, task: int) -> None:
        self._network, self._task = network, task
        # A number that is not finite reaches the last layer with the next gradient, and few weights are there.
        self._last = trained(network)[-1]
        self._steps = self._right = self._seen = 0
        self._losses: list[float] = []
        self._where: dict[str, Any] | None = None
        self.epochs: list[dict[str, Any]] = []

    def step(self, batch: Batch) -> None:
        """A step was made on the batch."""
        self._steps += 1
        with torch.no_grad():
            if batch.loss is not None:
                self._losses.append(float(batch.loss))
            if batch.activities:
                labels = batch.targets if batch.targets.ndim == 1 else batch.targets.argmax(1)
                self._right += int((batch.activities[-1].argmax(1) == labels).sum())
                self._seen += len(labels)
            if self._where is None and not math.isfinite(float(self._last.sum())):
                self._where = self.divergence()

    def epoch(self, number: int) -> None:
        """An epoch (from 1) is over."""
        loss = sum(self._losses) / len(self._losses) if self._losses else math.nan
        self.epochs.append(
            {
                "task": self._task,
                "epoch": number,
                "loss": loss if math.isfinite(loss) else None,
                "accuracy": self._right / self._seen if self._seen else None,
            }
        )
        self._right, self._seen, self._losses = 0, 0, []

    def divergence(self) -> dict[str, Any] | None:
        """Where weights ceased to be finite: the step at which that was seen, and the first layer; None if they are."""
        if self._where is not None:
            return self._where
        for name, weight in self._network.named_parameters():
            if not bool(torch.isfinite(weight).all()):
                return {
                    "task": self._task,
                    "phase": "wake",
                    "epoch": len(self.epochs) + (self._seen > 0),
                    "step": self._steps,
                    "layer": name,
                    "quantity": "weights",
                    "value": None,
                }
        return None
