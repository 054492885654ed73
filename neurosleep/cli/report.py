"""``neurosleep report``: a page about runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import Json, emit

__all__ = ["report"]


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of runs.")],
    other: Annotated[
        Path | None,
        typer.Argument(help="A second one, to be compared with it: settings, and accuracies on equal seeds."),
    ] = None,
    *,
    animate: Annotated[
        bool,
        typer.Option(
            "--animate",
            help="Also a GIF of a recorded sleep phase of each strategy (figures/sleep.gif; with ffmpeg an MP4).",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML file about the runs in a folder, or (compared.html) about two folders."""
    with user_errors(as_json):
        from neurosleep.errors import SettingsError
        from neurosleep.experiments import write_animations, write_comparison, write_report

        if other is not None:
            if animate:
                raise SettingsError("--animate is for one folder of runs, and two are given.", expected="one folder")
            emit({"html": str(write_comparison(folder, other))}, as_json, lambda result: print(result["html"]))
            return
        written = {"animations": [str(path) for path in write_animations(folder)]} if animate else {}

        def show(result: dict[str, Any]) -> None:
            print(result["html"])
            if animate and not result["animations"]:
                print("No sleep was recorded: neurosleep run --set record=all keeps its spikes.", file=sys.stderr)

        emit({"html": str(write_report(folder)), **written}, as_json, show)
