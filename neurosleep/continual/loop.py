"""Learning a sequence of tasks: train, evaluate, sleep, evaluate; interruptible after every phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from math import isfinite
from time import perf_counter
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from neurosleep._memory import forget_peak, resident
from neurosleep._shown import brief
from neurosleep.continual._wake_watch import WakeWatch
from neurosleep.continual.strategies import Learner, Strategy, trained
from neurosleep.data import Task, to_float
from neurosleep.functional import torch_generator
from neurosleep.hardware import ChipRegulation
from neurosleep.learning import Batch, predict
from neurosleep.replay import Consolidation, SleepResult

__all__ = ["Learning", "Progress", "learn_tasks"]

Phase = Literal["wake", "sleep"]


class Learning(Protocol):
    """The wake training of one task, such as :class:`~neurosleep.learning.Backprop`, which says what is what.

    See Also
    --------
    neurosleep.learning.Backprop : of feed-forward networks
    neurosleep.learning.EquilibriumPropagation : of equilibrium networks

    Examples
    --------
    >>> from neurosleep.continual import Learning
    >>> from neurosleep.learning import Backprop
    >>> first: Learning = Backprop(epochs=2)
    >>> later: Learning = Backprop(epochs=1, lr=0.05)  # learn_tasks takes one for all tasks, or one for each
    """

    def fit(
        self,
        network: Any,
        images: Tensor,
        targets: Tensor,
        velocity: list[Tensor],
        streams: Callable[[str, int], torch.Generator],
        *,
        loss_term: Callable[[Batch], Tensor | None] = ...,
        after_backward: Callable[[Batch], None] = ...,
        after_step: Callable[[Batch], None] = ...,
    ) -> Iterator[int]:
        """Train ``network`` and ``velocity`` in place; yields after each epoch its number, from 1."""


@dataclass
class Progress:
    """How far a sequence has got; plain numbers only, so that it can be stored between phases.

    ``task`` and ``phase`` name the next phase. Accuracies are fractions, one row per finished phase; ``read_outs`` has
    those of a strategy's further classifiers, after each task. ``replayed`` counts the images of old tasks that were
    trained on with each. ``growth`` has of each task the ``seconds`` of wake and of sleep, and the most ``memory`` that
    the process took meanwhile, in bytes (None where the system does not tell). ``stream`` has the sleeps of a stream
    without tasks (:class:`StreamSleep`). ``epochs`` has the mean ``loss`` and the ``accuracy`` on the training batches
    of each ``epoch`` of each ``task`` (None where there is none), and the accuracies ``tested`` after it, if they were
    asked for; ``divergence`` where it diverged: ``task``,
    ``phase``, ``epoch``, ``step``, ``layer``, ``quantity`` and ``value`` (None: not finite).
    ``answers`` has the last evaluation as rows of class, answer and number of images.

    See Also
    --------
    learn_tasks : which takes it further

    Examples
    --------
    >>> from neurosleep.continual import Progress
    >>> progress = Progress()
    >>> progress.task, progress.phase, progress.status
    (0, 'wake', 'done')
    """

    task: int = 0
    phase: Phase = "wake"
    status: Literal["done", "diverged"] = "done"
    before_sleep: list[list[float]] = field(default_factory=list)
    after: list[list[float]] = field(default_factory=list)
    read_outs: dict[str, list[list[float]]] = field(default_factory=dict)
    replayed: list[int] = field(default_factory=list)
    sleeps: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: {"train": 0.0, "sleep": 0.0, "evaluate": 0.0})
    growth: list[dict[str, float | None]] = field(default_factory=list)
    stream: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    divergence: dict[str, Any] | None = None
    answers: list[list[int]] = field(default_factory=list)

    __repr__ = brief


def _evaluate(
    learner: Learner, strategy: Strategy, tests: list[tuple[Tensor, Tensor]], progress: Progress
) -> list[float]:
    start = perf_counter()
    strategy.before_eval(learner)
    answers = [predict(learner.network, images).cpu() for images, _ in tests]
    accuracies = [float((a == labels).double().mean()) for a, (_, labels) in zip(answers, tests, strict=True)]
    if tests:
        pairs = np.stack([torch.cat(parts).numpy() for parts in ([labels for _, labels in tests], answers)], axis=1)
        found, images = np.unique(pairs, axis=0, return_counts=True)
        progress.answers = np.column_stack([found, images]).tolist()
    strategy.after_eval(learner)
    progress.seconds["evaluate"] += perf_counter() - start
    return accuracies


def _spent(learner: Learner, phase: Phase, seconds: float, progress: Progress) -> None:
    """Count what a phase of the present task took; of ``wake``, sleeps of a stream in its middle are sleep."""
    of_sleep = 0.0
    while learner.stream:
        slept = learner.stream.pop(0)
        progress.stream.append(slept._asdict())
        of_sleep += slept.seconds if phase == "wake" else 0.0
    while len(progress.growth) <= learner.task:
        progress.growth.append({"train": 0.0, "sleep": 0.0, "memory": None})
    parts = {"train": seconds - of_sleep, "sleep": of_sleep} if phase == "wake" else {"sleep": seconds}
    of_task, most = progress.growth[-1], resident("VmHWM")
    for key, value in parts.items():
        progress.seconds[key] += value
        of_task[key] = (of_task[key] or 0.0) + value
    if most is not None:
        of_task["memory"] = max(most, of_task["memory"] or 0)


def _regulated(learner: Learner, consolidation: Consolidation | ChipRegulation) -> dict[str, Any]:
    """The record of a sleep that is one NREM stage: what it did is in the stage's units, and no spike is kept."""
    return {
        "task": learner.task,
        "steps": sum(stage.steps for stage in consolidation.stages),
        "spikes_per_step": {},
        "divergence": None,
        "notes": [*learner.notes],
        "window": 1,
        "windows": {},
        "sizes": {},
        "weights": {},
    }


def _in_sleep(task: int, result: SleepResult) -> dict[str, Any] | None:
    """Where a sleep phase diverged, as :class:`Progress` holds it."""
    where = result.divergence
    if where is None:
        return None
    firing = where.projection.startswith("firing")
    return {
        "task": task,
        "phase": "sleep",
        "epoch": None,
        "step": where.step,
        "layer": "all layers" if firing else where.projection,
        "quantity": "spikes per step" if firing else "largest weight",
        "value": where.value if isfinite(where.value) else None,
    }


def learn_tasks(
    learner: Learner,
    strategy: Strategy,
    training: Learning | Sequence[Learning],
    tests: list[Task],
    progress: Progress,
    *,
    after_phase: Callable[[str, int], None] = lambda phase, task: None,
    after_epoch: Callable[[int, int], None] = lambda task, epoch: None,
    test_each_epoch: bool = False,
) -> Progress:
    """Run ``strategy`` over ``learner.tasks`` from where ``progress`` stands, and change both.

    ``tests`` are the tasks whose test images are evaluated after every phase. ``after_phase(phase, task)`` is called
    when a phase is complete and may store the state; the same call with the stored state goes on from there.
    ``training`` is the wake training of all tasks, or of each. With ``test_each_epoch`` the test images are evaluated
    after every epoch too, which changes nothing else.

    See Also
    --------
    Strategy, SRC : what it runs
    neurosleep.experiments.run_experiment : the same from a settings file, with results on disk

    Examples
    --------
    >>> import torch
    >>> from neurosleep.continual import Learner, Progress, Strategy, learn_tasks
    >>> from neurosleep.data import class_incremental, patches
    >>> from neurosleep.learning import Backprop
    >>> from neurosleep.networks import MLP
    >>> tasks, network = class_incremental(patches()), MLP([100, 4])
    >>> learner = Learner(network, [torch.zeros_like(weight) for weight in network.weights], tasks, seed=0)
    >>> progress = learn_tasks(learner, Strategy(), Backprop(epochs=20), tasks, Progress())
    >>> progress.status, [len(row) for row in progress.after]
    ('done', [2, 2])
    """
    strategy.check_network(learner.network)
    held = [(torch.from_numpy(to_float(t.test_images)), torch.from_numpy(t.test_labels)) for t in tests]
    while progress.task < len(learner.tasks) and progress.status == "done":
        learner.task = progress.task
        task = learner.tasks[learner.task]
        start = perf_counter()
        forget_peak()
        if progress.phase == "wake":
            strategy.before_training_exp(learner)
            images, targets = strategy.training_data(
                learner, torch.from_numpy(to_float(task.train_images)), torch.from_numpy(task.train_labels)
            )
            progress.replayed.append(len(targets) - len(task.train_labels))
            present = training[learner.task] if isinstance(training, Sequence) else training
            watch, tested = WakeWatch(learner.network, learner.task), list[list[float]]()

            def after_step(batch: Batch, watch: WakeWatch = watch) -> None:
                strategy.after_step(learner, batch)
                watch.step(batch)

            for epoch in present.fit(
                learner.network,
                images,
                targets,
                learner.velocity,
                lambda name, epoch: torch_generator(learner.seed, name, learner.task, epoch),
                loss_term=lambda batch: strategy.loss_term(learner, batch),
                after_backward=lambda batch: strategy.after_backward(learner, batch),
                after_step=after_step,
            ):
                watch.epoch(epoch)
                after_epoch(learner.task, epoch)
                if test_each_epoch:
                    paused = perf_counter()
                    tested.append(_evaluate(learner, strategy, held, progress))
                    start += perf_counter() - paused
            learner.mean.update(task.pool_images)
            _spent(learner, "wake", perf_counter() - start, progress)
            progress.before_sleep.append(_evaluate(learner, strategy, held, progress))
            if not all(bool(torch.isfinite(weight).all()) for weight in trained(learner.network)):
                progress.status, progress.divergence = "diverged", watch.divergence()
            progress.epochs += [
                epoch if row is None else {**epoch, "tested": row} for epoch, row in zip_longest(watch.epochs, tested)
            ]
            progress.phase = "sleep"
        else:
            learner.sleep_result, learner.consolidation, learner.notes = None, None, []
            strategy.after_training_exp(learner)
            _spent(learner, "sleep", perf_counter() - start, progress)
            if learner.sleep_result is not None or learner.consolidation is not None:
                progress.after.append(_evaluate(learner, strategy, held, progress))
            else:
                progress.after.append(progress.before_sleep[-1])
            for name, classify in strategy.read_outs(learner).items():
                accuracies = [float((classify(images) == labels).double().mean()) for images, labels in held]
                progress.read_outs.setdefault(name, []).append(accuracies)
            result = learner.sleep_result
            if result is not None:
                recording = result.recording
                progress.sleeps.append(
                    {
                        "task": learner.task,
                        "steps": recording.steps,
                        "spikes_per_step": {name: recording.spikes_per_step(name) for name in recording.counts},
                        "divergence": None
                        if result.divergence is None
                        else {"step": result.divergence.step, "projection": result.divergence.projection},
                        "notes": learner.notes,
                    }
                )
                if result.status == "diverged":
                    progress.status, progress.divergence = "diverged", _in_sleep(learner.task, result)
            elif learner.consolidation is not None:
                progress.sleeps.append(_regulated(learner, learner.consolidation))
            progress.phase, progress.task = "wake", progress.task + 1
        done: Phase = "wake" if progress.phase == "sleep" else "sleep"
        after_phase(done, learner.task)
    return progress
