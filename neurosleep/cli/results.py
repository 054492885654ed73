"""``neurosleep results``: the pages of results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import Json, emit

__all__ = ["results"]


def results(
    folder: Annotated[Path, typer.Argument(help="Folder of run folders.")] = Path("results"),
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("docs/results"),
    as_json: Json = False,
) -> None:
    """Write docs/results from the metrics of full runs: a first page, and the tables and figures of each paper."""
    with user_errors(as_json):
        from neurosleep.experiments import results_pages, write_whole

        pages, rows = results_pages(folder)
        for name, content in pages.items():
            write_whole(out / name, content)
        answer = {"file": str(out / "index.md"), "files": len(pages), "rows": rows}
        emit(answer, as_json, lambda r: print(f"{r['file']}: {r['rows']} rows on {r['files']} pages and figures"))
