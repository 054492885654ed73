"""What stands in the way of a conversion: one error, or all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, fx, nn

from neurosleep._shown import brief
from neurosleep.conversion._source import line_of, place_of
from neurosleep.errors import NeurosleepError

__all__ = ["Obstacle", "Unread", "obstacle_at"]


@dataclass(frozen=True)
class Obstacle:
    """One thing that stands in the way of a conversion.

    Attributes
    ----------
    layer:
        Name of the layer, or of the operation's place in the traced model; empty where it concerns all of the model.
    operation:
        Class of the layer, or name of the operation.
    why:
        The sentence that :func:`~neurosleep.convert` would end with.
    line:
        File and line of the model's own code, where torch knows it.
    expected, hint:
        What would work in its place, and what to do next.

    See Also
    --------
    ModelCheck : which lists them

    Examples
    --------
    >>> from torch import nn
    >>> from neurosleep.conversion import check
    >>> obstacle = check(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), (4,)).obstacles[0]
    >>> obstacle.layer, obstacle.operation, obstacle.why
    ('1', 'Tanh', "Layer '1' (Tanh) has no spiking counterpart.")
    """

    layer: str
    operation: str
    why: str
    line: str | None = None
    expected: str | None = None
    hint: str | None = None

    __repr__ = brief


class Unread(nn.Module):
    """Stands for an operation of a file that cannot be read; makes zeros of a shape.

    Parameters
    ----------
    operation:
        Its name in the file.
    error:
        What reading it ended with; None if something before it is the reason, which has an error of its own.
    shape:
        That of what it would make, without the batch.
    """

    def __init__(self, operation: str, error: NeurosleepError | None, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.operation, self.error, self.shape = operation, error, shape

    def forward(self, x: Tensor) -> Tensor:
        """Zeros ``[batch, *shape]``."""
        return x.new_zeros(len(x), *self.shape)


def obstacle_at(node: fx.Node, modules: Mapping[str, nn.Module], error: NeurosleepError) -> Obstacle:
    """``error``, which ``node`` raised."""
    layer, operation = place_of(node, modules)
    module = modules.get(layer)
    operation = module.operation if isinstance(module, Unread) else operation
    return Obstacle(layer, operation, error.message, line_of(node), error.expected, error.hint)
