"""The benchmark ``sleep``: engines, or streams of noise, or a population of networks."""

from __future__ import annotations

from typing import Any

from neurosleep.bench._sleep import time_engines
from neurosleep.bench._sleep_many import bench_population, bench_streams
from neurosleep.errors import SettingsError

__all__ = ["bench_sleep"]


def bench_sleep(
    data: str | None = None, seed: int = 0, batch: int | None = None, population: int | None = None
) -> dict[str, Any]:
    """One run, one thread: processor seconds per step and their ratios.

    ``event`` and ``reference`` are engines; ``snntorch`` is a loop with snnTorch neurons and a dense update, as a user
    would write it; ``roofline`` moves the same memory and computes nothing. ``data`` is the folder of the full MNIST;
    without it the embedded subset trains the network.

    With ``batch`` whole sleeps are timed: ``one_stream``, the published one, ``same_steps``, so many streams of noise
    (:class:`~neurosleep.replay.Streams`) that go through as many steps together, and ``quarter``, of a quarter of them.
    The engines ``event`` and ``reference`` must give the same sleep first, of rounded weights.

    With ``population`` so many networks sleep in two threads of this process (``population``,
    :func:`~neurosleep.replay.sleep_many`), and half of them in each of two processes that run beside one another
    (``processes``): seconds of time per sleep, in turns. Each network must sleep as it does alone first.

    Raises
    ------
    SettingsError
        If both are given, or one of them is no number of several.

    See Also
    --------
    neurosleep.bench.BENCHMARKS : all by name
    neurosleep.sleep : what is timed

    Examples
    --------
    >>> from neurosleep.bench import bench_sleep
    >>> bench_sleep()["ratios"]  # doctest: +SKIP
    """
    if batch is not None and population is not None:
        raise SettingsError("--batch and --population are both given.", expected="one of them")
    if batch is not None:
        return bench_streams(batch, data, seed)
    if population is not None:
        return bench_population(population, data, seed)
    return time_engines(data, seed)
