"""A model as a graph by torch.fx, or an account of why that cannot follow it."""

from __future__ import annotations

import keyword

from torch import Tensor, fx, nn

from neurosleep.conversion._memory import InPlaceTracer
from neurosleep.conversion._model import shape_hint
from neurosleep.conversion._source import line_of_error
from neurosleep.conversion._verify import same_weights
from neurosleep.errors import ConversionError

__all__ = ["UnfollowedError", "accepts", "followed"]


class UnfollowedError(Exception):
    """A graph is not what the model computes; ``reason`` is what a user is told where no other way finds it."""

    def __init__(self, reason: ConversionError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def followed(model: nn.Module, name: str) -> fx.GraphModule:
    """The graph of ``model``, of which layers of torch are nodes.

    Raises
    ------
    UnfollowedError
        If the model's code does what torch.fx cannot see.
    """
    try:
        return fx.GraphModule(model, InPlaceTracer().trace(model), name)
    except Exception as error:  # whatever the model's own code raises when a proxy goes through it
        words = [part for path, _ in model.named_modules() for part in path.split(".") if keyword.iskeyword(part)]
        if words and isinstance(error, SyntaxError):
            raise ConversionError(
                f"A layer is called {words[0]!r}, which is a word of Python's own, and torch.fx cannot follow it.",
                expected="names that can be attributes",
                hint=f"another key in ModuleDict, {words[0] + '_layer'!r} say",
                layer=words[0],
                operation="forward",
            ) from error
        raise UnfollowedError(
            ConversionError(
                f"A network of type {name} cannot be traced: {error}",
                found=line_of_error(error),
                expected="a module that torch.fx.symbolic_trace or torch.export follows: no control flow that depends "
                "on values",
                layer=name,
                operation="forward",
            )
        ) from error


def accepts(model: nn.Module, example: Tensor, given: tuple[int, ...]) -> None:
    """Refuse images that the model itself does not take; ``given`` is their shape as the user knows it.

    Raises
    ------
    ConversionError
        If it does not.
    """
    try:
        same_weights(model)(example.clone())
    except Exception as error:
        raise ConversionError(
            f"The model does not accept calibration images of shape {given}: {error}",
            found=line_of_error(error),
            expected="images [n, ...] of the shape that the model takes",
            hint=shape_hint(model, given),
            layer=type(model).__name__,
            operation="forward",
        ) from error
