"""Seconds per sleep step of the engines on one network with one drive, against a user's own loop and a roofline."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosleep._compiled import compiled
from neurosleep.continual import Learner, Strategy
from neurosleep.conversion import Recursive, convert
from neurosleep.data import class_incremental, load_dataset, to_float
from neurosleep.experiments import load_settings
from neurosleep.functional import MeanDrive, SpikeEvents, SRCRule, numpy_generator, torch_generator
from neurosleep.learning import Backprop
from neurosleep.networks import MLP
from neurosleep.replay import CHUNK
from neurosleep.spiking import SpikingNetwork, get_engine

__all__ = ["time_engines", "trained"]

# Steps timed of each: the whole first sleep, as a run has it (its start fires far more than the rest). The dense
# loop costs the same whatever fires, so the start of the same sleep is enough for it.
_STEPS = {"event": 15000, "reference": 15000, "snntorch": 60, "roofline": 15000}


def trained(data: str | None, seed: int) -> tuple[SpikingNetwork, MeanDrive, SRCRule]:
    """784-1200-1200-10 after task 1 of MNIST with the published settings, and its drive."""
    _, settings = load_settings("src2022/mnist")
    name = "mnist" if data else "mnist-mini"
    task = class_incremental(load_dataset(name, data), images_per_task=None)[0]
    network = MLP(settings.network.sizes, dropout=0.25, init=0.01, generator=torch_generator(seed, "init"))
    learner = Learner(network, [torch.zeros_like(w) for w in network.weights], [task], seed)
    learner.mean.update(task.pool_images)
    Strategy().before_training_exp(learner)
    count = 5000 if data else 2000
    images, labels = torch.from_numpy(to_float(task.train_images[:count])), torch.from_numpy(task.train_labels[:count])
    (training,) = settings.trainings("src")
    assert isinstance(training, Backprop)
    for _ in training.fit(network, images, labels, learner.velocity, lambda n, e: torch_generator(seed, n, 0, e)):
        pass
    s = settings.sleep
    pool = torch.from_numpy(to_float(task.pool_images))
    snn = convert(network, pool, recipe=Recursive(s.alpha_scale), thresholds=s.thresholds, decay=s.decay)
    drive = MeanDrive(learner.mean.mean, s.rem.max_rate, window=11, image_shape=(28, 28))
    assert isinstance(s.rem.rule, SRCRule)
    return snn, drive, s.rem.rule


def _engine(name: str, network: SpikingNetwork, rule: SRCRule, events: SpikeEvents) -> float:
    session = get_engine(name).start(network, rule)
    session.run({"input": SpikeEvents.empty(events.n, 2)})  # compiles; without input nothing changes
    since = process_time()
    for start in range(0, events.steps, CHUNK):
        session.run({"input": events.slice(start, min(start + CHUNK, events.steps))})
    return (process_time() - since) / events.steps


def _users_loop(network: SpikingNetwork, rule: SRCRule, events: SpikeEvents) -> float:
    """What a snnTorch user would write: Linear, Leaky, and the update as a dense outer product each step."""
    import snntorch

    weights = [w.clone() for w in network.weights]
    alphas = [p.scale for p in network.projections]
    neurons: list[Any] = [
        snntorch.Leaky(beta=p.decay, threshold=p.threshold, reset_mechanism="zero", reset_delay=False)
        for p in network.layers
    ]
    for neuron in neurons:
        snntorch.SpikingNeuron.instances.remove(neuron)
    membranes = [torch.zeros(1, p.size) for p in network.layers]
    dense = events.to_dense(torch.float32)
    since = process_time()
    with torch.no_grad():
        for t in range(events.steps):
            pre = dense[t : t + 1]
            for k, neuron in enumerate(neurons):
                post, membranes[k] = neuron(alphas[k] * (pre @ weights[k].T), membranes[k])
                g = 2 / (1 + torch.exp((weights[k] / rule.width).clamp(-60, 60)))
                weights[k] = weights[k] + g * (rule.inc * torch.outer(post[0], pre[0]))
                weights[k] = weights[k] - g * (rule.dec * torch.outer(post[0], 1 - pre[0]))
                pre = post
    return (process_time() - since) / events.steps


@compiled()
def _touch(rows: Any, offsets: Any, indices: Any, out_offsets: Any, out_indices: Any) -> float:
    """Gather the rows of what fired and scatter to the columns of what it made fire; nothing is computed of it."""
    n = rows.shape[1]
    acc = np.zeros(n, dtype=rows.dtype)
    for t in range(len(offsets) - 1):
        for k in range(offsets[t], offsets[t + 1]):
            row = rows[indices[k]]
            for j in range(n):
                acc[j] += row[j]
        for k in range(out_offsets[t], out_offsets[t + 1]):
            column = out_indices[k]
            for i in range(rows.shape[0]):
                rows[i, column] = acc[column]
    return float(acc[0])


def _roofline(network: SpikingNetwork, rule: SRCRule, events: SpikeEvents) -> float:
    """Time of the same gathers and scatters, on input-major arrays of the same size and type."""
    spikes = get_engine("event").start(network, rule).run({"input": events})
    names = ["input", *(p.name for p in network.layers)]
    arrays: list[Tensor] = [w.T.contiguous() for w in network.weights]
    seconds = 0.0
    for source, target, array in zip(names[:-1], names[1:], arrays, strict=True):
        pre, post = spikes[source], spikes[target]
        _touch(array.numpy().copy(), pre.offsets[:2], pre.indices, post.offsets[:2], post.indices)
        since = process_time()
        _touch(array.numpy(), pre.offsets, pre.indices, post.offsets, post.indices)
        seconds += process_time() - since
    return seconds / events.steps


def time_engines(data: str | None, seed: int) -> dict[str, Any]:
    """As :func:`~neurosleep.bench.bench_sleep` says of one network with one stream of noise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network, drive, rule = trained(data, seed)
        longest = max(_STEPS.values())
        chunks = [
            drive.draw(numpy_generator(seed, "drive", 0, k), CHUNK, network.dt) for k in range(-(-longest // CHUNK))
        ]
        events = SpikeEvents.concatenate(chunks, drive.n)
        timers: dict[str, Callable[[SpikeEvents], float]] = {
            "event": lambda part: _engine("event", network, rule, part),
            "reference": lambda part: _engine("reference", network, rule, part),
            "snntorch": lambda part: _users_loop(network, rule, part),
            "roofline": lambda part: _roofline(network, rule, part),
        }
        # The best of several turns, taken alternately, so that a busy moment of the machine hits all alike.
        seconds = dict.fromkeys(timers, float("inf"))
        for turn in range(12):
            for name, timer in timers.items():
                if turn >= 3 and name in ("reference", "snntorch"):
                    continue  # these take seconds, and vary little
                seconds[name] = min(seconds[name], timer(events.slice(0, _STEPS[name])))
    finally:
        torch.set_num_threads(before)
    pairs = (("snntorch", "event"), ("reference", "event"), ("event", "roofline"))
    return {
        "name": "sleep",
        "threads": 1,
        "seconds": seconds,
        "unit": "step",
        "ratios": {f"{a}_over_{b}": seconds[a] / seconds[b] for a, b in pairs},
    }
