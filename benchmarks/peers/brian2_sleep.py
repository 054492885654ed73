"""Sleep of 784-1200-1200-10 in Brian 2 (C++ standalone) beside the engine ``event``: same spikes asserted, then times.

Run it with neurosleep's Python, and say which one has Brian 2, which wants an older NumPy, and so an environment of its
own (``python -m venv brian; brian/bin/pip install brian2``)::

    python benchmarks/peers/brian2_sleep.py --python brian/bin/python --out benchmarks/DATE-brian2-sleep.json

Layers are joined with a delay of one step, which is how Brian 2 steps a network. With dyadic weights, steps of the rule
and scales, all sums are exact: both must then fire the same spikes and end with the same weights, bit for bit.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

SIZES = (784, 1200, 1200, 10)
DECAY, WIDTH, TURNS = 0.5, 0.001, 3


def case(rng: np.random.Generator, steps: int, exact: bool) -> dict[str, Any]:
    """Weights, thresholds, input spikes and the rule: of dyadic numbers, or of any with the steep factor."""
    weights = [rng.integers(-8, 17, (m, n)) / 64 for n, m in itertools.pairwise(SIZES)]
    if not exact:
        weights = [weight + rng.normal(0, 1e-3, weight.shape) for weight in weights]
    fired = rng.random((steps, SIZES[0])) < 0.02
    times, neurons = np.nonzero(fired)
    found: dict[str, Any] = {f"w{k}": weight for k, weight in enumerate(weights)}
    found |= {"times": times, "neurons": neurons, "steps": steps, "exact": exact}
    found |= {"inc": 2.0**-9, "dec": 2.0**-11} if exact else {"inc": 1e-3, "dec": 1e-4}
    return found | {"thresholds": np.array([3.5, 3.0, 2.5])}


# --- Brian 2, in its own environment ----------------------------------------------------------------------------------


def brian(folder: Path) -> None:
    """Step the case in ``folder`` and leave there the spikes, the weights and the seconds that it took."""
    import brian2 as b2

    given = dict(np.load(folder / "case.npz"))
    steps, exact = int(given["steps"]), bool(given["exact"])
    b2.set_device("cpp_standalone", build_on_run=False)
    b2.prefs.devices.cpp_standalone.openmp_threads = 0
    b2.prefs.core.default_float_dtype = np.float64
    b2.defaultclock.dt = 1 * b2.ms
    groups = [b2.SpikeGeneratorGroup(SIZES[0], given["neurons"], given["times"] * b2.ms)]
    monitors, synapses = [], []
    factor = "1" if exact else "2 / (1 + exp(clip(w / 0.001, -60, 60)))"
    for k, n in enumerate(SIZES[1:]):
        theta = float(given["thresholds"][k])
        group = b2.NeuronGroup(
            n, "v : 1\narrives : 1", threshold=f"v >= {theta}", reset="v = 0", namespace={"decay": DECAY}
        )
        group.run_regularly("v = decay * v + arrives\narrives = 0", dt=1 * b2.ms, when="groups")
        joined = b2.Synapses(
            groups[-1],
            group,
            "w : 1\nsent : second",
            # First the weights change, by what the inputs sent a step before; then this step's spikes are on their way.
            on_post=f"w += {factor} * int(t - sent < 1.5*dt) * inc - {factor} * int(t - sent >= 1.5*dt) * dec",
            on_pre="arrives_post += w\nsent = t",
            namespace={"inc": float(given["inc"]), "dec": float(given["dec"])},
        )
        joined.connect()
        joined.post.order, joined.pre.order = -1, 1
        joined.w = given[f"w{k}"].T.reshape(-1)
        joined.sent = -1 * b2.second
        groups.append(group)
        monitors.append(b2.SpikeMonitor(group))
        synapses.append(joined)
    network = b2.Network(groups, monitors, synapses)
    network.run(steps * b2.ms)
    b2.device.build(directory=str(folder / "code"), compile=True, run=False)
    seconds = []
    for _ in range(1 if exact else TURNS):
        b2.device.run(str(folder / "code"), with_output=False, run_args=[])
        seconds.append(float(b2.device._last_run_time) / steps)
    found: dict[str, Any] = {"seconds": seconds, "version": b2.__version__}
    for k, (monitor, joined) in enumerate(zip(monitors, synapses, strict=True)):
        found |= {f"t{k}": np.rint(monitor.t / b2.ms).astype(int), f"i{k}": np.asarray(monitor.i)}
        found[f"w{k}"] = np.asarray(joined.w).reshape(SIZES[k], SIZES[k + 1]).T
    np.savez(folder / "found.npz", **found)


# --- neurosleep -------------------------------------------------------------------------------------------------------


def event(given: dict[str, Any], turns: int) -> tuple[list[float], dict[str, Any], list[Any]]:
    """Processor seconds a step of the engine ``event``, as Brian 2 counts its own; its spikes and its weights."""
    import torch

    from neurosleep.functional import SpikeEvents, SRCRule
    from neurosleep.spiking import Dense, Population, SpikingNetwork, get_engine

    torch.set_num_threads(1)
    names = ["input", "hidden1", "hidden2", "output"]
    populations = [Population("input", "input", (SIZES[0],))]
    joined = []
    for k, n in enumerate(SIZES[1:]):
        threshold = float(given["thresholds"][k])
        populations.append(Population(names[k + 1], "lif", (n,), threshold=threshold, decay=DECAY))
        joined.append(Dense(names[k], names[k + 1], torch.tensor(given[f"w{k}"]), delay=1))
    rule = SRCRule(given["inc"], given["dec"], "constant" if given["exact"] else "steep", WIDTH)
    sent = SpikeEvents.from_times(given["times"], given["neurons"], steps=given["steps"], n=SIZES[0])
    seconds = []
    for _ in range(turns + 1):
        session = get_engine("event").start(SpikingNetwork(tuple(populations), tuple(joined)), rule)
        since = process_time()
        fired = session.run({"input": sent})
        seconds.append((process_time() - since) / given["steps"])
    return seconds[1:], {str(k): fired[name] for k, name in enumerate(names[1:])}, session.weights()


def beside(python: str, given: dict[str, Any], turns: int) -> tuple[list[float], list[float], dict[str, Any]]:
    """Seconds a step of both, and what Brian 2 found; refuses other spikes or weights where numbers are exact."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "case.npz", **given)
        before, fired, weights = event(given, turns)
        subprocess.run([python, __file__, "--case", name], check=True, stdout=sys.stderr)
        after, _, _ = event(given, turns)
        found = dict(np.load(folder / "found.npz"))
    if given["exact"]:
        for k, weight in enumerate(weights):
            spikes = fired[str(k)]
            times = np.repeat(np.arange(spikes.steps), np.diff(spikes.offsets))
            order = np.lexsort((found[f"i{k}"], found[f"t{k}"]))
            assert len(times), f"layer {k + 1} is silent: nothing was compared"
            assert np.array_equal(found[f"t{k}"][order], times), f"times of spikes of layer {k + 1} differ"
            assert np.array_equal(found[f"i{k}"][order], spikes.indices), f"spikes of layer {k + 1} differ"
            assert np.array_equal(found[f"w{k}"], weight.numpy()), f"weights into layer {k + 1} differ"
    found["spikes"] = {
        name: e.count / e.steps for name, e in zip(("hidden1", "hidden2", "output"), fired.values(), strict=True)
    }
    return before + after, [float(s) for s in found["seconds"]], found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--python", help="the Python that has Brian 2")
    options.add_argument("--out", type=Path, help="the record to write")
    options.add_argument("--steps", type=int, default=2000)
    options.add_argument("--note", default="", help="what else the machine did")
    options.add_argument("--case", type=Path, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.case:
        brian(asked.case)
        return
    rng = np.random.default_rng(0)
    beside(asked.python, case(rng, 200, exact=True), 1)
    ours, theirs, found = beside(asked.python, case(rng, asked.steps, exact=False), TURNS)
    ratios = [b / a for a, b in zip((min(ours), max(ours)), (max(theirs), min(theirs)), strict=True)]
    seconds = {"event": float(np.median(ours)), "brian2": float(np.median(theirs))}
    result = {
        "name": "brian2-sleep",
        "threads": 1,
        "seconds": seconds,
        "unit": "step",
        "ratios": {"brian2_over_event": seconds["brian2"] / seconds["event"]},
        "noise": {"brian2_over_event": sorted(ratios)},
        "spikes_per_step": found["spikes"],
        "equal": "200 steps with dyadic numbers: the same spikes and weights, bit for bit",
    }
    from record import written

    command = f"python benchmarks/peers/brian2_sleep.py --steps {asked.steps} --python PYTHON --out FILE"
    written(asked.out, command, result, asked.note, {"brian2": str(found["version"])})


if __name__ == "__main__":
    main()
