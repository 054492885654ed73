"""How the cost of sleep grows: with units, rows read, weights changed, steps, batch, tasks; a line fitted to each."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from neurosleep._memory import resident
from neurosleep.functional import MeanDrive, PlasticityRule, PooledSRC, SpikeEvents, SRCRule, numpy_generator
from neurosleep.replay import NREM, Consolidator, Sleep, sleep
from neurosleep.spiking import Conv, Dense, Population, Record, SpikingNetwork, get_engine, simulate

__all__ = ["Sizes", "bench_growth", "fitted", "recorded"]

# Of the convolutional networks: channels of each of the two layers, and the probability that an input fires in a step.
_CHANNELS, _FIRES = 4, 0.01
# Inputs and units of the dense layer.
_WIDTH = 1000
_INC, _DEC = 1e-6, 1e-7


class Sizes(NamedTuple):
    """What is measured; ``work`` is about the number of units times steps, or rows, of one point."""

    units: tuple[int, ...] = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
    inputs: tuple[int, ...] = (1, 3, 10, 30, 100, 300)
    thresholds: tuple[float, ...] = (5000.0, 1600.0, 500.0, 160.0, 50.0, 16.0)
    steps: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    batch: tuple[int, ...] = (1, 4, 16, 64, 256)
    tasks: tuple[int, ...] = (1, 2, 5, 10, 20, 50)
    turns: int = 3
    work: int = 100_000_000


_QUICK = Sizes((1_000, 4_000), (1, 8), (500.0, 50.0), (1_000, 4_000), (1, 8), (1, 3), 1, 10_000_000)

Point = dict[str, float]


def fitted(points: Sequence[Point], x: str) -> Point:
    """The line through the seconds over ``x``: slope, intercept, R squared, the largest relative distance of a point.

    Points span decades: relative distances from the line are made small, or the largest point alone would decide, and R
    squared is that of the logarithms. ``exponent`` is that of a power law, fitted to these.
    """
    over, seconds = (np.array([point[key] for point in points]) for key in (x, "seconds"))
    slope, intercept = np.polyfit(over, seconds, 1, w=1 / seconds)
    logs = np.log(seconds)
    left = logs - np.log(np.maximum(slope * over + intercept, np.finfo(float).tiny))
    exponent = np.polyfit(np.log(over), logs, 1)[0]
    return {
        "slope": float(slope),
        "intercept": float(intercept),
        "r_squared": 1 - float((left**2).sum() / ((logs - logs.mean()) ** 2).sum()),
        "largest_distance": float(np.abs(np.expm1(left)).max()),
        "exponent": float(exponent),
    }


def _timed(act: Callable[[], object]) -> float:
    since = process_time()
    act()
    return process_time() - since


def _events(seed: int, steps: int, n: int, a_step: float) -> SpikeEvents:
    """So many spikes of ``n`` inputs in the mean of the steps."""
    rng = numpy_generator(seed, "drive")
    counts = rng.binomial(n, a_step / n, steps)
    neurons = [rng.choice(n, count, replace=False, shuffle=False) for count in counts]
    return SpikeEvents.from_times(np.repeat(np.arange(steps), counts), np.concatenate(neurons), steps=steps, n=n)


def _stepped(network: SpikingNetwork, rule: PlasticityRule | None, events: SpikeEvents) -> Point:
    """Processor seconds and spikes, by step."""
    session = get_engine("event").start(network, rule)
    session.run({"input": SpikeEvents.empty(events.n, 1)})  # compiles
    since = process_time()
    fired = session.run({"input": events})
    return {"seconds": (process_time() - since) / events.steps} | {
        f"spikes of {name}": sent.count / events.steps for name, sent in fired.items()
    }


def _grid(units: int, seed: int) -> SpikingNetwork:
    """Two plastic convolutions of 3 x 3 over a square, about so many units in all."""
    side = round(math.sqrt(units / (2 * _CHANNELS)))
    rng = numpy_generator(seed, "weights")
    populations, joined = [Population("input", "input", (1, side, side))], []
    for name, threshold in (("hidden1", 3.0), ("hidden2", 6.0)):
        source = populations[-1]
        kernel = torch.tensor(rng.uniform(0.5, 1.5, (_CHANNELS, source.shape[0], 3, 3)), dtype=torch.float32)
        populations.append(Population(name, "lif", (_CHANNELS, side, side), threshold=threshold, decay=0.9))
        joined.append(Conv(source.name, name, kernel, padding=1, plastic=True))
    return SpikingNetwork(tuple(populations), tuple(joined))


def _dense(threshold: float, seed: int) -> SpikingNetwork:
    weight = torch.tensor(numpy_generator(seed, "weights").uniform(0, 1, (_WIDTH, _WIDTH)), dtype=torch.float32)
    ends = Population("input", "input", (_WIDTH,)), Population("hidden1", "lif", (_WIDTH,), threshold=threshold)
    return SpikingNetwork(ends, (Dense("input", "hidden1", weight),))


def _by_units(sizes: Sizes, seed: int, units: int) -> Point:
    network = _grid(units, seed)
    count, n = sum(p.size for p in network.layers), network.inputs[0].size
    events = _events(seed, max(5, min(5000, sizes.work // count)), n, _FIRES * n)
    point = _stepped(network, PooledSRC(_INC, _DEC), events)
    return {"units": count, "spikes": sum(point[key] for key in point if key != "seconds")} | point


def _by_rows(sizes: Sizes, seed: int, inputs: int) -> Point:
    """Rows read: no unit fires."""
    point = _stepped(_dense(1e30, seed), SRCRule(_INC, _DEC), _events(seed, sizes.work // 10_000, _WIDTH, inputs))
    return {"rows": point["spikes of input"]} | point


def _by_changes(sizes: Sizes, seed: int, threshold: float) -> Point:
    """Units that fire, each of which changes all weights into it: the inputs are the same."""
    network = _dense(threshold, seed)
    point = _stepped(network, SRCRule(_INC, _DEC), _events(seed, sizes.work // 50_000, _WIDTH, 10))
    return {"spikes": point["spikes of hidden1"]} | point


def recorded(steps: int, seed: int = 0) -> dict[str, Any]:
    """Sleep of so many steps, every spike of it written to disk: seconds a step, and bytes of memory and on disk.

    To be called in a process of its own, whose memory it is.
    """
    rng = numpy_generator(seed, "weights")
    populations = (
        Population("input", "input", (100,)),
        Population("hidden1", "lif", (50,), threshold=20.0),
        Population("output", "lif", (10,), threshold=8.0),
    )
    weights = (torch.tensor(rng.uniform(0, 1, shape), dtype=torch.float32) for shape in ((50, 100), (10, 50)))
    joined = tuple(
        Dense(a.name, b.name, weight) for a, b, weight in zip(populations[:-1], populations[1:], weights, strict=True)
    )
    network, drive = SpikingNetwork(populations, joined), MeanDrive(np.full(100, 0.5), max_rate=20.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "sleep"
        record, since = Record(spikes="all", folder=folder), process_time()
        done = sleep(network, drive=drive, rule=SRCRule(_INC, _DEC), steps=steps, record=record, seed=seed)
        return {
            "steps": steps,
            "seconds": (process_time() - since) / steps,
            "spikes": sum(int(count.sum()) for count in done.recording.counts.values()) / steps,
            "resident": resident("VmRSS"),
            "most_resident": resident("VmHWM"),
            "on_disk": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        }


def _in_child(steps: int, seed: int) -> dict[str, Any]:
    code = f"import json; from neurosleep.bench._growth import recorded; print(json.dumps(recorded({steps}, {seed})))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    point: dict[str, Any] = json.loads(told)
    return point


def _by_batch(seed: int, batch: int) -> Point:
    """Constant images through 784-400-10, 50 steps."""
    rng = numpy_generator(seed, "weights")
    weights = [torch.tensor(rng.normal(0, n**-0.5, (m, n)), dtype=torch.float32) for n, m in ((784, 400), (400, 10))]
    populations = (
        Population("input", "input", (784,)),
        Population("hidden1", "lif", (400,), reset="subtract"),
        Population("output", "li", (10,)),
    )
    joined = (Dense("input", "hidden1", weights[0]), Dense("hidden1", "output", weights[1]))
    images = torch.from_numpy(rng.random((batch, 784), dtype=np.float32))
    network, steps = SpikingNetwork(populations, joined), 50
    simulate(network, images[:1], 1)  # compiles
    return {"batch": batch, "seconds": _timed(lambda: simulate(network, images, steps)) / steps}


def _by_tasks(seed: int, tasks: int) -> Point:
    """Homeostatic sleep after the last of so many tasks of two classes, 64-100-100; what is kept between them."""
    rng = numpy_generator(seed, "tasks", tasks)
    keeper = Consolidator()
    for task in range(tasks):
        if task:
            keeper.close_task()
        labels = torch.from_numpy(rng.integers(2 * task, 2 * task + 2, 200))
        keeper.observe(torch.from_numpy(rng.random((200, 64), dtype=np.float32)), labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 100))
    options = Sleep(stages=(NREM(form="rates", draws=500),))
    with tempfile.TemporaryDirectory() as folder:
        kept = keeper.save(Path(folder) / "keeper.safetensors").stat().st_size
    return {
        "tasks": tasks,
        "seconds": _timed(lambda: keeper.consolidate(model, sleep=options, guard=False)),
        "bytes": kept,
    }


def _measured(turns: int, values: Sequence[Any], measure: Callable[[Any], Point]) -> list[Point]:
    """Each point at its best of several turns, taken alternately, so that a busy moment hits all alike."""
    best: dict[Any, Point] = {}
    for _ in range(turns):
        for value in values:
            point = measure(value)
            if value not in best or point["seconds"] < best[value]["seconds"]:
                best[value] = point
    return [best[value] for value in values]


def bench_growth(data: str | None = None, seed: int = 0, quick: bool = False) -> dict[str, Any]:
    """One thread: how processor seconds grow, with one thing at a time; to each a line is fitted.

    ``units``: a step of sleep under :class:`~neurosleep.functional.PooledSRC` of two plastic convolutions, whose inputs
    fire with the same probability whatever the size. ``rows``: a step of 1000 units with 1000 inputs under
    :class:`~neurosleep.SRCRule` that never fire, so that rows of weights are read and none changes. ``changes``: the
    same with ten input spikes a step and units that fire, each of which changes the 1000 weights into it. ``steps``:
    sleep with every spike written to disk, each in a process of its own, with the memory that it takes. ``batch``:
    images shown at once. ``tasks``: homeostatic sleep after so many tasks, and the bytes of what is kept between them.

    Parameters
    ----------
    data:
        Not read: networks and noise are random.
    seed:
        Of all random numbers.
    quick:
        Small sizes, once each: to see that it works.

    See Also
    --------
    neurosleep.bench.BENCHMARKS : all by name
    neurosleep.sleep : what is timed

    Examples
    --------
    >>> from neurosleep.bench import bench_growth
    >>> bench_growth()["fits"]  # doctest: +SKIP
    """
    sizes = _QUICK if quick else Sizes()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        growth = {
            "units": _measured(sizes.turns, sizes.units, lambda units: _by_units(sizes, seed, units)),
            "rows": _measured(sizes.turns, sizes.inputs, lambda inputs: _by_rows(sizes, seed, inputs)),
            "changes": _measured(sizes.turns, sizes.thresholds, lambda value: _by_changes(sizes, seed, value)),
            "steps": [_in_child(steps, seed) for steps in sizes.steps],
            "batch": _measured(sizes.turns, sizes.batch, lambda batch: _by_batch(seed, batch)),
            "tasks": _measured(sizes.turns, sizes.tasks, lambda tasks: _by_tasks(seed, tasks)),
        }
    finally:
        torch.set_num_threads(before)
    over = {"units": "units", "rows": "rows", "changes": "spikes", "batch": "batch"}
    seconds = {f"{point[x]:.6g} {x} ({what})": point["seconds"] for what, x in over.items() for point in growth[what]}
    first, last = growth["units"][0], growth["units"][-1]
    least, most = growth["steps"][0], growth["steps"][-1]
    ratios = {"last unit_over_first unit": last["seconds"] / last["units"] / (first["seconds"] / first["units"])}
    if least["most_resident"]:
        ratios["memory of most steps_over_memory of fewest"] = most["most_resident"] / least["most_resident"]
    return {
        "name": "growth",
        "threads": 1,
        "seconds": seconds,
        "unit": "step",
        "ratios": ratios,
        "fits": {what: {"over": x} | fitted(growth[what], x) for what, x in over.items()},
        "growth": growth,
    }
