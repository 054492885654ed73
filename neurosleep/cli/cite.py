"""``neurosleep cite``: BibTeX."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import Json, emit

__all__ = ["cite"]


def cite(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Folder of runs; else everything the package rests on.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Hardware profiles whose sources belong to it, separated by commas.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print BibTeX of what runs used: experiment, strategies, engines, conversion, data, and the package itself."""
    with user_errors(as_json):
        from neurosleep.experiments import cite as find

        names = [name.strip() for name in (profile or "").split(",") if name.strip()]

        def show(result: dict[str, Any]) -> None:
            print(result["bibtex"], end="")
            # Beside the entries, so that what is piped into a file is BibTeX alone.
            if result["folder"] is not None and result["without_reference"]:
                print("Nothing to cite for: " + ", ".join(result["without_reference"]), file=sys.stderr)
            for note in result["notes"]:
                print(note, file=sys.stderr)

        emit(dict(find(folder, profiles=names)), as_json, show)
