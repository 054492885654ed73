"""``neurosleep map``: a network on a chip."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from neurosleep.cli._mapped import show_mapped
from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import FileOptions, Json, completed, emit, read_options

__all__ = ["map_network"]


def map_network(
    model: Annotated[Path, typer.Argument(help="File of a network: .onnx, .nir, .safetensors.")],
    *,
    profile: Annotated[
        str, typer.Option(help="A chip's profile by name, or your own TOML file.", autocompletion=completed("profiles"))
    ],
    file: FileOptions,
    rounding: Annotated[
        str | None,
        typer.Option(
            help="Rounding of weights: nearest_even, nearest_away, floor, toward_zero or stochastic; "
            "else as the profile says."
        ),
    ] = None,
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
    labels: Annotated[
        Path | None, typer.Option(help="Classes (.npy) of the images in --inputs, for the accuracy on the chip.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of input spikes, rounding and mismatch.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 if limits are exceeded.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say how the energy was counted.")] = False,
    as_json: Json = False,
) -> None:
    """Say whether a network fits a chip, and its cores, quantisation errors and, given images, energy and accuracy.

    Limits that are exceeded are told in the verdict: exit code 0 (--strict: 2).
    A network that needs what the chip lacks, such as a bias, cannot be mapped:
    an error says what to change, exit code 2.
    """
    with user_errors(as_json):
        from neurosleep.hardware import map_file

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
            labels=labels,
        )

        emit(mapped, as_json, partial(show_mapped, verbose=verbose))
        if strict and not mapped["fits"]:
            raise typer.Exit(2)
