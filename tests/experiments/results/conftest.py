"""Finished runs for the tests of results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def add_run(out: Path, strategy: str, seed: int, accuracy: float | None, **change: Any) -> Path:
    metrics: dict[str, Any] = {
        "experiment": "src2022/mnist",
        "variant": "default",
        "strategy": strategy,
        "seed": seed,
        "split": "test",
        "status": "done",
        "data": "mnist",
        "accuracy_all": accuracy,
        "results": {"accuracy_all": accuracy},
        "accuracy_per_task": [],
        "accuracy_matrix": [],
        "accuracy_before_sleep": None,
        "reads_old_data": strategy != "sequential",
        "seconds": {"total": 2.0 + seed},
    } | change
    folder = out / metrics["experiment"] / metrics["variant"] / strategy / f"seed{seed}"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture
def add() -> Callable[..., Path]:
    """What writes the metrics of a run: folder, strategy, seed, accuracy, and what differs from a run of MNIST."""
    return add_run
