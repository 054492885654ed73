"""From the plan of a model and the largest activity of each population to the spiking network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from neurosleep.conversion.plan import Plan, PlannedPopulation
from neurosleep.functional import Compare, Reset
from neurosleep.spiking import Population, SpikingNetwork

__all__ = ["READ_OUTS", "Neurons", "ReadOut", "build"]

ReadOut = Literal["membrane", "spikes"]
READ_OUTS: tuple[str, ...] = get_args(ReadOut)


@dataclass(frozen=True)
class Neurons:
    """What all spiking populations of a converted network share."""

    threshold: float = 1.0
    decay: float = 1.0
    compare: Compare = ">="
    reset: Reset = "subtract"
    read_out: ReadOut = "membrane"


def spiking(population: PlannedPopulation, neurons: Neurons) -> bool:
    """Whether ``population`` will fire, so that its activity needs a scale."""
    return population.kind == "lif" or (population.kind == "output" and neurons.read_out == "spikes")


def build(
    plan: Plan, largest: Mapping[str, float], neurons: Neurons, dt: float, until: str | None = None
) -> SpikingNetwork:
    r"""The network in which population p fires at its activity in the model over :math:`\lambda_p` (``largest``).

    .. math::  I_p = \frac{\theta}{\lambda_p} \left( b_p + \sum_q \lambda_q W_{pq} s_q \right)

    :math:`\lambda` is 1 for the input, for relays and for a read-out from potentials. The factors are in the scales of
    projections and in biases: weights are the model's own. With ``until`` the network ends there, and that population
    is a relay: what it sends is its input, in units of the model.
    """
    populations = [Population("input", "input", plan.input_shape)]
    projections = []
    scale_of: dict[str, float] = {"input": 1.0}
    for planned in plan.populations:
        fires = spiking(planned, neurons) and planned.name != until
        scale = largest[planned.name] / neurons.threshold if fires else 1.0
        # A spike stands for lambda; what it takes to reach the threshold is theta.
        scale_of[planned.name] = largest[planned.name] if fires else 1.0
        bias = 0.0 if planned.bias is None else planned.bias / scale
        if fires:
            populations.append(
                Population(
                    planned.name,
                    "lif",
                    planned.shape,
                    threshold=neurons.threshold,
                    decay=neurons.decay,
                    bias=bias,
                    compare=neurons.compare,
                    reset=neurons.reset,
                )
            )
        else:
            ends = planned.kind == "output" and planned.name != until
            populations.append(Population(planned.name, "li" if ends else "relay", planned.shape, bias=bias))
        for term in planned.terms:
            own = {} if term.weight is None else {"weight": term.weight.clone()}
            alpha = term.factor * scale_of[term.source] / scale
            projections.append(term.projection(planned.name, scale=alpha, **own))
        if planned.name == until:
            break
    return SpikingNetwork(tuple(populations), tuple(projections), dt=dt)
