"""Whether a network converts, before anything is done: all that stands in the way at once, and what is taken how."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from neurosleep._checks import check_count
from neurosleep._shown import brief, html_table, short_line, to_frame
from neurosleep.conversion._model import check_model, number_type, unwrapped
from neurosleep.conversion._obstacles import Obstacle
from neurosleep.conversion._trace import trace
from neurosleep.conversion.plan import MaxPool
from neurosleep.errors import ConversionError, SettingsError
from neurosleep.networks import EquilibriumMLP, EquilibriumNetwork
from neurosleep.spiking import SpikingNetwork

__all__ = ["CheckedLayer", "ModelCheck", "check"]

# An image of more values is none.
_LARGEST = 2**28


@dataclass(frozen=True)
class CheckedLayer:
    """What becomes of one layer or operation that is taken.

    Attributes
    ----------
    layer, operation:
        Its name in the model, and its class or the name of the function; empty of what was made of a part of one.
    becomes:
        What it becomes in the spiking network, in words.

    See Also
    --------
    ModelCheck : which lists them

    Examples
    --------
    >>> from torch import nn
    >>> from neurosleep.conversion import check
    >>> check(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (4,)).layers[0]
    CheckedLayer(layer='0', operation='Linear', becomes='projection of kind dense')
    """

    layer: str
    operation: str
    becomes: str

    __repr__ = brief


@dataclass(frozen=True)
class ModelCheck:
    """What :func:`check` found.

    Attributes
    ----------
    layers:
        What becomes of each layer that is taken, in the order of execution.
    obstacles:
        All that stands in the way; empty if the network converts.
    notes:
        What else the reader should know, such as what is left out.

    See Also
    --------
    check : which makes it

    Examples
    --------
    >>> from torch import nn
    >>> from neurosleep.conversion import check
    >>> check(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2), nn.GELU()), (4,))
    <ModelCheck: does not convert; 2 layers taken, 2 obstacles: 1 (Tanh), 3 (GELU)>
    """

    layers: tuple[CheckedLayer, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def converts(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.obstacles

    def __repr__(self) -> str:
        places = ", ".join(f"{one.layer} ({one.operation})".strip() for one in self.obstacles)
        count = f"{len(self.obstacles)} obstacle{'s' * (len(self.obstacles) != 1)}"
        what = "converts" if self.converts else "does not convert"
        return short_line(
            f"<ModelCheck: {what}; {len(self.layers)} layers taken{f', {count}: {places}' * bool(places)}>"
        )

    def _repr_html_(self) -> str:
        """The obstacles, the layers that are taken, and the notes."""
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        obstacles = html_table([vars(one) for one in self.obstacles], "In the way") if self.obstacles else ""
        return obstacles + html_table(self.rows(), repr(self)) + f"<ul>{notes}</ul>" * bool(notes)

    def to_pandas(self) -> Any:
        """The layers as a ``pandas.DataFrame`` (extra ``pandas``)."""
        return to_frame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """One row per layer that is taken: its name, its class and what it becomes."""
        return [dict(vars(one)) for one in self.layers]

    def to_json(self) -> dict[str, Any]:
        """Everything, of plain lists, names and numbers."""
        return {
            "converts": self.converts,
            "layers": self.rows(),
            "obstacles": [dict(vars(one)) for one in self.obstacles],
            "notes": list(self.notes),
        }


def check(model: nn.Module | SpikingNetwork, input_shape: Sequence[int], *, maxpool: MaxPool = "exact") -> ModelCheck:
    """Whether :func:`~neurosleep.convert` takes ``model``: all that stands in the way at once, and what is taken how.

    Needs no data, and changes nothing. The check is that for the recipes ``Percentile``, ``Maximum`` and ``Balance``,
    but for an :class:`~neurosleep.EquilibriumMLP`, which only ``Recursive`` and ``Ratio`` take.

    Parameters
    ----------
    model:
        Any module.
    input_shape:
        Shape of one input, without the batch.
    maxpool:
        As for :func:`~neurosleep.convert`.

    Raises
    ------
    ConversionError
        If ``model`` is no module of torch.
    SettingsError
        If ``input_shape`` is none.

    See Also
    --------
    neurosleep.convert : which converts it
    neurosleep.conversion.compare : how well a conversion does
    neurosleep.exchange.check_file : of a file

    Examples
    --------
    >>> from torch import nn
    >>> from neurosleep.conversion import check
    >>> done = check(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Softmax(1)), (4,))
    >>> done.converts, [layer.becomes for layer in done.layers][1]
    (True, 'folded into 0')
    """
    if isinstance(model, SpikingNetwork):
        populations = [CheckedLayer(p.name, p.kind, f"the same, {p.size} units") for p in model.layers]
        return ModelCheck(tuple(populations), notes=("a spiking network already, which need not be converted",))
    shape = tuple(check_count("A size of input_shape", size) for size in input_shape)
    if not shape or math.prod(shape) > _LARGEST:
        raise SettingsError(
            f"The input_shape is {shape}.", expected=f"that of one input, without the batch, of up to {_LARGEST} values"
        )
    model = check_model(model)
    inside = unwrapped(model)[0]
    if isinstance(inside, EquilibriumNetwork):
        return _equilibrium(inside)
    place = next(iter(model.parameters()), torch.zeros(0))
    example = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0), dtype=number_type(model))
    obstacles: list[Obstacle] = []
    try:
        plan = trace(model, example.to(place.device), maxpool, obstacles=obstacles)
    except ConversionError as error:
        whole = Obstacle("", type(inside).__name__, error.message, error.found, error.expected, error.hint)
        return ModelCheck(obstacles=(*obstacles, whole))
    kinds = {node.name: getattr(node.target, "__name__", str(node.target)) for node in plan.module.graph.nodes}
    kinds |= {name: type(layer).__name__ for name, layer in inside.named_modules()}
    layers = tuple(CheckedLayer(name, kinds.get(name, ""), what) for name, what in plan.became)
    return ModelCheck(layers, tuple(obstacles), plan.notes)


def _equilibrium(model: EquilibriumNetwork) -> ModelCheck:
    if not isinstance(model, EquilibriumMLP):
        why = f"A network of type {type(model).__name__} cannot be converted."
        expected = "an EquilibriumMLP, in which one weight [post, pre] joins each pair of units"
        return ModelCheck(obstacles=(Obstacle("", type(model).__name__, why, None, expected),))
    layers = [
        CheckedLayer(f"layers.{k}", type(layer).__name__, "projection of kind dense, by the recipes of sleep")
        for k, layer in enumerate(model.layers)
    ]
    return ModelCheck(tuple(layers), notes=("recipe='recursive' or 'ratio' converts an equilibrium network",))
