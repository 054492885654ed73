"""What every plasticity rule offers, and the rules by name; one file per rule (such as :mod:`src_rule`)."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Protocol, cast, runtime_checkable

from torch import Tensor

from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional.bcm import BCM
from neurosleep.functional.multiplicative_stdp import MultiplicativeSTDP
from neurosleep.functional.oja import Oja
from neurosleep.functional.pair_stdp import PairSTDP
from neurosleep.functional.pooled_src import PooledSRC
from neurosleep.functional.sign_stdp import SignSTDP
from neurosleep.functional.src_rule import SRCRule, StreamUpdates
from neurosleep.functional.triplet_stdp import TripletSTDP

__all__ = ["RULES", "EngineRule", "PlasticityRule", "StreamRule", "make_rule", "plasticity_step"]


@runtime_checkable
class PlasticityRule(Protocol):
    """A local rule for one projection: it sees the spikes of both sides, its own traces and the weight.

    See Also
    --------
    SRCRule, PooledSRC, PairSTDP, MultiplicativeSTDP, TripletSTDP, SignSTDP, Oja, BCM : the rules of the package
    make_rule : a rule from its name and settings

    Examples
    --------
    >>> from neurosleep.functional import PlasticityRule, SRCRule
    >>> isinstance(SRCRule(inc=0.01, dec=0.001), PlasticityRule)
    True
    """

    name: ClassVar[str]

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Traces before the first step, for a weight ``[post, pre]``."""
        ...

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change ``weight`` in place after one step with boolean spikes ``[pre]`` and ``[post]``; return the traces."""
        ...


@runtime_checkable
class StreamRule(PlasticityRule, Protocol):
    """A rule that also says how several streams of noise, which share the weights, change them in one step.

    See Also
    --------
    SRCRule : the rule of the package that does
    neurosleep.replay.Streams : the streams

    Examples
    --------
    >>> from neurosleep.functional import PairSTDP, SRCRule, StreamRule
    >>> isinstance(SRCRule(inc=0.01, dec=0.001), StreamRule), isinstance(PairSTDP(0.01, 0.01, 0.9, 0.9), StreamRule)
    (True, False)
    """

    def step_streams_(self, weight: Tensor, pre: Tensor, post: Tensor, updates: StreamUpdates) -> None:
        """Change ``weight`` in place after a step with boolean spikes ``[streams, pre]`` and ``[streams, post]``."""
        ...


@runtime_checkable
class EngineRule(Protocol):
    """A rule in the arithmetic of one engine, which applies it in a way of its own; no other engine can.

    See Also
    --------
    PlasticityRule : a rule that any engine can step
    neurosleep.hardware.ChipRule : one of the engine ``fixed``

    Examples
    --------
    >>> from neurosleep.functional import EngineRule, SRCRule
    >>> isinstance(SRCRule(inc=0.01, dec=0.001), EngineRule)
    False
    """

    name: ClassVar[str]
    #: The engine that can.
    engine: ClassVar[str]


_CLASSES = (SRCRule, PooledSRC, PairSTDP, MultiplicativeSTDP, TripletSTDP, SignSTDP, Oja, BCM)
RULES: dict[str, type[PlasticityRule]] = {rule.name: rule for rule in _CLASSES}


def make_rule(name: str, **parameters: Any) -> PlasticityRule:
    """The rule ``name`` with its parameters, as settings files give them.

    Raises
    ------
    UnknownNameError
        If there is no such rule.
    SettingsError
        If a parameter is missing or unknown, or has an impossible value.

    See Also
    --------
    SRCRule, PooledSRC, PairSTDP, MultiplicativeSTDP, TripletSTDP, SignSTDP, Oja, BCM : the rules themselves

    Examples
    --------
    >>> from neurosleep.functional import make_rule
    >>> make_rule("src", inc=0.01, dec=0.001)
    SRCRule(inc=0.01, dec=0.001, factor='steep', width=0.001)
    """
    if name not in RULES:
        raise unknown_name("plasticity rule", name, RULES)
    try:
        return RULES[name](**parameters)
    except TypeError as error:
        fields = ", ".join(field.name for field in dataclasses.fields(cast(Any, RULES[name])))
        raise SettingsError(
            f"The rule {name!r} cannot be made from {parameters!r}.", found=str(error), expected=f"parameters: {fields}"
        ) from error


def plasticity_step(
    weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...], rule: PlasticityRule
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Any rule as a pure function, for one step: new weight ``[post, pre]`` and new traces.

    ``pre`` ``[pre]`` and ``post`` ``[post]`` are boolean; the first traces are ``rule.initial_traces(weight)``.

    See Also
    --------
    PlasticityRule : what a rule is
    src_step, pair_stdp_step : the same for one rule each

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import Oja, plasticity_step
    >>> rule, weight, fired = Oja(rate=0.5, decay=0.0), torch.zeros(1, 1), torch.tensor([True])
    >>> plasticity_step(weight, fired, fired, rule.initial_traces(weight), rule)[0]
    tensor([[0.5000]])
    """
    updated = weight.clone()
    return updated, rule.step_(updated, pre, post, traces)
