"""Sleep with many streams of noise, and of many networks at once: what either costs beside one stream, one process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch

from neurosleep._checks import check_count
from neurosleep.bench._simulate_grids import rounded
from neurosleep.bench._sleep import trained
from neurosleep.functional import MeanDrive, SRCRule
from neurosleep.replay import SleepResult, Streams, sleep, sleep_many
from neurosleep.spiking import SpikingNetwork

__all__ = ["bench_population", "bench_streams"]

# The first sleep of a run, as it is published; how often everything is timed; and steps of which results are compared.
_STEPS, _TURNS, _COMPARED = 15000, 7, 60
# Of a population and of processes: the steps of each sleep, and turns.
_MEMBER_STEPS, _MEMBER_TURNS = 15000, 5
# Threads of a population, and processes beside it.
_JOBS = 2


def _same(a: SleepResult, b: SleepResult) -> bool:
    pairs = zip(a.network.weights, b.network.weights, strict=True)
    return a.fired == b.fired and all(torch.equal(x, y) for x, y in pairs)


def _summary(taken: dict[str, list[float]], pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Medians of times, and of their quotients turn by turn, with what these lay between."""
    quotients = {f"{a}_over_{b}": [x / y for x, y in zip(taken[a], taken[b], strict=True)] for a, b in pairs}
    return {
        "seconds": {what: float(np.median(times)) for what, times in taken.items()},
        "unit": "sleep",
        "ratios": {key: float(np.median(values)) for key, values in quotients.items()},
        "noise": {key: [min(values), max(values)] for key, values in quotients.items()},
    }


def _check_streams(network: SpikingNetwork, drive: MeanDrive, batch: int, seed: int) -> None:
    """Refuse engines that compute another sleep, of rounded weights, whose sums are exact."""
    exact, rule = rounded(network), SRCRule(2.0**-5, 2.0**-8, factor="constant")
    for updates in ("sum", "mean"):
        noise = Streams(drive, batch, updates)
        slept = [
            sleep(exact, drive=noise, rule=rule, steps=_COMPARED, engine=engine, seed=seed)
            for engine in ("event", "reference")
        ]
        if not slept[0].fired or not _same(*slept):
            raise AssertionError(f"The engines 'event' and 'reference' differ in a sleep of {batch} streams.")


def bench_streams(batch: int, data: str | None, seed: int) -> dict[str, Any]:
    """As :func:`~neurosleep.bench.bench_sleep` says of ``batch``."""
    check_count("--batch", batch, 2)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network, drive, rule = trained(data, seed)
        _check_streams(network, drive, batch, seed)
        noise = Streams(drive, batch)
        steps = {"same_steps": max(_STEPS // batch, 1), "quarter": max(_STEPS // (4 * batch), 1)}
        ways: dict[str, Callable[[int], SleepResult]] = {
            "one_stream": lambda turn: sleep(network, drive=drive, rule=rule, steps=_STEPS, seed=turn),
            "same_steps": lambda turn: sleep(network, drive=noise, rule=rule, steps=steps["same_steps"], seed=turn),
            "quarter": lambda turn: sleep(network, drive=noise, rule=rule, steps=steps["quarter"], seed=turn),
        }
        taken: dict[str, list[float]] = {what: [] for what in ways}
        fired = dict.fromkeys(ways, 0)
        for turn in range(_TURNS):
            for what, way in ways.items():
                start = process_time()
                fired[what] = way(turn).fired
                taken[what].append(process_time() - start)
    finally:
        torch.set_num_threads(before)
    pairs = [("one_stream", "same_steps"), ("one_stream", "quarter")]
    return {
        "name": "sleep",
        "streams": batch,
        "threads": 1,
        **_summary(taken, pairs),
        "steps": {"one_stream": _STEPS, **steps},
        "spikes": fired,
    }


def _alone(
    network: SpikingNetwork, drive: MeanDrive, rule: SRCRule, steps: int, seeds: list[int], turns: int, gate: Barrier
) -> None:
    """In a process of its own: all networks one after another, every turn between two gates."""
    torch.set_num_threads(1)
    sleep(network, drive=drive, rule=rule, steps=1000)  # compiles, or reads what was compiled
    for _ in range(turns):
        gate.wait()
        for seed in seeds:
            sleep(network, drive=drive, rule=rule, steps=steps, seed=seed)
        gate.wait()


def bench_population(population: int, data: str | None, seed: int) -> dict[str, Any]:
    """As :func:`~neurosleep.bench.bench_sleep` says of ``population``."""
    check_count("--population", population, _JOBS)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network, drive, rule = trained(data, seed)
        # Networks of their own, as of many runs, and not one whose weights all threads would share in a cache.
        networks = [replace(network) for _ in range(population)]
        seeds = list(range(population))
        few = sleep_many(networks, drive=drive, rule=rule, steps=1000, seed=seeds, jobs=_JOBS)
        for k, result in enumerate(few):
            if not _same(result, sleep(network, drive=drive, rule=rule, steps=1000, seed=seeds[k])):
                raise AssertionError(f"Network {k} of a population sleeps otherwise than alone.")
        # Started anew: a forked process would share what is compiled, and threads that it does not have.
        context = multiprocessing.get_context("spawn")
        gate = context.Barrier(_JOBS + 1)
        shares = [seeds[k::_JOBS] for k in range(_JOBS)]
        given = [(network, drive, rule, _MEMBER_STEPS, share, _MEMBER_TURNS, gate) for share in shares]
        processes = [context.Process(target=_alone, args=args, daemon=True) for args in given]
        for process in processes:
            process.start()
        taken: dict[str, list[float]] = {"processes": [], "population": []}
        for _ in range(_MEMBER_TURNS):
            gate.wait(timeout=600)
            start = perf_counter()
            gate.wait(timeout=600)
            taken["processes"].append((perf_counter() - start) / population)
            start = perf_counter()
            sleep_many(networks, drive=drive, rule=rule, steps=_MEMBER_STEPS, seed=seeds, jobs=_JOBS)
            taken["population"].append((perf_counter() - start) / population)
        for process in processes:
            process.join()
    finally:
        torch.set_num_threads(before)
    return {
        "name": "sleep",
        "population": population,
        "threads": _JOBS,
        **_summary(taken, [("processes", "population")]),
        "steps": _MEMBER_STEPS,
    }
