"""What ``metrics.json`` holds, key by key, and the mean and spread in which runs are summed up."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NotRequired, TypedDict

from neurosleep.continual.metrics import MatrixMetrics

__all__ = ["ChipRow", "ImageEnergy", "Metrics", "OnChip", "RunName", "SleepMetrics", "SleptRow", "Spread", "Summary"]
__all__ += ["Further", "at_chance", "spread_of"]


class RunName(TypedDict):
    """What a run is called: its place in the output folder."""

    experiment: str
    variant: str
    strategy: str
    seed: int


class Divergence(TypedDict):
    """Up to which step of a sleep the weights were within their bounds, and those of which projection left them."""

    step: int
    projection: str


class RunDivergence(TypedDict):
    """Where a run diverged, and what to try; ``epoch`` is None in sleep, ``value`` where it is not finite."""

    task: int
    phase: str
    epoch: int | None
    step: int
    layer: str
    quantity: str
    value: float | None
    hint: str


class SleepMetrics(TypedDict):
    """The sleeps of a run, an entry each; ``spikes_per_step`` by population, in the order of ``populations``."""

    steps: list[int]
    after_task: list[int]
    spikes_per_step: list[list[float]]
    populations: list[str]
    divergence: Divergence | None
    notes: list[str]


class ImageEnergy(TypedDict):
    """Energy of an image on a chip in joules, from the least to the most over the conventions there are."""

    low_j: float | None
    high_j: float | None
    basis: str | None
    reason: str | None
    statement: str


class OnChip(TypedDict):
    """What is found on one chip; None: not known there."""

    fits: bool
    split: bool
    missing: list[str]
    mapped: float | None
    cores: int | None
    weight_error: float | None
    energy: ImageEnergy | None
    seconds_mapping: float


class ChipRow(OnChip):
    """A network on one chip beside the same elsewhere (:func:`~neurosleep.experiments.run.deployment.deploy`)."""

    profile: str
    reset: str
    images: int
    steps: int
    awake: float
    converted: float


class SleptRow(ChipRow):
    """The same of a run, which says where the network slept before, if it did."""

    slept: str


class StreamSleepMetrics(TypedDict):
    """A sleep of a stream without tasks (:class:`~neurosleep.continual.StreamSleep`)."""

    samples: int
    trigger: str
    status: str
    reason: str
    seconds: float
    task: int


class Growth(TypedDict):
    """Of each task: seconds awake and in sleep, and the most memory of the process meanwhile (None: not known)."""

    train_s: list[float | None]
    sleep_s: list[float | None]
    memory_bytes: list[float | None]


class EpochMetrics(TypedDict):
    """Accuracy over all classes after an epoch of a task, both counted from 1."""

    task: int
    epoch: int
    accuracy_all: float


class Further(TypedDict, total=False):
    """What only some runs have: a note from their settings, other data or packages than at first, chips.

    ``growth`` is missing where tasks were learnt at once, ``stream`` where sleep follows tasks, ``divergence`` where
    there was none, and of earlier versions; ``epochs`` where each was tested (``data.test_each_epoch``).
    """

    note: str
    divergence: RunDivergence
    growth: Growth
    epochs: list[EpochMetrics]
    stream: list[StreamSleepMetrics]
    resumed_with: list[str]
    hardware: list[SleptRow]


class Metrics(RunName, MatrixMetrics, Further):
    """The metrics of one run; accuracies are fractions, rows of them one a task that was learnt."""

    kind: str
    split: str
    status: str
    data: str
    reads_old_data: bool
    results: dict[str, float | None]
    accuracy_all: float | None
    # What naming the most frequent class every time would reach.
    accuracy_of_a_guess: NotRequired[float]
    accuracy_per_task: list[float]
    accuracy_matrix: list[list[float]]
    # Images of old tasks that were trained on with each task.
    replayed: list[int]
    accuracy_before_sleep: list[list[float]] | None
    sleep: SleepMetrics
    seconds: dict[str, float]


class Spread(TypedDict):
    """Mean, standard deviation (n - 1) and number of values; None where undefined."""

    mean: float | None
    sd: float | None
    n: int


class Summary(TypedDict):
    """What the runs of a strategy come to."""

    experiment: str
    variant: str
    strategy: str
    accuracy_all: Spread
    diverged: int
    failed: int


def spread_of(values: Iterable[float | None]) -> Spread:
    """Mean and standard deviation of the values that are defined.

    >>> spread_of([1.0, None, 2.0])
    {'mean': 1.5, 'sd': 0.7071067811865476, 'n': 2}
    """
    numbers = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(numbers) if numbers else None,
        "sd": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "n": len(numbers),
    }


def at_chance(metrics: Metrics) -> bool:
    """Whether a run ended no better than to name the most frequent class every time, where that is known."""
    accuracy = metrics["accuracy_all"]
    return accuracy is not None and accuracy <= metrics.get("accuracy_of_a_guess", -1.0)
