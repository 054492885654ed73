"""Populations and projections, the parts of a spiking network, as plain, frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from neurosleep._checks import as_reals, check_count, check_number
from neurosleep._shown import brief
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional import Compare, LIFParams, Refractory, Reset, ResetTime

__all__ = ["PARAMETERS", "Parameter", "Population", "PopulationKind", "Projection", "ProjectionKind"]

PopulationKind = Literal["input", "relay", "lif", "cuba_lif", "li"]
ProjectionKind = Literal["dense", "conv", "pool", "flatten", "identity", "recurrent"]
Parameter = float | Tensor
#: What a population holds a number of, or one for each of its neurons.
PARAMETERS = ("threshold", "decay", "leak", "reset_value", "bias", "amount", "synaptic_decay")


#: Neurons are numbered by int32.
_MOST_NEURONS = 2**31 - 1
#: Steps that a delay may last.
_LONGEST_DELAY = 100_000


def _parameter(population: str, key: str, value: Any, size: int, low: float, high: float) -> Parameter:
    """``value`` as a finite number from ``low`` to ``high``, or as a tensor ``[n]`` of them; else an error."""
    if type(value) is float and low <= value <= high and math.isfinite(value):
        return value
    where = f"Population {population!r}: {key}"
    tensor = as_reals(where, value)
    if tensor.ndim > 1 or (tensor.ndim == 1 and len(tensor) != size):
        raise SettingsError(
            f"{where} has shape {tuple(tensor.shape)}.",
            expected=f"a number, or one for each of the {size} neurons",
        )
    fine = torch.isfinite(tensor) & (tensor >= low) & (tensor <= high)
    if not fine.all():
        bad = tensor.reshape(-1)[~fine.reshape(-1)][0]
        limits = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        raise SettingsError(
            f"{where} is {bad.item()!r}.",
            expected=f"a finite number, {limits}" if low > -math.inf else "a finite number",
        )
    return tensor if tensor.ndim else tensor.item()


def _check_name(what: str, name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise SettingsError(f"{what} cannot be named {name!r:.60}.", expected="a text that is not empty")


def _truth(where: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise SettingsError(f"{where} is {value!r:.60}.", expected="True or False")
    return bool(value)


@dataclass(frozen=True, eq=False)
class Population:
    """A group of neurons of one kind.

    Every parameter is a number or a tensor ``[n]``; potentials share the unit of the threshold. Parameters of another
    type than float32 and float64 are kept in one of these, which holds them exactly. A unit that rests above its
    threshold (by ``leak``, or by ``bias``) fires by itself.

    Parameters
    ----------
    name, kind, shape:
        ``kind`` is ``input``, ``relay`` (passes on the summed input it receives, a graded value, in the same step;
        recordings show where it is not zero), ``lif``, ``cuba_lif`` (with a synaptic current that decays by
        ``synaptic_decay``) or ``li`` (integrates, never fires; with a synaptic current too where ``synaptic_decay`` is
        not 0); ``shape`` without time and batch.
    threshold, decay, leak, reset_value, bias:
        ``decay`` is the factor per step; ``bias`` is added to the input every step.
    refractory, while_refractory:
        Steps without firing after a spike, a whole number; meanwhile the potential is held or goes on integrating.
    compare, reset, amount:
        ``>=`` or ``>``; reset ``to_value`` or by ``subtract`` of ``amount`` (None: the threshold).
    reset_time:
        With ``subtract``, and no refractoriness: in the ``same`` step, in the ``next`` one, or ``guarded``
        (:class:`~neurosleep.functional.LIFParams`); other libraries' conventions.
    """

    name: str
    kind: PopulationKind
    shape: tuple[int, ...]
    threshold: Parameter = 1.0
    decay: Parameter = 1.0
    leak: Parameter = 0.0
    reset_value: Parameter = 0.0
    bias: Parameter = 0.0
    refractory: int = 0
    compare: Compare = ">="
    reset: Reset = "to_value"
    amount: Parameter | None = None
    while_refractory: Refractory = "hold"
    synaptic_decay: Parameter = 0.0
    reset_time: ResetTime = "same"

    __repr__ = brief

    def __post_init__(self) -> None:
        for key, kinds in (
            ("kind", PopulationKind),
            ("compare", Compare),
            ("reset", Reset),
            ("while_refractory", Refractory),
            ("reset_time", ResetTime),
        ):
            if getattr(self, key) not in get_args(kinds):
                raise unknown_name(f"population {key}", str(getattr(self, key)), get_args(kinds))
        _check_name("A population", self.name)
        object.__setattr__(self, "shape", self._checked_shape())
        limits = {"threshold": (0.0, math.inf), "decay": (0.0, 1.0), "synaptic_decay": (0.0, 1.0)}
        for key in PARAMETERS:
            if key == "amount" and self.amount is None:
                continue
            low, high = (0.0, math.inf) if key == "amount" else limits.get(key, (-math.inf, math.inf))
            checked = _parameter(self.name, key, getattr(self, key), self.size, low, high)
            object.__setattr__(self, key, checked)
        steps = check_count(f"Population {self.name!r}: refractory", self.refractory, 0, 2**31 - 1)
        object.__setattr__(self, "refractory", steps)
        if self.reset_time != "same" and (self.reset != "subtract" or self.refractory != 0):
            raise SettingsError(
                f"Population {self.name!r}: reset_time is {self.reset_time!r}, with reset {self.reset!r} and "
                f"{self.refractory!r} refractory steps.",
                expected="reset 'subtract' and no refractory steps, or reset_time 'same'",
                hint="a later reset to a value gives the spike trains of one in the same step",
            )

    def _checked_shape(self) -> tuple[int, ...]:
        """The shape as whole numbers, or an error."""
        where = f"Population {self.name!r} has shape {self.shape!r:.80}."
        expected = f"a tuple of sizes of at least 1, of no more than {_MOST_NEURONS} neurons"
        if not isinstance(self.shape, tuple | list | torch.Size):
            raise SettingsError(where, expected=expected)
        try:
            shape = tuple(check_count("a size", length) for length in self.shape)
        except SettingsError as error:
            raise SettingsError(where, expected=expected) from error
        if not shape or math.prod(shape) > _MOST_NEURONS:
            raise SettingsError(where, expected=expected)
        return shape

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)

    def lif_params(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> LIFParams:
        """The parameters as tensors for :func:`~neurosleep.functional.lif_step`."""

        def tensor(value: Parameter) -> Tensor:
            return torch.as_tensor(value, dtype=dtype, device=device)

        return LIFParams(
            threshold=tensor(self.threshold),
            decay=tensor(self.decay),
            leak=tensor(self.leak),
            reset_value=tensor(self.reset_value),
            amount=tensor(self.threshold if self.amount is None else self.amount),
            refractory=torch.as_tensor(self.refractory, device=device),
            compare=self.compare,
            reset=self.reset,
            while_refractory=self.while_refractory,
            reset_time=self.reset_time,
        )


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from one population to another.

    Parameters
    ----------
    source, target:
        Names of the populations.
    kind:
        ``dense`` and ``recurrent`` carry a weight ``[post, pre]``, ``identity`` and ``flatten`` none. ``conv`` carries
        ``[out, in / groups, kernel...]`` and takes stride, padding, dilation and groups from ``options``. ``pool`` has
        no weight and the options mode (``average``, which counts padded zeros, or ``sum``), kernel, stride (left out:
        the kernel) and padding. Populations are then of shape (channels, length) or (channels, height, width), and
        options other than groups and mode hold one number per axis.
    scale:
        Factor alpha on the summed input.
    delay:
        Steps, a whole number up to 100 000; 0 means the same step.
    plastic:
        Whether a plasticity rule may change the weight through this projection; with ``transpose_of`` it always equals
        ``symmetric_rule``.
    transpose_of:
        Source and target of another dense projection of the network. This one then has no weight of its own: in every
        step it uses the other's, transposed, as the step before left it. For the feedback of symmetric networks, in
        which one weight serves both directions; needs a delay of at least 1.
    symmetric_rule:
        With ``transpose_of``: whether the plasticity rule is applied to the shared weight from this side as well.

    Notes
    -----
    What a symmetric rule reads: at the end of step t, first every projection with a weight of its own is updated, in
    the order in which the network lists them, from the weight that step t-1 left. Then come the projections with a
    symmetric rule, in the order of the list, and each reads the shared weight as the updates before it in this same
    step left it. Its presynaptic side is its own source at t - delay, its postsynaptic side its own target at t. With
    the rule of Sleep Replay Consolidation and a weight W from layer l to l+1: where unit i of layer l fires, W[j, i]
    gains ``inc g(W[j, i])`` if unit j of layer l+1 fired ``delay`` steps ago, and loses ``dec g(W[j, i])`` if not. All
    of it is felt at step t+1.
    """

    source: str
    target: str
    kind: ProjectionKind = "dense"
    weight: Tensor | None = None
    scale: float = 1.0
    delay: int = 0
    plastic: bool = True
    options: tuple[tuple[str, Any], ...] = ()
    transpose_of: tuple[str, str] | None = None
    symmetric_rule: bool = False

    __repr__ = brief

    def __post_init__(self) -> None:
        where = f"Projection {self.source!r} -> {self.target!r}"
        if self.kind not in get_args(ProjectionKind):
            raise unknown_name("projection kind", self.kind, get_args(ProjectionKind))
        for end in (self.source, self.target):
            _check_name(f"{where}: a population", end)
        object.__setattr__(self, "scale", check_number(f"{where}: scale", self.scale))
        object.__setattr__(self, "delay", check_count(f"{where}: delay", self.delay, 0, _LONGEST_DELAY))
        for key in ("plastic", "symmetric_rule"):
            object.__setattr__(self, key, _truth(f"{where}: {key}", getattr(self, key)))
        object.__setattr__(self, "options", self._checked_options(where))
        if self.weight is not None:
            weight = as_reals(f"{where}: the weight", self.weight)
            if not torch.isfinite(weight).all():
                raise SettingsError(f"{where}: the weight holds NaN or infinite values.", expected="finite numbers")
            object.__setattr__(self, "weight", weight)
        if self.transpose_of is None:
            if self.symmetric_rule:
                raise SettingsError(
                    f"{where}: a symmetric rule needs a weight that is shared.",
                    expected="transpose_of=(source, target) of the projection whose weight it is",
                )
            return
        if self.kind != "dense" or self.weight is not None:
            raise SettingsError(
                f"{where}: it uses a transposed weight, and has kind {self.kind!r} "
                f"and {'no' if self.weight is None else 'a'} weight of its own.",
                expected="kind 'dense' and weight=None",
            )
        if self.delay < 1:
            raise SettingsError(
                f"{where}: it uses a transposed weight with delay {self.delay!r}.",
                expected="a delay of at least 1 step",
                hint="delay=1 uses the spikes of the step before",
            )
        pair = tuple(self.transpose_of) if isinstance(self.transpose_of, tuple | list) else ()
        if len(pair) != 2 or not all(isinstance(name, str) for name in pair):
            raise SettingsError(
                f"{where}: transpose_of is {self.transpose_of!r:.60}.",
                expected="source and target of the projection whose weight it is",
            )
        object.__setattr__(self, "transpose_of", pair)
        object.__setattr__(self, "plastic", self.symmetric_rule)

    def _checked_options(self, where: str) -> tuple[tuple[str, Any], ...]:
        """The options as pairs of a key and a value, or an error."""
        pairs = self.options if isinstance(self.options, tuple | list) else None
        if pairs is None or not all(
            isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs
        ):
            raise SettingsError(
                f"{where}: options is {self.options!r:.60}.", expected='pairs of a key and a value, (("stride", 2), …)'
            )
        keys = [pair[0] for pair in pairs]
        if len(set(keys)) != len(keys):
            raise SettingsError(f"{where}: options is {self.options!r:.60}.", expected="every key once")
        return tuple((key, value) for key, value in pairs)
