"""What is said of a node of a traced module that has no counterpart: layer, operation, line, what would work."""

from __future__ import annotations

from torch import fx, nn

from neurosleep.conversion._operations import EXPECTED, FUNCTION_HINTS, HINTS
from neurosleep.conversion._source import line_of
from neurosleep.errors import ConversionError, NeurosleepError

__all__ = ["Refusals"]


class Refusals:
    """The words, for who goes through ``module``."""

    def __init__(self, module: fx.GraphModule) -> None:
        self._modules: dict[str, nn.Module] = dict(module.named_modules())

    def _place(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return f"Layer {str(node.target)!r} ({type(self._modules[str(node.target)]).__name__})"
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        return f"The operation {name!r} at {node.name!r}"

    def _refuse(self, node: fx.Node, why: str, expected: str = EXPECTED, hint: str | None = None) -> NeurosleepError:
        return ConversionError(f"{self._place(node)} {why}", found=line_of(node), expected=expected, hint=hint)

    def _hint(self, node: fx.Node) -> str | None:
        """What to do about a layer or function without a counterpart."""
        if node.op == "call_module":
            layer = self._modules[str(node.target)]
            return next((hint for kinds, hint in HINTS if isinstance(layer, kinds)), None)
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        return next((hint for names, hint in FUNCTION_HINTS if name.rstrip("_") in names), None)
