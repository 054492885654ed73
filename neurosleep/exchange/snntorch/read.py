"""snnTorch module -> SpikingNetwork, with the same spike trains."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from neurosleep.errors import ExchangeError, SettingsError
from neurosleep.exchange.snntorch.trace import Wiring, snntorch_wiring
from neurosleep.spiking import Conv, Dense, Identity, Population, Projection, SpikingNetwork

__all__ = ["from_snntorch"]

# A recurrent matrix made of one number per neuron has at most so many entries.
_DIAGONAL = 2**24

_MECHANISMS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


@torch.no_grad()
def from_snntorch(
    module: nn.Module, input_shape: tuple[int, ...] | None = None, dt: float | None = None
) -> SpikingNetwork:
    r"""The network that a module of snnTorch neurons is, with the same spike trains.

    Read are ``Leaky``, ``Synaptic``, ``Lapicque``, ``RLeaky`` and ``RSynaptic`` with every reset mechanism, delayed or
    not, and one value or one per neuron of each parameter; linear, convolutional and pooling layers between them,
    BatchNorm in evaluation folded into the layer before it. Numbers that are learned are taken as they are; surrogate
    gradients play no part. What snnTorch does otherwise than the step contract becomes parameters:

    ==================================================  ==============================================================
    snnTorch                                            here
    ==================================================  ==============================================================
    fires where ``mem > threshold``                     ``compare=">"``
    ``subtract``                                        ``reset="subtract"``, ``reset_time="next"``
    ``subtract``, ``reset_delay=False``                 ``reset_time="guarded"``
    ``zero`` of ``Leaky``, or ``reset_delay=False``     reset to the value 0 in the same step
    ``zero`` of the others: the input of the step       the same, ``refractory=1``
    after a spike is lost
    ``none``                                            ``subtract`` of an amount of 0
    ``Lapicque``: input times dt/C, decay 1 - dt/(RC)   the scale of projections; with ``beta`` alone 1 + ln(beta)
    ``RLeaky``, ``RSynaptic``: their own spikes of      a projection to itself with delay 1
    the step before
    ==================================================  ==============================================================

    Where a sum has more than two terms that are not exact (``RLeaky`` and ``RSynaptic`` with a decay and an
    input, ``Lapicque`` with a bias), its order here is another one, and potentials may differ in their last bit.

    Parameters
    ----------
    module:
        ``nn.Sequential`` of layers and neurons, nested or not; a module whose ``forward`` makes one step,
        ``forward(x, mem1, mem2, ...)``, or goes over all of them, of ``x`` or ``x[step]``, from states that are 0
        (``init_leaky()``, ``reset_mem()``): what ``torch.fx`` can follow. It stays as it is and is not run.
    input_shape:
        Shape of one input, without time and batch; needed where the first layer does not say it.
    dt:
        Length of a step in seconds, which snnTorch does not know: the module's own ``dt`` if it has one (as those of
        :func:`~neurosleep.exchange.to_snntorch` do), else 1e-3.

    Raises
    ------
    ExchangeError
        If the module holds a layer, neuron, option or wiring without a counterpart: by class and place.

    See Also
    --------
    to_snntorch : the way back

    Examples
    --------
    >>> import snntorch
    >>> import torch
    >>> import neurosleep as ns
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 3), snntorch.Leaky(beta=0.9, init_hidden=True))
    >>> ns.from_snntorch(module).populations[-1].reset_time
    'next'
    """
    if not isinstance(module, nn.Module):
        raise ExchangeError(f"A {type(module).__name__} is no module.", expected="an nn.Module of snnTorch neurons")
    if dt is None:
        own = getattr(module, "dt", None)
        dt = own if isinstance(own, float) else 1e-3
    if not (dt > 0 and math.isfinite(dt)):
        raise SettingsError(f"dt is {dt!r}.", expected="a number of seconds > 0")
    return _network(snntorch_wiring(module, input_shape), dt)


def _network(wiring: Wiring, dt: float) -> SpikingNetwork:
    dtype = _dtype(wiring)
    populations: list[Population] = [Population("input", "input", wiring.input_shape)]
    projections: list[Projection] = []
    names = _names(wiring)
    for planned in wiring.populations:
        name, bias, gain = names[planned.name], planned.bias, 1.0
        own: list[Projection] = []
        if planned.name in wiring.neurons:
            neuron = _Neuron(wiring.neurons[planned.name], wiring.places[planned.name], planned.shape, dtype)
            made = neuron.population(name, wiring.amounts.get(planned.name), wiring.factors[planned.name])
            gain = neuron.gain()
            own, more = neuron.recurrence(name, wiring.factors[planned.name] * gain)
            bias = more if bias is None else bias if more is None else bias + more
        else:
            made = {"name": name, "kind": "relay", "shape": planned.shape}
        populations.append(Population(**made, bias=0.0 if bias is None else _plain(bias.to(dtype) * gain)))
        for term in planned.terms:
            source, delay = wiring.feedback.get(term.source, (term.source, 0))
            weight = {} if term.weight is None else {"weight": term.weight.detach().clone()}
            term = replace(term, source=names[source])
            projections.append(term.projection(name, scale=term.factor * gain, delay=delay, **weight))
        projections += own
    return SpikingNetwork(tuple(populations), tuple(projections), dt=dt)


def _dtype(wiring: Wiring) -> torch.dtype:
    types = {t.weight.dtype for p in wiring.populations for t in p.terms if t.weight is not None}
    if len(types) > 1 or not types <= {torch.float32, torch.float64}:
        raise ExchangeError(
            "The layers hold weights of other types, or of more than one.",
            found=", ".join(sorted(map(str, types))),
            expected="float32 or float64 throughout",
        )
    return types.pop() if types else torch.float32


def _names(wiring: Wiring) -> dict[str, str]:
    """Names of populations: those that the module has for them, else of the layers, made unique."""
    names = {"input": "input"}
    for number, planned in enumerate(wiring.populations):
        name = wiring.names.get(planned.name) or planned.name.strip("_")
        if name[:1].isdigit() and planned.name not in wiring.names:
            kind = type(wiring.neurons[planned.name]).__name__.lower() if planned.name in wiring.neurons else "relay"
            name = f"{kind}{name}"
        while name in names.values():
            name = f"{name}_{number}"
        names[planned.name] = name
    return names


def _plain(values: Tensor) -> float | Tensor:
    """One number where all are the same."""
    flat = values.detach().reshape(-1)
    return float(flat[0]) if bool((flat == flat[0]).all()) else flat.clone()


class _Neuron:
    def __init__(self, layer: Any, place: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.layer = layer
        self.place, self.shape, self.dtype = place, shape, dtype
        self.kind = type(layer).__name__
        for option in ("inhibition", "state_quant"):
            if getattr(layer, option):
                raise self._refuse(f"has {option}.", f"{option}=False")
        mechanism = _MECHANISMS.get(getattr(self.layer.state_function, "__name__", ""))
        if mechanism is None or mechanism != list(layer.reset_dict)[int(layer.reset_mechanism_val)]:
            raise self._refuse(
                "says another reset mechanism than the one it was made with, and does half of each.",
                "the reset_mechanism given when it is made",
            )
        self.mechanism = mechanism
        if self.kind == "RSynaptic" and not layer.reset_delay:
            raise self._refuse("has reset_delay=False, of which snnTorch loses the result.", "reset_delay=True")
        # Lapicque knows no other than the delayed reset.
        self.delayed = bool(getattr(layer, "reset_delay", True))
        probe = torch.linspace(-2, 2, 41)
        if not torch.equal(self.layer.spike_grad(probe), (probe > 0).float()):
            raise self._refuse("has a spike_grad that fires otherwise than above the threshold.", "one of snntorch's")

    def _refuse(self, why: str, expected: str) -> ExchangeError:
        return ExchangeError(f"{self.place} {why}", expected=expected)

    def _spread(self, name: str, value: Any) -> Tensor:
        """A parameter per neuron, of the module's type, as snnTorch's own operations would see it."""
        values = torch.as_tensor(value).detach()
        if values.ndim and values.dtype == torch.float64 and self.dtype == torch.float32:
            raise self._refuse(f"has {name!r} in float64 among weights in float32.", "one type throughout")
        try:
            return values.to(self.dtype).expand(1, *self.shape).reshape(-1)
        except RuntimeError as error:
            raise self._refuse(
                f"has {name!r} of shape {tuple(values.shape)}.", f"one number, or the shape {self.shape}"
            ) from error

    def _finite(self, name: str, value: Any) -> Tensor:
        values = self._spread(name, value)
        if not torch.isfinite(values).all():
            raise self._refuse(f"has a {name!r} that is no finite number.", "finite numbers")
        return values

    def population(self, name: str, amount: Tensor | None, factor: float) -> dict[str, Any]:
        """Everything of the population but its bias; ``amount`` is what a line of ``forward`` takes off."""
        made: dict[str, Any] = {"name": name, "kind": "lif", "shape": self.shape, "compare": ">"}
        made["decay"] = _plain(self._decay())
        if self.kind in ("Synaptic", "RSynaptic"):
            alpha = self._finite("alpha", self.layer.alpha.clamp(0, 1))
            if alpha.any():
                made |= {"kind": "cuba_lif", "synaptic_decay": _plain(alpha)}
        threshold = self._spread("threshold", self.layer.threshold)
        if (threshold == math.inf).all() and self.mechanism != "subtract" and amount is None:
            return made | {"kind": "li", "compare": ">="}
        threshold = self._finite("threshold", self.layer.threshold)
        if (threshold < 0).any():
            raise self._refuse(f"has the threshold {float(threshold.min()):g}.", "at least 0")
        return made | {"threshold": _plain(threshold)} | self._reset(threshold, amount, factor)

    def _reset(self, threshold: Tensor, amount: Tensor | None, factor: float) -> dict[str, Any]:
        if amount is not None:
            if self.mechanism != "none" or factor != 1:
                raise self._refuse(
                    "is reset by itself and by a line of forward, or sends other values than 1.",
                    "reset_mechanism='none' and graded_spikes_factor=1 where forward resets",
                )
            taken = self._finite("amount", amount)
            if (taken < 0).any():
                raise self._refuse("is reset upwards by a line of forward.", "an amount of at least 0")
            return {"reset": "subtract", "amount": _plain(taken)}
        if self.mechanism == "none":
            return {"reset": "subtract", "amount": 0.0}
        if self.mechanism == "zero":
            return {"reset": "to_value", "refractory": int(self.delayed and self.kind != "Leaky")}
        # snnTorch's spikes are float32: a single threshold of float64 is rounded where it is taken away.
        theirs = self.layer.threshold.detach()
        rounded = self._spread("threshold", theirs.float() if theirs.ndim == 0 else theirs)
        return {
            "reset": "subtract",
            "amount": None if torch.equal(rounded, threshold) else _plain(rounded),
            "reset_time": "next" if self.delayed else "guarded",
        }

    def _decay(self) -> Tensor:
        layer = self.layer
        if self.kind != "Lapicque":
            return self._finite("beta", layer.beta.clamp(0, 1))
        decay = self._finite("R and C", 1 - (layer.time_step / (layer.R * layer.C)))
        if (decay < 0).any() or (decay > 1).any():
            raise self._refuse(
                f"multiplies its potential by {float(decay.min()):g} each step, which grows or changes sign.",
                "0 < time_step / (R C) <= 1 (with beta alone, which stands for 1 + ln(beta): a beta above 0.368)",
            )
        return decay

    def gain(self) -> float:
        """What an input is multiplied by."""
        layer = self.layer
        if self.kind != "Lapicque":
            return 1.0
        resistances = self._finite(
            "R and C", torch.as_tensor(layer.R).double() * (1 / (layer.R * layer.C)).double() * layer.time_step
        )
        gain = _plain(resistances)
        if not isinstance(gain, float):
            raise self._refuse("has R and C of its own for every neuron.", "one R and one C")
        return gain

    def recurrence(self, name: str, factor: float) -> tuple[list[Projection], Tensor | None]:
        """What the neurons of RLeaky and RSynaptic give each other, and the bias of it."""
        if self.kind not in ("RLeaky", "RSynaptic"):
            return [], None
        inner: Any = self.layer.recurrent
        kind, shape, size = type(inner).__name__, self.shape, math.prod(self.shape)
        if kind == "RecurrentOneToOne":
            strength = _plain(self._finite("V", inner.V))
            if isinstance(strength, float):
                return [Identity(name, name, scale=strength * factor, delay=1)], None
            if size**2 > _DIAGONAL:
                raise self._refuse(f"has one V for each of {size} neurons.", f"at most {math.isqrt(_DIAGONAL)}, or one")
            return [Dense(name, name, torch.diag(strength), scale=factor, delay=1, plastic=False)], None
        bias = getattr(inner, "bias", None)
        bias = None if bias is None else bias.detach().repeat_interleave(math.prod(shape[1:]))
        if kind == "Linear" and inner.weight.shape == (size, size) and len(shape) == 1:
            return [Dense(name, name, inner.weight.detach().clone(), scale=factor, delay=1)], bias
        if (
            kind == "Conv2d"
            and len(shape) == 3
            and inner.padding_mode == "zeros"
            and not isinstance(inner.padding, str)
        ):
            weight, window = inner.weight.detach().clone(), (inner.stride, inner.padding, inner.dilation, inner.groups)
            return [Conv(name, name, weight, *window, scale=factor, delay=1)], bias
        raise self._refuse(
            f"has recurrent connections of class {kind} on a population of shape {shape}.",
            "V, a Linear of as many neurons, or a Conv2d",
        )
