"""Searching for the settings of a strategy on the validation split, with runs that are those of ``neurosleep run``."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from neurosleep._checks import check_count
from neurosleep._files import check_folder, remove_leftovers
from neurosleep._progress import ShowProgress, shows_progress, tell_progress
from neurosleep._surroundings import surroundings_kept
from neurosleep.data import Task
from neurosleep.errors import ConversionError, RunFolderError, SettingsError, missing_extra, unknown_name
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.experiment import Experiment
from neurosleep.experiments.inside import check_tree, is_there
from neurosleep.experiments.metrics import Metrics, Spread, spread_of
from neurosleep.experiments.metrics_file import read_json
from neurosleep.experiments.names import folder_name
from neurosleep.experiments.plain import PlainTable
from neurosleep.experiments.reading import apply_changes
from neurosleep.experiments.run.check import check_data, check_request
from neurosleep.experiments.run.commit import own_commit
from neurosleep.experiments.run.one import run_one
from neurosleep.experiments.run.origin import differences, fingerprint, versions
from neurosleep.experiments.run.request import RunRequest
from neurosleep.experiments.run_folder import Origin, write_whole
from neurosleep.experiments.schedule.cluster import check_scheduler
from neurosleep.experiments.schedule.executor import Executor, Outcome
from neurosleep.experiments.schedule.workers import Processes, check_main_guard
from neurosleep.experiments.tuning.space import Space
from neurosleep.experiments.tuning.tuned import command_with_data, tuned_file
from neurosleep.functional import check_seed

if TYPE_CHECKING:
    from neurosleep.experiments.tuning.study import Study

__all__ = ["BEST", "SAMPLERS", "TUNING_SEEDS", "TuneRequest", "tune"]

SAMPLERS = ("tpe", "cma-es", "nsga2")
# Never among the seeds that results are reported of (0 to 9).
TUNING_SEEDS = tuple(range(100, 120))

#: What a report of the best trial so far starts with.
BEST = "best so far"
# Seconds to wait where other processes have all trials that are left.
_MOMENT = 0.2

Report = Callable[[int, str], None]
# Yields number of the trial and a run of it, and is sent the accuracy of each.
Trial = Generator[tuple[int, RunRequest], float, None]


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
        return replace(self.run, settings=settings, seed=seed, out=str(self.runs(number)), resume=True)

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
    changed = _start(request, present)
    study = _open(request)
    told: set[int] = set()

    def unfinished() -> bool:
        """Whether trials are left; tells of those that have ended since, here, elsewhere or in an earlier call."""
        trials = {trial.number: trial.value for trial in study.finished()}
        finished = set(trials)
        best = max((k for k in trials if trials[k] is not None), key=lambda k: (trials[k], -k), default=None)
        for number in sorted(finished - told):
            if number < request.trials:
                if best is not None:
                    report(number, f"{BEST}: trial {best} with {100 * (trials[best] or 0.0):.2f} %")
                report(number, "done")
        told.update(finished)
        tell_progress("trials", min(len(told), request.trials), request.trials)
        return len(finished) < request.trials

    if runs is None:
        _one_after_another(request, unfinished, report)
    else:
        _side_by_side(request, unfinished, runs)
    for trial in study.finished():  # what processes left that were killed just before they would have removed it
        shutil.rmtree(request.runs(trial.number), ignore_errors=True)
    return _finish(request, study, changed)


def _start(request: TuneRequest, present: Origin) -> list[str]:
    """Write down what is searched and with what, or refuse another search; returns what has changed since its start."""
    path = request.folder / "search.json"
    mine = json.loads(request.identity())
    changed: list[str] = []
    if is_there(path):
        theirs = read_json(path, Path(request.run.out))
        started = theirs.pop("origin", None)
        if theirs != mine or not isinstance(started, dict):
            raise RunFolderError(
                f"The search in {str(request.folder)!r} was started with other settings.",
                hint="give the same settings to --resume (--trials may differ), or choose another folder with --out",
            )
        new = differences(started, present)
        if new and not request.run.force:
            raise RunFolderError(
                f"The search in {str(request.folder)!r} was started with other data or packages.",
                found="; ".join(new),
                hint="bring them back, choose another folder with --out, or go on all the same with --force",
            )
        earlier = started.get("changed", [])
        changed = [*map(str, earlier if isinstance(earlier, list) else []), *new]
        if not new:
            return changed
    write_whole(path, json.dumps(mine | {"origin": present | {"changed": changed}}, indent=2) + "\n")
    return changed


def _check(request: TuneRequest, jobs: int) -> list[Task]:
    """Find everything wrong with a request before anything is written or computed; returns the tasks."""
    check_seed(request.seed)
    if request.sampler not in SAMPLERS:
        raise unknown_name("sampler", request.sampler, SAMPLERS)
    check_count("--trials", request.trials)
    check_count("--jobs", jobs)
    check_count("--seeds", request.seeds, most=len(TUNING_SEEDS))
    numbers = [parameter for parameter in request.space.parameters if not parameter.choices]
    if request.sampler == "cma-es" and len(numbers) < 2:
        raise SettingsError(
            f"The sampler 'cma-es' has {len(numbers)} numbers to search.",
            expected="at least 2",
            hint="--sampler tpe takes any search space",
        )
    packages = {"optuna": "neurosleep tune"} | (
        {"cmaes": "The sampler 'cma-es'"} if request.sampler == "cma-es" else {}
    )
    for package, purpose in packages.items():
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise missing_extra(package, "tune", purpose) from error
    check_folder(request.folder, "choose another --out")
    return check_data([check_request(point) for point in _corners(request)])


def _corners(request: TuneRequest) -> list[RunRequest]:
    """Runs at the corners of the search space."""
    return [request.trial_run(request.space.settings(v), "-check", 100) for v in request.space.corners()]


def _open(request: TuneRequest) -> Study:
    # Here, so that only a search needs Optuna.
    from neurosleep.experiments.tuning.study import Study

    return Study(request.folder, request.space, request.sampler, request.seed)


def _trial(request: TuneRequest) -> Trial:
    """One trial that nobody else has, if there is one at present: asks for its runs, and is sent their accuracies."""
    study = _open(request)
    with study.reserve(request.trials) as trial:
        if trial is None:
            return
        settings = request.space.settings(study.values(trial))
        accuracies: list[float] = []
        for step, seed in enumerate(request.tuning_seeds):
            accuracies.append((yield trial.number, request.trial_run(settings, trial.number, seed)))
            last = step + 1 == request.seeds
            if request.prune and study.report(trial, statistics.fmean(accuracies), step) and not last:
                study.tell(trial, None)
                break
        else:
            trial.set_user_attr("accuracies", accuracies)
            study.tell(trial, statistics.fmean(accuracies))
        # Weights and figures of every trial would fill the disk; what a trial was and gave is in the journal.
        shutil.rmtree(request.runs(trial.number), ignore_errors=True)


def _one_after_another(request: TuneRequest, unfinished: Callable[[], bool], report: Report) -> None:
    """Compute trials in this process."""
    while unfinished():
        with contextlib.closing(_trial(request)) as trial:
            asked = next(trial, None)
            if asked is None:  # others have the rest
                time.sleep(_MOMENT)
            while asked is not None:
                number, run = asked
                accuracy = _accuracy(_outcome(run, partial(_said, report, number, run.seed)))
                try:
                    asked = trial.send(accuracy)
                except StopIteration:
                    asked = None


def _said(report: Report, trial: int, seed: int, text: str) -> None:
    report(trial, f"seed {seed}, {text}")


def _outcome(run: RunRequest, report: Callable[[str], None]) -> Outcome[Metrics]:
    try:
        return Outcome(run_one(run, report))
    except Exception as error:
        return Outcome(error=error)


def _accuracy(outcome: Outcome[Metrics]) -> float:
    """What a run counts; raises what it ended with."""
    if isinstance(outcome.error, ConversionError):
        # No spiking network can be made of one that fell silent in training: a point that is no good, not a mistake.
        return 0.0
    if outcome.error is not None:
        raise outcome.error
    assert outcome.value is not None  # an outcome has one of them
    return float(outcome.value["accuracy_all"] or 0.0)


def _side_by_side(request: TuneRequest, unfinished: Callable[[], bool], runs: Executor[Metrics]) -> None:
    """Compute trials, as many at a time as ``runs`` takes."""
    trials: dict[int, Trial] = {}
    try:
        while unfinished():
            while len(trials) < runs.slots and (asked := next(trial := _trial(request), None)) is not None:
                trials[asked[0]] = trial
                runs.start(*asked)
            if not trials:  # others have the rest
                time.sleep(_MOMENT)
                continue
            for number, outcome in runs.ended():
                try:
                    runs.start(*trials[number].send(_accuracy(outcome)))
                except StopIteration:
                    del trials[number]
    finally:
        # Whatever ends this ends the runs, and then leaves the trials: whoever resumes takes them over where they are.
        runs.close()
        for trial in trials.values():
            trial.close()


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
    table: list[TrialRow] = [
        {"number": t.number, "accuracy": t.value if t in complete else None, "values": study.values(t)}
        for t in finished
    ]
    return {
        "file": str(request.file),
        "best": best_settings,
        "validation": validation,
        "trials": len(finished),
        "table": table,
        "importances": study.importances(),
    }
