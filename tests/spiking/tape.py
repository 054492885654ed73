"""A CUDA graph on the CPU: operations are written down while a function runs, and done again on the same memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: What a graph cannot hold: the host would have to wait for numbers, or shapes would depend on them.
WAITING = (
    "nonzero",
    "_local_scalar_dense",
    "item",
    "masked_select",
    "is_nonzero",
    "unique",
    "equal.default",
    "lift_fresh",
)


class Tape(TorchDispatchMode):
    """Writes operations down, and takes back what they changed: a graph that is being recorded computes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._done: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self._before: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and write it down."""
        kwargs = kwargs or {}
        name = str(func)
        assert not any(word in name for word in WAITING), f"{name} waits for the device"
        if func._schema.is_mutable:
            for tensor in tree_leaves((args, kwargs)):
                if isinstance(tensor, Tensor):
                    self._before.setdefault(tensor.data_ptr(), (tensor, tensor.clone()))
        made = func(*args, **kwargs)
        self._done.append((func, args, kwargs, made))
        return made

    def replay(self) -> None:
        """Do everything again, on the tensors of the first time."""
        for func, args, kwargs, made in self._done:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(made), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)

    def take_back(self) -> None:
        """Give all that was changed the values that it had."""
        for tensor, values in self._before.values():
            tensor.copy_(values)


@contextmanager
def recording(tape: Tape) -> Iterator[None]:
    """In the place of ``torch.cuda.graph``."""
    with tape:
        yield
    tape.take_back()
