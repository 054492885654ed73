"""The sections of the page, one function each; a new one is written here and put into :data:`SECTIONS`."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neurosleep.errors import NeurosleepError
from neurosleep.experiments.changes import changes_between
from neurosleep.experiments.plain import flatten, number
from neurosleep.experiments.reading import load_settings
from neurosleep.experiments.report.analyses import headed
from neurosleep.experiments.report.chips import chip_images, chip_sentences, chip_tables
from neurosleep.experiments.report.group import Group, is_accuracy
from neurosleep.experiments.report.growth import stream_table
from neurosleep.experiments.report.head import head_facts
from neurosleep.experiments.report.images import Budget
from neurosleep.experiments.report.numbers import DASH, counted, percent, plain, seconds, show
from neurosleep.experiments.report.paired import paired_table
from neurosleep.experiments.report.read import Run, matrix_of
from neurosleep.experiments.report.sweep import Sweep
from neurosleep.experiments.report.table import Cell, Table, accuracies, one_number, one_percent, words
from neurosleep.experiments.report.terms import terms_in

__all__ = ["SECTIONS", "Report", "Section", "sections_of", "source", "templates", "terms"]

LONGEST_TEXT = 20_000
# Up to so many groups, each has its verdict at the top; of more, there is one table.
FEW_GROUPS = 6
MOST_NOTES = 200
CHIP_BYTES = 400_000


@dataclass
class Report:
    """What the page is about."""

    name: str
    runs: list[Run]
    groups: list[Group]
    sweeps: list[Sweep]
    texts: Budget

    @property
    def counts(self) -> str:
        """How many runs there are, by how they ended."""
        states = Counter(run.status for run in self.runs)
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return f"{counted(len(self.runs), 'run')}: {told}."

    @property
    def head(self) -> str:
        """When, with what, where and how long."""
        return "; ".join(head_facts(self.runs))

    @property
    def alone(self) -> list[Group]:
        """The groups that are no points of a sweep."""
        points = {id(group) for sweep in self.sweeps for groups in sweep.groups.values() for group in groups}
        return [group for group in self.groups if id(group) not in points]


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own, by which the contents name it."""

    anchor: str
    title: str
    html: Markup


@cache
def templates() -> Environment:
    """The templates of this room."""
    made = Environment(
        loader=PackageLoader("neurosleep.experiments"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = breakable
    return made


def breakable(text: object) -> Markup:
    """A text that may be long and without spaces, with places where a line may end."""
    parts = re.split(r"(?<=[,/=])", str(text))
    return Markup("<wbr>").join(parts)


def source(name: str) -> str:
    """A template as it is written."""
    environment = templates()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def render(name: str, **values: Any) -> Markup:
    """One template of the folder ``sections`` with these values."""
    return Markup(templates().get_template(f"sections/{name}.html.j2").render(**values))


def sections_of(report: Report) -> list[Section]:
    """All sections that have something to say, in their order."""
    # Notes may be made while the others are written.
    made = {section: section(report) for section in SECTIONS if section is not missing} | {missing: missing(report)}
    parts = [part for section in SECTIONS for part in made[section]]
    return [*parts, *terms(parts, [run.strategy for run in report.runs])]


def terms(parts: Sequence[Section], strategies: Sequence[str]) -> list[Section]:
    """What the words of the other parts mean, folded."""
    found = terms_in([part.html for part in parts], strategies)
    return [Section("terms", "Glossary", render("terms", terms=found))] if found else []


# --- the results ------------------------------------------------------------------------------------------------------


def verdict(report: Report) -> list[Section]:
    """The outcome in words, from the numbers."""
    alone = report.alone
    few = len(alone) <= FEW_GROUPS
    html = render(
        "verdict", sweeps=report.sweeps, groups=alone if few else [], overview=None if few else _overview(alone)
    )
    return [Section("verdict", "Results", html)]


def _overview(groups: Sequence[Group]) -> Table:
    rows = []
    for group in groups:
        for name, values in group.scores.items():
            row = [words(group.title, group.anchor), words(name), Cell(str(len(values)), len(values), True)]
            rows.append([*row, accuracies(values), group.above_sequential(name)])
    caption = "Accuracy over all classes after the last task: mean ± standard deviation over seeds"
    return Table(caption, ["Experiment and variant", "Strategy", "Seeds", "Accuracy", "Above sequential"], rows)


def missing(report: Report) -> list[Section]:
    """What is not there or does not count, each once."""
    notes: dict[str, list[Run]] = {}
    for run in report.runs:
        for note in dict.fromkeys(run.notes):
            notes.setdefault(note, []).append(run)
    if not notes:
        return []
    told = [(note, _whose(members, report.runs).removeprefix("of ")) for note, members in notes.items()]
    calm = all(run.status == "done" for run in report.runs)
    html = render("missing", notes=told[:MOST_NOTES], total=len(told), calm=calm)
    return [Section("missing", "Notes", html)]


def asked(report: Report) -> list[Section]:
    """The configuration: experiment, changes, strategies, seeds, data, network."""
    rows = []
    for group, variant in _told_variants(report):
        run = next((run for run in group.runs if run.settings), group.runs[0])
        network = run.settings.get("network", {})
        sizes = network.get("sizes") if isinstance(network, dict) else None
        sleep = run.settings.get("sleep")
        # The settings of sleep are those of SRC; others make none of these steps.
        replays = any("src" in name.split("+") for name in group.by_strategy)
        steps = sleep.get("steps") if isinstance(sleep, dict) and replays else None
        rows.append(
            [
                words(group.experiment),
                words(variant),
                words(", ".join(sorted(group.by_strategy))),
                words(_seeds(group)),
                words(group.split or DASH),
                words(show(run.metrics.get("data"))),
                words("-".join(map(str, sizes)) if isinstance(sizes, list) else DASH),
                one_number(number(steps)) if number(steps) is not None else words(DASH),
            ]
        )
    columns = [
        "Experiment",
        "Variant",
        "Strategies",
        "Seeds",
        "Evaluation split",
        "Data",
        "Network",
        "Steps per sleep phase",
    ]
    table = Table("One row for each experiment and variant", columns, rows)
    return [Section("asked", "Configuration", render("asked", table_of=table, changes=_changes(report)))]


def _told_variants(report: Report) -> list[tuple[Group, str]]:
    """The groups that stand for themselves with their variants; of each sweep its first, with what it goes through."""
    firsts = [(next(iter(sweep.groups[min(sweep.groups)])), sweep.span) for sweep in report.sweeps]
    return firsts + [(group, group.variant.replace(",", ", ")) for group in report.alone]


def _seeds(group: Group) -> str:
    seeds = list(dict.fromkeys(run.seed for run in group.runs))
    return ", ".join(seeds) if len(seeds) <= 5 else f"{seeds[0]} to {seeds[-1]} ({len(seeds)})"


def _changes(report: Report) -> list[Table]:
    """The settings in which each variant differs from the experiment as it is shipped."""
    tables: dict[str, Table] = {}
    for group, variant in _told_variants(report):
        run = next((run for run in group.runs if run.settings), None)
        if run is None:
            continue
        try:
            own = load_settings(group.experiment)[1]
            changed = changes_between(own, run.settings)
        # An experiment of the user's own, or one of another version.
        except (NeurosleepError, KeyError, TypeError, AttributeError):
            continue
        flat = flatten(own.table())
        rows = [[words(key), words(show(value)), words(show(flat.get(key)))] for key, value in changed]
        size = sum(len(cell.text) + 20 for row in rows for cell in row)
        if rows and report.texts.take(size):
            caption = f"Settings of {group.experiment} that were changed: {variant}"
            tables.setdefault(caption, Table(caption, ["Setting", "Here", "As shipped"], rows))
    return list(tables.values())


# --- the runs ---------------------------------------------------------------------------------------------------------


def sweeps(report: Report) -> list[Section]:
    """A picture, a table and the folded points of each sweep."""
    return [
        Section(
            f"sweep-{k}",
            sweep.title,
            render(
                "sweep",
                sweep=sweep,
                points=[
                    (f"{sweep.label} {value:g}", group, _group_html(report, group, told=False))
                    for value, groups in sorted(sweep.groups.items())
                    for group in groups
                ],
            ),
        )
        for k, sweep in enumerate(report.sweeps, start=1)
    ]


def chips(report: Report) -> list[Section]:
    """What is left of the networks on chips."""
    if not any(isinstance(run.metrics.get("hardware"), list) for run in report.runs):
        return []
    html = render(
        "chips",
        sentences=chip_sentences(report.runs),
        images=chip_images(report.runs, Budget(CHIP_BYTES)),
        tables=chip_tables(report.runs),
    )
    return [Section("chips", "On chips", html)]


def groups(report: Report) -> list[Section]:
    """Strategies compared, and every run."""
    told = len(report.alone) <= FEW_GROUPS
    return [Section(group.anchor, group.title, _group_html(report, group, told=told)) for group in report.alone]


def _group_html(report: Report, group: Group, *, told: bool) -> Markup:
    """A group; ``told`` says whether its verdict stands at the top of the page."""
    few = len(report.runs) <= 4
    for run in group.runs:
        run.facts = _facts(run, report.texts) if _told_alone(run, few) else []
    # The best strategy first, as in the tables.
    runs = [run for members in group.by_strategy.values() for run in members if _told_alone(run, few)]
    return render(
        "group",
        group=group,
        few=few,
        verdict=[] if told else group.verdict,
        runs=runs,
        # Of many, one that shows a sleep phase is unfolded: the homeostatic one, where there are several.
        shown=min(
            (run for run in runs if any(picture.zoom for picture in run.images)),
            key=lambda run: run.strategy != "sleep",
            default=None,
        ),
        table_of=_runs_table(group) if len(group.runs) > 1 else None,
        matrix_of=_matrix,
        stream_of=stream_table,
        facts_of=_facts_table,
        headed=headed,
        paired=paired_table({name: group.ended(name) for name in group.by_strategy}),
    )


def _told_alone(run: Run, few: bool) -> bool:
    """Whether there is more to show of a run than its line in the table of all."""
    return few or bool(run.images or run.analyses or run.animation or run.metrics.get("stream"))


def _runs_table(group: Group) -> Table:
    """All runs of a group, a line each."""
    rows = []
    for run in group.runs:
        spent = run.metrics.get("seconds")
        total = number(spent.get("total")) if isinstance(spent, dict) else None
        score = number(run.metrics.get("accuracy_all"))
        rows.append(
            [
                words(run.name),
                words(run.status),
                one_percent(score),
                one_percent(number(run.metrics.get("forgetting_max_minus_last"))),
                Cell(seconds(total), total, True),
            ]
        )
    return Table(f"All runs of {group.title}", ["Run", "Status", "Accuracy", "Forgetting", "Time"], rows)


def _matrix(run: Run) -> Table | None:
    """Its accuracies on every task after every task."""
    matrix = matrix_of(run, "accuracy_matrix")
    if not matrix:
        return None
    width = max(len(row) for row in matrix)
    rows = [
        [words(after), *(Cell(percent(value, unit=""), value, True) for value in [*row, *[None] * (width - len(row))])]
        for after, row in enumerate(matrix, start=1)
    ]
    caption = f"{run.name}: accuracy in % on each task (columns) after each task (rows), after sleep where there is one"
    return Table(caption, ["After task", *(str(k + 1) for k in range(width))], rows)


def _facts_table(run: Run) -> Table:
    return Table(f"Numbers of {run.name}", ["What", "Value"], [[words(name), words(text)] for name, text in run.facts])


def _facts(run: Run, texts: Budget) -> list[tuple[str, str]]:
    """The numbers of one run."""
    metrics = run.metrics
    spent = metrics.get("seconds")
    spent = spent if isinstance(spent, dict) else {}
    facts = [
        ("Accuracy, all classes", percent(number(metrics.get("accuracy_all")))),
        ("Forgetting (best minus last)", percent(number(metrics.get("forgetting_max_minus_last")))),
        ("Forgetting (first minus last)", percent(number(metrics.get("forgetting_first_minus_last")))),
        ("Backward transfer", percent(number(metrics.get("bwt")))),
        ("Time in all", seconds(number(spent.get("total")))),
        ("Training", seconds(number(spent.get("train")))),
        ("Sleep", seconds(number(spent.get("sleep")))),
        ("Evaluation", seconds(number(spent.get("evaluate")))),
    ]
    facts += [
        (name.replace("_", " "), percent(value) if is_accuracy(name) else plain(value))
        for name, value in run.results.items()
    ]
    sleep = metrics.get("sleep")
    if isinstance(sleep, dict) and isinstance(sleep.get("steps"), list) and sleep["steps"]:
        facts.append(("Steps per sleep phase", ", ".join(f"{number(steps) or 0:,.0f}" for steps in sleep["steps"])))
    return [(name, text) for name, text in facts if text != DASH and texts.take(len(name) + len(text) + 40)]


# --- settings, environment, commands ----------------------------------------------------------------------------------


def settings(report: Report) -> list[Section]:
    """The settings files, each once."""
    files: dict[str, list[Run]] = {}
    for run in report.runs:
        if run.config:
            files.setdefault(run.config, []).append(run)
    shown = []
    for text, members in files.items():
        if len(text) <= LONGEST_TEXT and report.texts.take(len(text)):
            shown.append((_whose(members, report.runs), text))
        else:
            for run in members:
                run.notes.append("The settings are left out to keep this file small; they are in config.toml.")
    return [Section("settings", "Settings", render("settings", files=shown))] if shown else []


def environment(report: Report) -> list[Section]:
    """Versions and machines, each once."""
    by_facts: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in report.runs:
        rows: list[tuple[str, str]] = []
        for key, value in run.environment.items():
            if key == "versions" and isinstance(value, dict):
                rows += [(str(name), show(version)) for name, version in value.items()]
            elif key != "command":
                rows.append((str(key), show(value)))
        if rows:
            by_facts.setdefault(tuple(rows), []).append(run)
    tables = [
        Table(_whose(members, report.runs), ["What", "Value"], [[words(key), words(text)] for key, text in rows])
        for rows, members in by_facts.items()
        if report.texts.take(sum(len(key) + len(text) + 60 for key, text in rows))
    ]
    return [Section("environment", "Environment", render("environment", tables=tables))] if tables else []


def redo(report: Report) -> list[Section]:
    """The commands, each once."""
    commands: dict[str, list[Run]] = {}
    for run in report.runs:
        if run.command and len(run.command) <= LONGEST_TEXT:
            commands.setdefault(run.command, []).append(run)
    shown = [
        (_whose(members, report.runs), command)
        for command, members in commands.items()
        if report.texts.take(len(command) + 200)
    ]
    about = {what: shlex.join(["neurosleep", what, report.name]) for what in ("report", "cite")}
    return [Section("redo", "Reproduce", render("redo", commands=shown, **about))]


def _whose(members: Sequence[Run], runs: Sequence[Run]) -> str:
    """Which runs something is of."""
    if len(members) == len(runs):
        return "of the run" if len(runs) == 1 else f"of all {len(runs)} runs"
    names = [run.where for run in members[:3]]
    return "of " + ", ".join(names) + (f" and {counted(len(members) - 3, 'more run')}" if len(members) > 3 else "")


SECTIONS: tuple[Callable[[Report], list[Section]], ...] = (
    verdict,
    sweeps,
    chips,
    missing,
    asked,
    groups,
    settings,
    environment,
    redo,
)
"""The page from top to bottom. Each gives no, one or several sections."""
