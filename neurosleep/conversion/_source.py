"""Where in a model an operation is: its layer, and the line of the model's own code."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import fx, nn

__all__ = ["line_of", "line_of_error", "place_of"]

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in [^\n]*(?:\n\s*(?P<code>[^\n]*))?')
_TORCH, _OURS = (str(Path(file).parent) for file in (torch.__file__, Path(__file__).parents[1] / "__init__.py"))


def _spoken(file: str, line: int | str | None, code: str | None) -> str:
    said = f"{Path(file).name}, line {line}"
    return f"{said}: {code.strip()[:120]}" if code and code.strip() else said


def _lies_in(file: str, folder: str) -> bool:
    return str(Path(file)).startswith(folder + "/") or str(Path(file)).startswith(folder + "\\")


def line_of(node: fx.Node) -> str | None:
    """The innermost line of the model's code that calls ``node``, where it is not torch that does, as a Sequential."""
    said = None
    for frame in _FRAME.finditer(node.meta.get("stack_trace") or node.stack_trace or ""):
        file = frame["file"]
        if _lies_in(file, _OURS):
            said = None  # the model's code lies behind the conversion that runs it
        elif not _lies_in(file, _TORCH) and not file.startswith("<"):
            said = _spoken(file, frame["line"], frame["code"])
    return said


def line_of_error(error: BaseException) -> str | None:
    """The line of the model's code in which ``error`` was raised."""
    said = None
    for frame in traceback.extract_tb(error.__traceback__):
        if _lies_in(frame.filename, _OURS):
            said = None
        elif not _lies_in(frame.filename, _TORCH) and not frame.filename.startswith("<"):
            said = _spoken(frame.filename, frame.lineno, frame.line)
    return said


def place_of(node: fx.Node, modules: Mapping[str, nn.Module]) -> tuple[str, str]:
    """The layer that ``node`` is, or its own name, and the layer's class or the function's name."""
    if node.op == "call_module" and str(node.target) in modules and not str(node.target).startswith("_fixed"):
        return str(node.target), type(modules[str(node.target)]).__name__
    # Where torch.export has seen the model, the functions that its layers call.
    path, kind = next(reversed((node.meta.get("nn_module_stack") or {"": ("", "")}).values()))
    if str(kind).startswith("torch.nn.") and path:
        return str(path).partition("@")[0], str(kind).rpartition(".")[2]
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return node.name, str(target._schema.name).removeprefix("aten::")
    return node.name, target if isinstance(target, str) else getattr(target, "__name__", str(target))
