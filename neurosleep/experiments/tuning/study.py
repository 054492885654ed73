"""The trials of one search: an Optuna study in a journal file, shared by processes of which any may be killed.

A trial belongs to whoever holds the lock of its file, which the system takes away from a dead process; the next process
to ask for work takes the trial over where it was left, so that none is lost or counted twice. Whatever a sampler draws
is keyed by the seed and the number of the trial: one process, stopped and resumed, draws what it would have drawn.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from neurosleep._files import hold_lock, take_lock
from neurosleep.errors import RunFolderError
from neurosleep.experiments.plain import Plain, PlainTable
from neurosleep.experiments.tuning.journal import Journal
from neurosleep.experiments.tuning.space import Parameter
from neurosleep.functional import numpy_generator

__all__ = ["Study"]

# Of fewer trials nobody can say which setting matters.
_FEW = 8
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
# Optuna's 50 are made for thousands of trials; with some dozens that would be a random search.
_NSGA2_POPULATION = 12


class _Lock:
    """A lock as Optuna asks for it; none that a killed process leaves behind, as a file of Optuna's own is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: FileLock | None = None

    def acquire(self) -> bool:
        self._lock = take_lock(self._path, wait=math.inf)
        return True

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()


class Searched(Protocol):
    """What is searched."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What is varied."""

    def start(self) -> PlainTable:
        """What the first trial has, by name of the parameter."""


class Study:
    """One search in ``folder``, which must exist.

    Parameters
    ----------
    folder:
        Where the journal and the locks lie.
    space:
        What is searched; its start is the first trial.
    sampler:
        ``"tpe"``, ``"cma-es"`` or ``"nsga2"``.
    seed:
        Of the sampler.
    """

    def __init__(self, folder: Path, space: Searched, sampler: str, seed: int) -> None:
        self._folder, self._space, self._sampler, self._seed = folder, space, sampler, seed
        self.distributions = {p.name: _distribution(p) for p in space.parameters}
        self._start = {name: self._stored(name, value) for name, value in space.start().items()}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        journal, lock = folder / "journal.log", _Lock(folder / "journal.lock")
        try:
            storage = JournalStorage(Journal(journal, lock))
            with self._alone():
                self._study = optuna.create_study(
                    storage=storage, study_name="tune", direction="maximize", load_if_exists=True
                )
                if not self.trials() and self._start:
                    self._study.enqueue_trial(self._start)
        except RunFolderError:
            raise
        # What a journal that was written so, but not by a search, makes Optuna raise.
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            raise RunFolderError(
                f"The trials in {str(journal)!r} cannot be read.", found=str(error), hint="start the search anew"
            ) from error

    def trials(self) -> list[FrozenTrial]:
        """All trials so far, by number."""
        return self._study.get_trials(deepcopy=False)

    def finished(self) -> list[FrozenTrial]:
        """The trials that have ended, by number."""
        return [trial for trial in self.trials() if trial.state in _FINISHED]

    def importances(self) -> dict[str, float]:
        """By name of the parameter, about how much of the trials' differences it explains (PED-ANOVA, Optuna's own).

        Empty of fewer than :data:`_FEW` trials with a value, or of such as have all the same.
        """
        complete = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        if len(complete) < _FEW or len({trial.value for trial in complete}) == 1:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            return dict(optuna.importance.get_param_importances(self._study, evaluator=evaluator))

    @contextmanager
    def reserve(self, trials: int) -> Iterator[optuna.Trial | None]:
        """A trial of the first ``trials`` for this process alone; None if all of them are finished or taken."""
        with self._alone():
            reserved, lock = self._next(trials)
        try:
            yield reserved
        finally:
            if lock is not None:
                lock.release()

    def values(self, trial: optuna.Trial | FrozenTrial) -> PlainTable:
        """What ``trial`` varies, by name of the parameter."""
        return {name: self._meant(name, trial.params[name]) for name in self.distributions}

    def tell(self, trial: optuna.Trial, value: float | None) -> None:
        """End ``trial`` with its value, or with None as given up after the last report."""
        if value is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, value)

    def report(self, trial: optuna.Trial, value: float, step: int) -> bool:
        """Note the value of ``trial`` so far, and say whether it should be given up."""
        if step not in self._study.get_trials(deepcopy=False)[trial.number].intermediate_values:
            trial.report(value, step)
        return trial.should_prune()

    def _alone(self) -> AbstractContextManager[None]:
        return hold_lock(self._folder / "study.lock")

    def _next(self, trials: int) -> tuple[optuna.Trial | None, FileLock | None]:
        known = self.trials()
        for trial in known:
            if trial.state == TrialState.RUNNING and (lock := self._take(trial.number)):
                # Its process is dead. What it has drawn stays; the rest is drawn as it would have been.
                return self._draw(trial.number, trial._trial_id), lock
        waiting = [trial for trial in known if trial.state == TrialState.WAITING]
        if len(known) - len(waiting) >= trials:
            return None, None
        number = waiting[0].number if waiting else len(known)
        lock = self._take(number)
        if lock is None:  # pragma: no cover - a lock that nobody here has taken
            return None, None
        return self._draw(number, None), lock

    def _take(self, number: int) -> FileLock | None:
        """The lock of a trial, or None if another process holds it."""
        folder = self._folder / "locks"
        folder.mkdir(exist_ok=True)
        return take_lock(folder / f"trial{number}")

    def _draw(self, number: int, known: int | None) -> optuna.Trial:
        seed = int(numpy_generator(self._seed, "tune", number).integers(2**31))
        with warnings.catch_warnings():
            # "experimental": whatever may change in a newer version, the found settings stay what they are.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = self._make_sampler(seed)
            self._study.pruner = optuna.pruners.MedianPruner(n_startup_trials=5)
            trial = self._study.ask() if known is None else optuna.Trial(self._study, known)
            for name, distribution in self.distributions.items():
                _suggest(trial, name, distribution)
        return trial

    def _make_sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        if self._sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        if self._sampler == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=_NSGA2_POPULATION)
        # Here, so that only this sampler needs the package cmaes.
        from neurosleep.experiments.tuning.cma_es import CmaEs

        return CmaEs(self.distributions, self._start, seed)

    # Choices may be of any kind, lists too, but a study stores plain values: they are kept as JSON.
    def _stored(self, name: str, value: Plain) -> Plain:
        return json.dumps(value) if isinstance(self.distributions[name], CategoricalDistribution) else value

    def _meant(self, name: str, value: Plain) -> Plain:
        chosen: Plain = json.loads(value) if isinstance(value, str) else value
        return chosen


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.choices:
        return CategoricalDistribution([json.dumps(choice) for choice in parameter.choices])
    if parameter.whole:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> None:
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(name, distribution.choices)
    elif isinstance(distribution, IntDistribution):
        trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
    elif isinstance(distribution, FloatDistribution):
        trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
