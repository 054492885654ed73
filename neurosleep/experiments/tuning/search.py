"""Searching for the settings of a strategy on the validation split, with runs that are those of ``neurosleep run``."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from neurosleep._checks import check_count
from neurosleep._files import check_folder, remove_leftovers
from neurosleep._progress import ShowProgress, shows_progress
from neurosleep._surroundings import surroundings_kept
from neurosleep.data import Task
from neurosleep.errors import ConversionError, RunFolderError, SettingsError, missing_extra, unknown_name
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.experiment import Experiment
from neurosleep.experiments.inside import check_tree
from neurosleep.experiments.metrics import Metrics, Spread, spread_of
from neurosleep.experiments.names import folder_name
from neurosleep.experiments.plain import PlainTable
from neurosleep.experiments.reading import apply_changes
from neurosleep.experiments.run.check import check_data, check_request
from neurosleep.experiments.run.commit import own_commit
from neurosleep.experiments.run.one import run_one
from neurosleep.experiments.run.origin import fingerprint, versions
from neurosleep.experiments.run.request import RunRequest
from neurosleep.experiments.run_folder import Origin, write_whole
from neurosleep.experiments.schedule.cluster import check_scheduler
from neurosleep.experiments.schedule.executor import Executor, Outcome
from neurosleep.experiments.schedule.workers import Processes, check_main_guard
from neurosleep.experiments.tuning.space import Parameter, Space
from neurosleep.experiments.tuning.trials import Report, Work, finish_trials, start_search
from neurosleep.experiments.tuning.tuned import command_with_data, tuned_file
from neurosleep.functional import check_seed

if TYPE_CHECKING:
    from neurosleep.experiments.tuning.study import Study

__all__ = ["SAMPLERS", "TUNING_SEEDS", "Found", "TuneRequest", "check_sampler", "table_of", "tune"]

SAMPLERS = ("tpe", "cma-es", "nsga2")
# Never among the seeds that results are reported of (0 to 9).
TUNING_SEEDS = tuple(range(100, 120))


@dataclass(frozen=True)
class TuneRequest:
    """One search: around which run, over what, how long.

    Parameters
    ----------
    run:
        The run whose settings are searched; its seed and variant play no part.
    space:
        The search space.
    trials:
        Number of trials that shall be finished at the end, those of earlier calls included.
    sampler, seed:
        One of :data:`SAMPLERS`, and its seed.
    seeds:
        Number of tuning seeds, 100 and following, over which a trial is averaged.
    prune:
        Give a trial up when its mean so far is below the median of the earlier ones.
    variant:
        The variant of the experiment's file whose settings are searched.

    See Also
    --------
    tune : searches
    search_space : the space

    Examples
    --------
    >>> from neurosleep.experiments import RunRequest, TuneRequest, load_settings, search_space
    >>> name, settings = load_settings("src2022/mnist", strategy="src")
    >>> run = RunRequest(name, "default", "src", 0, settings, data=None, out="out")
    >>> request = TuneRequest(run, search_space("src2022/mnist", "src", settings), trials=20)
    >>> request.tuning_seeds
    (100, 101, 102)
    """

    run: RunRequest
    space: Space
    trials: int
    sampler: str = "tpe"
    seed: int = 0
    seeds: int = 3
    prune: bool = False
    variant: str = "default"

    @property
    def tuning_seeds(self) -> tuple[int, ...]:
        """The seeds every trial is run with."""
        return TUNING_SEEDS[: self.seeds]

    @property
    def file(self) -> Path:
        """The settings file that is written."""
        strategy, variant = folder_name("strategy", self.run.strategy), folder_name("variant", self.variant)
        name = f"{strategy}.toml" if variant == "default" else f"{variant}.{strategy}.toml"
        return Path(self.run.out, folder_name("experiment", self.run.experiment, levels=True), name)

    @property
    def folder(self) -> Path:
        """Where the trials are kept."""
        return self.file.with_suffix(".study")

    def identity(self) -> str:
        """What every part of one search must agree on, as JSON."""
        return json.dumps(
            {
                "experiment": self.run.experiment,
                "strategy": self.run.strategy,
                "sampler": self.sampler,
                "seed": self.seed,
                "tuning_seeds": self.tuning_seeds,
                "prune": self.prune,
                "space": self.space.table,
                "settings": dump_toml(self.space.base),
            },
            indent=2,
        )

    def trial_run(self, settings: Experiment, number: int | str, seed: int) -> RunRequest:
        """The run of one tuning seed; it goes on where a killed one stopped."""
        settings = apply_changes(settings, [("data.split", "validation")])
        # Without figures: the folder is removed with the trial.
        out = str(self.runs(number))
        return replace(self.run, settings=settings, seed=seed, out=out, resume=True, figures=False)

    def runs(self, number: int | str) -> Path:
        """Folder of the runs of a trial."""
        return self.folder / "runs" / f"trial{number}"


class TrialRow(TypedDict):
    """One finished trial: its number, mean accuracy (None if it was given up) and what it varied, by parameter."""

    number: int
    accuracy: float | None
    values: PlainTable


class Found(TypedDict):
    """What a search ends with: its file, the best settings by dotted key, their accuracy, the finished trials.

    ``table`` has a row for each trial, ``importances`` say of each parameter about how much of the trials' differences
    it explains (empty of few trials).
    """

    file: str
    best: PlainTable
    validation: Spread
    trials: int
    table: list[TrialRow]
    importances: dict[str, float]


@shows_progress
@surroundings_kept()
def tune(
    request: TuneRequest,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    report: Report = lambda number, text: None,
    progress: ShowProgress = False,
) -> Found:
    """Search until ``request.trials`` are finished, ``jobs`` at a time, and write the settings file.

    With the address of a ``scheduler`` the workers of a Dask cluster compute the runs (extra ``cluster``). ``progress``
    shows how far it is (:func:`~neurosleep.show_progress`).

    A trial counts the mean final accuracy (all classes) on the validation split; a run that diverged, or whose network
    fell silent, counts 0. Several calls may share one search, also at the same time. Returns ``file``, ``best`` (the
    settings found, by dotted key), ``validation`` (mean, sd, n of the best trial) and ``trials`` (finished ones). The
    mean of the best of many trials is biased upwards by selection: what counts is the test accuracy of reported seeds.

    Raises
    ------
    MissingExtraError
        If Optuna is not installed.
    NeurosleepError
        If the request makes no sense, or something in its search space cannot be run; before the first trial.

    See Also
    --------
    TuneRequest : what it searches
    load_tuned : the settings that it found

    Examples
    --------
    >>> from neurosleep.experiments import tune
    >>> tune(request, jobs=2)["best"]  # doctest: +SKIP
    """
    check_main_guard()
    if scheduler is not None:
        check_scheduler(scheduler, jobs)
    check_tree(request.folder, Path(request.run.out))
    present: Origin = {"versions": versions(), "data": fingerprint(_check(request, jobs))}
    if not request.run.resume and os.path.lexists(request.folder):
        raise RunFolderError(
            f"There is a search in {str(request.folder)!r} already.",
            hint="--resume goes on with it; --out names another folder",
        )
    with contextlib.ExitStack() as stack:
        runs = _executor(request, jobs, scheduler, report)
        if runs is not None:
            stack.enter_context(contextlib.closing(runs))
        return _search(request, present, runs, report)


def _executor(request: TuneRequest, jobs: int, scheduler: str | None, report: Report) -> Executor[Metrics] | None:
    """Who computes runs, if not this process one after another."""
    if scheduler is None:
        return Processes(run_one, jobs, report) if jobs > 1 else None
    # Here, so that only a cluster needs Dask.
    from neurosleep.experiments.run.on_cluster import ClusterRuns

    runs = ClusterRuns(scheduler, report=report)
    try:
        runs.check(_corners(request))
    except BaseException:
        runs.close()
        raise
    return runs


def _search(request: TuneRequest, present: Origin, runs: Executor[Metrics] | None, report: Report) -> Found:
    for folder in (request.folder, request.folder.parent):
        remove_leftovers(folder, of_the_dead=True)
    changed = start_search(request.folder, Path(request.run.out), request.identity(), present, force=request.run.force)
    work = Work(
        partial(_open, request),
        request.trials,
        request.tuning_seeds,
        request.prune,
        lambda values, number, seed: request.trial_run(request.space.settings(values), number, seed),
        _compute,
        _accuracy,
        request.runs,
        lambda accuracy: f"{100 * accuracy:.2f} %",
    )
    return _finish(request, finish_trials(work, runs, report), changed)


def _compute(run: object, report: Callable[[str], None]) -> Metrics:
    assert isinstance(run, RunRequest)
    return run_one(run, lambda text: report(f"seed {run.seed}, {text}"))


def _check(request: TuneRequest, jobs: int) -> list[Task]:
    """Find everything wrong with a request before anything is written or computed; returns the tasks."""
    check_seed(request.seed)
    check_count("--trials", request.trials)
    check_count("--jobs", jobs)
    check_count("--seeds", request.seeds, most=len(TUNING_SEEDS))
    check_sampler(request.sampler, request.space.parameters)
    check_folder(request.folder, "choose another --out")
    return check_data([check_request(point) for point in _corners(request)])


def check_sampler(sampler: str, parameters: Sequence[Parameter]) -> None:
    """Refuse one that is not known, cannot search these parameters, or needs a package that is not installed."""
    if sampler not in SAMPLERS:
        raise unknown_name("sampler", sampler, SAMPLERS)
    numbers = [parameter for parameter in parameters if not parameter.choices]
    if sampler == "cma-es" and len(numbers) < 2:
        raise SettingsError(
            f"The sampler 'cma-es' has {len(numbers)} numbers to search.",
            expected="at least 2",
            hint="--sampler tpe takes any search space",
        )
    packages = {"optuna": "neurosleep tune"} | ({"cmaes": "The sampler 'cma-es'"} if sampler == "cma-es" else {})
    for package, purpose in packages.items():
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise missing_extra(package, "tune", purpose) from error


def table_of(study: Study) -> list[TrialRow]:
    """The finished trials; without a value those that were given up."""
    return [
        {"number": t.number, "accuracy": t.value if "accuracies" in t.user_attrs else None, "values": study.values(t)}
        for t in study.finished()
    ]


def _corners(request: TuneRequest) -> list[RunRequest]:
    """Runs at the corners of the search space."""
    return [request.trial_run(request.space.settings(v), "-check", 100) for v in request.space.corners()]


def _open(request: TuneRequest) -> Study:
    # Here, so that only a search needs Optuna.
    from neurosleep.experiments.tuning.study import Study

    return Study(request.folder, request.space, request.sampler, request.seed)


def _accuracy(outcome: Outcome[Metrics]) -> float:
    """What a run counts; raises what it ended with."""
    if isinstance(outcome.error, ConversionError):
        # No spiking network can be made of one that fell silent in training: a point that is no good, not a mistake.
        return 0.0
    if outcome.error is not None:
        raise outcome.error
    assert outcome.value is not None  # an outcome has one of them
    return float(outcome.value["accuracy_all"] or 0.0)


def _finish(request: TuneRequest, study: Study, changed: list[str]) -> Found:
    finished = study.finished()
    complete = [trial for trial in finished if "accuracies" in trial.user_attrs]
    best = max(complete, key=lambda trial: (trial.value, -trial.number))
    accuracies = best.user_attrs["accuracies"]
    validation = spread_of(accuracies)
    values = study.values(best)
    last = max(trial.datetime_complete for trial in finished if trial.datetime_complete is not None)
    header = {
        "experiment": request.run.experiment,
        "variant": None if request.variant == "default" else request.variant,
        "strategy": request.run.strategy,
        "date": last.date().isoformat(),
        "commit": own_commit(),
        "trials": len(finished),
        "pruned": len(finished) - len(complete) if request.prune else None,
        "best_trial": best.number,
        "sampler": request.sampler,
        "seed": request.seed,
        "split": "validation",
        "tuning_seeds": list(request.tuning_seeds),
        "validation": {key: value for key, value in validation.items() if value is not None},
        "resumed_with": changed or None,
        "command": command_with_data(request.run.command, request.run.data, request.run.out),
    }
    # A run of the settings file is for the test split again.
    write_whole(request.file, tuned_file(request.space.settings(values), header, request.space.table))
    best_settings = request.space.changes(values)
    return {
        "file": str(request.file),
        "best": best_settings,
        "validation": validation,
        "trials": len(finished),
        "table": table_of(study),
        "importances": study.importances(),
    }
