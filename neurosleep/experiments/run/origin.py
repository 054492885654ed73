"""What a run was started with: versions of packages and the data's content, so that it goes on with the same."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence

import numpy as np

from neurosleep.data import Task
from neurosleep.experiments.run_folder import Origin

__all__ = ["COUNTED", "PACKAGES", "differences", "fingerprint", "versions"]

#: Packages whose versions are written down.
PACKAGES = ("neurosleep", "torch", "numpy", "numba", "snntorch", "norse", "safetensors")
#: Of these, and of Python, another version may give other numbers.
COUNTED = ("python", "neurosleep", "torch", "numpy", "numba", "snntorch")


def versions() -> dict[str, str | None]:
    """Version of Python and of each of :data:`PACKAGES`; None where it is not installed."""
    installed: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            installed[package] = None
    return installed


def fingerprint(tasks: Sequence[Task]) -> str:
    """SHA-256 of everything that training and evaluation see of the data: classes, images and labels of each task."""
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(repr([task.name, *map(int, task.classes), len(task.train_labels)]).encode())
        # The training images are the first of the pool.
        for array in (task.pool_images, task.pool_labels, task.test_images, task.test_labels):
            whole = np.ascontiguousarray(array)
            digest.update(f"{whole.dtype.str}{whole.shape}".encode())
            digest.update(whole.data.cast("B") if whole.size else b"")
    return digest.hexdigest()


def differences(started: Mapping[str, object], present: Origin) -> list[str]:
    """What is not as it was when a run started, a sentence each; ``versions`` and ``data`` of both are compared.

    Earlier versions did not write down the data, which then count as the same.
    """
    earlier, now = started.get("versions"), present["versions"]
    earlier = earlier if isinstance(earlier, Mapping) else {}
    sentences = [
        f"{name} was {earlier.get(name)!s:.40} and is {now[name]}" for name in COUNTED if earlier.get(name) != now[name]
    ]
    if started.get("data", present["data"]) != present["data"]:
        sentences.append("the data are not those that it started with")
    return sentences
