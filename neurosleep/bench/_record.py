"""What watching costs: the engine ``event`` in a sleep phase, with nothing recorded and with more and more."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import torch

from neurosleep.bench._sleep import trained
from neurosleep.functional import PlasticityRule, SpikeEvents, numpy_generator
from neurosleep.replay import CHUNK
from neurosleep.spiking import Record, Recorder, SpikingNetwork, get_engine

__all__ = ["bench_record"]

# The whole first sleep, as a run has it; and how often it is run with each recording.
_STEPS, _TURNS = 15000, 8

_RECORDS: dict[str, Callable[[Path], Record]] = {
    "counts": lambda folder: Record(),
    "spikes": lambda folder: Record(spikes="all"),
    "folder": lambda folder: Record(spikes="all", folder=folder),
    "weights": lambda folder: Record(weights="statistics", weights_every=1000),
    "potentials": lambda folder: Record(potentials={"hidden1": range(10)}, potentials_every=100),
    "every_step": lambda folder: Record(potentials={"hidden1": range(10)}),
}


def _sleep(network: SpikingNetwork, rule: PlasticityRule, chunks: list[SpikeEvents], record: Record | None) -> float:
    """Processor seconds per step."""
    session = get_engine("event").start(network, rule)
    session.run({"input": SpikeEvents.empty(chunks[0].n, 2)})  # compiles; without input nothing changes
    recorder = None
    if record is not None:
        recorder = Recorder(record, {p.name: p.size for p in network.populations}, network.dt, network)
    start = process_time()
    for chunk in chunks:
        if recorder is None:
            session.run({"input": chunk})
        else:
            recorder.run(session, {"input": chunk})
    if recorder is not None:
        recorder.recording()
    return (process_time() - start) / sum(chunk.steps for chunk in chunks)


def bench_record(data: str | None = None, seed: int = 0) -> dict[str, Any]:
    """One run, one thread: processor seconds per step of the same sleep, and ratios to one without recording.

    ``without`` runs the engine and keeps nothing. ``counts`` keeps the number of spikes per neuron and the rates, as
    every sleep does; ``spikes`` every spike in memory; ``folder`` every spike on disk; ``weights`` statistics of all
    weights every 1000 steps; ``potentials`` those of ten neurons every 100 steps; ``every_step`` after each step, for
    which the engine is stopped each time. ``data`` is the folder of the full MNIST; without it the embedded subset
    trains the network.

    See Also
    --------
    neurosleep.bench.BENCHMARKS : all by name
    neurosleep.Record : what is timed

    Examples
    --------
    >>> from neurosleep.bench import bench_record
    >>> bench_record()["ratios"]  # doctest: +SKIP
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network, drive, rule = trained(data, seed)
        whole = [
            drive.draw(numpy_generator(seed, "drive", 0, k), CHUNK, network.dt) for k in range(-(-_STEPS // CHUNK))
        ]
        chunks = [events.slice(0, min(CHUNK, _STEPS - k * CHUNK)) for k, events in enumerate(whole)]
        seconds = dict.fromkeys(["without", *_RECORDS], float("inf"))
        # The best of several turns, taken alternately, so that a busy moment of the machine hits all alike.
        for turn in range(_TURNS):
            for what in seconds:
                if what == "every_step" and turn >= 2:
                    continue  # it takes seconds, and is not close to any limit
                with tempfile.TemporaryDirectory() as folder:
                    record = None if what == "without" else _RECORDS[what](Path(folder) / "sleep")
                    seconds[what] = min(seconds[what], _sleep(network, rule, chunks, record))
    finally:
        torch.set_num_threads(before)
    return {
        "name": "record",
        "threads": 1,
        "seconds": seconds,
        "unit": "step",
        "ratios": {f"{what}_over_without": seconds[what] / seconds["without"] for what in _RECORDS},
    }
