"""``neurosleep results``: the page of results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import Json, emit

__all__ = ["results"]


def results(
    folder: Annotated[Path, typer.Argument(help="Folder of run folders.")] = Path("results"),
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("docs/results.md"),
    as_json: Json = False,
) -> None:
    """Write docs/results.md from the metrics of full runs."""
    with user_errors(as_json):
        from neurosleep.experiments import results_page, write_whole

        page, rows = results_page(folder)
        write_whole(out, page)
        emit({"file": str(out), "rows": rows}, as_json, lambda r: print(f"{r['file']}: {r['rows']} rows"))
