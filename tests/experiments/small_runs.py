"""Runs of a second, for tests of what runs them."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["SMALL", "sets"]

#: Settings of two tasks, a few images and neurons, as changes of ``src2022/mnist``.
SMALL: dict[str, Any] = {
    "data.name": "mnist-mini",
    "data.images_per_task": 60,
    "data.tasks": [[0, 1], [2, 3]],
    "network.sizes": [784, 10, 10],
    "wake.epochs": 1,
    "sleep.steps": 100,
    "sleep.thresholds": [5.0, 5.0],
}


def sets(**more: Any) -> list[str]:
    """The same as options of a command; two underscores stand for a dot."""
    changes = SMALL | {key.replace("__", "."): value for key, value in more.items()}
    return [part for key, value in changes.items() for part in ("--set", f"{key}={json.dumps(value)}")]
