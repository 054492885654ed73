"""How long a homeostatic sleep takes, beside one epoch of the task before it."""

from __future__ import annotations

import copy
from functools import partial
from time import process_time
from typing import Any

import torch
from torch import nn

from neurosleep.data import to_float
from neurosleep.errors import UnsupportedError
from neurosleep.experiments import load_settings
from neurosleep.experiments.networks import FeedForward, FeedForwardConv
from neurosleep.experiments.run.scenario import tasks_of
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop
from neurosleep.replay import NREM, Consolidator, Sleep

__all__ = ["bench_consolidate"]

# By name the experiment and its variant.
_NETWORKS = {
    "784-400-400-10": ("homeostatic/mnist", "default"),
    "784-1200-1200-10": ("homeostatic/mnist", "paper"),
    "784-2000-10": ("homeostatic/mnist", "wide"),
    "convolutional": ("homeostatic/mnist", "conv"),
    "1280-400-400-10": ("homeostatic/cifar10-efficientnet", "default"),
}
_TURNS = 3
# What is timed: the form of the sleep, and whether a guard judges it.
_SLEEPS = {"rates": ("rates", False), "spikes": ("spikes", False), "guarded": ("auto", True)}


def _generator(seed: int, task: int, turn: int, stream: str, epoch: int) -> torch.Generator:
    return torch_generator(seed, stream, task, turn, epoch)


def _learnt(experiment: str, variant: str, data: str | None, seed: int) -> tuple[nn.Module, Consolidator, float]:
    """A network after two tasks, what its sleep may keep of them, and processor seconds of an epoch of the second."""
    changes = [] if data else [("data.name", "mnist-mini")]
    _, settings = load_settings(experiment, strategy="sleep", variant=variant, changes=changes)
    assert isinstance(settings.network, FeedForward | FeedForwardConv)
    network = settings.network.make(settings.wake, torch_generator(seed, "init"))
    (training,) = settings.trainings("sleep")
    assert isinstance(training, Backprop)
    velocity, keeper, seconds = [torch.zeros_like(weight) for weight in network.trained], Consolidator(), []
    for number, task in enumerate(tasks_of(settings, data, seed)[:2]):
        images, labels = torch.from_numpy(to_float(task.train_images)), torch.from_numpy(task.train_labels)
        if number:
            keeper.close_task()
        keeper.observe(images, labels)
        for turn in range(_TURNS if number else 1):
            generators = partial(_generator, seed, number, turn)
            since = process_time()
            for _ in training.fit(network, images, labels, velocity, generators):
                pass
            seconds.append((process_time() - since) / training.epochs)
    return network, keeper, min(seconds[1:])


def _sleep(network: nn.Module, keeper: Consolidator, form: Any, guard: bool) -> float | None:
    """Processor seconds of a sleep, the best of several; None where the network has no such form."""
    seconds = []
    for _ in range(_TURNS):
        known = copy.deepcopy(keeper)
        since = process_time()
        try:
            known.consolidate(network, sleep=Sleep(stages=(NREM(form=form),)), guard=guard)
        except UnsupportedError:
            return None
        seconds.append(process_time() - since)
    return min(seconds)


def bench_consolidate(data: str | None = None, seed: int = 0) -> dict[str, Any]:
    """One thread: processor seconds of a sleep of each network, and of one epoch of the task before it.

    ``rates`` and ``spikes`` are sleeps of that form without a guard, ``guarded`` what a user gets by default, in
    spikes wherever the network converts. ``data`` is the folder of the full data sets; without it the embedded part of
    MNIST is learnt, whose epochs are so short that a sleep takes longer, and networks for other data are left out.

    See Also
    --------
    neurosleep.bench.BENCHMARKS : all by name
    neurosleep.Consolidator : what is timed

    Examples
    --------
    >>> from neurosleep.bench import bench_consolidate
    >>> bench_consolidate()["ratios"]  # doctest: +SKIP
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds: dict[str, float] = {}
    ratios: dict[str, float] = {}
    try:
        for name, (experiment, variant) in _NETWORKS.items():
            if data is None and experiment != "homeostatic/mnist":
                continue
            network, keeper, epoch = _learnt(experiment, variant, data, seed)
            seconds[f"{name} epoch"] = epoch
            for what, (form, guard) in _SLEEPS.items():
                spent = _sleep(network, keeper, form, guard)
                if spent is not None:
                    seconds[f"{name} {what}"] = spent
                    ratios[f"{name} {what}_over_{name} epoch"] = spent / epoch
    finally:
        torch.set_num_threads(before)
    return {"name": "consolidate", "threads": 1, "seconds": seconds, "unit": "sleep or epoch", "ratios": ratios}
