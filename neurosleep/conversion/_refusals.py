"""What is said of a node of a traced module that has no counterpart: layer, operation, line, what would work."""

from __future__ import annotations

from torch import fx, nn

from neurosleep.conversion._operations import EXPECTED, FUNCTION_HINTS, HINTS
from neurosleep.conversion._source import line_of, place_of
from neurosleep.errors import ConversionError, NeurosleepError

__all__ = ["Refusals"]


class Refusals:
    """The words, for who goes through ``module``."""

    def __init__(self, module: fx.GraphModule) -> None:
        self._modules: dict[str, nn.Module] = dict(module.named_modules())

    def _place(self, node: fx.Node) -> str:
        layer, operation = place_of(node, self._modules)
        if layer != node.name:
            return f"Layer {layer!r} ({operation})"
        return f"The operation {operation!r} at {layer!r} of {type(self._modules['']).__name__}"

    def _refuse(self, node: fx.Node, why: str, expected: str = EXPECTED, hint: str | None = None) -> NeurosleepError:
        layer, operation = place_of(node, self._modules)
        said, line, hint = f"{self._place(node)} {why}", line_of(node), hint or self._hint(node)
        return ConversionError(said, found=line, expected=expected, hint=hint, layer=layer, operation=operation)

    def _hint(self, node: fx.Node) -> str | None:
        """What to do about a layer or function without a counterpart."""
        if node.op == "call_module":
            layer = self._modules[str(node.target)]
            return next((hint for kinds, hint in HINTS if isinstance(layer, kinds)), None)
        name = place_of(node, self._modules)[1]
        return next((hint for names, hint in FUNCTION_HINTS if name.rstrip("_").lower() in names), None)
