"""SpikingNetwork -> Norse's ``SequentialState``, with the spike trains of ours."""

from __future__ import annotations

import dataclasses
import math
import warnings
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from neurosleep.errors import UnsupportedError, unknown_name
from neurosleep.exchange.inexact import ExchangeWarning
from neurosleep.spiking import Conv, Dense, Pool, Population, Projection, Reshape, SpikingNetwork
from neurosleep.spiking.engines.norse_engine import import_norse
from neurosleep.spiking.given import check_spiking

__all__ = ["NORSE_WRITTEN", "Inexact", "NorseCells", "to_norse"]

#: Norse's own cells that are written.
NORSE_WRITTEN = ("LIFBoxCell", "IAFCell", "LIFCell", "LIFRecurrentCell", "LIFRefracCell", "LICell", "LIBoxCell")

Inexact = Literal["refuse", "warn"]
NorseCells = Literal["norse", "exact"]


@torch.no_grad()
def to_norse(network: SpikingNetwork, *, inexact: Inexact = "refuse", cells: NorseCells = "norse") -> Any:
    r"""The network as Norse modules, which give the spike trains of ours.

    Weights are taken over bit for bit. Norse's own cells are used where they have such neurons: ``LIFBoxCell`` for
    ``lif`` (also with a soft reset), ``IAFCell`` without leak, ``LIFCell`` for ``cuba_lif``, ``LIFRecurrentCell`` where
    a population feeds itself, ``LIFRefracCell`` with refractoriness, ``LICell`` and ``LIBoxCell`` for ``li``. Norse
    multiplies every input by ``dt * tau_mem_inv``; the potentials are in units in which that is the scale of the
    projection. Where Norse has no such neuron (a soft reset without leak, an integrator whose potential would change
    its unit) stands a cell of Norse's base class ``SNNCell`` that takes decay and gain as numbers (``DecayLIFCell``,
    ``DecayLICell``).

    Parameters
    ----------
    network:
        A chain from one input; populations may feed themselves with a delay of one step.
    inexact:
        What becomes of conventions that Norse does not have: ``"refuse"``, or ``"warn"``: they are left out, and an
        ``ExchangeWarning`` says which spike trains differ for it.
    cells:
        ``"norse"``, or ``"exact"``: the ``Decay`` cells for all neurons but recurrent and refractory ones. They sum in
        the order of our own engine, so that spike trains are equal even where a potential comes within the rounding of
        the threshold, which Norse's cells may decide otherwise (in float32 about once in 1e6 steps of a neuron).

    Returns
    -------
    norse.torch.SequentialState
        Makes one step per call: ``spikes, state = module(x, state)`` for ``x`` ``[batch, *shape]``; what comes out of a
        last population of integrators are their potentials.

    Raises
    ------
    SettingsError
        If ``network`` is no SpikingNetwork.
    UnsupportedError
        If the network is no such chain, or has what Norse cannot express: a delay, refractoriness with a soft reset,
        without leak or while integrating, a soft reset at another time than the spike's own step, a threshold of 0
        that v may equal. Each is named.
    MissingExtraError
        If Norse is not installed.

    See Also
    --------
    from_norse : the way back.

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> network = ns.convert(torch.nn.Sequential(torch.nn.Linear(4, 2)), torch.rand(20, 4), recipe="percentile")
    >>> module = ns.to_norse(network)
    >>> potentials, state = module(torch.ones(1, 4))
    >>> potentials.shape
    torch.Size([1, 2])
    """
    for kind, given, known in (("inexact", inexact, Inexact), ("cells", cells, NorseCells)):
        if given not in get_args(known):
            raise unknown_name(f"choice for {kind}", str(given), get_args(known))
    check_spiking(network, "written for Norse")
    norse = import_norse("Writing a Norse network")
    return _Writer(norse, network, inexact == "warn", cells == "exact").module()


class _Writer:
    def __init__(self, norse: Any, network: SpikingNetwork, warn: bool, exact: bool) -> None:
        from neurosleep.exchange.norse import cells

        self.norse, self.own = norse, cells
        self.network, self.warn, self.exact = network, warn, exact
        self.dtype = network.dtype
        self.modules: list[nn.Module] = []
        self.view: tuple[int, ...] = ()  # the shape of what comes next, as torch sees it
        self.factor = 1.0  # what comes next of ours is this times what torch sees
        self.flagged: set[str] = set()

    def module(self) -> Any:
        for p, q, loop in self._chain():
            self._population(self._adapted(p), q, loop)
        if self.factor != 1.0:
            raise UnsupportedError(
                f"The network ends with a relay whose scale, {self.factor:g}, has no place in a Norse module.",
                expected="neurons at the end, or a scale of 1",
            )
        return self.norse.SequentialState(*self.modules)

    # --- wiring ---

    def _chain(self) -> list[tuple[Population, Projection, Projection | None]]:
        """Populations in order, each with the projection into it and that from itself."""
        network = self.network
        if len(network.inputs) != 1:
            raise UnsupportedError(
                f"A network with {len(network.inputs)} input populations cannot be a chain of Norse modules.",
                expected="one",
            )
        at = network.inputs[0]
        steps: list[tuple[Population, Projection, Projection | None]] = []
        self.view = at.shape
        while True:
            ahead = [q for q in network.projections if q.source == at.name and q.target != at.name]
            if not ahead:
                break
            target = network.population(ahead[0].target)
            coming = [network.projections[k] for k in network.incoming(target.name)]
            loops = [q for q in coming if q.source == q.target]
            if (
                len(ahead) > 1
                or len(coming) - len(loops) > 1
                or len(loops) > 1
                or any(target is p for p, _, _ in steps)
            ):
                raise UnsupportedError(
                    f"Norse's SequentialState is a chain, and the network branches or loops around {target.name!r}.",
                    found=", ".join(f"{q.source} -> {q.target}" for q in dict.fromkeys([*ahead, *coming])),
                    expected="one projection from each population to the next, and none back but to itself",
                    hint="ns.save(network, 'model.nir') writes such a network for tools that read graphs",
                )
            steps.append((target, ahead[0], loops[0] if loops else None))
            at = target
        missing = [p.name for p in network.layers if p.name not in {p.name for p, _, _ in steps}]
        if missing or not steps:
            raise UnsupportedError(
                f"Norse's SequentialState is a chain, and no chain from the input reaches {', '.join(missing)}.",
                expected="one projection from each population to the next",
            )
        return steps

    def _refuse(self, what: str, expected: str, instead: str) -> None:
        """Refuse what Norse does not express, or flag that it is left out."""
        if not self.warn:
            raise UnsupportedError(
                f"Norse cannot express {what}.",
                expected=expected,
                hint=f"inexact='warn' exports {instead}, with other spike trains",
            )
        warnings.warn(
            f"Norse cannot express {what}: exported {instead}; spike trains will differ.", ExchangeWarning, stacklevel=5
        )

    def _adapted(self, p: Population) -> Population:
        """The population without what Norse does not express."""
        where = f"of population {p.name!r}"
        if p.kind not in ("lif", "cuba_lif"):
            return p
        if p.reset_time != "same":
            self._refuse(
                f"the soft reset in the {'next step' if p.reset_time == 'next' else 'guarded form'} {where}",
                "reset_time 'same'",
                "a soft reset in the same step",
            )
            p = dataclasses.replace(p, reset_time="same")
        leaks = bool((torch.as_tensor(p.decay) < 1).all())
        if p.refractory and (p.reset != "to_value" or p.while_refractory != "hold" or not leaks):
            self._refuse(
                f"the refractoriness {where}, with reset {p.reset!r}, potentials that "
                f"{'hold' if p.while_refractory == 'hold' else 'integrate'} meanwhile and "
                f"{'a leak' if leaks else 'no leak'}",
                "no refractory steps; or reset 'to_value', while_refractory 'hold' and a leak",
                "neurons without refractoriness",
            )
            p = dataclasses.replace(p, refractory=0)
        return p

    # --- layers ---

    def _population(self, p: Population, q: Projection, loop: Projection | None) -> None:
        for projection in (q, *([] if loop is None else [loop])):
            steps = projection.delay - (projection is loop)
            if steps:
                self._refuse(
                    f"the delay of {projection.delay} steps of {projection.source!r} -> {projection.target!r}",
                    "delay 0, or 1 from a population to itself",
                    "a network without it",
                )
        layer = self._layer(q, p)
        bias = None if not bool(torch.as_tensor(p.bias).any()) else torch.as_tensor(p.bias, dtype=torch.float64)
        if p.kind == "relay":
            if bias is not None and not self._carry(layer, bias):
                raise UnsupportedError(
                    f"The bias of the relay {p.name!r} has no place in a torch layer.",
                    found=f"a projection of kind {q.kind!r} into it",
                    expected="a dense projection into it, or a convolution with one bias per channel",
                )
            if loop is not None:
                raise UnsupportedError(
                    f"The relay {p.name!r} feeds itself, which no Norse module does.", expected="neurons that do"
                )
            return
        neurons = self._recurrent(p, loop, layer, bias) if loop is not None else self._neurons(p, layer, bias)
        self.modules.append(neurons)
        self.factor = 1.0

    def _layer(self, q: Projection, target: Population) -> nn.Module | None:
        """Append the layers of a projection; returns the one that may have a bias."""
        self.factor *= q.scale
        if isinstance(q, Dense | Reshape):
            if len(self.view) > 1:
                self.modules.append(nn.Flatten(1))
                self.view = (math.prod(self.view),)
            if isinstance(q, Reshape):
                return None
            layer: nn.Module = nn.Linear(q.weight.shape[1], q.weight.shape[0], bias=False, dtype=self.dtype)
            self.view = (q.weight.shape[0],)
            return self._weighted(layer, q.weight)
        if not isinstance(q, Conv | Pool):
            return None
        shape = self.network.population(q.source).shape
        if self.view != shape:
            self.modules += ([nn.Flatten(1)] if len(self.view) > 1 else []) + [nn.Unflatten(1, shape)]
        self.view = target.shape
        if isinstance(q, Conv):
            make: Any = nn.Conv1d if len(q.kernel) == 1 else nn.Conv2d
            channels = (q.weight.shape[1] * q.groups, q.weight.shape[0])
            window = (q.stride, q.padding, q.dilation, q.groups)
            return self._weighted(make(*channels, q.kernel, *window, bias=False, dtype=self.dtype), q.weight)
        self._pool(q)
        return None

    def _weighted(self, layer: Any, weight: Tensor) -> nn.Module:
        layer.weight = nn.Parameter(weight.detach().clone())
        self.modules.append(layer)
        made: nn.Module = layer
        return made

    def _pool(self, q: Pool) -> None:
        total, window = q.mode == "sum", (q.kernel, q.stride, q.padding)
        make: Any = nn.AvgPool1d if len(q.kernel) == 1 else partial(nn.AvgPool2d, divisor_override=1 if total else None)
        self.factor *= q.kernel[0] if total and len(q.kernel) == 1 else 1
        self.modules.append(make(*window))

    def _carry(self, layer: Any, bias: Tensor) -> bool:
        """Give the layer the bias of the population after it; False if it has no place there."""
        if layer is None or self.factor == 0:
            return False
        if not isinstance(layer, nn.Linear):
            channels = bias.expand(math.prod(self.view)).reshape(self.view[0], -1)
            if not bool((channels == channels[:, :1]).all()):
                return False
            bias = channels[:, 0]
        size = layer.weight.shape[0]
        layer.bias = nn.Parameter((bias / self.factor).to(self.dtype).expand(size).clone())
        return True

    # --- neurons ---

    def _exact(self, value: Any) -> Tensor:
        """A parameter as our engine sees it, in float64: a number, or of the neurons' shape."""
        exact = torch.as_tensor(value, dtype=torch.float64).to(self.dtype).to(torch.float64)
        return exact.reshape(self.view) if exact.numel() > 1 else exact.reshape(())

    def _cast(self, value: Tensor) -> Tensor:
        """For a cell: numbers stay float64, of which torch's arithmetic takes as much as the tensors beside it hold."""
        return value.to(self.dtype) if value.ndim else value.to(self.dtype).to(torch.float64)

    def _threshold(self, p: Population, unit: Tensor, shift: Tensor | float = 0.0) -> Tensor:
        threshold = ((self._exact(p.threshold) - shift) * unit).to(self.dtype)
        if p.compare == ">=":  # Norse fires where v > v_th
            if bool((threshold == 0).any()) and p.name not in self.flagged:
                self.flagged.add(p.name)
                self._refuse(
                    f"the threshold 0 of population {p.name!r}, at which a potential of 0 fires"
                    + (", counted from where its potentials start" if bool(torch.as_tensor(shift).any()) else ""),
                    "a threshold above 0, or compare '>'",
                    "a threshold of the largest number below 0, which some devices round to 0",
                )
            threshold = torch.nextafter(threshold, torch.full_like(threshold, -math.inf))
        return self._cast(threshold)

    def _inverse(self, rate: Tensor) -> Tensor:
        """The inverse time constant that times dt gives ``rate``, to the last bit if there is one."""
        rate = self._cast(rate)
        best = found = rate / self.network.dt
        for end in (math.inf, -math.inf):
            near = torch.nextafter(found, torch.full_like(found, end))
            better = (self.network.dt * near - rate).abs() < (self.network.dt * best - rate).abs()
            best = torch.where(better, near, best)
        return best

    def _rate_and_unit(self, p: Population, gain: float) -> tuple[Tensor, Tensor]:
        """The rate 1 - decay, and what a potential of ours is in Norse, where an input is multiplied by the rate."""
        rate = 1 - self._exact(p.decay)
        if bool(((rate - gain).abs() <= 2.0**-52).all()):
            return torch.tensor(gain, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
        return rate, rate / gain

    def _neurons(self, p: Population, layer: Any, bias: Tensor | None) -> nn.Module:
        if p.refractory:
            return self._refractory(p, layer, bias)
        cell = None if self.exact or self.factor <= 0 else self._theirs(p, layer, bias)
        return self._decay_cell(p) if cell is None else cell

    def _theirs(self, p: Population, layer: Any, bias: Tensor | None) -> nn.Module | None:
        """A cell of Norse's for the neurons; None if Norse has none."""
        norse, dt = self.norse, self.network.dt
        rate, unit = self._rate_and_unit(p, self.factor)
        soft, leaks = p.reset == "subtract", bool((rate > 0).all())
        synaptic = bool(self._exact(p.synaptic_decay).any()) and p.kind != "lif"
        make: Any = None
        parameters: Any = None
        if p.kind == "li":
            if leaks and bool((unit == 1).all()) and not rate.ndim:
                fields = {"tau_mem_inv": self._inverse(rate), "v_leak": self._cast(self._exact(p.leak))}
                if synaptic:
                    fields["tau_syn_inv"] = self._inverse(1 - self._exact(p.synaptic_decay))
                make = norse.LICell if synaptic else norse.LIBoxCell
                parameters = (norse.LIParameters if synaptic else norse.LIBoxParameters)(**fields)
        elif p.kind == "lif" and leaks:
            make, parameters = norse.LIFBoxCell, self._box(p, rate, unit)
        elif p.kind == "lif" and not soft and bool((self._exact(p.decay) == 1).all()):
            start, reset = (self._exact(value).broadcast_to(self.view) for value in (p.leak, p.reset_value))
            if torch.equal(start, reset):  # where the cell starts
                unit = torch.tensor(1 / self.factor, dtype=torch.float64)
                make, parameters = (
                    norse.IAFCell,
                    norse.IAFParameters(
                        v_th=self._threshold(p, unit), v_reset=self._cast(self._exact(p.reset_value) * unit)
                    ),
                )
        elif p.kind == "cuba_lif" and leaks and not soft:
            make, parameters = norse.LIFCell, self._lif(p, self.factor, whole=False)
        if make is None or (bias is not None and not self._carry(layer, bias)):
            return None
        cell: nn.Module = make(parameters, dt=dt)
        return cell

    def _box(self, p: Population, rate: Tensor, unit: Tensor) -> Any:
        from norse.torch.functional.reset import reset_subtract, reset_value

        amount = self._exact(p.threshold if p.amount is None else p.amount) * unit
        threshold, reset, method = self._threshold(p, unit), self._cast(self._exact(p.reset_value) * unit), reset_value
        if p.reset == "subtract":
            reset, method = self._cast(amount), self.own.subtract_reset
            if p.compare == ">" and torch.equal(reset.broadcast_to(self.view), threshold.broadcast_to(self.view)):
                reset, method = torch.zeros((), dtype=torch.float64), reset_subtract
        return self.norse.LIFBoxParameters(
            tau_mem_inv=self._inverse(rate),
            v_leak=self._cast(self._exact(p.leak) * unit),
            v_th=threshold,
            v_reset=reset,
            reset_method=method,
        )

    def _lif(self, p: Population, gain: float, whole: bool) -> Any:
        """Parameters with synaptic currents; ``whole``: the cell's potentials start at one number, in float32."""
        rate, unit = self._rate_and_unit(p, gain)
        leak = self._exact(p.leak)
        start = leak * unit
        shift = torch.zeros((), dtype=torch.float64)
        if whole and (start.ndim or float(start) != float(start.float())):
            shift, start = leak, torch.zeros((), dtype=torch.float64)
        return self.norse.LIFParameters(
            tau_syn_inv=self._inverse(1 - self._exact(p.synaptic_decay if p.kind == "cuba_lif" else 0.0)),
            tau_mem_inv=self._inverse(rate),
            v_leak=self._cast(start),
            v_th=self._threshold(p, unit, shift),
            v_reset=self._cast((self._exact(p.reset_value) - shift) * unit),
        )

    def _refractory(self, p: Population, layer: Any, bias: Tensor | None) -> nn.Module:
        norse = self.norse
        self._positive(p, self.factor)
        if bias is not None and not self._carry(layer, bias):
            raise self._no_bias(p)
        steps = torch.tensor(float(p.refractory), dtype=torch.float64)
        parameters = norse.LIFRefracParameters(lif=self._lif(p, self.factor, whole=True), rho_reset=steps)
        cell: nn.Module = norse.LIFRefracCell(parameters, dt=self.network.dt)
        return cell

    def _recurrent(self, p: Population, loop: Projection, layer: Any, bias: Tensor | None) -> nn.Module:
        """Neurons that feed themselves: all that they take in has the gain of the loop."""
        leaks = bool((self._exact(p.decay) < 1).all())
        if p.kind == "li" or p.reset != "to_value" or not leaks or p.refractory or not isinstance(loop, Dense):
            raise UnsupportedError(
                f"Norse has no recurrent cell like the population {p.name!r}, which feeds itself.",
                found=f"kind {p.kind!r}, reset {p.reset!r}, {'a' if leaks else 'no'} leak, {p.refractory} refractory "
                f"steps, a loop of kind {loop.kind!r}",
                expected="lif or cuba_lif with reset 'to_value', a leak, no refractory steps and a matrix",
            )
        self._positive(p, loop.scale)
        if bias is not None and not self._carry(layer, bias):
            raise self._no_bias(p)
        if len(self.view) > 1:
            self.modules.append(nn.Flatten(1))
        self.view = (p.size,)
        weight = torch.eye(p.size, dtype=self.dtype) * (self.factor / loop.scale)
        if isinstance(layer, nn.Linear) and layer.bias is None and self.factor == loop.scale:
            weight = layer.weight.detach()
            self.modules.remove(layer)
        cell: nn.Module = self.norse.LIFRecurrentCell(
            weight.shape[1],
            p.size,
            p=self._lif(p, loop.scale, whole=True),
            input_weights=nn.Parameter(weight.clone()),
            recurrent_weights=nn.Parameter(loop.weight.detach().clone()),
            autapses=True,
            dt=self.network.dt,
        )
        return cell

    def _positive(self, p: Population, scale: float) -> None:
        if not scale > 0:
            raise UnsupportedError(
                f"The scale of a projection into {p.name!r} is {scale:g}, of which Norse's cells make no unit.",
                expected="a scale above 0",
                hint="a sign belongs into the weights",
            )

    def _no_bias(self, p: Population) -> UnsupportedError:
        return UnsupportedError(
            f"The bias of population {p.name!r} has no place in Norse.",
            expected="a dense projection into it, or a convolution with one bias per channel",
        )

    def _decay_cell(self, p: Population) -> nn.Module:
        own: Any = self.own

        def cast(value: Any) -> Tensor:
            return self._exact(value).to(self.dtype)

        fields = {
            "decay": cast(p.decay),
            "gain": cast(self.factor),
            "bias": cast(p.bias),
            "synaptic_decay": cast(0.0 if p.kind == "lif" else p.synaptic_decay),
            "v_leak": cast(p.leak),
        }
        if p.kind == "li":
            integrators: nn.Module = own.DecayLICell(own.DecayParameters(**fields), self.network.dt)
            return integrators
        soft = p.reset == "subtract"
        amount = p.threshold if p.amount is None else p.amount
        threshold = self._threshold(p, torch.ones((), dtype=torch.float64)).to(self.dtype)
        fields |= {"v_th": threshold, "v_reset": cast(amount if soft else p.reset_value)}
        neurons: nn.Module = own.DecayLIFCell(own.DecayParameters(**fields, soft=soft), self.network.dt)
        return neurons
