"""A Dask worker as fast as a process of its own while it is at a long task: no profiler, usual memory thresholds."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

__all__ = ["full_speed"]

# Set by the worker's nanny (``distributed.nanny.pre-spawn-environ``).
_SET = "MALLOC_TRIM_THRESHOLD_"
# glibc's names of what mallopt sets, and the values that its own adjustment ends at, and starts with (mallopt(3)).
_TRIM, _MMAP = -1, -3
_ENDS_AT = {_MMAP: 32 << 20, _TRIM: 64 << 20}
_MMAP_STARTS_WITH = 128 << 10


@contextmanager
def full_speed(worker: Any) -> Iterator[None]:
    """Take back what a worker does for many short tasks, and a long one pays for; afterwards all is as it was."""
    with ExitStack() as stack:
        stack.enter_context(_no_profiler(worker))
        stack.enter_context(_usual_thresholds())
        yield


@contextmanager
def _no_profiler(worker: Any) -> Iterator[None]:
    """Not a hundred times a second a look at every frame, for which the task's thread must stop."""
    profiler = worker.periodic_callbacks.get("profile")
    if profiler is None or not profiler.is_running():
        yield
        return
    worker.loop.add_callback(profiler.stop)
    try:
        yield
    finally:
        worker.loop.add_callback(profiler.start)


@contextmanager
def _usual_thresholds() -> Iterator[None]:
    """Arrays come from memory that the process has.

    Where a threshold of glibc's is set it adjusts none of them any more, and each array of 128 KiB or more comes from
    the kernel page by page, and goes back to it: a batch of images at every step of the training.
    """
    if not os.environ.get(_SET, "").isdigit() or platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    for threshold, value in _ENDS_AT.items():
        libc.mallopt(threshold, value)
    try:
        yield
    finally:
        libc.mallopt(_MMAP, _MMAP_STARTS_WITH)
        libc.mallopt(_TRIM, min(int(os.environ[_SET]), 2**31 - 1))
        libc.malloc_trim(0)
