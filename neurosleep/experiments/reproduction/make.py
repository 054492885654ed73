"""Making a table or figure: run what is missing, gather what there is, write it down."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosleep import plot
from neurosleep._files import check_folder
from neurosleep._reproductions import Reproduction, load_reproduction
from neurosleep.errors import DataError, NeurosleepError, RunsFailedError
from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.reproduction.figures import draw
from neurosleep.experiments.reproduction.page import as_csv, as_json, as_markdown, commands_of, csv_text
from neurosleep.experiments.reproduction.requests import Asked, as_asked, data_of, entries_of, missing_data
from neurosleep.experiments.reproduction.rows import RelationRow, Row, RunKey, key_of, relation_rows, rows_of
from neurosleep.experiments.reproduction.savings import saved_rows
from neurosleep.experiments.run.many import run_experiment
from neurosleep.experiments.run_folder import write_whole

__all__ = ["Made", "Plan", "make", "plan"]


class Plan:
    """What is to be made: the runs of each row, those that are missing, and the data that are not to be had."""

    def __init__(self, reproduction: Reproduction, asked: Asked) -> None:
        self.reproduction = as_asked(reproduction, asked)
        self.asked = asked
        self.folder = Path(asked.out, "reproduced", *reproduction.name.split("/"))
        if asked.quick:
            self.folder = self.folder.with_name(f"{self.folder.name}-quick")
        self.entries = entries_of(self.reproduction, asked)
        self.missing = missing_data(self.entries, asked.data)
        every = {key_of(request): request for entry in self.entries for request in entry.requests}
        self.done = {key: request for key, request in every.items() if request.folder.finished}
        self.to_run = [
            request
            for key, request in every.items()
            if key not in self.done and not set(data_of(request)) & set(self.missing)
        ]


def plan(name: str, asked: Asked) -> Plan:
    """Find everything that is wrong with what is asked for before any work.

    Raises
    ------
    NeurosleepError
        If there is no such table or figure, an option makes no sense, or nothing of it can be made.
    """
    made = Plan(load_reproduction(name), asked)
    check_folder(made.folder, "choose another --out")
    if not made.done and not made.to_run:
        raise DataError(
            f"Nothing of {name!r} can be made: none of its data is at hand.",
            found="; ".join(f"{data}: {reason}" for data, reason in made.missing.items()),
            expected="a folder with the data sets",
            hint="--data DIR names it; docs/how-to/data.md says what lies where",
        )
    return made


@dataclass(frozen=True)
class Made:
    """The results: as plain values, as rows, and which files were written; ``error`` if runs have failed."""

    content: dict[str, Any]
    rows: list[Row]
    relations: list[RelationRow]
    error: RunsFailedError | None


def make(
    made: Plan,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    report: Callable[[int, str], None] = lambda number, text: None,
) -> Made:
    """Run what is missing, and write table and picture of all that is done; runs that fail leave gaps in it.

    Raises
    ------
    NeurosleepError
        Before anything is written, if a run cannot be made.
    """
    errors: dict[RunKey, str] = {}
    runs: dict[RunKey, Metrics] = {}
    failure: RunsFailedError | None = None
    if made.to_run:
        try:
            finished = run_experiment(made.to_run, jobs=jobs, scheduler=scheduler, report=report)
        except RunsFailedError as error:
            failure, finished = error, error.runs
            for name, reason in error.failures:
                errors[name["experiment"], name["variant"], name["strategy"], name["seed"]] = _short(reason)
        runs |= {(run["experiment"], run["variant"], run["strategy"], run["seed"]): run for run in finished}
    runs |= {key: request.folder.metrics() for key, request in made.done.items()}
    return _write(made, runs, errors, failure)


def _short(error: Exception) -> str:
    return error.message if isinstance(error, NeurosleepError) else f"{type(error).__name__}: {error}"


def _write(made: Plan, runs: dict[RunKey, Metrics], errors: dict[RunKey, str], failure: RunsFailedError | None) -> Made:
    reproduction, entries = made.reproduction, made.entries
    rows = rows_of(reproduction, entries, runs, made.missing, errors)
    if reproduction.kind == "epochs-saved":
        rows += saved_rows(reproduction, rows)
    relations = relation_rows(reproduction, rows)
    commands = commands_of(entries)
    figure, shown = draw(reproduction, entries, rows, runs)
    content = as_json(reproduction, rows, relations, commands)
    content |= {"quick": made.asked.quick, "missing": dict(made.missing)}
    files: dict[str, str | bytes] = {
        "table.md": as_markdown(reproduction, rows, relations, commands),
        "table.json": json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        "table.csv": as_csv(rows),
        "figure.svg": plot.to_svg_bytes(figure),
        "figure.png": plot.to_png_bytes(figure, dpi=120),
        "figure.csv": csv_text(shown),
    }
    for name, text in files.items():
        write_whole(made.folder / name, text)
    content["files"] = [str(made.folder / name) for name in files]
    return Made(content, rows, relations, failure)
