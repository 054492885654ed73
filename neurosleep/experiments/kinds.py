"""The kinds of networks and of learning that an experiment may name, and the settings that each of them has.

``network.kind`` and ``wake.kind`` decide which keys exist beside the common ones and what they are where nothing is
said. For the network and the learning of Sleep Replay Consolidation they are left out of a resolved file, so that such
files stay what they were before there were others.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping
from typing import Any

import torch

from neurosleep.continual import AwakeNetwork, Learning
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional.heterogeneous_steps import HeterogeneousSteps
from neurosleep.learning import BPTT, Backprop, ContrastiveHebbian, EquilibriumPropagation, PhasedLearning
from neurosleep.networks import MLP, DendriticMLP, EquilibriumConv, EquilibriumMLP

__all__ = [
    "CAN_SLEEP",
    "KIND_SETTINGS",
    "PLAIN",
    "check_kinds",
    "check_size",
    "kinds_of",
    "kinds_with",
    "make_learning",
    "make_network",
    "settings_of_kinds",
]

#: The kinds there were from the beginning, which need not be named.
PLAIN = ("mlp", "backprop")

#: Keys that only some kinds have, with their type, by table. Those of the plain kinds stand with the common ones.
KIND_SETTINGS: dict[str, dict[str, type]] = {
    "network": {
        "activation": str,
        "read_out": str,
        "bias": bool,
        "dynamics": str,
        "dt": float,
        "dt_distribution": str,
        "dt_spread": float,
        "dt_control": bool,
        "image": list,
        "channels": list,
        "kernel": list,
        "padding": list,
        "pool": list,
        "pooling": str,
        "full": list,
        "basal_branches": int,
        "apical_branches": int,
        "branch_sparsity": float,
        "apical_scale": float,
        "apical_dense": bool,
    },
    "wake": {
        "free_steps": int,
        "nudged_steps": int,
        "gradient_steps": int,
        "straight_through": bool,
        "clamped_steps": int,
        "delay": int,
        "estimator": str,
        "beta": float,
        "lr_per_layer": list,
        "optimiser": str,
        "weight_decay": float,
        "cosine_epochs": int,
        "residual_limit": float,
        "second_start": int,
        "adaptation_steps": int,
        "adaptation_rate": float,
        "adaptation_nudged": bool,
        "predictive": bool,
    },
    "sleep": {"feedback": str, "gamma": float, "symmetric_rule": bool, "bias_drive": bool},
}

# Sleep of networks whose weights serve both directions.
_BOTH_WAYS: dict[str, Any] = {
    "sleep.feedback": "none",
    "sleep.gamma": 1.0,
    "sleep.symmetric_rule": False,
    "sleep.bias_drive": False,
}
#: What each kind of network has beside the common settings, by dotted key, and its value where nothing is said; None
#: is an option that is not taken.
_NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"network.dropout": 0.25, "network.init": 0.01},
    "equilibrium": _BOTH_WAYS
    | {
        "network.activation": "hard_sigmoid",
        "network.read_out": "squared-error",
        "network.bias": True,
        "network.init": 1.0,
        "network.dynamics": "discrete",
        "network.dt": None,
        "network.dt_distribution": None,
        "network.dt_spread": None,
        "network.dt_control": False,
    },
    "equilibrium-conv": {
        "network.activation": "my_hard_sig",
        "network.read_out": "softmax-read-out",
        "network.bias": True,
        "network.init": 1.0,
        "network.image": [32, 32, 3],
        "network.channels": [32, 64],
        "network.kernel": [3, 3],
        "network.padding": [1, 1],
        "network.pool": [2, 2],
        "network.pooling": "max",
        "network.full": [],
    },
    "dendritic": {
        "network.activation": "hard_sigmoid",
        "network.read_out": "squared-error",
        "network.init": 1.0,
        "network.basal_branches": 8,
        "network.apical_branches": 2,
        "network.branch_sparsity": 0.5,
        "network.apical_scale": 0.2,
        "network.apical_dense": False,
    },
}
# Training in phases: what Equilibrium Propagation, BPTT and contrastive Hebbian learning share.
_PHASES: dict[str, Any] = {
    "wake.free_steps": 60,
    "wake.lr": 0.05,
    "wake.lr_per_layer": None,
    "wake.optimiser": "sgd",
    "wake.momentum": 0.9,
    "wake.weight_decay": 0.0,
    "wake.cosine_epochs": 0,
    "wake.batch": 64,
    "wake.residual_limit": 0.01,
}
#: The same for each way of learning.
_LEARNING: dict[str, dict[str, Any]] = {
    "backprop": {
        "wake.loss": "straight-through-mse",
        "wake.lr": 0.1,
        "wake.lr_per_layer": None,
        "wake.momentum": 0.5,
        "wake.batch": 100,
    },
    "ep": _PHASES
    | {
        "wake.nudged_steps": 12,
        "wake.estimator": "symmetric",
        "wake.beta": 0.1,
        "wake.second_start": None,
        "wake.adaptation_steps": 0,
        "wake.adaptation_rate": 0.1,
        "wake.adaptation_nudged": False,
        "wake.predictive": False,
    },
    "bptt": _PHASES | {"wake.gradient_steps": 12, "wake.straight_through": False},
    "chl": _PHASES
    | {
        "wake.free_steps": 120,
        "wake.optimiser": "adagrad",
        "wake.lr": 0.1,
        "wake.batch": 10,
        "wake.clamped_steps": 120,
        "wake.delay": 13,
        "wake.predictive": True,
        "wake.adaptation_steps": 0,
        "wake.adaptation_rate": 0.1,
    },
}
_CLASSES: dict[str, type[PhasedLearning]] = {
    "ep": EquilibriumPropagation,
    "bptt": BPTT,
    "chl": ContrastiveHebbian,
}
#: Ways of learning that a kind of network can take, the usual one first.
_LEARNS_BY: dict[str, tuple[str, ...]] = {
    "mlp": ("backprop",),
    "equilibrium": ("ep", "bptt", "chl"),
    "equilibrium-conv": ("ep", "bptt"),
    "dendritic": ("ep", "bptt"),
}

#: Kinds of networks that have a spiking counterpart.
CAN_SLEEP = ("mlp", "equilibrium")


def kinds_of(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Kind of the network, and of its learning."""
    return settings["network"]["kind"] or PLAIN[0], settings["wake"]["kind"] or PLAIN[1]


def check_kinds(present: tuple[str, str], given: Mapping[str, Any]) -> tuple[str, str]:
    """The kinds after ``given`` (``network.kind``, ``wake.kind`` or both) has changed the ``present`` ones.

    Another kind of network takes its usual way of learning, unless one is given too.
    """
    for key, value in given.items():
        if value is not None and not isinstance(value, str):
            raise SettingsError(f"{key} is {value!r:.80}.", expected="a text")
    network = given["network.kind"] or PLAIN[0] if "network.kind" in given else present[0]
    if network not in _NETWORKS:
        raise unknown_name("network.kind", str(network), _NETWORKS)
    usual = present[1] if network == present[0] else _LEARNS_BY[network][0]
    learning = given["wake.kind"] or PLAIN[1] if "wake.kind" in given else usual
    if learning not in _LEARNING:
        raise unknown_name("wake.kind", str(learning), _LEARNING)
    if learning not in _LEARNS_BY[network]:
        raise SettingsError(
            f"wake.kind is {learning!r}, by which a network of kind {network!r} cannot learn.",
            expected=" or ".join(_LEARNS_BY[network]),
        )
    return network, learning


def settings_of_kinds(network: str, learning: str) -> dict[str, Any]:
    """What these kinds have beside the common settings, with their defaults, by dotted key."""
    return _NETWORKS[network] | _LEARNING[learning]


def kinds_with(path: str) -> tuple[str, ...]:
    """The kinds that have a setting; none if it is a common one (or there is no such setting)."""
    return tuple(kind for kinds in (_NETWORKS, _LEARNING) for kind, keys in kinds.items() if path in keys)


def check_size(settings: Mapping[str, Any]) -> None:
    """Refuse a network that this machine's memory cannot hold with its gradients, momentum and one copy."""
    network = settings["network"]
    sizes = network["sizes"]
    if settings["network"]["kind"] == "equilibrium-conv":
        layers = [network["image"][-1] if network["image"] else 1, *network["channels"]]
        kernel = max(network["kernel"], default=1)
        weights = sum(a * b * kernel**2 for a, b in itertools.pairwise(layers))
        weights += sum(a * b for a, b in itertools.pairwise([layers[-1], *network["full"], sizes[-1]]))
    else:
        weights = sum(a * b for a, b in itertools.pairwise(sizes))
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # a system that does not tell
        return
    if 16 * weights > memory:
        raise SettingsError(
            f"network.sizes is {sizes!r:.80}: training that needs {16 * weights / 1e9:.3g} GB.",
            expected=f"a network that fits {memory / 1e9:.3g} GB of memory",
        )


def make_network(settings: Mapping[str, Any], generator: torch.Generator | None = None) -> AwakeNetwork:
    """The awake network that the settings describe, with its initial weights."""
    network, wake = settings["network"], settings["wake"]
    kind, _ = kinds_of(settings)
    if kind == "mlp":
        return MLP(
            network["sizes"],
            dropout=network["dropout"],
            init=network["init"],
            output="softmax" if wake["loss"] == "cross-entropy" else "relu",
            generator=generator,
        )
    common: dict[str, Any] = {"free_steps": wake["free_steps"], "init": network["init"], "generator": generator}
    common |= _picked(network, "activation", "read_out")
    if kind == "equilibrium-conv":
        image, (inputs, *_, classes) = network["image"], network["sizes"]
        if len(network["sizes"]) != 2 or len(image) != 3 or math.prod(image) != inputs:
            raise SettingsError(
                f"network.sizes is {network['sizes']!r}, network.image {image!r}.",
                expected="sizes of the image and the classes, such as [3072, 10] for an image [32, 32, 3]",
                hint="the layers between stand in network.channels and network.full",
            )
        return EquilibriumConv(
            tuple(image),
            fc=[*network["full"], classes],
            **common,
            **_picked(network, "channels", "kernel", "padding", "pool", "pooling", "bias"),
        )
    if kind == "dendritic":
        branches = _picked(
            network, "basal_branches", "apical_branches", "branch_sparsity", "apical_scale", "apical_dense"
        )
        return DendriticMLP(network["sizes"], **common, **branches)
    return EquilibriumMLP(
        network["sizes"], bias=network["bias"], dt=_time_steps(network), dynamics=network["dynamics"], **common
    )


def _picked(table: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: table[key] for key in keys}


def _time_steps(network: Mapping[str, Any]) -> float | HeterogeneousSteps:
    """One step for all units, or the distribution they are drawn from, whose centre is ``dt``."""
    distribution = network["dt_distribution"]
    if distribution is None:
        for key, unused in (("dt_spread", None), ("dt_control", False)):
            if network[key] is not unused:
                raise SettingsError(f"network.{key} is {network[key]!r}.", expected="network.dt_distribution with it")
        return 1.0 if network["dt"] is None else float(network["dt"])
    steps = HeterogeneousSteps(distribution, network["dt"], network["dt_spread"])
    return steps.control() if network["dt_control"] else steps


def make_learning(kind: str, wake: Mapping[str, Any]) -> Learning:
    """The wake training, from the settings of ``wake`` without those per task."""
    options = {path.removeprefix("wake."): wake[path.removeprefix("wake.")] for path in _LEARNING[kind]}
    rates = options.pop("lr_per_layer")
    if rates is not None:
        if not rates or not all(isinstance(rate, int | float) and not isinstance(rate, bool) for rate in rates):
            raise SettingsError(f"wake.lr_per_layer is {rates!r}.", expected="numbers, one per layer")
        options["lr"] = tuple(float(rate) for rate in rates)
    make = Backprop if kind == "backprop" else _CLASSES[kind]
    return make(**options, epochs=wake["epochs"])
