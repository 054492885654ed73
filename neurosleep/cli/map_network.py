"""``neurosleep map``: a network on a chip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosleep.cli._text import print_table
from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import FileOptions, Json, Seed, emit, read_options

__all__ = ["map_network"]


def map_network(
    model: Annotated[Path, typer.Argument(help="File of a network: .onnx, .nir, .safetensors.")],
    *,
    profile: Annotated[str, typer.Option(help="A chip's profile by name, or your own TOML file.")],
    file: FileOptions,
    rounding: Annotated[str | None, typer.Option(help="How weights are rounded; else as the profile says.")] = None,
    steps: Annotated[int, typer.Option(help="Time steps per inference.")] = 100,
    allow_split: Annotated[
        bool,
        typer.Option("--allow-split", help="Split sums of too many inputs over helper neurons; less accurate."),
    ] = False,
    mismatch_sd: Annotated[
        float | None,
        typer.Option(help="Relative mismatch of an analogue chip; else the profile's figure."),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(help="Images (.npy, .npz) to simulate for energy; else the calibration images."),
    ] = None,
    coding: Annotated[str, typer.Option(help="How images become spikes: bernoulli, poisson.")] = "bernoulli",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Say what a network becomes on a chip: cores, limits, errors of quantisation, and energy, given images."""
    with user_errors(as_json):
        from neurosleep.hardware import energy_text, map_file

        mapped = map_file(
            model,
            profile,
            read=read_options(file),
            rounding=rounding,
            seed=seed,
            steps=steps,
            allow_split=allow_split,
            mismatch_sd=mismatch_sd,
            inputs=inputs,
            coding=coding,
        )

        def show(result: dict[str, Any]) -> None:
            rows = [
                (
                    f"{layer['source']} > {layer['layer']}",
                    str(layer["bits"] or "float"),
                    f"{layer['scale']:.4g}",
                    "-" if layer["error"] is None else f"{100 * layer['error']:.2f} %",
                    str(layer["saturated"]),
                    str(layer["zeroed"]),
                    str(layer["cores"] or "-"),
                )
                for layer in result["layers"]
            ]
            header = ("layer", "bits", "scale", "quantisation error", "saturated", "underflow to zero", "cores")
            print_table(f"On {result['profile']}", header, rows)
            for finding in result["findings"]:
                print(f"{finding['level']}: {': '.join(t for t in (finding['layer'], finding['text']) if t)}")
            print(f"Fits: {'yes' if result['fits'] else 'no'}   Cores: {result['cores'] or '-'}")
            print(energy_text(result["profile"], result["energy"]))

        emit(mapped, as_json, show)
