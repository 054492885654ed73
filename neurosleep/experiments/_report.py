"""The report: run folders in, one HTML file out that needs nothing else to be read.

Whatever a run folder lacks is said in the report; only a folder without any run is refused.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import os
import re
import shlex
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neurosleep import plot
from neurosleep.errors import RunFolderError
from neurosleep.functional import SpikeEvents

__all__ = ["write_report", "write_run_figures"]

DEFAULT_DT = 0.001
RASTER_STEPS = 2000
# Up to so many runs, each shows all its figures; of more, only the first seed of each strategy shows all.
FEW_RUNS = 4
# Together, with the tables, below 5 MB.
IMAGE_BYTES = 3_200_000
TEXT_BYTES = 1_000_000
SMALLEST_IMAGE = 8_000
LONGEST_TEXT = 20_000
DASH = "–"

ACCURACY = ("after_task", "phase", "on_task", "accuracy")
FIRING = ("after_task", "population", "neurons", "start_step", "steps", "spikes")
COLUMNS = {
    "accuracy": ACCURACY,
    "rates": ("after_task", "population", "start_s", "seconds", "rate_hz"),
    "raster": ("population", "time_s", "neuron"),
}

# The figures that a run's analyses left beside their tables, in the order in which they are shown.
ANALYSES = {
    "class_correlation": "Correlation of the activities that two classes cause, before and after the last sleep",
    "correlation_change": "What the last sleep changed in the correlations within and between classes",
    "sparseness": "Sparseness of the activities before and after the last sleep",
    "representation_change": "How far the last sleep moved the activities of each class",
    "task_specific_firing": "Firing in sleep of the neurons that a class prefers, against random ones",
    "sleep_wake_similarity": "Likeness of the firing in sleep to the activity that each class causes awake",
    "input_drive": "Input to the neurons of old and new tasks before and after the last sleep",
    "weight_histogram": "Weights before and after the last sleep",
    "stable_rank": "Stable rank of the weights before and after the last sleep",
    "patch_drive": "Input from each image to the outputs of its own and of the other task",
    "patch_weights": "Weights from the pixels of one image, of several and of none",
    "settling": "How far the states still move in each step of the free phase",
    "state_trajectories": "States of single units through the free phase of one image",
    "activation_spread": "How active the units are after the free phase",
}
# A variant that is one point of a sweep, and what was changed beside it: fraction-0.01, k-100, overlap-12,analyse=true.
SWEEP = re.compile(r"(?P<label>[A-Za-z][A-Za-z_-]*)-(?P<value>\d+(\.\d+)?)(?P<rest>,.*)?")

Rows = list[dict[str, Any]]


@dataclass
class _Image:
    source: Markup
    alt: str
    caption: str


@dataclass
class _Run:
    """One run folder as far as it can be read; ``notes`` say what cannot."""

    folder: Path
    where: str
    metrics: dict[str, Any]
    environment: dict[str, Any]
    experiment: str
    variant: str
    strategy: str
    seed: str
    status: str
    notes: list[str] = field(default_factory=list)
    config: str = ""
    command: str = ""
    accuracy: Rows = field(default_factory=list)
    firing: Rows = field(default_factory=list)
    spikes: dict[str, SpikeEvents] | None = None
    spikes_after: int = 0
    images: list[_Image] = field(default_factory=list)
    analyses: list[_Image] = field(default_factory=list)
    matrix: list[tuple[str, list[str]]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    versions: list[tuple[str, str]] = field(default_factory=list)

    @property
    def dt(self) -> float:
        """Length of a step in seconds."""
        given = _number(self.environment.get("dt"))
        return given if given is not None and given > 0 else DEFAULT_DT

    @property
    def split(self) -> str:
        """Which images the run was judged on; empty where it does not say."""
        return str(self.metrics.get("split") or "")

    @property
    def results(self) -> dict[str, float | None]:
        """The run's named numbers."""
        given = self.metrics.get("results")
        if not isinstance(given, dict):
            return {}
        # What stands in a column of its own is not said twice.
        said = {"accuracy_all"} & self.metrics.keys()
        return {str(name): _number(value) for name, value in given.items() if name not in said}

    @property
    def score(self) -> float | None:
        """Accuracy over all classes as a fraction, of a finished run that did not diverge."""
        return _number(self.metrics.get("accuracy_all")) if self.status == "done" else None


@dataclass
class _Group:
    """The runs of one experiment, variant and split."""

    title: str
    anchor: str
    verdict: list[str]
    columns: list[str]
    table: list[list[str]]
    result_strategies: list[str]
    result_table: list[tuple[str, list[str]]]
    image: _Image | None
    runs: list[_Run]


@dataclass
class _Budget:
    left: int

    def take(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True


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
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunFolderError(
            f"There is no folder {str(folder)!r}.",
            expected="the output folder of neurosleep run",
            hint="check the path",
        )
    runs = [_read(path, folder) for path in _run_folders(folder)]
    if not runs:
        raise RunFolderError(
            f"There is no run in {str(folder)!r}.",
            found="no metrics.json in it or below",
            expected="folders such as <experiment>/<variant>/<strategy>/seed0 with a metrics.json",
            hint="give the folder named with --out when the experiment was run",
        )
    images, texts = _Budget(IMAGE_BYTES), _Budget(TEXT_BYTES)
    parts: dict[tuple[str, str, str], list[_Run]] = {}
    for run in sorted(runs, key=_order):
        parts.setdefault((run.experiment, run.variant, _split_of(run, runs)), []).append(run)
    groups = [_group(number, key, members, images) for number, (key, members) in enumerate(parts.items(), start=1)]
    sweeps = _sweeps(runs, images)
    _draw_runs(groups, images)
    for group in groups:
        for run in group.runs:
            _fill_in(run, texts)
    environment = Environment(
        loader=PackageLoader("neurosleep.experiments"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    states = Counter(run.status for run in runs)
    html = environment.get_template("report.html.j2").render(
        name=folder.resolve().name,
        groups=groups,
        sweeps=sweeps,
        counts=", ".join(f"{count} {state}" for state, count in sorted(states.items())),
        run_count=len(runs),
        problems=[(run.where, note) for group in groups for run in group.runs for note in run.notes],
    )
    return _write(folder / "report.html", html.encode("utf-8", errors="replace"))


def write_run_figures(run_folder: Path) -> list[Path]:
    """Draw one run: ``figures/accuracy.png``, ``raster.png`` and ``rates.png`` and the data of each as CSV beside it.

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
    """
    run_folder = Path(run_folder)
    if not any((run_folder / name).is_file() for name in ("metrics.json", "config.toml", "accuracy.csv")):
        raise RunFolderError(
            f"{str(run_folder)!r} is no run folder.",
            found="neither metrics.json nor config.toml nor accuracy.csv",
            expected="a folder such as <experiment>/<variant>/<strategy>/seed0",
        )
    run = _read(run_folder, run_folder)
    tables = {"accuracy": run.accuracy, "rates": _rate_rows(run), "raster": _spike_rows(run)}
    written = []
    for name in _figures_of(run):
        written.append(_write(run_folder / "figures" / f"{name}.png", _draw(run, name, dpi=150)))
        written.append(_write(run_folder / "figures" / f"{name}.csv", _csv(tables[name], COLUMNS[name])))
    return written


# --- reading ----------------------------------------------------------------------------------------------------------


def _run_folders(folder: Path) -> list[Path]:
    """The run folders in or below ``folder``: with metrics.json, or, where a run has not ended, with its settings."""
    found = {path.parent for path in folder.rglob("metrics.json") if path.is_file()}
    found |= {
        path.parent for path in folder.rglob("config.toml") if re.fullmatch(r"seed\d+", path.parent.resolve().name)
    }
    # What lies inside a run folder is part of that run.
    return sorted(path for path in found if not any(parent in found for parent in path.parents))


def _read(folder: Path, root: Path) -> _Run:
    notes: list[str] = []
    metrics: dict[str, Any] = {}
    status = "unfinished"
    if (folder / "metrics.json").is_file():
        metrics = _json(folder / "metrics.json", notes)
        status = str(metrics.get("status") or "unfinished") if metrics else "unreadable"
    if status == "unfinished":
        notes.append("The run has not ended; its numbers are not counted.")
    elif status == "diverged":
        notes.append("The run diverged; its numbers are not counted in the means.")
    environment: dict[str, Any] = {}
    if (folder / "environment.json").is_file():
        environment = _json(folder / "environment.json", notes)
    else:
        notes.append("environment.json is missing: where it ran and with which command is unknown.")
    # The four levels of the layout stand in for what metrics.json does not say.
    absolute = folder.resolve()
    where = "" if folder == root else folder.relative_to(root).as_posix()
    levels = where.split("/") if where.count("/") >= 3 else ["", "", "", *absolute.parts[1:]][-4:]
    run = _Run(
        folder=folder,
        where=where or absolute.name,
        metrics=metrics,
        environment=environment,
        experiment=str(metrics.get("experiment") or "/".join(levels[:-3])),
        variant=str(metrics.get("variant") or levels[-3]),
        strategy=str(metrics.get("strategy") or levels[-2]),
        seed=str(metrics["seed"] if metrics.get("seed") is not None else levels[-1].removeprefix("seed")),
        status=status,
        notes=notes,
    )
    command = environment.get("command")
    run.command = shlex.join(map(str, command)) if isinstance(command, list) else str(command or "")
    if (folder / "config.toml").is_file():
        run.config = _text(folder / "config.toml", notes)
    else:
        notes.append("config.toml is missing: the settings are unknown.")
    run.accuracy = _accuracy_rows(run)
    if (folder / "firing.csv").is_file():
        run.firing = _checked(folder / "firing.csv", FIRING, notes)
    _read_spikes(run)
    if status == "done" and "accuracy_all" in metrics and run.score is None:
        notes.append("Its accuracy over all classes is undefined.")
    return run


def _json(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        # Undefined numbers are null; a NaN that got in all the same counts as one.
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"{path.name} cannot be read: {error}.")
        return {}
    if isinstance(content, dict):
        return content
    notes.append(f"{path.name} cannot be used: it holds no named values.")
    return {}


def _text(path: Path, notes: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        notes.append(f"{path.name} cannot be read: {error.strerror}.")
        return ""


def _table(path: Path, notes: list[str]) -> Rows:
    if not path.is_file():
        return []
    try:
        return [dict(row) for row in csv.DictReader(io.StringIO(_text(path, notes)))]
    except csv.Error as error:
        notes.append(f"{path.name} cannot be read: {error}.")
        return []


def _checked(path: Path, needed: Sequence[str], notes: list[str], *, optional: str = "") -> Rows:
    """The rows of a CSV file whose ``needed`` columns hold what can be drawn; the others are counted in a note."""
    rows = _table(path, notes)
    good = [row for row in rows if all(_sound(column, row.get(column), optional) for column in needed)]
    if len(good) < len(rows):
        notes.append(f"{path.name}: {len(rows) - len(good)} of {len(rows)} rows make no sense and are left out.")
    elif path.is_file() and not rows:
        notes.append(f"{path.name} is empty.")
    return good


def _sound(column: str, value: object, optional: str) -> bool:
    if not isinstance(value, str):
        return False
    if column == "population":
        return value != ""
    if column == "phase":
        return value in ("wake", "sleep")
    if column == optional and value == "":
        return True
    try:
        number = float(value)
    except ValueError:
        return False
    if column == optional:
        return not math.isinf(number)
    # Everything else is a count; only a position and the spikes may be zero.
    return math.isfinite(number) and number == int(number) and number >= (column not in ("start_step", "spikes"))


def _accuracy_rows(run: _Run) -> Rows:
    """The rows of accuracy.csv; where it is missing, what metrics.json says of the same."""
    path = run.folder / "accuracy.csv"
    if path.is_file():
        return _checked(path, ACCURACY, run.notes, optional="accuracy")
    after_wake, after_sleep = _matrix(run, "accuracy_before_sleep"), _matrix(run, "accuracy_matrix")
    parts = [("wake", after_wake), ("sleep", after_sleep)] if after_wake else [("wake", after_sleep)]
    rows: Rows = [
        {"after_task": after, "phase": phase, "on_task": on, "accuracy": value}
        for phase, matrix in parts
        for after, row in enumerate(matrix, start=1)
        for on, value in enumerate(row, start=1)
    ]
    if rows:
        run.notes.append("accuracy.csv is missing; its figure is drawn from metrics.json.")
    elif run.metrics.get("kind") == "class-incremental":
        run.notes.append("accuracy.csv is missing.")
    return rows


def _matrix(run: _Run, key: str) -> list[list[float | None]]:
    given = run.metrics.get(key)
    if not isinstance(given, list) or not all(isinstance(row, list) for row in given):
        return []
    return [[_number(value) for value in row] for row in given]


def _read_spikes(run: _Run) -> None:
    """The first steps of the last sleep that was recorded."""
    recorded = []
    for path in (run.folder / "spikes").glob("task*.npz"):
        number = re.fullmatch(r"task(\d+)", path.stem)
        if number:
            recorded.append((int(number[1]), path))
    if not recorded:
        return
    run.spikes_after, path = max(recorded)
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = [key.removesuffix(":offsets") for key in archive.files if key.endswith(":offsets")]
            events = {name: _events(archive, name) for name in names}
    # Which exception numpy, zipfile and zlib raise depends on what is damaged.
    except Exception as error:
        run.notes.append(f"spikes/{path.name} cannot be read ({type(error).__name__}: {error}).")
        return
    sleep = run.metrics.get("sleep")
    populations = sleep.get("populations") if isinstance(sleep, dict) else None
    order = [name for name in populations if name in events] if isinstance(populations, list) else []
    run.spikes = {name: events[name] for name in [*order, *(name for name in events if name not in order)]}


def _events(archive: Any, name: str) -> SpikeEvents:
    offsets = np.asarray(archive[f"{name}:offsets"]).astype(np.int64)
    indices = np.asarray(archive[f"{name}:indices"]).astype(np.int32)
    n = int(archive[f"{name}:n"])
    sound = offsets.ndim == indices.ndim == 1 and len(offsets) and offsets[0] >= 0 and offsets[-1] <= len(indices)
    if not sound or (np.diff(offsets) < 0).any() or (len(indices) and (indices.min() < 0 or indices.max() >= n)):
        raise ValueError(f"the arrays of {name} do not fit together")
    events = SpikeEvents(n, offsets, indices)
    return events.slice(0, min(events.steps, RASTER_STEPS))


# --- drawing ----------------------------------------------------------------------------------------------------------


def _figures_of(run: _Run) -> list[str]:
    present = {"accuracy": bool(run.accuracy), "raster": run.spikes is not None, "rates": bool(run.firing)}
    return [name for name, there in present.items() if there]


def _draw(run: _Run, name: str, dpi: float) -> bytes:
    height, title = {
        "accuracy": (3.6, "accuracy on each task after every phase"),
        "raster": (4.0, f"spikes at the start of the sleep after task {run.spikes_after}"),
        "rates": (3.2, "firing rates through the sleeps"),
    }[name]
    # Narrow enough for its text to be read on a phone too, where the width is what counts.
    fig = plot.figure(6.0, height, title=f"{run.strategy}, seed {run.seed}: {title}")
    ax = fig.add_subplot()
    if name == "accuracy":
        plot.accuracy(run.accuracy, ax=ax)
    elif name == "rates":
        plot.rates(run.firing, dt=run.dt, ax=ax)
    else:
        plot.raster(run.spikes or {}, dt=run.dt, ax=ax)
    return plot.to_png_bytes(fig, dpi=dpi)


def _draw_runs(groups: Iterable[_Group], budget: _Budget) -> None:
    """Give the runs their figures, the first seed of each strategy before all others, as long as there is room."""
    first: list[tuple[_Run, list[str]]] = []
    later: list[tuple[_Run, list[str]]] = []
    groups = list(groups)
    few = sum(len(group.runs) for group in groups) <= FEW_RUNS
    for group in groups:
        seen: set[str] = set()
        for run in group.runs:
            names = _figures_of(run)
            if few or run.strategy not in seen:
                first.append((run, names))
            else:
                later.append((run, [name for name in names if name == "accuracy"]))
            if names:
                seen.add(run.strategy)
    for run, names in first + later:
        for name in names:
            # Drawing takes far longer than finding that there is no room left for any figure.
            room = budget.left > SMALLEST_IMAGE
            image = _image(_draw(run, name, dpi=110), *_words(run, name), budget) if room else None
            if image is None:
                run.notes.append(f"The figure {name} is left out to keep this file small.")
            else:
                run.images.append(image)
    for run, _ in first:
        _show_analyses(run, budget)


def _show_analyses(run: _Run, budget: _Budget) -> None:
    """Give a run the figures that its analyses left, as far as there is room."""
    found = [
        (path, name)
        for name in ANALYSES
        for path in sorted((run.folder / "figures").glob(f"{name}*.png"))
        if re.fullmatch(rf"{name}(_[a-z]+\d*)?", path.stem)
    ]
    for path, name in found:
        part = path.stem.removeprefix(name).strip("_")
        who = f"{run.strategy}, seed {run.seed}" + (f", {part}" if part else "")
        try:
            png = path.read_bytes()
        except OSError as error:
            run.notes.append(f"{path.name} cannot be read: {error.strerror}.")
            continue
        image = _image(png, f"{ANALYSES[name]}: {who}.", f"{ANALYSES[name]} ({part or 'all layers'}).", budget)
        if image is not None:
            run.analyses.append(image)
    if len(run.analyses) < len(found):
        missing = f"{len(found) - len(run.analyses)} of {len(found)} figures of analyses"
        run.notes.append(f"{missing} are left out to keep this file small; they are in figures/.")


def _sweeps(runs: Sequence[_Run], budget: _Budget) -> list[tuple[str, list[_Image]]]:
    """Title and figures of every experiment whose variants are the points of a sweep, at least three of them."""
    points: dict[tuple[str, str, str], dict[float, list[_Run]]] = {}
    for run in runs:
        match = SWEEP.fullmatch(run.variant)
        if match and run.status == "done":
            values = points.setdefault((run.experiment, match["label"], (match["rest"] or "").strip(",")), {})
            values.setdefault(float(match["value"]), []).append(run)
    found = []
    for (experiment, label, rest), values in sorted(points.items()):
        if len(values) < 3:
            continue
        title = f"{experiment}: sweep over {label}" + (f" ({rest})" if rest else "")
        images = []
        for what, lines in _sweep_lines(values).items():
            fig = plot.figure(6.0, 3.6, title=f"{experiment}: {what}")
            plot.sweep(lines, label=label.replace("-", " "), ax=fig.add_subplot())
            names = ", ".join(dict.fromkeys(str(row["line"]) for row in lines))
            alt = f"Line chart: {what} against {label} from {min(values):g} to {max(values):g}: {names}."
            image = _image(
                plot.to_png_bytes(fig, dpi=110), alt, f"{what[0].upper()}{what[1:]} against {label}.", budget
            )
            if image is not None:
                images.append(image)
        found.append((title, images))
    return found


def _sweep_lines(values: dict[float, list[_Run]]) -> dict[str, Rows]:
    """The lines of each figure of a sweep: all classes by strategy; with two tasks, also each task around the sleep."""
    rows: dict[str, Rows] = {"accuracy, all classes": []}

    def add(what: str, line: str, value: float, accuracies: Iterable[object]) -> None:
        numbers = _defined(accuracies)
        if numbers:
            point = {"line": line, "value": value, "mean": _mean(numbers), "sd": _sd(numbers)}
            rows.setdefault(what, []).append(point)

    for value, members in sorted(values.items()):
        for strategy in dict.fromkeys(run.strategy for run in members):
            own = [run for run in members if run.strategy == strategy]
            add("accuracy, all classes", strategy, value, (run.score for run in own))
            before = [matrix[-1] for run in own if (matrix := _matrix(run, "accuracy_before_sleep"))]
            after = [matrix[-1] for run in own if (matrix := _matrix(run, "accuracy_matrix"))]
            if not before or any(len(row) != 2 for row in before + after):
                continue
            for task in (0, 1):
                what = f"{strategy}: each task before and after the last sleep"
                add(what, f"task {task + 1} before", value, (row[task] for row in before))
                add(what, f"task {task + 1} after", value, (row[task] for row in after))
    return rows


def _words(run: _Run, name: str) -> tuple[str, str]:
    """Alternative text and caption of one figure of a run."""
    who = f"{run.strategy}, seed {run.seed}"
    if name == "accuracy":
        phases = len({(row["after_task"], row["phase"]) for row in run.accuracy})
        tasks = len({row["on_task"] for row in run.accuracy})
        asleep = any(row["phase"] == "sleep" for row in run.accuracy)
        end = f"; it ends at {_percent(run.score)} over all classes" if run.score is not None else ""
        return (
            f"Line chart: accuracy of {who} on {tasks} tasks through {phases} phases{end}.",
            "Accuracy on each task after every phase" + ("; shaded: after sleep." if asleep else "."),
        )
    if name == "rates":
        populations = ", ".join(dict.fromkeys(str(row["population"]) for row in run.firing))
        return f"Line chart: firing rates of {populations} while {who} sleeps.", "Firing rates through the sleeps."
    events = run.spikes or {}
    steps = max((part.steps for part in events.values()), default=0)
    count = sum(part.count for part in events.values())
    return (
        f"Raster plot: {count} spikes of {', '.join(events) or 'no population'} in {steps} steps, {who}.",
        f"Spikes in the first {steps} steps of the sleep after task {run.spikes_after}.",
    )


def _image(png: bytes, alt: str, caption: str, budget: _Budget) -> _Image | None:
    source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    # Base64 holds nothing that would need escaping.
    return _Image(Markup(source), alt, caption) if budget.take(len(source)) else None


# --- comparing --------------------------------------------------------------------------------------------------------


def _order(run: _Run) -> tuple[str, str, str, float, str]:
    seed = float(run.seed) if run.seed.isdecimal() else math.inf
    return run.experiment, run.variant, run.strategy, seed, run.seed


def _split_of(run: _Run, runs: Sequence[_Run]) -> str:
    """The run's split; one that does not say stands with the others of its experiment and variant."""
    if run.split:
        return run.split
    others = sorted(
        other.split
        for other in runs
        if (other.experiment, other.variant) == (run.experiment, run.variant) and other.split
    )
    return others[0] if others else ""


def _group(number: int, key: tuple[str, str, str], runs: list[_Run], images: _Budget) -> _Group:
    experiment, variant, split = key
    by_strategy: dict[str, list[_Run]] = {}
    for run in runs:
        by_strategy.setdefault(run.strategy, []).append(run)
    scores = {name: [run.score for run in members if run.score is not None] for name, members in by_strategy.items()}
    # The best first; those without a number last.
    ranked = sorted(by_strategy, key=lambda name: (-statistics.fmean(scores[name]) if scores[name] else math.inf, name))
    table, summary = [], []
    for name in ranked:
        members, values = by_strategy[name], scores[name]
        ended = [run for run in members if run.status == "done"]
        states = Counter(run.status for run in members)
        mean, sd = _mean(values), _sd(values)
        table.append(
            [
                name,
                str(len(values)),
                _spread(values),
                _spread(run.metrics.get("forgetting_max_minus_last") for run in ended),
                _spread(run.metrics.get("bwt") for run in ended),
                _seconds(_mean(_seconds_of(run, "total") for run in ended)),
                ", ".join(f"{count} {state}" for state, count in sorted(states.items())),
            ]
        )
        summary.append(
            {
                "strategy": name,
                "accuracy_all": {"mean": mean, "sd": sd, "n": len(values)},
                "values": values,
                "diverged": states["diverged"],
            }
        )
    names = list(dict.fromkeys(name for run in runs for name in run.results))
    result_table = [
        (name, [_plain_spread(run.results.get(name) for run in by_strategy[s] if run.status == "done") for s in ranked])
        for name in names
    ]
    image = None
    if any(scores.values()):
        fig = plot.figure(max(4.0, 1.6 + 0.9 * len(summary)), 3.6, title="accuracy after the last task")
        plot.comparison(summary, ax=fig.add_subplot())
        best = f"{ranked[0]} is highest with {_spread(scores[ranked[0]])}" if len(ranked) > 1 else ranked[0]
        image = _image(
            plot.to_png_bytes(fig, dpi=110),
            f"Bar chart: accuracy over all classes of {', '.join(ranked)}; {best}.",
            "Accuracy over all classes after the last task: mean, standard deviation and every seed.",
            images,
        )
    title = " · ".join([experiment, variant] + ([f"{split} split"] if split and split != "test" else []))
    verdict = _verdict(ranked, by_strategy, scores) + _states(runs)
    columns = ["Strategy", "Seeds", "Accuracy", "Forgetting", "Backward transfer", "Time", "Runs"]
    return _Group(title, f"group-{number}", verdict, columns, table, ranked, result_table, image, runs)


def _verdict(ranked: list[str], by_strategy: dict[str, list[_Run]], scores: dict[str, list[float]]) -> list[str]:
    """The outcome in sentences, computed from the numbers."""
    baseline = scores.get("sequential") or []
    sentences = []
    for name in ranked:
        values = scores[name]
        if not values:
            numbers = _named_numbers(by_strategy[name])
            sentences.append(f"{name} ends with {numbers}." if numbers else f"{name} has no result.")
            continue
        text = f"{name} ends at {_spread(values)} (n = {len(values)})"
        if baseline and name != "sequential":
            gap = 100 * (statistics.fmean(values) - statistics.fmean(baseline))
            text += f", {_points(gap)} sequential"
            spread = 100 * max(_sd(values) or 0.0, _sd(baseline) or 0.0)
            if round(abs(gap), 1) and abs(gap) < spread:
                text += " (less than the spread between seeds)"
        sentences.append(text + ".")
    counted = [len(values) for values in scores.values() if values]
    if counted and max(counted) == 1:
        sentences.append("With one seed each, chance cannot be told from effect.")
    return sentences


def _points(gap: float) -> str:
    if abs(gap) < 0.05:
        return "level with"
    size = f"{abs(gap):.0f}" if abs(gap) >= 10 else f"{abs(gap):.1f}"
    return f"{size} {'point' if size == '1.0' else 'points'} {'above' if gap > 0 else 'below'}"


def _states(runs: Sequence[_Run]) -> list[str]:
    """Sentences about the runs that do not count."""
    words = {
        "diverged": "diverged and {} not counted in the means",
        "unfinished": "{} unfinished and not counted",
        "unreadable": "cannot be read and {} not counted",
    }
    sentences = []
    for state, text in words.items():
        count = sum(run.status == state for run in runs)
        if count:
            verb = "is" if count == 1 else "are"
            sentences.append(f"{count} {'run' if count == 1 else 'runs'} {text.format(verb)}.")
    return sentences


def _named_numbers(runs: Sequence[_Run], most: int = 3) -> str:
    ended = [run for run in runs if run.status == "done"]
    names = list(dict.fromkeys(name for run in ended for name in run.results))
    texts = []
    for name in names:
        values = [value for run in ended if (value := run.results.get(name)) is not None]
        if values:
            texts.append(f"{name} {_plain_spread(values)} (n = {len(values)})")
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def _fill_in(run: _Run, texts: _Budget) -> None:
    """What the report says of one run in words and tables."""
    matrix = _matrix(run, "accuracy_matrix")
    if matrix and texts.take(60 * sum(len(row) + 1 for row in matrix)):
        width = max(len(row) for row in matrix)
        run.matrix = [
            (str(after), [_percent(value, unit="") for value in row] + [DASH] * (width - len(row)))
            for after, row in enumerate(matrix, start=1)
        ]
    metrics = run.metrics
    facts = [
        ("Accuracy, all classes", _percent(_number(metrics.get("accuracy_all")))),
        ("Forgetting (best minus last)", _percent(_number(metrics.get("forgetting_max_minus_last")))),
        ("Forgetting (first minus last)", _percent(_number(metrics.get("forgetting_first_minus_last")))),
        ("Backward transfer", _percent(_number(metrics.get("bwt")))),
        ("Time in all", _seconds(_seconds_of(run, "total"))),
        ("Training", _seconds(_seconds_of(run, "train"))),
        ("Sleep", _seconds(_seconds_of(run, "sleep"))),
        ("Evaluation", _seconds(_seconds_of(run, "evaluate"))),
    ]
    facts += [(name, _plain(value)) for name, value in run.results.items()]
    sleep = metrics.get("sleep")
    if isinstance(sleep, dict) and isinstance(sleep.get("steps"), list) and sleep["steps"]:
        facts.append(("Steps asleep", ", ".join(f"{_number(steps) or 0:,.0f}" for steps in sleep["steps"])))
    run.facts = [(name, text) for name, text in facts if text != DASH and texts.take(len(name) + len(text) + 40)]
    flat = {key: value for key, value in run.environment.items() if key != "command"}
    versions = [(key, _show(value)) for key, value in flat.items()]
    run.versions = [(key, text) for key, text in versions if texts.take(len(key) + len(text) + 40)]
    if len(run.config) > LONGEST_TEXT or not texts.take(len(run.config)):
        run.notes.append("The settings are left out to keep this file small; they are in config.toml.")
        run.config = ""
    if len(run.command) > LONGEST_TEXT:
        run.command = ""


# --- numbers as text --------------------------------------------------------------------------------------------------


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _seconds_of(run: _Run, key: str) -> float | None:
    seconds = run.metrics.get("seconds")
    return _number(seconds.get(key)) if isinstance(seconds, dict) else None


def _defined(values: Iterable[object]) -> list[float]:
    return [number for value in values if (number := _number(value)) is not None]


def _mean(values: Iterable[object]) -> float | None:
    numbers = _defined(values)
    return statistics.fmean(numbers) if numbers else None


def _sd(values: Iterable[object]) -> float | None:
    numbers = _defined(values)
    return statistics.stdev(numbers) if len(numbers) > 1 else None


def _percent(value: float | None, unit: str = " %") -> str:
    return DASH if value is None else f"{_minus(100 * value, '.1f')}{unit}"


def _spread(values: Iterable[object]) -> str:
    """Mean and standard deviation of fractions, in %."""
    numbers = _defined(values)
    mean, sd = _mean(numbers), _sd(numbers)
    if mean is None:
        return DASH
    return _percent(mean) if sd is None else f"{_percent(mean, unit='')} ± {_percent(sd)}"


def _plain_spread(values: Iterable[object]) -> str:
    numbers = _defined(values)
    sd = _sd(numbers)
    return _plain(_mean(numbers)) if sd is None else f"{_plain(_mean(numbers))} ± {_plain(sd)}"


def _plain(value: float | None) -> str:
    return DASH if value is None else _minus(value, ".4g")


def _minus(value: float, form: str) -> str:
    text = format(value, form)
    # No number is "-0.0", and a minus is not a hyphen.
    return text.lstrip("-") if not float(text) else text.replace("-", "−")


def _seconds(value: float | None) -> str:
    if value is None:
        return DASH
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _show(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_show(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_show, value))
    return DASH if value is None else str(value)


# --- writing ----------------------------------------------------------------------------------------------------------


def _rate_rows(run: _Run) -> Rows:
    """The firing windows with the mean rate of a neuron in Hz."""
    return [
        {
            "after_task": row["after_task"],
            "population": row["population"],
            "start_s": float(row["start_step"]) * run.dt,
            "seconds": float(row["steps"]) * run.dt,
            "rate_hz": float(row["spikes"]) / (float(row["neurons"]) * float(row["steps"]) * run.dt),
        }
        for row in run.firing
    ]


def _spike_rows(run: _Run) -> Rows:
    """One row per spike."""
    return [
        {"population": name, "time_s": round(int(step) * run.dt, 9), "neuron": int(neuron)}
        for name, events in (run.spikes or {}).items()
        for step, neuron in zip(events.times, events.indices, strict=True)
    ]


def _csv(rows: Rows, columns: Sequence[str]) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode("utf-8")


def _write(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"{str(path)!r} cannot be written.",
            found=error.strerror or type(error).__name__,
            hint="check the rights and the free space",
        ) from error
    return path
