"""docs/results, generated from the metrics of full runs; nothing in it is typed by hand."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from neurosleep.experiments.markdown import plain_text
from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.published_figures import REPORTED
from neurosleep.experiments.reproduction.sections import Section
from neurosleep.experiments.results.changes_table import changes_lines
from neurosleep.experiments.results.chip_tables import chip_lines
from neurosleep.experiments.results.collect import metrics_by_folder
from neurosleep.experiments.results.epochs_table import epochs_lines
from neurosleep.experiments.results.first import alternative, panel, panel_rows, sentences
from neurosleep.experiments.results.guard_table import guard_lines
from neurosleep.experiments.results.layout import Page, Table, load_pages
from neurosleep.experiments.results.rows import ResultRow, rows_of
from neurosleep.experiments.results.tables import table_lines, with_links

__all__ = ["results_pages"]

_MADE = "<!-- Made by `neurosleep results` from the metrics under results/. -->"
_READING = """<details markdown="1">
<summary>How to read the tables</summary>

Accuracy over all classes after the last task, mean ± standard deviation. *n*: reported seeds, of 0 to 9, that were run
and did not diverge; *at chance*: runs that end no better than to name the most frequent class every time. *Verdict*:
ours against the published mean: within its standard deviation (sd) or, where none is stated, within 1 point; else
short or above. *Elsewhere*: what others report in the same protocol. *Settings*: default (of the experiment), or of a
search on the validation split; a baseline that was not searched is *untuned*. *Stored examples*: whether the method
uses stored images of earlier tasks (no: exemplar-free). *Bounds*: sequential and joint training of the same data.
Further seeds are never mixed with the reported ones. Ten seeds are aimed at where a run takes under five minutes, five
under twenty; where there are fewer, processor time was what limited them (times are in the folded tables).

</details>"""

_Placed = list[tuple[Table, list[ResultRow]]]


def _slug(title: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())


def _sections(folder: Path, runs: Mapping[Path, Metrics]) -> dict[Page, list[Section]]:
    """The tables and figures of papers on each page, those with a run."""
    by_key = {(run["experiment"], run["variant"], run["strategy"], run["seed"]): run for run in runs.values()}
    of_page = {page: [Section(name, folder, by_key) for name in page.figures] for page in load_pages()}
    return {page: [one for one in sections if one.is_made] for page, sections in of_page.items()}


def _without_figures(rows: Sequence[ResultRow], sections: Iterable[Section]) -> list[ResultRow]:
    """The rows of tables: not those whose runs were made for a figure, and stand there.

    Those are the runs of experiments that no table names, and such of changed settings.
    """
    named = {name for page in load_pages() for table in page.tables for name in table.experiments}
    shown = {(key[:3], section.reproduction.kind) for section in sections for key in section.read}
    return [
        row
        for row in rows
        for place in [(row.experiment, row.variant, row.strategy)]
        if not any(
            key == place and (row.experiment not in named or (row.variant_name.changes and kind != "table"))
            for key, kind in shown
        )
    ]


def _placed(rows: Sequence[ResultRow], sections: Mapping[Page, list[Section]]) -> dict[Page, _Placed]:
    """The tables of each page with their rows; what no table names ends its group's page, or the last."""
    pages = load_pages()
    named = {name for page in pages for table in page.tables for name in table.experiments}
    placed: dict[Page, _Placed] = {}
    for page in pages:
        tables = list(page.tables)
        for experiment in dict.fromkeys(row.experiment for row in rows):
            group = experiment.partition("/")[0]
            home = group if group in {other.name for other in pages} else pages[-1].name
            if experiment not in named and home == page.name:
                tables.append(Table(experiment, (experiment,)))
        members = [(table, [row for row in rows if row.experiment in table.experiments]) for table in tables]
        members = [(table, own) for table, own in members if own]
        if members or sections[page]:
            placed[page] = members
    return placed


def _added(table: Table, rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Homeostatic sleep of the same data: alone, and with each method that the table has too."""
    candidates = (row for row in rows if (row.experiment, row.variant) == (table.sleep, "default"))
    slept = (row for row in candidates if "sleep" in row.parts and "src" not in row.parts)
    return [replace(row, ours_only=True) for row in sorted(slept, key=lambda row: len(row.parts))]


def _page(
    page: Page,
    placed: _Placed,
    sections: Sequence[Section],
    rows: Sequence[ResultRow],
    runs: Mapping[Path, Metrics],
) -> str:
    source = f"{with_links(page.source)}. " if page.source else ""
    lines = [_MADE, "", f"# {plain_text(page.title)}", "", source + page.text, "", _READING]
    for table, own in placed:
        lines += ["", f"## {plain_text(table.title)}"]
        reported = [run for run in runs.values() if run["experiment"] in table.experiments and run["seed"] in REPORTED]
        if on_chips := chip_lines(reported):
            lines += [*on_chips, "", "### The networks", ""]
        if table.against:
            lines += ["", *changes_lines(table, runs.values())]
        else:
            lines += ["", *table_lines(own, _added(table, rows)), *epochs_lines(reported)]
    for section in sections:
        lines += section.lines()
    if page.name == load_pages()[-1].name:
        lines += _guard(runs)
    return "\n".join(lines) + "\n"


def _guard(runs: Mapping[Path, Metrics]) -> list[str]:
    """What the guard foretold, experiment by experiment."""
    lines: list[str] = []
    for experiment in sorted({run["experiment"] for run in runs.values()}):
        of_experiment = (run for run in runs.values() if run["experiment"] == experiment and run["seed"] in REPORTED)
        if table := guard_lines(of_experiment):
            lines += ["", f"## The guard in {plain_text(experiment)}", *table]
    return lines


def _first(placed: Mapping[Page, _Placed], rows: Sequence[ResultRow]) -> tuple[str, dict[str, bytes]]:
    """The first page and its figures."""
    figures: dict[str, bytes] = {}
    links, panels = [], []
    for page, tables in placed.items():
        for table, own in tables:
            drawn = panel_rows(table, own, _added(table, rows)) if table.panel else []
            if not drawn:
                continue
            panels.append((table, own, _added(table, rows)))
            name = f"{_slug(table.panel)}.svg"
            figures[name] = panel(table, own, _added(table, rows))
            links.append(f"[![{alternative(table, drawn)}]({name})]({page.name}.md#{_slug(table.title)})")
    lines = ["---", "hide: [toc]", "---", "", _MADE, "", "# Results", ""]
    lines += ['<div class="ns-first" markdown="1">', "", " ".join(sentences(panels)), "", "</div>", ""]
    lines += ['<div class="ns-panels" markdown="1">', "", *links, "", "</div>", ""]
    lines.append("Tables: " + " · ".join(f"[{plain_text(page.title)}]({page.name}.md)" for page in placed))
    return "\n".join(lines) + "\n", figures


def results_pages(folder: Path) -> tuple[dict[str, str | bytes], int]:
    """The pages of results by file name, Markdown and SVG, and their number of rows, from the metrics below ``folder``.

    ``index.md`` has a figure for each data set; the others have the tables and figures of a paper each. Figures that
    are made of analyses read them beside the metrics.

    Raises
    ------
    RunFolderError
        If there are none, or some cannot be read.

    See Also
    --------
    collect_metrics : the metrics themselves

    Examples
    --------
    >>> from pathlib import Path
    >>> from neurosleep.experiments import results_pages
    >>> pages, rows = results_pages(Path("results"))  # doctest: +SKIP
    >>> print(pages["src2022.md"])  # doctest: +SKIP
    """
    runs = metrics_by_folder(folder)
    rows = rows_of(runs)
    sections = _sections(folder, runs)
    every = list(itertools.chain(*sections.values()))
    of_tables = _without_figures(rows, every)
    placed = _placed(of_tables, sections)
    first, figures = _first(placed, rows)
    pages = {f"{page.name}.md": _page(page, tables, sections[page], rows, runs) for page, tables in placed.items()}
    figures |= {section.picture_name: section.picture() for section in every}
    return {"index.md": first, **pages, **figures}, len(rows)
