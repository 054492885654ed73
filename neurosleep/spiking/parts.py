"""Populations, groups of neurons of one kind, as plain, frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from neurosleep._checks import as_reals, check_count
from neurosleep._shown import brief
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional import Compare, LIFParams, Refractory, Reset, ResetTime

__all__ = ["PARAMETERS", "Parameter", "Population", "PopulationKind", "check_name", "truth"]

PopulationKind = Literal["input", "relay", "lif", "cuba_lif", "li"]
Parameter = float | Tensor
#: What a population holds a number of, or one for each of its neurons.
PARAMETERS = ("threshold", "decay", "leak", "reset_value", "bias", "amount", "synaptic_decay")


#: Neurons are numbered by int32.
_MOST_NEURONS = 2**31 - 1


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


def check_name(what: str, name: Any) -> None:
    """Refuse a name that is no text, or an empty one."""
    if not isinstance(name, str) or not name:
        raise SettingsError(f"{what} cannot be named {name!r:.60}.", expected="a text that is not empty")


def truth(where: str, value: Any) -> bool:
    """True or False, NumPy's too, as Python's own; else an error."""
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
        Steps without firing after a spike, an integer; meanwhile the potential is held or goes on integrating.
    compare, reset, amount:
        ``>=`` or ``>``; reset ``to_value`` or by ``subtract`` of ``amount`` (None: the threshold).
    reset_time:
        With ``subtract``, and no refractoriness: in the ``same`` step, in the ``next`` one, or ``guarded``
        (:class:`~neurosleep.functional.LIFParams`); other libraries' conventions.

    See Also
    --------
    SpikingNetwork : what it is part of
    neurosleep.functional.LIFParams : the parameters of its step

    Examples
    --------
    >>> from neurosleep import Population
    >>> Population("hidden1", "lif", (100,), threshold=1.0, decay=0.999).size
    100
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
        check_name("A population", self.name)
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
        """The shape as integers, or an error."""
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
