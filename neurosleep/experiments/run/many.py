"""Running experiments: several runs one after another or side by side, and what they come to together."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial

from neurosleep._checks import check_count
from neurosleep._progress import ShowProgress, shows_progress, tell_progress
from neurosleep._surroundings import surroundings_kept
from neurosleep.errors import NeurosleepError, RunsFailedError, SettingsError
from neurosleep.experiments.metrics import Metrics, RunName, Summary, spread_of
from neurosleep.experiments.run.check import Plan, check_data, check_request
from neurosleep.experiments.run.events import Listener
from neurosleep.experiments.run.one import run_one
from neurosleep.experiments.run.request import RunRequest
from neurosleep.experiments.schedule.cluster import check_scheduler
from neurosleep.experiments.schedule.executor import Outcome, side_by_side
from neurosleep.experiments.schedule.workers import Processes, check_main_guard

__all__ = ["run_experiment", "summarise"]

# Failed runs that a message names, at most.
_NAMED = 10


@shows_progress
@surroundings_kept()
def run_experiment(
    requests: Sequence[RunRequest],
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    report: Callable[[int, str], None] = lambda number, text: None,
    listener: Listener | None = None,
    progress: ShowProgress = False,
) -> list[Metrics]:
    """Run all requests, ``jobs`` at a time with one thread each; metrics come back in their order.

    Everything that can be checked is checked for all of them before the first starts. A run that fails all the same
    does not stop the others. ``report(number, text)`` tells the progress of a request, at last that it is ``"done"``,
    or has ``"failed"``. ``listener`` is told what happens in each; with several jobs it is sent to other processes, and
    so must be one that can be pickled. Ctrl-C ends the runs that are under way; requests with ``resume`` go on where
    they stopped.

    ``progress`` shows how far it is (:func:`~neurosleep.show_progress`): how many runs are over, and of one in this
    process its tasks and sleeps.

    With the address of a ``scheduler`` the workers of a Dask cluster run them (extra ``cluster``); the folders are
    written here when a run has come back, with the same numbers. The runs of a worker that is lost go to another.

    Raises
    ------
    RunsFailedError
        At the end, if some of several runs failed; it holds the metrics of the others. A single run raises its own.
    NeurosleepError
        Before anything is written, if a request cannot be run.

    See Also
    --------
    RunRequest : what is run
    summarise : means over seeds
    write_report : a report of the folder

    Examples
    --------
    >>> import tempfile
    >>> from neurosleep.experiments import RunRequest, load_settings, run_experiment
    >>> name, settings = load_settings("src2022/patches", strategy="joint")
    >>> with tempfile.TemporaryDirectory() as out:
    ...     requests = [RunRequest(name, "default", "joint", seed, settings, data=None, out=out) for seed in (0, 1)]
    ...     runs = run_experiment(requests)
    >>> [run["seed"] for run in runs], runs[0]["status"]
    ([0, 1], 'done')
    """
    check_main_guard()
    check_count("--jobs", jobs)
    if scheduler is not None:
        check_scheduler(scheduler, jobs)
    plans = [check_request(request) for request in requests]
    jobs = min(jobs, len(requests))
    if scheduler is not None:
        outcomes_of = _on_cluster(plans, scheduler, report, listener)
    else:
        check_data(plans)
        if jobs > 1:
            _check_listener(listener)
        outcomes_of = _here(requests, jobs, report, listener)
    found: dict[int, Metrics] = {}
    failed: dict[int, Exception] = {}
    with contextlib.closing(outcomes_of) as outcomes:
        try:
            for number, outcome in outcomes:
                if outcome.error is not None:
                    failed[number] = outcome.error
                elif outcome.value is not None:
                    found[number] = outcome.value
                report(number, "done" if outcome.error is None else "failed")
                tell_progress("runs", len(found) + len(failed), len(requests))
        except KeyboardInterrupt as stop:
            stop.add_note(f"{len(found)} of {len(requests)} runs are done.")
            stop.add_note("The runs that were under way are ended; with resume=True they go on where they stopped.")
            raise
    if len(requests) == 1 and failed:
        raise failed[0]
    if failed:
        raise _failures(requests, found, failed)
    return [found[number] for number in range(len(requests))]


def _here(
    requests: Sequence[RunRequest], jobs: int, report: Callable[[int, str], None], listener: Listener | None
) -> Generator[tuple[int, Outcome[Metrics]], None, None]:
    """What becomes of each request, as they end: one after another in this process, or side by side in others."""
    if jobs > 1:
        run = partial(run_one, listener=listener)
        tasks = [(request,) for request in requests]
        with contextlib.closing(side_by_side(Processes(run, jobs, report), tasks)) as outcomes:
            yield from outcomes
        return
    for number, request in enumerate(requests):
        try:
            outcome = Outcome(run_one(request, partial(report, number), listener=listener))
        except Exception as error:
            outcome = Outcome(error=error)
        yield number, outcome


def _on_cluster(
    plans: Sequence[Plan],
    scheduler: str,
    report: Callable[[int, str], None],
    listener: Listener | None,
) -> Generator[tuple[int, Outcome[Metrics]], None, None]:
    """What becomes of each request on the workers of a cluster; those that are finished stay as they are."""
    # Here, so that only a cluster needs Dask.
    from neurosleep.experiments.run.on_cluster import ClusterRuns

    requests = [plan.request for plan in plans]
    left = [request for request in requests if not (request.resume and request.folder.finished)]
    if not left:
        check_data(plans)
        yield from ((number, Outcome(request.folder.metrics())) for number, request in enumerate(requests))
        return
    with contextlib.closing(ClusterRuns(scheduler, len(left), report, listener)) as runs:
        runs.read(plans)
        runs.check(left)
        yield from side_by_side(runs, [(request,) for request in requests])


def _check_listener(listener: Listener | None) -> None:
    try:
        pickle.dumps(listener)
    except Exception as error:
        raise SettingsError(
            "The listener cannot be sent to other processes.",
            found=str(error),
            expected="one that can be pickled, such as Follow(path)",
            hint="jobs=1 takes any",
        ) from error


def _failures(
    requests: Sequence[RunRequest], found: Mapping[int, Metrics], failed: Mapping[int, Exception]
) -> RunsFailedError:
    """The error at the end of several runs of which some have failed."""
    names, lines = [], []
    for number, error in sorted(failed.items()):
        request = requests[number]
        names.append(request.name)
        message = error.message if isinstance(error, NeurosleepError) else str(error)
        lines.append(
            f"{request.variant}, {request.strategy}, seed {request.seed}: {type(error).__name__}: {message}"
            + (f" ({error.found})" if isinstance(error, NeurosleepError) and error.found else "")
        )
    more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
    return RunsFailedError(
        f"{len(failed)} of {len(requests)} runs failed; the others are done.",
        found="\n            ".join(lines[:_NAMED] + more),
        hint="mend what is wrong; with --resume only those are run again that are not finished",
        failures=list(zip(names, (failed[number] for number in sorted(failed)), strict=True)),
        runs=[found[number] for number in sorted(found)],
    )


def summarise(runs: Sequence[Metrics], failed: Sequence[RunName] = ()) -> list[Summary]:
    """Mean, standard deviation (n - 1) and number of runs of the final accuracy, per experiment, variant, strategy.

    Beside them stand how many of the runs diverged, and how many failed: ``failed`` are the names of those, as in
    :class:`~neurosleep.errors.RunsFailedError`.

    See Also
    --------
    run_experiment : which gives such runs
    neurosleep.plot.comparison : a picture of it

    Examples
    --------
    >>> from neurosleep.experiments import summarise
    >>> run = {"experiment": "demo", "variant": "default", "strategy": "src", "status": "done"}
    >>> rows = summarise([{**run, "seed": seed, "accuracy_all": 0.5 + seed / 4} for seed in (0, 1)])
    >>> rows[0]["accuracy_all"]["mean"]
    0.625
    """

    def group(run: Metrics | RunName) -> tuple[str, str, str]:
        return run["experiment"], run["variant"], run["strategy"]

    return [
        {
            "experiment": key[0],
            "variant": key[1],
            "strategy": key[2],
            "accuracy_all": spread_of(run["accuracy_all"] for run in runs if group(run) == key),
            "diverged": sum(run["status"] == "diverged" for run in runs if group(run) == key),
            "failed": sum(group(name) == key for name in failed),
        }
        for key in dict.fromkeys(map(group, (*runs, *failed)))
    ]
