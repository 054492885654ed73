"""The trials of a search, one after another or side by side, whatever a trial computes."""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from neurosleep._progress import tell_progress
from neurosleep.errors import RunFolderError
from neurosleep.experiments.inside import is_there
from neurosleep.experiments.metrics_file import read_json
from neurosleep.experiments.plain import PlainTable
from neurosleep.experiments.run.origin import differences
from neurosleep.experiments.run_folder import Origin, write_whole
from neurosleep.experiments.schedule.executor import Executor, Outcome

if TYPE_CHECKING:
    from neurosleep.experiments.tuning.study import Study

__all__ = ["BEST", "Report", "Work", "finish_trials", "start_search"]

#: What a report of the best trial so far starts with.
BEST = "best so far"
# Seconds to wait where other processes have all trials that are left.
_MOMENT = 0.2

T = TypeVar("T")
Report = Callable[[int, str], None]
# Yields number of the trial and what is computed for it, and is sent what each counts.
Trial = Generator[tuple[int, object], float | None, None]


@dataclass(frozen=True)
class Work(Generic[T]):
    """What trials are made of.

    Parameters
    ----------
    study:
        Opens the study in its folder.
    trials, seeds, prune:
        How many shall be finished; the seeds that each is averaged over; whether poor ones are given up.
    task:
        What is computed of the values of a trial, its number and a seed.
    compute:
        Computes a task in this process, and tells of it in words.
    count:
        What an outcome counts; None: the trial is given up. Raises what ends the search.
    runs:
        The folder that a trial leaves.
    words:
        What a trial counted, for people.
    """

    study: Callable[[], Study]
    trials: int
    seeds: tuple[int, ...]
    prune: bool
    task: Callable[[PlainTable, int, int], object]
    compute: Callable[[object, Callable[[str], None]], T]
    count: Callable[[Outcome[T]], float | None]
    runs: Callable[[int], Path]
    words: Callable[[float], str]


def start_search(folder: Path, out: Path, identity: str, present: Origin, *, force: bool) -> list[str]:
    """Write down what is searched and with what, or refuse another search; returns what has changed since its start."""
    path = folder / "search.json"
    mine = json.loads(identity)
    changed: list[str] = []
    if is_there(path):
        theirs = read_json(path, out)
        started = theirs.pop("origin", None)
        if theirs != mine or not isinstance(started, dict):
            raise RunFolderError(
                f"The search in {str(folder)!r} was started with other settings.",
                hint="give the same settings to --resume (--trials may differ), or choose another folder with --out",
            )
        new = differences(started, present)
        if new and not force:
            raise RunFolderError(
                f"The search in {str(folder)!r} was started with other data or packages.",
                found="; ".join(new),
                hint="bring them back, choose another folder with --out, or go on all the same with --force",
            )
        earlier = started.get("changed", [])
        changed = [*map(str, earlier if isinstance(earlier, list) else []), *new]
        if not new:
            return changed
    write_whole(path, json.dumps(mine | {"origin": present | {"changed": changed}}, indent=2) + "\n")
    return changed


def finish_trials(work: Work[T], executor: Executor[T] | None, report: Report) -> Study:
    """Compute trials, here or as many at a time as ``executor`` takes, until all are finished; returns their study."""
    study = work.study()
    told: set[int] = set()

    def unfinished() -> bool:
        """Whether trials are left; tells of those that have ended since, here, elsewhere or in an earlier call."""
        trials = {trial.number: trial.value for trial in study.finished()}
        finished = set(trials)
        best = max((k for k in trials if trials[k] is not None), key=lambda k: (trials[k], -k), default=None)
        for number in sorted(finished - told):
            if number < work.trials:
                if best is not None:
                    report(number, f"{BEST}: trial {best} with {work.words(trials[best] or 0.0)}")
                report(number, "done")
        told.update(finished)
        tell_progress("trials", min(len(told), work.trials), work.trials)
        return len(finished) < work.trials

    if executor is None:
        _one_after_another(work, unfinished, report)
    else:
        _side_by_side(work, unfinished, executor)
    for trial in study.finished():  # what processes left that were killed just before they would have removed it
        shutil.rmtree(work.runs(trial.number), ignore_errors=True)
    return study


def _trial(work: Work[T]) -> Trial:
    """One trial that nobody else has, if there is one at present: asks for its tasks, and is sent what they count."""
    study = work.study()
    with study.reserve(work.trials) as trial:
        if trial is None:
            return
        values = study.values(trial)
        counts: list[float] = []
        for step, seed in enumerate(work.seeds):
            count = yield trial.number, work.task(values, trial.number, seed)
            if count is None:
                study.tell(trial, None)
                break
            counts.append(count)
            last = step + 1 == len(work.seeds)
            if work.prune and study.report(trial, statistics.fmean(counts), step) and not last:
                study.tell(trial, None)
                break
        else:
            trial.set_user_attr("accuracies", counts)
            study.tell(trial, statistics.fmean(counts))
        # The weights of every trial would fill the disk; what a trial was and gave is in the journal.
        shutil.rmtree(work.runs(trial.number), ignore_errors=True)


def _one_after_another(work: Work[T], unfinished: Callable[[], bool], report: Report) -> None:
    """Compute trials in this process."""
    while unfinished():
        with contextlib.closing(_trial(work)) as trial:
            asked = next(trial, None)
            if asked is None:  # others have the rest
                time.sleep(_MOMENT)
            while asked is not None:
                number, task = asked
                count = work.count(_outcome(work, task, partial(report, number)))
                try:
                    asked = trial.send(count)
                except StopIteration:
                    asked = None


def _outcome(work: Work[T], task: object, report: Callable[[str], None]) -> Outcome[T]:
    try:
        return Outcome(work.compute(task, report))
    except Exception as error:
        return Outcome(error=error)


def _side_by_side(work: Work[T], unfinished: Callable[[], bool], executor: Executor[T]) -> None:
    """Compute trials, as many at a time as ``executor`` takes."""
    trials: dict[int, Trial] = {}
    try:
        while unfinished():
            while len(trials) < executor.slots and (asked := next(trial := _trial(work), None)) is not None:
                trials[asked[0]] = trial
                executor.start(*asked)
            if not trials:  # others have the rest
                time.sleep(_MOMENT)
                continue
            for number, outcome in executor.ended():
                try:
                    executor.start(*trials[number].send(work.count(outcome)))
                except StopIteration:
                    del trials[number]
    finally:
        # Whatever ends this ends the tasks, and then leaves the trials: whoever resumes takes them over where they are.
        executor.close()
        for trial in trials.values():
            trial.close()
