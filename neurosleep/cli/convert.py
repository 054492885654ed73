"""``neurosleep convert``: a network's file in another format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import FileOptions, Json, emit, print_table, read_options

__all__ = ["convert"]


def convert(
    model: Annotated[Path, typer.Argument(help="File of a network: .onnx, .nir, .safetensors.")],
    *,
    to: Annotated[str, typer.Option(help="What to make of it: snn, nir, onnx, snntorch, norse.")],
    out: Annotated[Path, typer.Option(help="File to write; for snntorch and norse a folder.")],
    file: FileOptions,
    reset: Annotated[
        str | None,
        typer.Option(help="Reset: to_value (hard; NIR's) or subtract (soft; else), of NIR also subtract-next."),
    ] = None,
    inexact: Annotated[
        bool, typer.Option("--inexact", help="Approximate what snnTorch or Norse cannot express.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Turn a network's file into another format, and an awake network into a spiking one."""
    with user_errors(as_json):
        from neurosleep.exchange import convert_file

        read = read_options(file, reset=reset)
        outcome = convert_file(model, to=to, out=out, read=read, inexact=inexact)

        def show(result: dict[str, Any]) -> None:
            rows = [(layer["name"], layer["kind"], _layer_size(layer)) for layer in result["layers"]]
            print_table(f"Layers of {result['out']}", ("layer", "kind", "size"), rows)
            for key, value in result["report"].items():
                print(f"{key}: {json.dumps(value)}")

        emit(outcome, as_json, show)


def _layer_size(layer: dict[str, Any]) -> str:
    return " x ".join(map(str, layer.get("shape") or layer.get("weight") or [])) or "-"
