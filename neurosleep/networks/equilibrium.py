"""The layered equilibrium network with symmetric connections."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional.activations import ACTIVATIONS, Activation, get_activation
from neurosleep.functional.equilibrium import (
    DYNAMICS,
    READ_OUTS,
    Dynamics,
    ReadOut,
    check_steps,
    layered_settle,
    layered_step,
    soft_targets,
)
from neurosleep.functional.heterogeneous_steps import HeterogeneousSteps
from neurosleep.networks.equilibrium_base import Drive, EquilibriumNetwork, Settled, TwoPhases

__all__ = ["EquilibriumMLP"]


class EquilibriumMLP(EquilibriumNetwork):
    r"""Fully connected layers, each weight matrix used in both directions.

    .. math::  s_l \leftarrow (1 - dt)\, s_l + dt\, \rho(W_l s_{l-1} + b_l + W_{l+1}^T s_{l+1} [+ nudge])

    in closed form: nothing is differentiated to settle, and :math:`W_1 x + b_1` is computed once a phase. Where no
    gradient is asked for, the steps run in place on two sets of buffers.

    Parameters
    ----------
    sizes:
        Units per layer, input first, at least two; with a soft-max read-out at least three.
    activation:
        Name from :data:`~neurosleep.functional.ACTIVATIONS`, or one of your own; of every layer but the output of
        ``read_out="cross-entropy"``, which has the identity.
    read_out:
        See :class:`EquilibriumNetwork`.
    bias:
        Whether units have biases.
    init:
        Factor on the initial weights and biases, which are uniform on :math:`\pm 1/\sqrt{n_{in}}`.
    dt:
        Time step, above 0 and at most 1; a tensor with one per unit after the input (float ``[sum(n)]``); or a
        distribution they are drawn from, once, here.
    free_steps:
        Steps of the free phase when the network is read out.
    dynamics:
        ``"discrete"`` as above, or ``"hopfield"``: the energy of Scellier and Bengio,
        :math:`u \leftarrow clip(u + dt\,(\rho'(u) I - u), 0, 1)`; it needs the activation's derivative.
    generator:
        Source of the initial weights, layer by layer (weight, bias), then of the time steps.

    See Also
    --------
    EquilibriumConv, DendriticMLP : other equilibrium networks
    neurosleep.learning.EquilibriumPropagation : trains it
    neurosleep.analysis.settling : how its states come to rest

    References
    ----------
    Scellier & Bengio (2017), doi:10.3389/fncom.2017.00024; Laborieux et al. (2021), doi:10.3389/fnins.2021.633674.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.networks import EquilibriumMLP
    >>> model = EquilibriumMLP([16, 8, 3], free_steps=20)
    >>> model(torch.rand(5, 16)).shape
    torch.Size([5, 3])
    """

    dt: Tensor

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: str | Activation = "hard_sigmoid",
        read_out: ReadOut = "squared-error",
        bias: bool = True,
        init: float = 1.0,
        dt: float | Tensor | HeterogeneousSteps = 1.0,
        free_steps: int = 60,
        dynamics: Dynamics = "discrete",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if read_out not in READ_OUTS:
            raise unknown_name("read-out", str(read_out), READ_OUTS)
        if dynamics not in DYNAMICS:
            raise unknown_name("dynamics", str(dynamics), DYNAMICS)
        least = 3 if read_out == "softmax-read-out" else 2
        if len(sizes) < least or any(size < 1 for size in sizes):
            raise SettingsError(
                f"The layer sizes are {list(sizes)!r}.", expected=f"at least {least} sizes of at least 1"
            )
        if not 0 < init < math.inf:
            raise SettingsError(f"The factor of the initial weights is {init!r}.", expected="a number > 0")
        if free_steps < 1:
            raise SettingsError(f"The free phase has {free_steps!r} steps.", expected="at least 1")
        self.sizes, self.free_steps, self.read_out_kind = tuple(sizes), free_steps, read_out
        self.dynamics: Dynamics = dynamics
        self.activation = get_activation(activation)
        if dynamics == "hopfield":
            if read_out == "cross-entropy":
                raise SettingsError(
                    "Hopfield dynamics keep every state between 0 and 1, and the read-out 'cross-entropy' has none.",
                    hint="take read_out='squared-error' or 'softmax-read-out'",
                )
            self.activation.slope(torch.zeros(1))  # refuses an activation without one
        # A layer draws weights of its own when it is made; with a generator, the global one is none of its business.
        with torch.random.fork_rng(devices=[], enabled=generator is not None):
            self.layers = nn.ModuleList(nn.Linear(n_in, n_out, bias=bias) for n_in, n_out in itertools.pairwise(sizes))
        for layer in self._linear:
            bound = init / math.sqrt(layer.in_features)
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
        self.register_buffer("dt", self._time_steps(dt, generator))

    def _time_steps(self, dt: float | Tensor | HeterogeneousSteps, generator: torch.Generator | None) -> Tensor:
        units = sum(self.state_sizes)
        if isinstance(dt, HeterogeneousSteps):
            dt = dt.draw(units, generator)
        steps = torch.as_tensor(dt, dtype=torch.get_default_dtype() if isinstance(dt, float | int) else None)
        if steps.ndim and steps.shape != (units,):
            raise SettingsError(
                f"The time steps have the shape {list(steps.shape)}.",
                expected=f"one number, or [{units}]: one per unit after the input",
            )
        wrong = ~((steps > 0) & (steps <= 1))
        if bool(wrong.any()):
            raise SettingsError(
                f"The time step {float(steps[wrong].reshape(-1)[0])!r} is outside of (0, 1].",
                expected="above 0, at most 1: a larger step overshoots the state it moves to",
            )
        return steps.clone()

    # --- what it is made of ---------------------------------------------------------------------------------------

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Units of the layers that have states: all after the input, without those of a soft-max read-out."""
        return self.sizes[1:-1] if self.read_out_kind == "softmax-read-out" else self.sizes[1:]

    @property
    def weights(self) -> list[Tensor]:
        """The weights ``[post, pre]``, input side first; that of a soft-max read-out is the last."""
        return [layer.weight for layer in self._linear]

    @property
    def biases(self) -> list[Tensor | None]:
        """The biases ``[post]``, or None each."""
        return [layer.bias for layer in self._linear]

    @property
    def _linear(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    @property
    def trained(self) -> list[nn.Parameter]:
        """Weight and bias of each layer, input side first."""
        return [parameter for layer in self._linear for parameter in layer.parameters()]

    @property
    def layer_of(self) -> list[int]:
        """The layer of each entry of :attr:`trained`."""
        return [number for number, layer in enumerate(self._linear) for _ in layer.parameters()]

    @property
    def activations(self) -> list[Activation]:
        """Of each layer that has a state."""
        each = [self.activation] * len(self.state_sizes)
        if self.read_out_kind == "cross-entropy":
            each[-1] = ACTIVATIONS["identity"]
        return each

    @property
    def slowest(self) -> float:
        """How many times more steps the slowest unit needs than one with ``dt = 1``: the largest 1/dt."""
        return float(1 / self.dt.min())

    # --- settling -------------------------------------------------------------------------------------------------

    def start(self, x: Tensor) -> Drive:
        """Input sums of the first layer, bias included."""
        if x.ndim != 2 or x.shape[1] != self.sizes[0]:
            raise SettingsError(f"The input has the shape {list(x.shape)}.", expected=f"[batch, {self.sizes[0]}]")
        first = self._linear[0]
        return Drive(x, (F.linear(x, first.weight, first.bias),))

    def zeros(self, x: Tensor) -> list[Tensor]:
        """Zero states for ``x``, one ``[batch, n]`` per layer after the input."""
        weight = self._linear[0].weight
        return [torch.zeros(len(x), n, dtype=weight.dtype, device=weight.device) for n in self.state_sizes]

    @property
    def _read_out_layer(self) -> nn.Linear | None:
        return self._linear[-1] if self.read_out_kind == "softmax-read-out" else None

    def _push_(self, targets: Tensor | None, beta: float, like: Tensor) -> Callable[[Tensor, Tensor], object] | None:
        """The same, added to what the last state receives, in place."""
        if self.read_out_kind == "squared-error" and targets is not None and beta:
            aim = beta * soft_targets(targets, like)
            return lambda total, output: total.add_(aim).sub_(output, alpha=beta)
        force = self._force(targets, beta, like)
        return None if force is None else lambda total, output: total.add_(force(output))

    def _pace(self) -> float | list[Tensor]:
        return float(self.dt) if not self.dt.ndim else list(torch.split(self.dt, list(self.state_sizes)))

    def _inner(self) -> tuple[list[Tensor], list[Tensor | None]]:
        """Weights and biases between states."""
        layers = self._linear[1 : len(self.state_sizes)]
        return [layer.weight for layer in layers], [layer.bias for layer in layers]

    def settle(
        self, drive: Drive, states: list[Tensor], steps: int, *, targets: Tensor | None = None, beta: float = 0.0
    ) -> Settled:
        """States after ``steps``; see :meth:`EquilibriumNetwork.settle`."""
        (first,), (weights, biases), pace = drive.sums, self._inner(), self._pace()
        activations = self.activations
        if self.dynamics == "discrete" and not torch.is_grad_enabled():
            push_ = self._push_(targets, beta, states[-1])
            last, before = layered_settle(states, first, weights, biases, activations, steps, pace, push_)
        else:
            check_steps(steps)
            force = self._force(targets, beta, states[-1])
            before = last = list(states)
            for _ in range(steps):
                pull = None if force is None else force(last[-1])
                before, last = (
                    last,
                    layered_step(last, first, weights, biases, activations, pace, pull, self.dynamics),
                )
        with torch.no_grad():
            residual = torch.stack([(s - b).abs_().amax() for s, b in zip(last, before, strict=True)])
        return Settled(last, residual)

    def straight_through(self, drive: Drive, before: list[Tensor], after: list[Tensor]) -> Tensor:
        """See :meth:`EquilibriumNetwork.straight_through`; of the discrete dynamics."""
        if self.dynamics != "discrete":
            return super().straight_through(drive, before, after)
        weights, biases = self._inner()
        total = F.linear(before[-2], weights[-1], biases[-1]) if weights else drive.sums[0]
        flat = self.activations[-1].slope(total.detach()) == 0
        pace = self._pace()
        step = pace if isinstance(pace, float) else pace[-1]
        return after[-1] + step * flat * (total - total.detach())

    @torch.no_grad()
    def evolve(
        self,
        drive: Drive,
        states: list[Tensor],
        steps: int,
        after: Callable[[int, list[Tensor]], None],
        *,
        targets: Tensor | None = None,
        beta: float = 0.0,
    ) -> list[Tensor]:
        """See :meth:`EquilibriumNetwork.evolve`."""
        if self.dynamics != "discrete":
            return super().evolve(drive, states, steps, after, targets=targets, beta=beta)
        (first,), (weights, biases) = drive.sums, self._inner()
        push_ = self._push_(targets, beta, states[-1])
        return layered_settle(states, first, weights, biases, self.activations, steps, self._pace(), push_, after)[0]

    # --- learning -------------------------------------------------------------------------------------------------

    def _contrast(self, drive: Drive, x: Tensor, phases: TwoPhases) -> list[Tensor]:
        """Gradient of the loss from two phases; see :meth:`EquilibriumNetwork.contrast`."""
        minus, plus, factor, targets, betas, predictive = phases
        if self.dynamics == "hopfield":
            minus = [a.value(s) for a, s in zip(self.activations, minus, strict=True)]
            plus = [a.value(s) for a, s in zip(self.activations, plus, strict=True)]
        scale = factor / len(x)
        found: list[Tensor] = []
        for k, layer in enumerate(self._linear[: len(self.state_sizes)]):
            # The input is the same in both phases: its layer needs one product only.
            moved = (minus[k] - plus[k]).mul_(scale)
            if k == 0 or predictive:
                found.append(moved.t() @ (x if k == 0 else plus[k - 1]))
            else:
                product = minus[k].t() @ minus[k - 1]
                found.append(torch.addmm(product, plus[k].t(), plus[k - 1], beta=scale, alpha=-scale, out=product))
            if layer.bias is not None:
                found.append(moved.sum(0))
        return found + self._read_out_gradients(minus[-1], plus[-1], targets, betas, scale)
