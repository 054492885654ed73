"""SpikingJelly's modules, known by their names, and a copy of a network in which each is one of torch, or a leaf."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from torch import nn

from neurosleep.errors import ExchangeError
from neurosleep.exchange.neuron_leaves import NeuronLeaf

__all__ = ["CONTAINERS", "EXPECTED", "LAYERS", "NEURONS", "check", "is_theirs", "plain_copy", "refused", "step_mode"]

#: Neurons that are read.
NEURONS = ("IFNode", "LIFNode", "ParametricLIFNode", "CUBALIFNode")
#: Layers that are read: those of torch, which SpikingJelly has with a step mode, and some of its own.
LAYERS = (
    *("Linear", "Conv1d", "Conv2d", "AvgPool1d", "AvgPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d"),
    *("MaxPool1d", "MaxPool2d", "BatchNorm1d", "BatchNorm2d", "Flatten", "Dropout", "Dropout2d", "VotingLayer"),
    *("ThresholdDependentBatchNorm1d", "ThresholdDependentBatchNorm2d", "VoltageScaler"),
)
#: Containers that are read.
CONTAINERS = ("SeqToANNContainer", "MultiStepContainer", "StepModeContainer")
EXPECTED = (
    f"the neurons {', '.join(NEURONS)}, the layers {', '.join(LAYERS)}, the containers {', '.join(CONTAINERS)} of "
    "spikingjelly; torch's own layers and sums of branches between them"
)

_NONLINEAR = "has a potential that moves by a function of itself, not in proportion"
_WITHOUT = {
    **dict.fromkeys(("QIFNode", "EIFNode", "IzhikevichNode"), _NONLINEAR),
    **dict.fromkeys(("PSN", "MaskedPSN", "SlidingPSN"), "computes all steps at once, without a reset"),
    **dict.fromkeys(("NonSpikingLIFNode", "NonSpikingIFNode"), "never fires, and gives one value of all its steps"),
    "GatedLIFNode": "has gates that mix its rules of decay and reset",
    "LIAFNode": "sends an activity of its potential, no spikes",
    "KLIFNode": "rectifies and scales its potential in each step",
    "ComplementaryLIFNode": "has a second state that adds to its reset",
    "ILIFNode": "sends counts of spikes",
    "GroupNorm": "normalises by the mean of each input",
    **dict.fromkeys(("TLastSeqToANNContainer", "TLastMultiStepContainer"), "has the steps on the last axis"),
}
_OWN = (*NEURONS, "VotingLayer", "VoltageScaler")
# With the steps on the first axis these compute what they do in a single step.
_EITHER = (nn.Linear, nn.Identity, nn.Dropout)


def is_theirs(module: nn.Module) -> bool:
    """Whether it is a module of SpikingJelly, by where its class is from: no import is needed."""
    return type(module).__module__.startswith("spikingjelly.")


def refused(path: str, module: nn.Module, why: str, expected: str = EXPECTED, hint: str | None = None) -> ExchangeError:
    """The error that names a module and why it is not read."""
    kind = type(module).__name__
    return ExchangeError(f"Module {path!r} ({kind}) {why}" if path else f"A {kind} {why}", expected=expected, hint=hint)


def _base(module: nn.Module) -> type[nn.Module] | None:
    """The class of torch that a layer of SpikingJelly is in every single step."""
    kind = type(module)
    name = kind.__name__.replace("ThresholdDependent", "")
    own = getattr(nn, name, None)
    if kind.__name__ in ("Dropout", "Dropout2d"):
        return nn.Identity
    if kind.__name__ in CONTAINERS:
        return nn.Sequential
    bases = kind.__mro__ if name == kind.__name__ else (own,)
    return own if kind.__name__ in LAYERS and isinstance(own, type) and own in bases else None


def step_mode(module: nn.Module) -> str:
    """The step mode of a network, ``"s"`` or ``"m"``: that of the first of SpikingJelly's modules that has one."""
    return next((_mode(part) for part in _outside(module) if is_theirs(part)), "s")


def _outside(module: nn.Module) -> Iterator[nn.Module]:
    """What is in no container of SpikingJelly; these themselves."""
    if is_theirs(module):
        yield module
    else:
        for child in module.children():
            yield from _outside(child)


def _mode(module: Any) -> str:
    kind = type(module).__name__
    always = kind in ("SeqToANNContainer", "MultiStepContainer") or kind.startswith("ThresholdDependent")
    return "m" if always else getattr(module, "step_mode", "s")


def check(module: nn.Module, mode: str, path: str = "", stateless: bool = False) -> None:
    """Refuse what cannot be read, or does not see steps as what they are in a network of this step mode.

    ``stateless``: whether a container hands it all steps as one batch.
    """
    kind = type(module).__name__
    if not is_theirs(module):
        if mode == "m" and type(module).__module__.startswith("torch.nn") and not any(module.children()):
            whole = type(module) is nn.Flatten and (module.start_dim, module.end_dim) == (2, -1)
            if not whole and type(module) not in _EITHER:
                raise refused(
                    path,
                    module,
                    "is given the steps on the first axis, and takes them for images.",
                    "a layer of spikingjelly in step_mode='m', or a SeqToANNContainer around it",
                )
        for name, child in module.named_children():
            check(child, mode, f"{path}.{name}".strip("."), stateless)
        return
    if kind not in (*NEURONS, *LAYERS, *CONTAINERS) or (kind not in _OWN and _base(module) is None):
        raise refused(path, module, f"{_WITHOUT.get(kind, 'has no counterpart')}.")
    if _mode(module) != mode and not isinstance(module, _EITHER):
        raise refused(
            path,
            module,
            f"is in step mode {_mode(module)!r}, and the modules around it in {mode!r}.",
            "one step mode",
            "functional.set_step_mode(network, 's')",
        )
    if kind in NEURONS and stateless:
        raise refused(
            path,
            module,
            "stands in a container that hands it all steps as one batch.",
            "MultiStepContainer, or the neuron in step mode 'm' outside of it",
        )
    if kind in CONTAINERS:
        inner = kind == "SeqToANNContainer" or (mode == "m" and getattr(module, "stateful", True) is False)
        for name, child in module.named_children():
            check(child, "s", f"{path}.{name}".strip("."), inner)


def _instead(module: Any) -> nn.Module:
    """What stands for a neuron or another module that torch does not have."""
    if type(module).__name__ != "VotingLayer":
        return NeuronLeaf(module)
    return nn.Sequential(nn.Unflatten(1, (1, -1)), nn.AvgPool1d(int(module.voting_size)), nn.Flatten(1))


def plain_copy(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode that computes one step: layers and containers are torch's, neurons leaves."""
    # Neurons may hold potentials that belong to a graph of gradients, which cannot be copied.
    leaves: dict[int, Any] = {
        id(part): _instead(part) for part in module.modules() if is_theirs(part) and type(part).__name__ in _OWN
    }
    many = step_mode(module) == "m"
    copied = nn.Sequential(leaves[id(module)]) if id(module) in leaves else copy.deepcopy(module, leaves)
    for part in list(copied.modules()):
        if is_theirs(part):
            part.__class__ = _base(part) or type(part)
        elif many and type(part) is nn.Flatten and part.start_dim == 2:
            part.start_dim = 1
    return copied.eval()
