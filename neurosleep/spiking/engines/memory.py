"""How much memory work on a device takes, how much there is, and smaller pieces where that is too little."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from neurosleep.errors import DeviceMemoryError, NeurosleepWarning

__all__ = ["check_room", "free_memory", "in_pieces"]

_T = TypeVar("_T")


def free_memory(device: str) -> int | None:
    """Bytes that are free on a CUDA device, with those that torch holds and does not use; None of other devices."""
    if torch.device(device).type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def check_room(what: str, needed: int, device: str) -> None:
    """Refuse work that needs more bytes than are free, before it starts.

    Raises
    ------
    DeviceMemoryError
        With both numbers.
    """
    free = free_memory(device)
    if free is not None and needed > free:
        raise DeviceMemoryError(
            f"{what} needs about {needed / 2**20:,.0f} MiB on the device {device!r}.",
            found=f"{free / 2**20:,.0f} MiB free",
            expected="a smaller batch, fewer networks at once, or a device with more memory",
        )


def in_pieces(count: int, work: Callable[[int, int], _T], what: str = "sample") -> list[_T]:
    """What ``work(low, high)`` gives of ``count`` samples, of all at once or, where memory is too little, of parts.

    Each piece is worked on anew from its start, so that nothing of one that failed is left.

    Raises
    ------
    DeviceMemoryError
        If even one sample is too much.

    Warns
    -----
    NeurosleepWarning
        With the size of the pieces, if it is less than ``count``.
    """
    made: list[_T] = []
    low, width = 0, count
    while low < count:
        try:
            made.append(work(low, min(low + width, count)))
        except (torch.OutOfMemoryError, DeviceMemoryError) as error:
            failure = error
        else:
            low += width
            continue
        # Out of the handler, which holds on to what the failed work had made.
        if width == 1:
            if isinstance(failure, DeviceMemoryError):
                raise failure
            raise DeviceMemoryError(
                f"The device has too little memory for a single {what}.",
                found=str(failure)[:200],
                expected="a smaller network, or a device with more memory",
                hint="device='cpu'",
            ) from failure
        del failure
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        width = (width + 1) // 2
    if width < count:
        warnings.warn(
            f"The device has too little memory for {count} {what}s at once: {width} are stepped at a time.",
            NeurosleepWarning,
            stacklevel=2,
        )
    return made
