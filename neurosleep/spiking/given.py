"""What was given where a spiking network belongs."""

from __future__ import annotations

from typing import Any

import torch

from neurosleep.errors import NeurosleepError, SettingsError
from neurosleep.spiking.network import SpikingNetwork

__all__ = ["check_spiking"]


def check_spiking(network: Any, done: str, error: type[NeurosleepError] = SettingsError) -> SpikingNetwork:
    """``network``, or an error that only a spiking network can be what ``done`` says, such as "simulated"."""
    if isinstance(network, SpikingNetwork):
        return network
    if isinstance(network, torch.nn.Module):
        hint = "neurosleep.convert(model, images) makes one of a torch module"
    elif isinstance(getattr(network, "network", None), SpikingNetwork):
        hint = f"the {type(network).__name__} holds one: .network"
    else:
        hint = "neurosleep.load(path) reads one from a file"
    raise error(
        f"Only a spiking network can be {done}.", found=type(network).__name__, expected="a SpikingNetwork", hint=hint
    )
