"""Seconds and memory of mapping 784-1200-1200-10 to each chip that can hold it, and what is in the way on the rest."""

from __future__ import annotations

import ctypes
import gc
import sys
from time import process_time
from typing import Any

import torch

from neurosleep._memory import forget_peak, resident
from neurosleep.conversion import convert
from neurosleep.data import load_dataset, to_float
from neurosleep.errors import MappingError, NeurosleepError
from neurosleep.functional import Reset, torch_generator
from neurosleep.hardware import HardwareProfile, MappingReport, load_profile, map_to, profile_names
from neurosleep.networks import MLP
from neurosleep.spiking import SpikingNetwork

__all__ = ["bench_map"]

_SIZES = (784, 1200, 1200, 10)
_CALIBRATION, _TURNS = 500, 3


def _networks(data: str | None, seed: int) -> dict[Reset, SpikingNetwork]:
    """A converted network for each of the resets that chips have; its weights need no training to be mapped."""
    dataset = load_dataset("mnist" if data else "mnist-mini", data)
    images = torch.from_numpy(to_float(dataset.images[:_CALIBRATION])).flatten(1)
    model = MLP(list(_SIZES), generator=torch_generator(seed, "init"))
    resets: tuple[Reset, ...] = ("to_value", "subtract")
    return {reset: convert(model, images, recipe="percentile", reset=reset) for reset in resets}


def _give_back() -> None:
    """Return what was freed to the system, where the C library can: else its reuse would not be seen."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _mapped(network: SpikingNetwork, profile: HardwareProfile) -> tuple[float, int | None, MappingReport]:
    """Processor seconds, the most memory beyond what was there before, and the report."""
    _give_back()
    before = resident("VmRSS") if forget_peak() else None
    start = process_time()
    report = map_to(network, profile, strict=False).report
    spent, most = process_time() - start, resident("VmHWM")
    return spent, None if before is None or most is None else max(0, most - before), report


def bench_map(data: str | None = None, seed: int = 0) -> dict[str, Any]:
    """One thread: processor seconds and bytes of memory of :func:`~neurosleep.map_to`, by profile.

    784-1200-1200-10, converted by the recipe ``percentile`` with the reset that the chip has. ``memory`` is the most
    that the process grew by while it mapped, None where the system does not tell (Linux does). ``cores`` are those
    taken, None where the profile has no model of them. ``refused`` has for every other profile all that is in the way.
    ``data`` is the folder of the full MNIST; without it images of the embedded subset calibrate the network.

    See Also
    --------
    neurosleep.bench.BENCHMARKS : all by name
    neurosleep.map_to : what is timed

    Examples
    --------
    >>> from neurosleep.bench import bench_map
    >>> bench_map()["seconds"]  # doctest: +SKIP
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds: dict[str, float] = {}
    memory: dict[str, int | None] = {}
    cores: dict[str, int | None] = {}
    refused: dict[str, list[str]] = {}
    try:
        networks = _networks(data, seed)
        for name in profile_names():
            profile = load_profile(name)
            subtracts = "subtract_threshold" in (profile.reset.modes or ())
            network = networks["subtract" if subtracts else "to_value"]
            try:
                turns = [_mapped(network, profile) for _ in range(_TURNS)]
            except NeurosleepError as error:
                refused[name] = _reasons(error)
                continue
            report = turns[0][2]
            if not report.fits:
                refused[name] = [str(finding) for finding in report.findings if finding.level == "error"]
                continue
            seconds[name] = min(spent for spent, _, _ in turns)
            grown = [most for _, most, _ in turns if most is not None]
            memory[name] = max(grown) if grown else None
            cores[name] = report.cores
    finally:
        torch.set_num_threads(before)
    return {
        "name": "map",
        "threads": 1,
        "seconds": seconds,
        "unit": "network",
        "ratios": {f"{name}_over_ideal": seconds[name] / seconds["ideal"] for name in seconds if name != "ideal"},
        "memory": memory,
        "cores": cores,
        "refused": refused,
    }


def _reasons(error: NeurosleepError) -> list[str]:
    if isinstance(error, MappingError) and error.findings:
        return [str(finding) for finding in error.findings if finding.level == "error"]
    return [f"{error.message} ({error.found})" if error.found else error.message]
