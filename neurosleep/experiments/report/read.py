"""Reading run folders: whatever can be read of one becomes a :class:`Run`, and its notes say what cannot."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from safetensors import SafetensorError, safe_open

from neurosleep.errors import DataError, RunFolderError, SettingsError
from neurosleep.experiments.divergence import told_divergence
from neurosleep.experiments.inside import check_tree, is_there, read_bytes
from neurosleep.experiments.plain import number
from neurosleep.experiments.report.images import Image, Rows
from neurosleep.experiments.sums import check_sum
from neurosleep.functional import SpikeEvents
from neurosleep.plot import image_shape
from neurosleep.spiking import Recording, SleepSpan

__all__ = ["Rows", "Run", "input_weights", "load_spikes", "matrix_of", "read_run", "recorded_sleeps", "run_folders"]

DEFAULT_DT = 0.001
ACCURACY = ("after_task", "phase", "on_task", "accuracy")
WEIGHTS = ("after_task", "projection", "time_s", "change")
TRAINING = ("task", "epoch", "loss", "accuracy")
CONFUSION = ("class", "answer", "images")
FIRING = ("after_task", "population", "neurons", "start_step", "steps", "spikes")


@dataclass
class Run:
    """One run folder as far as it can be read; ``notes`` say what cannot."""

    folder: Path
    where: str
    # Its path from the folder of the page; empty where that is the run's own.
    path: str
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
    training: Rows = field(default_factory=list)
    confusion: Rows = field(default_factory=list)
    weights: Rows = field(default_factory=list)
    # What the last sleep that was recorded holds, once load_spikes has read it.
    spikes: dict[str, SpikeEvents] | None = None
    spikes_after: int = 0
    hypnogram: tuple[SleepSpan, ...] = ()
    # The task (from 1) whose images excite each neuron most, 0 for none, by population.
    preferred: dict[str, np.ndarray] = field(default_factory=dict)
    images: list[Image] = field(default_factory=list)
    analyses: list[Image] = field(default_factory=list)
    animation: Image | None = None
    facts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Strategy and seed."""
        return f"{self.strategy}, seed {self.seed}"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Its settings, as far as they can be read."""
        try:
            return tomllib.loads(self.config)
        except (tomllib.TOMLDecodeError, RecursionError):
            return {}

    def link(self, name: str) -> str:
        """The address of one of its files, from the page; empty where there is no such file."""
        return quote(f"{self.path}/{name}".lstrip("/")) if (self.folder / name).is_file() else ""

    @property
    def tasks(self) -> int:
        """How many tasks it has accuracies on."""
        return max((int(float(row["on_task"])) for row in self.accuracy), default=0)

    @property
    def dt(self) -> float:
        """Length of a step in seconds."""
        given = number(self.environment.get("dt"))
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
        return {str(name): number(value) for name, value in given.items() if name not in said}

    @property
    def score(self) -> float | None:
        """Accuracy over all classes as a fraction, of a finished run that did not diverge."""
        return number(self.metrics.get("accuracy_all")) if self.status == "done" else None


def run_folders(folder: Path) -> list[Path]:
    """The run folders in or below ``folder``: with metrics.json, or, where a run has not ended, with its settings."""
    folders = {path.parent for path in folder.rglob("metrics.json") if path.is_file()}
    folders |= {
        path.parent for path in folder.rglob("config.toml") if re.fullmatch(r"seed\d+", path.parent.resolve().name)
    }
    # What lies inside a run folder is part of that run.
    return sorted(path for path in folders if not any(parent in folders for parent in path.parents))


def read_run(folder: Path, root: Path) -> Run:
    """One run, in or below ``root``: all but its spikes, which :func:`load_spikes` reads."""
    check_tree(folder, root)
    notes: list[str] = []
    metrics: dict[str, Any] = {}
    status = "unfinished"
    if is_there(folder / "metrics.json"):
        metrics = _json(folder / "metrics.json", notes)
        status = str(metrics.get("status") or "unfinished") if metrics else "unreadable"
    if status == "unfinished":
        notes.append("The run has not ended; its numbers are not counted.")
    elif status == "diverged":
        where = told_divergence(metrics)
        notes.append(f"The run diverged; its numbers are not counted in the means. {where}".rstrip())
    environment: dict[str, Any] = {}
    if is_there(folder / "environment.json"):
        environment = _json(folder / "environment.json", notes)
    else:
        notes.append("environment.json is missing: where it ran and with which command is unknown.")
    # The four levels of the layout stand in for what metrics.json does not say.
    absolute = folder.resolve()
    where = "" if folder == root else folder.relative_to(root).as_posix()
    levels = where.split("/") if where.count("/") >= 3 else ["", "", "", *absolute.parts[1:]][-4:]
    run = Run(
        folder=folder,
        where=where or absolute.name,
        path=where,
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
    if is_there(folder / "config.toml"):
        run.config = _text(folder / "config.toml", notes)
    else:
        notes.append("config.toml is missing: the settings are unknown.")
    run.accuracy = _accuracy_rows(run)
    if is_there(folder / "training.csv"):
        run.training = _checked(folder / "training.csv", TRAINING, notes)
    if is_there(folder / "confusion.csv"):
        run.confusion = _checked(folder / "confusion.csv", CONFUSION, notes)
    if is_there(folder / "firing.csv"):
        run.firing = _checked(folder / "firing.csv", FIRING, notes)
    if is_there(folder / "weights.csv"):
        run.weights = _checked(folder / "weights.csv", WEIGHTS, notes, optional="change")
    # What its sleep phases said of themselves, such as that they did nothing or changed much.
    sleep = metrics.get("sleep")
    said = sleep.get("notes") if isinstance(sleep, dict) else None
    notes += [f"Sleep {note}" for note in said if isinstance(note, str)] if isinstance(said, list) else []
    if status == "done" and "accuracy_all" in metrics and run.score is None:
        notes.append("Its accuracy over all classes is undefined.")
    return run


def _json(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        # Undefined numbers are null; a NaN that got in all the same counts as one.
        content = json.loads(_bytes(path, path.parent).decode("utf-8"), parse_constant=lambda _: None)
    except RunFolderError as error:
        notes.append(_said(path.name, error))
        return {}
    except (ValueError, RecursionError) as error:
        notes.append(f"{path.name} cannot be read: {error}.")
        return {}
    if isinstance(content, dict):
        if not content:
            notes.append(f"{path.name} is empty.")
        return content
    notes.append(f"{path.name} cannot be used: it holds no named values.")
    return {}


def _bytes(path: Path, folder: Path) -> bytes:
    """What a file of the run in ``folder`` holds; raises RunFolderError if that is not what the run wrote."""
    content = read_bytes(path)
    check_sum(folder, path.relative_to(folder).as_posix(), content)
    return content


def _said(name: str, error: RunFolderError) -> str:
    """An error as a note, in one line, without where the folder lies."""
    reason = f"{error.found}" if error.found else error.message
    return f"{name} is left out: it is not what the run wrote, or cannot be read ({reason})."


def _text(path: Path, notes: list[str], folder: Path | None = None) -> str:
    try:
        return _bytes(path, folder or path.parent).decode("utf-8", errors="replace")
    except RunFolderError as error:
        notes.append(_said(path.name, error))
        return ""


def _table(path: Path, notes: list[str], folder: Path | None = None) -> Rows:
    if not is_there(path):
        return []
    try:
        return [dict(row) for row in csv.DictReader(io.StringIO(_text(path, notes, folder)))]
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
    if column in ("population", "projection"):
        return value != ""
    if column == "phase":
        return value in ("wake", "sleep")
    if value == "" and (column == optional or column == "loss"):
        return True
    try:
        number = float(value)
    except ValueError:
        return False
    if column == optional:
        return not math.isinf(number)
    if column == "loss":
        return math.isfinite(number)
    if column == "time_s":
        return math.isfinite(number) and number >= 0
    if column == "accuracy":
        return 0 <= number <= 1
    # Everything else is a count; only a position, the spikes and the number of a class may be zero.
    least = 0 if column in ("start_step", "spikes", "class", "answer") else 1
    return math.isfinite(number) and number == int(number) and number >= least


def _accuracy_rows(run: Run) -> Rows:
    """The rows of accuracy.csv; where it is missing, what metrics.json says of the same."""
    path = run.folder / "accuracy.csv"
    if is_there(path):
        return _checked(path, ACCURACY, run.notes, optional="accuracy")
    after_wake, after_sleep = matrix_of(run, "accuracy_before_sleep"), matrix_of(run, "accuracy_matrix")
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


def matrix_of(run: Run, key: str) -> list[list[float | None]]:
    """A matrix of accuracies in a run's metrics; empty where there is none."""
    given = run.metrics.get(key)
    if not isinstance(given, list) or not all(isinstance(row, list) for row in given):
        return []
    return [[number(value) for value in row] for row in given]


def recorded_sleeps(run: Run) -> list[tuple[int, Path]]:
    """After which task, and the file, of every sleep whose spikes were kept, in their order."""
    sleeps = []
    for path in (run.folder / "spikes").glob("task*.npz"):
        number_of = re.fullmatch(r"task(\d+)", path.stem)
        if number_of:
            sleeps.append((int(number_of[1]), path))
    return sorted(sleeps)


def input_weights(run: Run) -> np.ndarray | None:
    """The weights ``[units, inputs]`` of the first layer as the run left them, where the inputs make an image."""
    path = run.folder / "resume" / "bundle.safetensors"
    try:
        with safe_open(path, framework="np") as file:  # type: ignore[no-untyped-call, unused-ignore]
            if "weight0" not in file.keys():  # noqa: SIM118
                return None
            weights = np.asarray(file.get_tensor("weight0"), dtype=float)
        if weights.ndim != 2 or not weights.size:
            return None
        image_shape(weights.shape[1])
    except (OSError, SafetensorError, TypeError, ValueError, SettingsError):
        # What it was stored for is resuming, which says so itself if it cannot be read.
        return None
    return weights


def load_spikes(run: Run) -> None:
    """Read the spikes of the last sleep that was recorded, and which task each neuron answers to."""
    sleeps = recorded_sleeps(run)
    if not sleeps or run.spikes is not None:
        return
    run.spikes_after, path = sleeps[-1]
    try:
        _bytes(path, run.folder)
        recording = Recording.open(path)
    except RunFolderError as error:
        run.notes.append(_said(f"spikes/{path.name}", error))
        return
    except DataError as error:
        run.notes.append(f"spikes/{path.name} cannot be read ({error.found}).")
        return
    events, run.hypnogram = recording.spikes, recording.hypnogram
    sleep = run.metrics.get("sleep")
    populations = sleep.get("populations") if isinstance(sleep, dict) else None
    order = [name for name in populations if name in events] if isinstance(populations, list) else []
    run.spikes = {name: events[name] for name in [*order, *(name for name in events if name not in order)]}
    run.preferred = _preferred(run)


def _preferred(run: Run) -> dict[str, np.ndarray]:
    """Which task each neuron answers to, where the run wrote that down and it fits the spikes."""
    rows = _table(run.folder / "analysis" / "preferred_task.csv", run.notes, run.folder)
    preferred: dict[str, np.ndarray] = {}
    for name, events in (run.spikes or {}).items():
        of_population = [row for row in rows if row.get("population") == name]
        try:
            tasks = np.array([int(row["task"]) for row in of_population])
        except (KeyError, TypeError, ValueError):
            tasks = np.zeros(0, dtype=np.int64)
        if len(of_population) == events.n and events.n and (tasks >= 0).all() and (tasks <= max(run.tasks, 1)).all():
            preferred[name] = tasks
        elif of_population:
            run.notes.append(f"analysis/preferred_task.csv does not fit the {events.n} neurons of {name}.")
    return preferred
