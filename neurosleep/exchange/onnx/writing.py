"""What a file in the making offers to those who write a layer or function into it."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, fx

from neurosleep.errors import ExchangeError

__all__ = ["Writing"]


class Writing(Protocol):
    """Nodes and tensors of a file, by the nodes of the traced network."""

    dtype: torch.dtype

    def put(self, node: fx.Node, op: str, inputs: list[str], output: str | None = None, **attributes: Any) -> None:
        """A node; its output becomes the value of ``node``."""
        ...

    def part(self, node: fx.Node, op: str, inputs: list[str], **attributes: Any) -> str:
        """A node on the way to the value of ``node``; the name of what it makes."""
        ...

    def store(self, layer: str, tensor: Tensor, name: str) -> str:
        """A tensor, as float of the network's type if its name is not ``shape``; its name in the file."""
        ...

    def name_of(self, node: fx.Node) -> str:
        """The name of the value of ``node`` in the file."""
        ...

    def shape_of(self, node: fx.Node) -> tuple[int, ...]:
        """Its shape without the batch."""
        ...

    def refuse(self, node: fx.Node, what: str) -> ExchangeError:
        """The error that says that ``what`` cannot be written."""
        ...
