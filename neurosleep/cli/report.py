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
    animate: Annotated[
        bool,
        typer.Option("--animate", help="Also a GIF of a recorded sleep phase of each strategy (figures/sleep.gif)."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML file about the runs in a folder."""
    with user_errors(as_json):
        from neurosleep.experiments import write_animations, write_report

        written = {"animations": [str(path) for path in write_animations(folder)]} if animate else {}

        def show(result: dict[str, Any]) -> None:
            print(result["html"])
            if animate and not result["animations"]:
                print("No sleep was recorded: neurosleep run --set record=all keeps its spikes.", file=sys.stderr)

        emit({"html": str(write_report(folder)), **written}, as_json, show)
