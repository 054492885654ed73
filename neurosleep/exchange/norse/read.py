"""A network of Norse modules -> SpikingNetwork, exact to the spike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neurosleep.errors import ExchangeError
from neurosleep.exchange.layer_chain import LAYERS, LayerChain
from neurosleep.spiking import Dense, SpikingNetwork
from neurosleep.spiking.engines.norse_engine import import_norse
from neurosleep.spiking.parts import PopulationKind

__all__ = ["NORSE_READ", "from_norse"]

#: Norse modules that are read: those that make one step, and those that run through a sequence.
_FIRING = ("LIFCell", "LIFBoxCell", "IAFCell", "LIFRecurrentCell", "LIFRefracCell")
_STEPS = (*_FIRING, "LICell", "LIBoxCell", "LILinearCell")
_SEQUENCES = ("LIF", "LI", "IAF", "LIFRecurrent")
#: Our own cells, which exported networks hold where Norse has none (:mod:`neurosleep.exchange.norse.cells`).
_OURS = ("DecayLIFCell", "DecayLICell")
NORSE_READ = (*_STEPS, *_SEQUENCES, "SequentialState", "Lift")

# All fire where v > v_th; they differ in their gradients alone.
_METHODS = ("heaviside", "super", "triangle", "tanh", "circ", "heavi_erfc", "adjoint")

_POTENTIALS = ("threshold", "leak", "reset_value", "amount", "bias")


@torch.no_grad()
def from_norse(module: nn.Module, input_shape: Sequence[int] | None = None) -> SpikingNetwork:
    r"""The network that Norse modules make, with the spike trains that they give.

    Parameters
    ----------
    module:
        A ``SequentialState`` (others within it, too), a ``Sequential``, or a single module: ``Linear``, ``Conv1d``,
        ``Conv2d``, ``AvgPool1d``, ``AvgPool2d``, ``Flatten``, ``Unflatten``, ``Identity``, ``Dropout`` in evaluation
        mode, and Norse's ``LIFCell``, ``LIFBoxCell``, ``IAFCell``, ``LIFRefracCell``, ``LIFRecurrentCell``, ``LICell``,
        ``LIBoxCell``, ``LILinearCell``; or, for whole sequences, ``LIF``, ``IAF``, ``LIFRecurrent``, ``LI``, ``Lift``.
    input_shape:
        Shape of the input of one step, without time and batch; needed where the first layer does not say it.

    Returns
    -------
    SpikingNetwork
        With Norse's ``dt``, and its weights bit for bit. A cell with synaptic currents is a ``cuba_lif`` population,
        ``LI`` an ``li`` one. The gain ``dt * tau_mem_inv`` of Norse's input is the scale of the projection; where it
        differs from neuron to neuron, the potentials are given in units of it.

    Raises
    ------
    ExchangeError
        If a module is of another kind, stands where it cannot, or has parameters that make no spiking network: each
        names the module.
    MissingExtraError
        If Norse is not installed.

    See Also
    --------
    to_norse : the way back

    Notes
    -----
    Norse sums the terms of a step in another order. Spike trains are equal where that does not matter (numbers that are
    sums of few powers of two), and else but for potentials within the rounding of the threshold: in float64 such a
    coincidence takes some 1e15 steps of a neuron, in float32 some 1e6, as between two batch sizes of Norse itself.

    References
    ----------
    Pehle and Pedersen (2021), Norse, doi:10.5281/zenodo.4422025.

    Examples
    --------
    >>> import norse.torch as norse
    >>> import torch
    >>> import neurosleep as ns
    >>> module = norse.SequentialState(torch.nn.Linear(4, 3), norse.LIFBoxCell())
    >>> [population.kind for population in ns.from_norse(module).populations]
    ['input', 'lif']
    """
    norse = import_norse("Reading a Norse network")
    return _Reader(norse, input_shape).network(module)


class _Reader:
    def __init__(self, norse: Any, input_shape: Sequence[int] | None) -> None:
        self.norse, self.chain = norse, LayerChain(input_shape)
        self.dts: dict[str, float] = {}
        self.read_out: str | None = None

    def network(self, module: nn.Module) -> SpikingNetwork:
        parts = list(self._parts("", module, False))
        kinds = {where: _kind(part) for where, part, lifted in parts if not lifted}
        whole = [where for where, kind in kinds.items() if kind in _SEQUENCES]
        whole += [where for where, _, lifted in parts if lifted]
        single = [where for where, kind in kinds.items() if kind in (*_STEPS, *_OURS)]
        if whole and single:
            raise ExchangeError(
                "The network mixes modules that run through a sequence with cells that make one step.",
                found=f"{whole[0]}; {single[0]}",
                expected="only cells (LIFCell, ...), or only modules with time (LIF, ..., and Lift)",
            )
        for where, part, lifted in parts:
            self._add(where, part, (1, 2) if whole and not lifted else (1,))
        dts = sorted(set(self.dts.values()))
        if len(dts) > 1:
            raise ExchangeError(
                "The neurons make steps of different lengths.",
                found="; ".join(f"{where}: dt={dt:g}" for where, dt in self.dts.items()),
                expected="one dt for all",
            )
        return self.chain.network(dts[0] if dts else 0.001)

    def _parts(self, path: str, module: nn.Module, lifted: bool) -> Iterator[tuple[str, nn.Module, bool]]:
        """Modules in order, each with its name for messages, and whether ``Lift`` applies it step by step."""
        norse = self.norse
        if isinstance(module, norse.Lift):
            yield from self._parts(f"{path}.lifted_module".strip("."), module.lifted_module, True)
        elif isinstance(module, norse.SequentialState) or type(module) is nn.Sequential:
            for name, child in module.named_children():
                yield from self._parts(f"{path}.{name}".strip("."), child, lifted)
        else:
            yield f"Module {path!r} ({type(module).__name__})" if path else type(module).__name__, module, lifted

    def _add(self, where: str, module: nn.Module, leading: Sequence[int]) -> None:
        if self.read_out is not None:
            raise ExchangeError(
                f"{where} comes after {self.read_out}, whose output are potentials, no spikes.",
                expected="integrators at the end of the network only",
            )
        if self.chain.layer(where, module, leading):
            return
        kind = _kind(module)
        if kind not in (*_STEPS, *_SEQUENCES, *_OURS):
            raise ExchangeError(
                f"{where} cannot be read.",
                expected="one of: " + ", ".join(sorted({*LAYERS, *NORSE_READ})),
                hint="average in place of max-pooling, batch normalisation folded into the weights before it"
                if isinstance(module, nn.modules.pooling._MaxPoolNd | nn.modules.batchnorm._BatchNorm)
                else None,
            )
        neurons: Any = module
        self.dts[where] = float(neurons.dt)
        if kind in ("LIFRecurrent", "LIFRecurrentCell", "LILinearCell"):
            self.chain.dense(where, neurons.input_weights, None)
        self._neurons(where, kind, neurons)

    # --- neurons ---

    def _neurons(self, where: str, kind: str, module: Any) -> None:
        p, refractory = module.p, 0
        if kind == "LIFRefracCell":
            refractory, p = self._refractory(where, p), p.lif
        if getattr(p, "method", "super") not in _METHODS:
            raise ExchangeError(
                f"{where} has the method {p.method!r}.",
                expected="one of: " + ", ".join(_METHODS),
                hint="method='super'",
            )
        fires = kind in (*_FIRING, "LIF", "IAF", "LIFRecurrent", "DecayLIFCell")
        fields: dict[str, Any] = {"leak": self._value(where, p, "v_leak") if hasattr(p, "v_leak") else None}
        gain: Any = 1.0
        if kind in _OURS:
            fields["decay"], gain = self._value(where, p, "decay"), self._value(where, p, "gain")
            fields |= {key: self._value(where, p, key) for key in ("synaptic_decay", "bias")}
        elif hasattr(p, "tau_mem_inv"):
            gain = self._rate(where, p, "tau_mem_inv", module.dt)
            fields["decay"] = 1 - gain
            if hasattr(p, "tau_syn_inv"):
                fields["synaptic_decay"] = 1 - self._rate(where, p, "tau_syn_inv", module.dt)
        if fires:
            fields |= self._firing(where, p, refractory)
        if fields["leak"] is None:  # IAF starts at its reset value
            fields["leak"] = fields["reset_value"]
        if fires:
            fields = self._not_negative(fields)
        if isinstance(gain, Tensor):
            fields, gain = _per_gain(where, fields, gain, fires)
        what: PopulationKind = "li" if not fires else "cuba_lif" if "synaptic_decay" in fields else "lif"
        if kind in _OURS and fires and not torch.as_tensor(fields["synaptic_decay"]).any():
            what = "lif"
        name = f"{what}_{len(self.chain.populations)}"
        self.chain.neurons(where, name, what, gain, fields)
        if kind in ("LIFRecurrent", "LIFRecurrentCell"):
            weight = module.recurrent_weights.detach().cpu().clone()
            self.chain.projections.append(Dense(name, name, weight, scale=gain, delay=1))
        if not fires:
            self.read_out = where

    def _firing(self, where: str, p: Any, refractory: int) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "threshold": self._value(where, p, "v_th"),
            "reset_value": self._value(where, p, "v_reset"),
            "compare": ">",
            "refractory": refractory,
        }
        reset = getattr(getattr(p, "reset_method", None), "__name__", "reset_value")
        if getattr(p, "soft", False) or reset == "subtract_reset":
            return fields | {"reset": "subtract", "amount": fields["reset_value"], "reset_value": 0.0}
        if reset == "reset_subtract":
            return fields | {"reset": "subtract"}
        if reset != "reset_value":
            raise ExchangeError(
                f"{where} has a reset method of its own, {reset!r}.",
                expected="norse's reset_value or reset_subtract",
            )
        return fields

    def _not_negative(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The same neurons with thresholds of at least 0: those of Norse's biological parameters, for one, are not."""
        threshold = torch.as_tensor(fields["threshold"], dtype=torch.float64)
        if not bool((threshold < 0).any()):
            return fields
        above = torch.nextafter(threshold.to(self.chain.dtype), torch.tensor(torch.inf, dtype=self.chain.dtype))
        if bool((above >= 0).all()):  # v > the number below 0 is v >= 0
            return fields | {"threshold": _number(above.abs()), "compare": ">="}
        # Potentials counted from the leak value, or from the threshold where that is lower.
        start = fields["leak"] if bool((threshold >= torch.as_tensor(fields["leak"])).all()) else fields["threshold"]
        return fields | {key: fields[key] - start for key in ("threshold", "reset_value", "leak")}

    def _refractory(self, where: str, p: Any) -> int:
        steps = torch.as_tensor(p.rho_reset).to(torch.float64)
        if steps.numel() != 1 or float(steps) < 0 or float(steps) != int(steps):
            raise ExchangeError(
                f"{where} is refractory for {steps.tolist()!r} steps.", expected="one integer of steps for all"
            )
        return int(steps)

    def _value(self, where: str, p: Any, key: str) -> Tensor | float:
        """A parameter as the cell's arithmetic sees it, in the type of the weights: a number, or one per neuron."""
        return self._spread(where, key, torch.as_tensor(getattr(p, key)).detach().cpu())

    def _rate(self, where: str, p: Any, key: str, dt: float) -> Any:
        rate = self._spread(where, key, (dt * torch.as_tensor(getattr(p, key))).detach().cpu())
        value = torch.as_tensor(rate)
        low = (value <= 0) if key == "tau_mem_inv" else (value < 0)
        if not torch.isfinite(value).all() or low.any() or (value > 1).any():
            bad = value.reshape(-1)[~(torch.isfinite(value) & ~low & (value <= 1)).reshape(-1)][0].item()
            raise ExchangeError(
                f"{where}: dt * {key} is {bad:g}.",
                expected=f"{'above' if key == 'tau_mem_inv' else 'at least'} 0 and at most 1",
                hint="a smaller dt, or a larger time constant",
            )
        return rate

    def _spread(self, where: str, key: str, value: Tensor) -> Tensor | float:
        value = value.to(self.chain.dtype).to(torch.float64)
        if value.numel() == 1:
            return float(value)
        shape = self.chain.need_shape(where)
        try:
            return value.broadcast_to(shape).reshape(-1).clone()
        except RuntimeError as error:
            raise ExchangeError(
                f"{where}: {key} has the shape {tuple(value.shape)}.", expected=f"a number, or the shape {shape}"
            ) from error


def _number(value: Tensor) -> Tensor | float:
    """In float64: a number, or one per neuron."""
    return value.to(torch.float64) if value.ndim else float(value)


def _kind(module: nn.Module) -> str:
    """The class of a Norse module; a class of another package that bears such a name is none."""
    kind = type(module)
    ours = kind.__name__ in _OURS and hasattr(getattr(module, "p", None), "gain")
    return kind.__name__ if ours or kind.__module__.startswith("norse.") else ""


def _per_gain(where: str, fields: dict[str, Any], gain: Tensor, fires: bool) -> tuple[dict[str, Any], float]:
    """The same neurons with a gain of 1: their potentials in units of it."""
    if not fires:
        raise ExchangeError(
            f"{where} takes in its input with gains that differ from neuron to neuron.",
            found=f"dt * tau_mem_inv from {float(gain.min()):g} to {float(gain.max()):g}",
            expected="one tau_mem_inv for integrators, which are read out by their potentials",
        )
    if fields.get("reset") == "subtract" and "amount" not in fields:
        fields["amount"] = fields["threshold"]
    scaled = {key: fields[key] / gain for key in _POTENTIALS if key in fields}
    return fields | scaled, 1.0
