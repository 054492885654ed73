"""A network of SpikingJelly's modules -> SpikingNetwork, with the same spike trains."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from neurosleep._checks import check_number
from neurosleep.errors import ExchangeError, NeurosleepError
from neurosleep.exchange.spikingjelly.modules import refused
from neurosleep.exchange.spikingjelly.trace import NeuronTracer, followed
from neurosleep.spiking import Population, Projection, SpikingNetwork

__all__ = ["from_spikingjelly"]


@torch.no_grad()
def from_spikingjelly(
    module: nn.Module, input_shape: tuple[int, ...] | None = None, dt: float = 1e-3
) -> SpikingNetwork:
    r"""The network that a module of SpikingJelly's neurons is, with the same spike trains.

    Read are ``IFNode``, ``LIFNode``, ``ParametricLIFNode`` and ``CUBALIFNode`` in both step modes, as
    ``functional.reset_net`` leaves them; SpikingJelly's layers and torch's between them; ``SeqToANNContainer``,
    ``MultiStepContainer`` and ``StepModeContainer``; sums of branches. BatchNorm is taken in evaluation and folded into
    the layer before it, ``VotingLayer`` is a mean of neighbours. Maxima of spikes are neurons that fire where any unit
    of the window does, in the same step. Surrogate gradients, ``detach_reset`` and what is stored play no part.

    ===========================================  ====================================================================
    SpikingJelly                                 here
    ===========================================  ====================================================================
    fires where ``v >= v_threshold``             ``compare=">="``
    ``v_reset=None``                             ``reset="subtract"`` of the threshold
    ``v_reset=x``, where potentials start, too   ``reset="to_value"``; ``reset_value`` and ``leak`` are x
    ``tau``, or ``w`` of ``ParametricLIFNode``   decay :math:`1 - 1/\tau`, or :math:`1 - \sigma(w)`
    ``decay_input=True``                         :math:`1/\tau` is the scale of projections, and in the bias
    ``CUBALIFNode``: ``c_decay``, ``v_decay``    ``cuba_lif``: ``synaptic_decay``, decay
    ===========================================  ====================================================================

    Parameters
    ----------
    module:
        ``nn.Sequential`` of layers and neurons, nested or not; or a module whose ``forward`` is of layers, neurons and
        sums: what ``torch.fx`` can follow. It stays as it is and is not run.
    input_shape:
        Shape of one input, without steps and batch; needed where the first layer does not say it.
    dt:
        Length of a step in seconds, which SpikingJelly does not know.

    Raises
    ------
    ExchangeError
        If the module holds a layer, neuron, option or wiring without a counterpart: by class and place.

    See Also
    --------
    from_snntorch, from_norse : of other libraries
    from_nir : of what SpikingJelly writes as NIR

    Notes
    -----
    SpikingJelly adds the terms of a step in another order, and normalises after a layer in the place of folding. Spike
    trains are equal where that does not matter (IFNode; numbers that are sums of few powers of two), and else but for
    potentials within the rounding of the threshold.

    References
    ----------
    Fang et al. (2023), SpikingJelly, doi:10.1126/sciadv.adi1480.

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> from spikingjelly.activation_based import layer, neuron  # doctest: +SKIP
    >>> module = torch.nn.Sequential(layer.Linear(4, 3), neuron.LIFNode(tau=2.0))  # doctest: +SKIP
    >>> ns.from_spikingjelly(module).populations[-1].decay  # doctest: +SKIP
    0.5
    """
    if not isinstance(module, nn.Module):
        raise ExchangeError(f"A {type(module).__name__} is no module.", expected="an nn.Module of SpikingJelly neurons")
    check_number("dt, the length of a step in seconds,", dt, above=0)
    return _network(followed(module, input_shape), dt)


def _network(tracer: NeuronTracer, dt: float) -> SpikingNetwork:
    populations: list[Population] = [Population("input", "input", tracer.input_shape)]
    projections: list[Projection] = []
    names = {"input": "input"}
    for planned in tracer.populations:
        gain, fields = 1.0, dict[str, Any](kind="relay")
        if planned.name in tracer.neurons:
            fields, gain = _neuron(tracer.neurons[planned.name], tracer.paths[planned.name])
        elif planned.name in tracer.maxima:
            fields = {"kind": "lif", "threshold": 0.5, "decay": 0.0}  # any spike; nothing stays for the next step
        name = planned.name.strip("_")
        names[planned.name] = name = f"{fields['kind']}_{name}" if name[:1].isdigit() else name
        bias = 0.0 if planned.bias is None else planned.bias.detach().cpu() * gain
        try:
            populations.append(Population(name=name, shape=planned.shape, bias=bias, **fields))
        except NeurosleepError as error:
            path = tracer.paths.get(planned.name, planned.name)
            raise ExchangeError(
                f"Module {path!r} makes no population: {error.message}", found=error.found, expected=error.expected
            ) from error
        for term in planned.terms:
            weight = {} if term.weight is None else {"weight": term.weight.detach().cpu().clone()}
            made = term.kind(names[term.source], name, **{**weight, **term.options, "scale": term.factor * gain})
            projections.append(made)
    return SpikingNetwork(tuple(populations), tuple(projections), dt=dt, discretisation="euler")


def _neuron(module: Any, path: str) -> tuple[dict[str, Any], float]:
    """Everything of a population but its bias, and what its input is multiplied by."""
    probe = torch.linspace(-2, 2, 41)
    if not torch.equal(torch.as_tensor(module.surrogate_function(probe)).float(), (probe >= 0).float()):
        raise refused(
            path, module, "does not send spikes of 0 and 1.", "a surrogate function of spikingjelly with spiking=True"
        )
    kind, decay, gain, leak = type(module).__name__, 1.0, 1.0, module.v_reset
    made: dict[str, Any] = {"kind": "lif", "threshold": float(module.v_threshold)}
    if kind == "CUBALIFNode":
        if module.v_reset:
            raise refused(path, module, f"starts at v_reset={module.v_reset}, and decays to 0.", "v_reset=0 or None")
        decay, leak = float(module.v_decay), 0.0
        made |= {"kind": "cuba_lif", "synaptic_decay": float(module.c_decay)}
    elif kind != "IFNode":
        rate = float(module.w.double().sigmoid()) if kind == "ParametricLIFNode" else 1 / float(module.tau)
        decay, gain = 1 - rate, rate if module.decay_input else 1.0
    if module.v_reset is None:
        return made | {"decay": decay, "reset": "subtract"}, gain
    return made | {"decay": decay, "reset_value": float(module.v_reset), "leak": float(leak)}, gain
