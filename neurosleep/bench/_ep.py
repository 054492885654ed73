"""Seconds per batch of Equilibrium Propagation in closed form, against automatic differentiation of Phi at every step.

The plain form here is what public reference code does; the tests take it as their oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from neurosleep.data import load_dataset, to_float
from neurosleep.functional import layered_phi, soft_targets, torch_generator
from neurosleep.learning import BPTT, EquilibriumPropagation, PhasedLearning
from neurosleep.networks import EquilibriumMLP

__all__ = ["autograd_settle", "autograd_step_", "bench_ep", "nudged_phi"]

_SIZES = (784, 256, 10)
_BATCH, _FREE, _NUDGED, _BETA = 64, 60, 12, 0.1
_LR, _MOMENTUM = (0.4, 0.02), 0.9
# Batches timed of each, and turns.
_BATCHES = {"closed_form": 30, "autograd": 3, "bptt": 10}
_TURNS = 5


def nudged_phi(net: EquilibriumMLP, x: Tensor, targets: Tensor, states: list[Tensor], beta: float) -> Tensor:
    """Phi - beta L of each sample, ``[batch]``."""
    n = len(states)
    phi = layered_phi(x, states, net.weights[:n], net.biases[:n])
    if not beta:
        return phi
    output = states[-1]
    if net.read_out_kind == "squared-error":
        losses = 0.5 * (output - soft_targets(targets, output)).square().sum(1)
    else:
        losses = F.cross_entropy(net.logits(output), targets, reduction="none")
    return phi - beta * losses


def autograd_settle(
    net: EquilibriumMLP, x: Tensor, targets: Tensor, states: list[Tensor], steps: int, beta: float
) -> list[Tensor]:
    """States after ``steps``, each of which differentiates Phi with respect to the states."""
    paces = torch.split(net.dt, list(net.state_sizes)) if net.dt.ndim else [net.dt] * len(states)
    whole = not net.dt.ndim and float(net.dt) == 1
    for _ in range(steps):
        states = [s.detach().requires_grad_() for s in states]
        sums = torch.autograd.grad(nudged_phi(net, x, targets, states, beta).sum(), states)
        aims = [a.value(total) for a, total in zip(net.activations, sums, strict=True)]
        states = aims if whole else [s + dt * (a - s) for s, a, dt in zip(states, aims, paces, strict=True)]
    return [s.detach() for s in states]


def autograd_step_(
    net: EquilibriumMLP, x: Tensor, targets: Tensor, optimiser: torch.optim.Optimizer
) -> list[list[Tensor]]:
    """One batch of symmetric Equilibrium Propagation; the states of the free and the two nudged phases."""
    free = autograd_settle(net, x, targets, net.zeros(x), _FREE, 0.0)
    plus, minus = (autograd_settle(net, x, targets, free, _NUDGED, beta) for beta in (_BETA, -_BETA))
    optimiser.zero_grad()
    difference = nudged_phi(net, x, targets, minus, -_BETA).mean() - nudged_phi(net, x, targets, plus, _BETA).mean()
    (difference / (2 * _BETA)).backward()  # type: ignore[no-untyped-call, unused-ignore]
    optimiser.step()
    return [free, plus, minus]


def _network(seed: int) -> EquilibriumMLP:
    return EquilibriumMLP(_SIZES, free_steps=_FREE, generator=torch_generator(seed, "init"))


def _learn(learning: PhasedLearning, seed: int, images: Tensor, labels: Tensor) -> tuple[EquilibriumMLP, float]:
    net = _network(seed)
    state = learning.state(net)
    start = process_time()
    for _ in learning.fit(net, images, labels, state, lambda name, epoch: torch_generator(seed, name, epoch)):
        pass
    return net, process_time() - start


def _learn_plainly(seed: int, images: Tensor, labels: Tensor) -> tuple[EquilibriumMLP, float]:
    """The same batches by automatic differentiation."""
    net = _network(seed)
    groups = [{"params": [p], "lr": _LR[layer]} for p, layer in zip(net.trained, net.layer_of, strict=True)]
    optimiser = torch.optim.SGD(groups, momentum=_MOMENTUM)
    start = process_time()
    order = torch.randperm(len(images), generator=torch_generator(seed, "order", 0))
    for chosen in torch.split(order, _BATCH):
        autograd_step_(net, images[chosen], labels[chosen], optimiser)
    return net, process_time() - start


def _check_equal(seed: int, images: Tensor, labels: Tensor) -> float:
    """Largest difference between the states of the two forms in any phase of the first batch."""
    net = _network(seed)
    x, targets = images[:_BATCH], labels[:_BATCH]
    with torch.no_grad():
        drive = net.start(x)
        free = net.settle(drive, net.zeros(x), _FREE).states
        ours = [free] + [
            net.settle(drive, free, _NUDGED, targets=targets, beta=beta).states for beta in (_BETA, -_BETA)
        ]
    theirs = autograd_step_(net, x, targets, torch.optim.SGD(net.parameters(), lr=0.0))
    pairs = [pair for mine, other in zip(ours, theirs, strict=True) for pair in zip(mine, other, strict=True)]
    largest = max(float((a - b).abs().max()) for a, b in pairs)
    if not largest <= 1e-6:
        raise AssertionError(f"The two forms settle to states that differ by {largest}: the ratio would mean nothing.")
    return largest


def bench_ep(data: str | None = None, seed: int = 0) -> dict[str, Any]:
    """One run, one thread: processor seconds per batch and their ratios.

    784-256-10, batches of 64, 60 free and 12 nudged steps, symmetric: a whole step of learning, with the optimiser's.
    ``closed_form`` is :class:`~neurosleep.learning.EquilibriumPropagation` (which cuts a phase short once its states
    repeat bit for bit); ``autograd`` differentiates Phi for the states at each step, and for the weights; ``bptt``
    differentiates the last 12 of 60 steps in closed form. ``data`` is the folder of the full MNIST; without it the
    embedded subset is learnt.

    See Also
    --------
    neurosleep.bench.BENCHMARKS : all by name

    Examples
    --------
    >>> from neurosleep.bench import bench_ep
    >>> bench_ep()["ratios"]  # doctest: +SKIP
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        dataset = load_dataset("mnist" if data else "mnist-mini", data)
        count = _BATCH * max(_BATCHES.values())
        images = torch.from_numpy(to_float(dataset.images[:count])).flatten(1)
        labels = torch.from_numpy(dataset.labels[:count])
        largest = _check_equal(seed, images, labels)
        common: dict[str, Any] = {"lr": _LR, "momentum": _MOMENTUM, "batch": _BATCH}
        ep = EquilibriumPropagation(beta=_BETA, nudged_steps=_NUDGED, **common)
        bptt = BPTT(gradient_steps=_NUDGED, **common)
        timers: dict[str, Callable[[Tensor, Tensor], tuple[EquilibriumMLP, float]]] = {
            "closed_form": lambda x, y: _learn(ep, seed, x, y),
            "autograd": lambda x, y: _learn_plainly(seed, x, y),
            "bptt": lambda x, y: _learn(bptt, seed, x, y),
        }
        # The best of several turns, taken alternately, so that a busy moment of the machine hits all alike.
        seconds = dict.fromkeys(timers, float("inf"))
        for _ in range(_TURNS):
            for name, timer in timers.items():
                n = _BATCHES[name]
                seconds[name] = min(seconds[name], timer(images[: n * _BATCH], labels[: n * _BATCH])[1] / n)
    finally:
        torch.set_num_threads(before)
    pairs = (("autograd", "closed_form"), ("bptt", "closed_form"))
    return {
        "name": "ep",
        "threads": 1,
        "seconds": seconds,
        "unit": "batch",
        "ratios": {f"{a}_over_{b}": seconds[a] / seconds[b] for a, b in pairs},
        "largest_difference_of_states": largest,
    }
