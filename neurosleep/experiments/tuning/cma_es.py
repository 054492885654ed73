"""CMA-ES as a sampler of Optuna, rebuilt from the finished trials whenever a point is drawn.

Optuna's own keeps a pickle of its state in the study; here a study is plain numbers, so that opening one never executes
what is in it, and the same trials always lead to the same next point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import cmaes
import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalChoiceType, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from neurosleep.experiments.plain import PlainTable, number

__all__ = ["CmaEs"]

# Step size of the first generation, in units of each parameter's range.
_SIGMA = 1 / 6


class CmaEs(optuna.samplers.BaseSampler):
    """Covariance matrix adaptation (Hansen 2016, arXiv:1604.00772) over the numbers; choices are drawn uniformly.

    Parameters
    ----------
    distributions:
        The search space.
    start:
        Where the search starts, by parameter; elsewhere in the middle of the range.
    seed:
        Of the point to be drawn: a new sampler belongs to each trial.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], start: PlainTable, seed: int) -> None:
        self._numbers = {k: d for k, d in distributions.items() if isinstance(d, FloatDistribution | IntDistribution)}
        self._start = {name: found for name, value in start.items() if (found := number(value)) is not None}
        self._seed = seed
        self._others = optuna.samplers.RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What is drawn together: the numbers."""
        return dict(self._numbers)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, float]:
        """A point of the generation that the finished trials lead to."""
        names = list(self._numbers)
        mean = np.array([_to_unit(self._numbers[n], self._start[n]) if n in self._start else 0.5 for n in names])
        bounds = np.array([[0.0, 1.0]] * len(names))
        search = cmaes.CMA(mean=mean, sigma=_SIGMA, bounds=bounds, seed=self._seed)
        size = search.population_size
        finished = {t.number: t for t in study.get_trials(deepcopy=False) if t.state.is_finished()}
        # A generation is a row of trial numbers. With several processes its last ones may still run: the generation
        # before them then gives some points more.
        generation = 0
        while all(number in finished for number in range(generation * size, (generation + 1) * size)):
            search.tell([self._outcome(finished[generation * size + k], names) for k in range(size)])
            generation += 1
        point = search.ask()
        return {n: _from_unit(self._numbers[n], float(u)) for n, u in zip(names, point, strict=True)}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> CategoricalChoiceType:
        """One of the choices."""
        chosen: CategoricalChoiceType = self._others.sample_independent(study, trial, param_name, param_distribution)
        return chosen

    def _outcome(self, trial: FrozenTrial, names: list[str]) -> tuple[NDArray[np.float64], float]:
        point = np.array([_to_unit(self._numbers[name], trial.params[name]) for name in names])
        # It minimises. A trial without a value was given up before it had one.
        value = trial.value if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) else None
        return point, -(value if value is not None else 0.0)


def _to_unit(distribution: FloatDistribution | IntDistribution, value: float) -> float:
    low, high = _ends(distribution)
    return ((math.log(value) if distribution.log else value) - low) / (high - low)


def _from_unit(distribution: FloatDistribution | IntDistribution, unit: float) -> float:
    low, high = _ends(distribution)
    value = low + unit * (high - low)
    value = math.exp(value) if distribution.log else value
    if isinstance(distribution, IntDistribution):
        value = round(value)
    return min(max(value, distribution.low), distribution.high)


def _ends(distribution: FloatDistribution | IntDistribution) -> tuple[float, float]:
    low, high = distribution.low, distribution.high
    return (math.log(low), math.log(high)) if distribution.log else (low, high)
