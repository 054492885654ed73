"""From run folders to one HTML file; whatever a run folder lacks is said in it."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from neurosleep import plot
from neurosleep.errors import RunFolderError
from neurosleep.experiments.report.analyses import analyses_of
from neurosleep.experiments.report.compared import Compared, compared_sections
from neurosleep.experiments.report.figures import (
    FIGURES,
    animation_of,
    run_image,
    write_animation,
)
from neurosleep.experiments.report.group import Group, draw_group, groups_of
from neurosleep.experiments.report.images import Budget, as_csv
from neurosleep.experiments.report.read import Run, read_run, run_folders
from neurosleep.experiments.report.run_figure import RunFigure
from neurosleep.experiments.report.sections import Report, Section, sections_of, source, templates
from neurosleep.experiments.report.sweep import sweeps_of
from neurosleep.experiments.run_folder import write_whole

__all__ = ["write_animations", "write_comparison", "write_report", "write_run_figures"]

# Up to so many runs, each shows all its figures; of more, only the first seed of each strategy shows all.
FEW_RUNS = 4
# Further seeds that have a figure of their own; each takes a third of a second, and of hundreds nobody opens all.
MOST_FURTHER = 60
# Together, with the tables, below 5 MB.
IMAGE_BYTES = 2_800_000
TEXT_BYTES = 1_000_000


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into ``folder``: everything the runs below it found, in one file for offline reading.

    Parameters
    ----------
    folder:
        An output folder, or any level below it down to a single run folder.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    RunFolderError
        If there is no run in the folder, or the report cannot be written there.

    See Also
    --------
    write_run_figures : the figures of one run
    summarise : the numbers

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from neurosleep.experiments import RunRequest, load_settings, run_one, write_report
    >>> name, settings = load_settings("src2022/patches", strategy="sequential")
    >>> with tempfile.TemporaryDirectory() as out:
    ...     metrics = run_one(RunRequest(name, "default", "sequential", 0, settings, data=None, out=out))
    ...     print(write_report(Path(out)).name)
    report.html
    """
    folder = Path(folder)
    runs = _runs(folder)
    images, texts = Budget(IMAGE_BYTES), Budget(TEXT_BYTES)
    colours = plot.strategy_colours(run.strategy for run in runs)
    groups = groups_of(runs)
    sweeps = sweeps_of(groups, images)
    report = Report(folder.resolve().name, [run for group in groups for run in group.runs], groups, sweeps, texts)
    for group in report.alone:
        draw_group(group, colours, images)
    _draw_runs(groups, images)
    path = folder / "report.html"
    _write_page(path, report, sections_of(report))
    return path


def write_comparison(folder: Path, other: Path) -> Path:
    """Write ``compared.html`` into ``other``: its runs beside those of ``folder``.

    In which settings the two differ, and each strategy's accuracies, with Student's paired test on the seeds that both
    have. Groups of runs belong together if experiment, evaluation split and variant are equal, or if each folder has
    one variant only.

    Parameters
    ----------
    folder, other:
        Two output folders.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    RunFolderError
        If there is no run in one of the folders, if they are the same, or if the page cannot be written.

    See Also
    --------
    write_report : the page on one folder
    neurosleep.analysis.paired_test : the test

    Examples
    --------
    >>> from pathlib import Path
    >>> from neurosleep.experiments import write_comparison
    >>> write_comparison(Path("out"), Path("out-with-longer-sleep"))  # doctest: +SKIP
    """
    folder, other = Path(folder), Path(other)
    if folder.resolve() == other.resolve():
        raise RunFolderError(
            "A folder cannot be compared with itself.", found=str(folder), expected="two output folders"
        )
    groups = [groups_of(_runs(each)) for each in (folder, other)]
    names = folder.resolve().name, other.resolve().name
    # Folders of one name, such as a/out and b/out, are told apart by where they lie.
    if names[0] == names[1]:
        names = str(folder), str(other)
    compared = Compared(names, (groups[0], groups[1]))
    path = other / "compared.html"
    _write_page(path, compared, compared_sections(compared, Budget(IMAGE_BYTES)))
    return path


def _write_page(path: Path, report: Report | Compared, sections: Sequence[Section]) -> None:
    script = source("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    html = (
        templates()
        .get_template("report.html.j2")
        .render(
            report=report,
            sections=sections,
            style=Markup(source("report.css")),
            script=Markup(script),
            digest=digest,
        )
    )
    write_whole(path, html.encode("utf-8", errors="replace"))


def _runs(folder: Path) -> list[Run]:
    if not os.path.isdir(folder):
        raise RunFolderError(
            f"There is no folder {str(folder)!r}.",
            expected="the output folder of neurosleep run",
            hint="check the path",
        )
    runs = [read_run(path, folder) for path in run_folders(folder)]
    if not runs:
        raise RunFolderError(
            f"There is no run in {str(folder)!r}.",
            found="no metrics.json in it or below",
            expected="folders such as <experiment>/<variant>/<strategy>/seed0 with a metrics.json",
            hint="give the folder named with --out when the experiment was run",
        )
    return runs


def write_run_figures(run_folder: Path) -> list[Path]:
    """Draw one run: ``figures/accuracy.png``, ``raster.png``, … and the data of each as a CSV file of the same stem.

    A figure whose data the run does not have is left out.

    Parameters
    ----------
    run_folder:
        A folder with what one run wrote.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    RunFolderError
        If it is no run folder or cannot be written to.

    See Also
    --------
    write_report : which calls it

    Examples
    --------
    >>> from pathlib import Path
    >>> from neurosleep.experiments import write_run_figures
    >>> write_run_figures(Path("out/src2022/mnist/default/src/seed0"))  # doctest: +SKIP
    """
    run_folder = Path(run_folder)
    if not any((run_folder / name).is_file() for name in ("metrics.json", "config.toml", "accuracy.csv")):
        raise RunFolderError(
            f"{str(run_folder)!r} is no run folder.",
            found="neither metrics.json nor config.toml nor accuracy.csv",
            expected="a folder such as <experiment>/<variant>/<strategy>/seed0",
        )
    run = read_run(run_folder, run_folder)
    written = []
    for figure in FIGURES:
        if figure.there(run):
            stem = run_folder / "figures" / figure.name
            columns, rows = figure.table(run)
            for path, content in (
                (stem.with_suffix(".png"), figure.png(run)),
                (stem.with_suffix(".csv"), as_csv(rows, columns)),
            ):
                write_whole(path, content)
                written.append(path)
    return written


def write_animations(folder: Path) -> list[Path]:
    """Write ``figures/sleep.gif`` and ``sleep.csv`` of the first seed of each strategy whose spikes were recorded.

    :func:`write_report` shows them from then on. Where the program ffmpeg is installed, ``sleep.mp4`` lies beside them.

    Parameters
    ----------
    folder:
        An output folder, or any level below it down to a single run folder.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    RunFolderError
        If there is no run in the folder, or a file cannot be written.

    See Also
    --------
    write_report : which shows them
    neurosleep.plot.animate_sleep : one animation

    Examples
    --------
    >>> from pathlib import Path
    >>> from neurosleep.experiments import write_animations
    >>> write_animations(Path("out"))  # doctest: +SKIP
    """
    written = []
    for group in groups_of(_runs(Path(folder))):
        for members in group.by_strategy.values():
            # The first that holds a sleep phase stands for the others.
            written += next(filter(None, map(write_animation, members)), [])
    return written


@dataclass
class _Wanted:
    run: Run
    figures: Sequence[RunFigure]
    analyses: bool


def _draw_runs(groups: Sequence[Group], budget: Budget) -> None:
    """Give the runs their figures, the first seed of each strategy before all others, as long as there is room."""
    first: list[_Wanted] = []
    later: list[_Wanted] = []
    few = sum(len(group.runs) for group in groups) <= FEW_RUNS
    for group in groups:
        for members in group.by_strategy.values():
            # The first that has anything to show stands for the others.
            example = next((run for run in members if run.accuracy or run.firing), members[0])
            for run in members:
                full = few or run is example
                (first if full else later).append(_Wanted(run, FIGURES if full else FIGURES[:1], full))
    for wanted in first + later[:MOST_FURTHER]:
        _draw_run(wanted, budget)
    for wanted in later[MOST_FURTHER:]:
        wanted.run.spikes = None
        wanted.run.notes.append("Its figure is left out, as of most of so many runs.")
    for wanted in first:
        wanted.run.analyses, missing = analyses_of(wanted.run, budget)
        wanted.run.animation = animation_of(wanted.run, budget)
        if missing:
            total = len(wanted.run.analyses) + missing
            wanted.run.notes.append(
                f"{missing} of {total} figures of analyses are left out to keep this file small; they are in figures/."
            )


def _draw_run(wanted: _Wanted, budget: Budget) -> None:
    run = wanted.run
    for figure in wanted.figures:
        if not figure.there(run):
            continue
        made = run_image(figure, run, budget) if budget.room else None
        if made is None:
            run.notes.append(f"The figure {figure.name} is left out to keep this file small.")
        else:
            run.images.append(made)
    # The spikes of a long sleep take much memory.
    run.spikes = None
