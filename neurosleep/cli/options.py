"""Options that several commands have, and what they print."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args, get_type_hints

import typer
from typer.models import OptionInfo

if TYPE_CHECKING:
    from neurosleep.exchange import ReadOptions

__all__ = [
    "Data",
    "FileOptions",
    "Json",
    "Listening",
    "Out",
    "RunOptions",
    "Seed",
    "as_percent",
    "completed",
    "emit",
    "or_dash",
    "read_options",
    "with_groups",
]

# Groups of options in --help, in the words of every command that has them.
WHAT = "What to do"
WHERE = "How and where it runs"
FILES = "Files and folders"
WATCH = "While it runs"
READING = "How the file is read"

Json = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON object on standard output.", rich_help_panel="Options")
]

Out = Annotated[Path, typer.Option(help="Output folder.", rich_help_panel=FILES)]

Data = Annotated[
    str | None,
    typer.Option(help="Folder of the data sets (else NEUROSLEEP_DATA, else a download).", rich_help_panel=FILES),
]

Seed = Annotated[int, typer.Option(help="First seed.", rich_help_panel=WHAT)]


@dataclass(frozen=True)
class RunOptions:
    """What every command that runs experiments can be told of the runs."""

    panel: ClassVar[str] = WHERE

    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting (repeatable): sleep.steps=300, 'network.sizes=[784,100,10]'.",
            rich_help_panel=WHAT,
        ),
    ] = None
    engine: Annotated[str | None, typer.Option(help="Engine that steps the sleeping network.")] = None
    device: Annotated[
        str | None,
        typer.Option(help="Where networks sleep: cpu, cuda or cuda:1. They are trained on the CPU."),
    ] = None
    data: Data = None
    jobs: Annotated[int, typer.Option(help="How many run side by side, one thread each.")] = 1
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a Dask scheduler (tcp:// or tls://) whose workers run them."),
    ] = None
    resume: Annotated[
        bool, typer.Option(help="Resume an interrupted run (a search also with more trials).", rich_help_panel=FILES)
    ] = False
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Resume even if data or packages have changed; the results say so.", rich_help_panel=FILES
        ),
    ] = False


@dataclass(frozen=True)
class Listening:
    """Who can be told of runs while they go on."""

    panel: ClassVar[str] = WATCH

    live: Annotated[bool, typer.Option("--live", help="Show rates, weights and accuracy while it sleeps.")] = False
    follow: Annotated[
        Path | None,
        typer.Option(help="File to which events are appended, one JSON object per line."),
    ] = None
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard.")] = None
    wandb: Annotated[str | None, typer.Option(help="Project of Weights & Biases (WANDB_MODE=offline: files).")] = None
    mlflow: Annotated[str | None, typer.Option(help="Experiment of MLflow (at MLFLOW_TRACKING_URI).")] = None


@dataclass(frozen=True)
class FileOptions:
    """What every command that reads a network from a file can be told of it."""

    panel: ClassVar[str] = READING

    calibration: Annotated[
        Path | None, typer.Option(help="Images (.npy, .npz) by which an awake (not spiking) network is scaled.")
    ] = None
    recipe: Annotated[
        str | None, typer.Option(help="How it is scaled: percentile (default), recursive, ratio, max, balance.")
    ] = None
    approximate: Annotated[bool, typer.Option("--approximate", help="Average in place of max-pooling.")] = False
    external_data: Annotated[Path | None, typer.Option(help="Second file that holds an ONNX file's weights.")] = None
    output_name: Annotated[str | None, typer.Option(help="Which of an ONNX file's outputs is read.")] = None
    input_shape: Annotated[
        str | None,
        typer.Option(help="Shape of an image, where an ONNX file leaves it open: 3,32,32."),
    ] = None
    dt: Annotated[
        float | None,
        typer.Option(help="Step of a NIR file of another tool, in seconds: 0.001."),
    ] = None
    writer: Annotated[
        str | None,
        typer.Option(help="Tool that wrote a NIR file: nir (read as NIR defines it), snntorch, norse."),
    ] = None


def read_options(file: FileOptions, **more: Any) -> ReadOptions:
    """The same for :func:`neurosleep.exchange.convert_file`."""
    from neurosleep.errors import SettingsError
    from neurosleep.exchange import ReadOptions

    shape = file.input_shape
    if shape is not None and not all(size.strip().isdigit() for size in shape.split(",")):
        raise SettingsError(f"--input-shape is {shape!r}.", expected="sizes with commas between, such as 3,32,32")
    sizes = None if shape is None else tuple(int(size) for size in shape.split(","))
    return ReadOptions(**vars(file) | {"input_shape": sizes} | more)


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` as typer takes it: each field of a parameter that is a dataclass becomes an option of its own.

    In ``--help`` options stand in groups: those of a dataclass in its ``panel``, others in that of what is done.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {
        name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)
    }
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if name in groups:
            types = get_type_hints(groups[name], include_extras=True)
            parameters += [
                Parameter(
                    entry.name,
                    Parameter.KEYWORD_ONLY,
                    default=entry.default,
                    annotation=_in_panel(types[entry.name], groups[name].panel),
                )
                for entry in fields(groups[name])
            ]
        else:
            annotation = _in_panel(hints[name], WHAT)
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=annotation))

    @wraps(command)
    def flat(**given: Any) -> None:
        made = {
            name: kind(**{entry.name: given.pop(entry.name) for entry in fields(kind)}) for name, kind in groups.items()
        }
        command(**given, **made)

    # typer reads the signature, and the annotations for what it does not find there.
    flat.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat


def _in_panel(annotation: Any, panel: str) -> Any:
    """``annotation`` with its option in this group of ``--help``, if it has none yet."""
    of, *options = get_args(annotation)
    (option,) = options
    if not isinstance(option, OptionInfo) or option.rich_help_panel is not None:
        return annotation
    option = copy(option)
    option.rich_help_panel = panel
    return Annotated[of, option]


def emit(result: dict[str, Any], as_json: bool, show: Callable[[dict[str, Any]], None]) -> None:
    """Print what a command found, for a program or for a person."""
    if as_json:
        print(json.dumps(result, allow_nan=False))
    else:
        show(result)


def completed(kind: str) -> Callable[[], list[str]]:
    """What a shell completes an argument with: the names of a kind of :func:`neurosleep._catalogue.catalogue`."""

    def names() -> list[str]:
        from neurosleep._catalogue import catalogue

        return [entry.name for entry in catalogue(kind)]

    return names


def as_percent(entry: dict[str, Any]) -> str:
    """A mean accuracy with its standard deviation."""
    if entry["mean"] is None:
        return "-"
    return f"{100 * entry['mean']:.2f}" + ("" if entry["sd"] is None else f" ± {100 * entry['sd']:.2f}") + " %"


def or_dash(value: Any) -> str:
    """The value as text; a dash for none."""
    return "-" if value is None else str(value)
