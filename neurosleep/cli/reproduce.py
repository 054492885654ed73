"""``neurosleep reproduce``: the tables and figures of the papers."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosleep._reproductions import load_reproduction, reproduction_names
from neurosleep.cli._board import show_progress
from neurosleep.cli._text import print_table
from neurosleep.cli.errors import fail, interruptible, user_errors
from neurosleep.cli.options import WHERE, Data, Json, Out, emit

if TYPE_CHECKING:
    from neurosleep.experiments.reproduction.make import Made, Plan

__all__ = ["reproduce"]


def reproduce(
    name: Annotated[str | None, typer.Argument(help="A table or figure; without it, all are listed.")] = None,
    *,
    data: Data = None,
    out: Out = Path("runs"),
    jobs: Annotated[
        int, typer.Option(help="How many runs go side by side, one thread each.", rich_help_panel=WHERE)
    ] = 1,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="The small version, in minutes: fewer seeds and images."),
    ] = False,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds, from 0; else as many as the list says.")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler (tcp:// or tls://) whose workers run what is missing.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Reproduce a table or figure of a paper: run what is missing, write it beside what is published."""
    again = "the same command again continues where it stopped"
    with interruptible(as_json, again), user_errors(as_json):
        if name is None:
            emit({"reproductions": _listed(data)}, as_json, _show_list)
            return
        # Before anything heavy is imported.
        load_reproduction(name)
        from neurosleep._checks import check_count
        from neurosleep.experiments.reproduction.make import make, plan
        from neurosleep.experiments.reproduction.requests import Asked

        check_count("--jobs", jobs)
        folder = data or os.environ.get("NEUROSLEEP_DATA")
        to_make = plan(name, Asked(folder, str(out), seeds, quick, shlex.join(["neurosleep", *sys.argv[1:]])))
        labels = [(f"{r.strategy}, seed {r.seed}", f"{r.experiment}, {r.variant}") for r in to_make.to_run]
        if not as_json:
            print(_before(to_make), file=sys.stderr)
        with show_progress(labels, silent=as_json) as report:
            made = make(to_make, jobs=jobs, scheduler=scheduler, report=report)
        if made.error is None:
            emit(made.content, as_json, lambda _: _show(made))
        else:
            if not as_json:
                _show(made)
            fail(made.error, as_json, made.content)


def _listed(data: str | None) -> list[dict[str, Any]]:
    """What there is, with what it takes and whether its data is at hand."""
    from neurosleep.data import at_hand

    rows = []
    for name in reproduction_names():
        one = load_reproduction(name)
        rows.append(
            {
                "name": name,
                "paper": one.paper,
                "place": one.place,
                "what": one.title,
                "runs": one.runs,
                "minutes": round(one.minutes, 1),
                "minutes_quick": one.quick.minutes,
                "data": list(one.data),
                "missing": [needed for needed in one.data if not at_hand(needed, data)],
            }
        )
    return rows


def _show_list(result: dict[str, Any]) -> None:
    """Two lines each, since names may not be broken: what it takes, and what it is."""
    rows = result["reproductions"]
    longest = max(len(row["name"]) for row in rows)
    wide = max(60, min(120, shutil.get_terminal_size().columns))
    lines = [f"{'name':<{longest + 2}}  runs  minutes (quick)  data"]
    for paper in dict.fromkeys(row["paper"] for row in rows):
        lines += ["", paper]
        for row in (row for row in rows if row["paper"] == paper):
            minutes = f"{row['minutes']:.0f} ({row['minutes_quick']:.0f})"
            lines.append(f"  {row['name']:<{longest}}  {row['runs']:>4}  {minutes:>15}  {_data_text(row)}")
            what = f"{row['place']}: {row['what']}" if row["place"] else row["what"]
            what = what[0].upper() + what[1:]
            lines += textwrap.wrap(what, wide, initial_indent="      ", subsequent_indent="      ")
    lines += [
        "",
        "Minutes of one processor, all runs (--quick).",
        "neurosleep reproduce NAME --data DIR --out OUT makes one.",
    ]
    print("\n".join(lines))


def _data_text(row: dict[str, Any]) -> str:
    if not row["data"]:
        return "none needed"
    if not row["missing"]:
        return "here"
    return "not here: " + ", ".join(name.removeprefix("features:") for name in row["missing"])


def _before(to_make: Plan) -> str:
    """What is about to be done, in a line or two."""
    done, left = len(to_make.done), len(to_make.to_run)
    lines = [f"{left} runs to make, {done} done already."]
    lines += [f"Left out, since {name} is not at hand: {reason}" for name, reason in to_make.missing.items()]
    return "\n".join(lines)


def _show(made: Made) -> None:
    from neurosleep.experiments.reproduction.page import table_of

    for part in dict.fromkeys(row.part for row in made.rows):
        print_table(part, *table_of([row for row in made.rows if row.part == part]))
    for row in made.relations:
        print(f"{row.relation.text} Ours: {row.verdict}.")
    for sentence in made.content["sentences"]:
        print(sentence)
    folder = Path(made.content["files"][0]).parent
    print(f"Written into {folder}: {', '.join(Path(file).name for file in made.content['files'])}")
