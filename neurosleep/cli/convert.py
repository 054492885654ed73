"""``neurosleep convert``: a network's file in another format, or whether that can be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosleep.cli._converted import show_converted
from neurosleep.cli._text import print_table, say
from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import FileOptions, Json, emit, read_options

__all__ = ["convert"]

# Longer lists of what would be right are those of all that there is.
_LONGEST = 240


def convert(
    model: Annotated[Path, typer.Argument(help="File of a network: .onnx, .nir, .safetensors.")],
    *,
    to: Annotated[str | None, typer.Option(help="What to make of it: snn, nir, onnx, snntorch, norse.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; for snntorch and norse a folder.")] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing: say all that cannot be converted, and how the rest is read."),
    ] = False,
    file: FileOptions,
    reset: Annotated[
        str | None,
        typer.Option(
            help="Reset: to_value (hard; default of NIR), subtract (soft; default else), of NIR also subtract-next."
        ),
    ] = None,
    inexact: Annotated[
        bool, typer.Option("--inexact", help="Approximate what snnTorch or Norse cannot express.")
    ] = False,
    inputs: Annotated[Path | None, typer.Option(help="Images (.npy, .npz) for the accuracy before and after.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Classes (.npy) of the images in --inputs, for the accuracy before and after.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Time steps per inference.")] = 100,
    coding: Annotated[str, typer.Option(help="How images become spikes: bernoulli, poisson; constant: graded.")] = (
        "bernoulli"
    ),
    seed: Annotated[int, typer.Option(help="Seed of input spikes.")] = 0,
    as_json: Json = False,
) -> None:
    """Turn a network's file into another format, and an awake network into a spiking one."""
    with user_errors(as_json):
        from neurosleep.errors import SettingsError
        from neurosleep.exchange import convert_file

        read = read_options(file, reset=reset)
        if check:
            for name, given in (("to", to), ("out", out), ("inexact", inexact), ("inputs", inputs), ("labels", labels)):
                if given:
                    raise SettingsError(f"--{name} has no place beside --check, which writes nothing.")
            outcome = _checked(model, read)
            emit(outcome, as_json, _show_check)
            if not outcome["converts"]:
                raise typer.Exit(2)
            return
        for name, value in (("to", to), ("out", out)):
            if value is None:
                raise SettingsError(
                    f"--{name} is missing.",
                    expected="--to with a format and --out with what to write, or --check alone",
                )
        assert to is not None and out is not None
        outcome = convert_file(
            model,
            to=to,
            out=out,
            read=read,
            inexact=inexact,
            inputs=inputs,
            labels=labels,
            steps=steps,
            coding=coding,
            seed=seed,
        )
        emit(outcome, as_json, show_converted)


def _checked(model: Path, read: Any) -> dict[str, Any]:
    """What a check found, with which layers sleep."""
    from torch import nn

    from neurosleep.errors import NeurosleepError
    from neurosleep.exchange import check_file, input_shape_of
    from neurosleep.replay import sleeping_layers

    found, network = check_file(model, read)
    outcome = {"file": str(model), **found.to_json()}
    sleeping: dict[str, str] = {}
    if network is not None:
        try:
            sleeping = sleeping_layers(network, input_shape_of(network) if isinstance(network, nn.Module) else ())
        except NeurosleepError as error:
            outcome["notes"].append(f"whether its layers sleep cannot be told: {error.message}")
    for layer in outcome["layers"]:
        layer["sleeps"] = sleeping.get(layer["layer"])
    return outcome


def _show_check(result: dict[str, Any]) -> None:
    obstacles = result["obstacles"]
    count = "1 thing stands" if len(obstacles) == 1 else f"{len(obstacles)} things stand"
    say(f"{result['file']}: " + ("converts." if result["converts"] else f"does not convert; {count} in the way."))
    for number, one in enumerate(obstacles, 1):
        print()
        say(one["why"], f"{number}. ")
        for label, key in (("Line:     ", "line"), ("Expected: ", "expected"), ("Try:      ", "hint")):
            if one[key] and len(one[key]) <= _LONGEST:
                say(one[key], label, 3)
    if any(len(one["expected"] or "") > _LONGEST for one in obstacles):
        print()
        say("The page 'Supported formats' of the documentation lists all layers and operators that are taken.")
    if result["layers"]:
        print()
        rows = []
        for layer in result["layers"]:
            what = f"{layer['layer']} ({layer['operation']})" if layer["operation"] else layer["layer"]
            rows.append((what, layer["becomes"], layer["sleeps"] or "-"))
        print_table("What is taken, and how", ("layer", "becomes", "sleeps"), rows)
    for note in result["notes"]:
        say(note, "Note: ")
