"""Which neuron of snnTorch a population is, and what of it snnTorch cannot express."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from neurosleep.spiking import Population
from neurosleep.spiking.engines.snntorch_engine import strictly_above

__all__ = ["WRITTEN", "Neuron", "snntorch_neuron"]

#: The neurons that are written.
WRITTEN = ("Leaky", "Synaptic")


@dataclass
class Neuron:
    """A neuron to write: its Python, what its buffers hold, and its states.

    ``amount`` is taken off the potential of one that fired by a line of ``forward``, or it is set to ``value``;
    ``inexact`` says what differs, or what the neuron by itself does not do.
    """

    code: str = ""
    buffers: dict[str, Tensor] = field(default_factory=dict)
    states: tuple[str, ...] = ("mem",)
    amount: Tensor | None = None
    value: Tensor | None = None
    inexact: list[str] = field(default_factory=list)


def snntorch_neuron(p: Population, dtype: torch.dtype) -> Neuron:
    """The neuron of a population of kind ``lif``, ``cuba_lif`` or ``li``."""
    return _Maker(p, dtype).neuron


class _Maker:
    def __init__(self, p: Population, dtype: torch.dtype) -> None:
        self.p, self.dtype, self.neuron = p, dtype, Neuron()
        self.leak = self._tensor(p.leak)
        if self.leak.any():
            self._inexact(
                "its resting potential is not 0; potentials are written relative to it, which rounds otherwise"
            )
        if p.kind == "li":
            self._write(self._class(), "none", None, torch.tensor(math.inf, dtype=dtype))
            return
        self.theta = self._tensor(p.threshold) - self.leak
        self.strict = strictly_above(self.theta, p.compare)
        if p.compare == ">=" and not (self.theta > 0).all():
            low = "0" if not self.leak.any() else "not above its resting potential"
            self._inexact(
                f"its threshold is {low}, and snnTorch fires strictly above it",
                "the next smaller number, and the reset as a line of forward",
            )
        (self._hard if p.reset == "to_value" else self._soft)()

    def _tensor(self, value: Any) -> Tensor:
        return torch.as_tensor(value, dtype=self.dtype).detach()

    def _inexact(self, why: str, written: str = "") -> None:
        self.neuron.inexact.append(f"{why} (written: {written})" if written else why)

    def _hard(self) -> None:
        p = self.p
        value = self._tensor(p.reset_value) - self.leak
        # What a neuron's own reset needs: a silent neuron that is not taken for one that has fired.
        own = not value.any() and bool((self.strict >= 0).all())
        if value.any():
            self._inexact("it is reset to another value than 0", "a line of forward")
        waits = p.refractory
        if waits > 1 or (waits == 1 and p.while_refractory != "hold") or (waits and not own):
            self._inexact(
                f"it is refractory for {waits} steps ({p.while_refractory}), and snnTorch knows one step, held at 0",
                "one such step" if own else "none",
            )
        if not own:
            self.neuron.value = value
            self._write(self._class(), "none", None, self.strict)
        elif waits:
            # The delayed reset of Synaptic, unlike that of Leaky, takes the input of its step away too.
            self._write("Synaptic", "zero", True, self.strict)
        else:
            self._write(self._class(), "zero", False, self.strict)

    def _soft(self) -> None:
        p = self.p
        amount = self._tensor(p.threshold if p.amount is None else p.amount)
        if p.refractory:
            self._inexact(f"it is refractory for {p.refractory} steps and reset by subtraction", "no refractoriness")
        if not amount.any():
            self._write(self._class(), "none", None, self.strict)
        elif p.reset_time == "same":
            decay = self._tensor(p.decay).double()
            if not ((decay * amount.double()) == self._tensor(p.threshold).double()).all():
                self._inexact(
                    "it has a soft reset of the same step that no delayed one equals (decay times amount is another "
                    "number than the threshold)",
                    "a line of forward",
                )
            self.neuron.amount = amount
            self._write(self._class(), "none", None, self.strict)
        else:
            if not (amount == self.strict).all():
                self._inexact(
                    "a reset that is delayed or guarded takes away another amount than the strict threshold",
                    "that threshold",
                )
            self._write(self._class(), "subtract", p.reset_time == "next", self.strict)

    def _class(self) -> str:
        current = self.p.kind == "cuba_lif" or (self.p.kind == "li" and self._tensor(self.p.synaptic_decay).any())
        return "Synaptic" if current else "Leaky"

    def _write(self, kind: str, mechanism: str, delay: bool | None, threshold: Tensor) -> None:
        p, neuron = self.p, self.neuron
        arguments = []
        if kind == "Synaptic":
            neuron.states = ("syn", "mem")
            arguments.append(self._argument("alpha", self._tensor(0.0 if p.kind == "lif" else p.synaptic_decay)))
        arguments.append(self._argument("beta", self._tensor(p.decay)))
        arguments.append(self._argument("threshold", threshold, "torch.ones"))
        arguments.append(f'reset_mechanism="{mechanism}"')
        if delay is not None:
            arguments.append(f"reset_delay={delay}")
        neuron.code = f"snn.{kind}({', '.join(arguments)})"

    def _argument(self, name: str, value: Tensor, like: str = "torch.zeros") -> str:
        # snnTorch multiplies its float32 spikes by the threshold: a single float64 number would be rounded to float32.
        if value.ndim or (self.dtype == torch.float64 and name == "threshold"):
            value = value.expand(self.p.size).reshape(self.p.shape)
        self.neuron.buffers[name] = value
        if value.ndim:
            return f"{name}={like}({', '.join(map(str, self.p.shape))})"
        # The shortest decimal that is this number in its own type.
        return f'{name}=float("inf")' if torch.isinf(value) else f"{name}={value.numpy()[()]!s}"
