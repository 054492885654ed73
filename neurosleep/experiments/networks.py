"""The settings of the networks: each, its type and its default, in the class of its kind."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch

from neurosleep.errors import SettingsError
from neurosleep.experiments.later import later
from neurosleep.experiments.wakes import BackpropWake, Wake, Whole, free_steps
from neurosleep.functional.heterogeneous_steps import HeterogeneousSteps
from neurosleep.networks import MLP, ConvNet, DendriticMLP, EquilibriumConv, EquilibriumMLP, Init, Output, Pooling

__all__ = ["NETWORKS", "Convolutional", "FeedForward", "FeedForwardConv", "Network"]


@dataclass(frozen=True)
class FeedForward:
    """A feed-forward network of ReLU layers."""

    kind: Literal["mlp"] = "mlp"
    sizes: Whole = (784, 1200, 1200, 10)
    dropout: float = 0.25
    init: Init = 0.01
    bias: bool = later(False)

    def __post_init__(self) -> None:
        _check_size(self.sizes)

    def make(self, wake: Wake, generator: torch.Generator | None = None) -> MLP:
        """The network with its initial weights."""
        options: dict[str, Any] = {key: getattr(self, key) for key in ("dropout", "init", "bias")}
        return MLP(self.sizes, output=_output(wake), generator=generator, **options)


@dataclass(frozen=True)
class FeedForwardConv:
    """A feed-forward network of convolutions and fully connected layers; ``sizes`` are inputs and classes."""

    kind: Literal["conv"] = "conv"
    sizes: Whole = (784, 10)
    dropout: float = 0.0
    init: Init = "torch"
    bias: bool = True
    image: Whole = (28, 28, 1)
    channels: Whole = (16, 32)
    kernel: Whole = (3, 3)
    stride: Whole = (1, 1)
    padding: Whole = (1, 1)
    pool: Whole = (2, 2)
    pooling: Literal["max", "average"] = "max"
    full: Whole = (100,)

    def __post_init__(self) -> None:
        _check_size(self.sizes, _convolution_weights(self))

    def make(self, wake: Wake, generator: torch.Generator | None = None) -> ConvNet:
        """The network with its initial weights."""
        keys = ("dropout", "init", "bias", "kernel", "stride", "padding")
        options: dict[str, Any] = {key: getattr(self, key) for key in keys}
        options["pool"] = Pooling(self.pool, self.pooling)
        full = [*self.full, self.sizes[-1]]
        return ConvNet(_image(self), self.channels, fc=full, output=_output(wake), generator=generator, **options)


@dataclass(frozen=True)
class Equilibrium:
    """An equilibrium network of fully connected layers."""

    kind: Literal["equilibrium"] = "equilibrium"
    sizes: Whole = (784, 1200, 1200, 10)
    init: float = 1.0
    activation: str = "hard_sigmoid"
    read_out: str = "squared-error"
    bias: bool = True
    dynamics: str = "discrete"
    dt: float | None = None
    dt_distribution: str | None = None
    dt_spread: float | None = None
    dt_control: bool = False

    def __post_init__(self) -> None:
        _check_size(self.sizes)

    def make(self, wake: Wake, generator: torch.Generator | None = None) -> EquilibriumMLP:
        """The network with its initial weights."""
        options: dict[str, Any] = {
            key: getattr(self, key) for key in ("activation", "read_out", "bias", "dynamics", "init")
        }
        return EquilibriumMLP(self.sizes, dt=self._steps(), free_steps=free_steps(wake), generator=generator, **options)

    def _steps(self) -> float | HeterogeneousSteps:
        """One step for all units, or the distribution they are drawn from, whose centre is ``dt``."""
        distribution: Any = self.dt_distribution
        if distribution is None:
            for key, unused in (("dt_spread", None), ("dt_control", False)):
                if getattr(self, key) is not unused:
                    raise SettingsError(
                        f"network.{key} is {getattr(self, key)!r}.", expected="network.dt_distribution with it"
                    )
            return 1.0 if self.dt is None else self.dt
        steps = HeterogeneousSteps(distribution, self.dt, self.dt_spread)
        return steps.control() if self.dt_control else steps


@dataclass(frozen=True)
class Convolutional:
    """An equilibrium network of convolutions; ``sizes`` are inputs and classes."""

    kind: Literal["equilibrium-conv"] = "equilibrium-conv"
    sizes: Whole = (784, 1200, 1200, 10)
    init: float = 1.0
    activation: str = "my_hard_sig"
    read_out: str = "softmax-read-out"
    bias: bool = True
    image: Whole = (32, 32, 3)
    channels: Whole = (32, 64)
    kernel: Whole = (3, 3)
    padding: Whole = (1, 1)
    pool: Whole = (2, 2)
    pooling: Literal["max", "average"] = "max"
    full: Whole = ()

    def __post_init__(self) -> None:
        _check_size(self.sizes, _convolution_weights(self))

    def make(self, wake: Wake, generator: torch.Generator | None = None) -> EquilibriumConv:
        """The network with its initial weights."""
        keys = ("activation", "read_out", "init", "channels", "kernel", "padding", "bias")
        options: dict[str, Any] = {key: getattr(self, key) for key in keys}
        options["pool"] = Pooling(self.pool, self.pooling)
        full = [*self.full, self.sizes[-1]]
        return EquilibriumConv(_image(self), fc=full, free_steps=free_steps(wake), generator=generator, **options)


@dataclass(frozen=True)
class Dendritic:
    """An equilibrium network of units with dendritic branches."""

    kind: Literal["dendritic"] = "dendritic"
    sizes: Whole = (784, 1200, 1200, 10)
    init: float = 1.0
    activation: str = "hard_sigmoid"
    read_out: str = "squared-error"
    basal_branches: int = 8
    apical_branches: int = 2
    branch_sparsity: float = 0.5
    apical_scale: float = 0.2
    apical_dense: bool = False

    def __post_init__(self) -> None:
        _check_size(self.sizes)

    def make(self, wake: Wake, generator: torch.Generator | None = None) -> DendriticMLP:
        """The network with its initial weights."""
        options: dict[str, Any] = {key: value for key, value in vars(self).items() if key not in ("kind", "sizes")}
        return DendriticMLP(self.sizes, free_steps=free_steps(wake), generator=generator, **options)


Network: TypeAlias = FeedForward | FeedForwardConv | Equilibrium | Convolutional | Dendritic
NETWORKS: dict[str, type[Network]] = {
    "mlp": FeedForward,
    "conv": FeedForwardConv,
    "equilibrium": Equilibrium,
    "equilibrium-conv": Convolutional,
    "dendritic": Dendritic,
}


def _output(wake: Wake) -> Output:
    """What the outputs are read out as, which the loss says."""
    if not isinstance(wake, BackpropWake) or wake.loss == "straight-through-mse":
        return "relu"
    return "sigmoid" if wake.loss == "binary-cross-entropy" else "softmax"


def _image(network: FeedForwardConv | Convolutional) -> tuple[int, int, int]:
    """The image's height, width and channels, whose product must be the number of inputs."""
    if len(network.sizes) != 2 or len(network.image) != 3 or math.prod(network.image) != network.sizes[0]:
        raise SettingsError(
            f"network.sizes is {[*network.sizes]!r}, network.image {[*network.image]!r}.",
            expected="sizes of the image and the classes, such as [3072, 10] for an image [32, 32, 3]",
            hint="the layers between stand in network.channels and network.full",
        )
    return network.image[0], network.image[1], network.image[2]


def _convolution_weights(network: FeedForwardConv | Convolutional) -> int:
    """About how many weights there are, as if the last maps were one pixel each."""
    layers = [network.image[-1] if network.image else 1, *network.channels]
    weights = sum(a * b * max(network.kernel, default=1) ** 2 for a, b in itertools.pairwise(layers))
    return weights + sum(a * b for a, b in itertools.pairwise([layers[-1], *network.full, *network.sizes[-1:]]))


def _check_size(sizes: Whole, weights: int | None = None) -> None:
    """Refuse layers that are none, and more than this machine's memory holds with gradients, momentum and one copy."""
    if len(sizes) < 2 or min(sizes) < 1:
        raise SettingsError(f"network.sizes is {[*sizes]!r:.80}.", expected="at least two integers of at least 1")
    if weights is None:
        weights = sum(a * b for a, b in itertools.pairwise(sizes))
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # a system that does not tell
        return
    if 16 * weights > memory:
        raise SettingsError(
            f"network.sizes is {[*sizes]!r:.80}: training that needs {16 * weights / 1e9:.3g} GB.",
            expected=f"a network that fits {memory / 1e9:.3g} GB of memory",
        )
