"""Which layers of a model change in homeostatic sleep, found out before it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from neurosleep.conversion import copied
from neurosleep.errors import DataError, UnsupportedError
from neurosleep.networks import EquilibriumMLP
from neurosleep.replay._drives import trace_drives
from neurosleep.replay.spiking_drives import population_drives
from neurosleep.spiking import SpikingNetwork

__all__ = ["sleeping_layers"]


def sleeping_layers(model: nn.Module | SpikingNetwork, input_shape: Sequence[int]) -> dict[str, str]:
    """Which layers with weights change in homeostatic sleep (:func:`~neurosleep.replay.regulate`), and why others not.

    Parameters
    ----------
    model:
        Any module, or a spiking network, whose layers are its populations; it stays as it is.
    input_shape:
        Shape of one input, without the batch.

    Returns
    -------
    dict
        By the name of the layer ``"yes"``, or why it stays as it is; in the order of execution, those that change
        first.

    Raises
    ------
    DataError
        If the model does not take inputs of that shape.
    UnsupportedError
        If a weight is computed from others, so that nothing can change it, or a spiking network has delays.

    See Also
    --------
    neurosleep.consolidate : lets a model sleep
    neurosleep.conversion.check : whether it converts

    Examples
    --------
    >>> from torch import nn
    >>> from neurosleep.replay import sleeping_layers
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2).requires_grad_(False))
    >>> sleeping_layers(model, (4,))
    {'0': 'yes', '2': 'it is frozen (requires_grad=False)'}
    """
    if isinstance(model, SpikingNetwork):
        return {drive.name: "yes" for drive in population_drives(model, None)}
    if isinstance(model, EquilibriumMLP):
        return {f"layers.{k}": "yes" for k in range(len(model.layers))}
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedError(
            "The model was compiled by torch.jit, and what it computes on the way cannot be seen.",
            expected="a module of Python",
        )
    work = copied(model).float().cpu().eval()
    frames = torch.rand(2, *input_shape, generator=torch.Generator().manual_seed(0))
    try:
        trace = trace_drives(work, frames)
    except (RuntimeError, TypeError, IndexError, AttributeError) as error:
        raise DataError(
            f"The model cannot be run on inputs of shape {tuple(input_shape)}.",
            found=f"{type(error).__name__}: {error}"[:200],
            expected="the shape of one input, without a batch dimension",
        ) from error
    layers = {part.name: "yes" for drive in trace.drives for part in drive.parts}
    for note in trace.notes:
        name, _, why = note.partition(" stays as it is: ")
        layers.setdefault(name.removesuffix(".weight"), why or note)
    return layers
