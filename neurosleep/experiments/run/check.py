"""Everything that can be wrong with a run, found before anything is written or computed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from neurosleep._checks import check_device
from neurosleep._files import check_folder
from neurosleep.continual import SRC, STRATEGIES, Combination, HomeostaticSleep, Learning, Strategy
from neurosleep.data import RunningMean, Task
from neurosleep.errors import MissingExtraError, RunFolderError, SettingsError, all_missing, unknown_name
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.run.deployment import Deployment, deployment_of
from neurosleep.experiments.run.request import RunRequest
from neurosleep.experiments.run.scenario import LastTaskOnly, tasks_of
from neurosleep.experiments.run.state import stored_state
from neurosleep.experiments.strategy_names import check_strategies
from neurosleep.functional import check_seed
from neurosleep.learning import Backprop, PhasedLearning
from neurosleep.networks import EquilibriumNetwork, FeedForwardNetwork
from neurosleep.replay import Sleep
from neurosleep.replay.streams import check_stream_memory
from neurosleep.spiking import (
    Dense,
    Population,
    Projection,
    Record,
    SpikingNetwork,
    Transposed,
    engine_names,
    get_engine,
)

__all__ = ["Plan", "check_data", "check_fit", "check_request", "read_data", "source_of"]

#: Kinds of networks that have a spiking counterpart.
_CAN_SLEEP = ("mlp", "equilibrium")
# Kinds of network whose NREM sleep is in spikes.
_CONVERTED = ("mlp", "conv")
# In steps: some years of computing.
_LONGEST_SLEEP = 10**12


@dataclass(frozen=True)
class Plan:
    """What a request comes to: everything that its settings make, made once.

    Parameters
    ----------
    request:
        The request.
    trainings:
        The wake training of each task; the last one is that of all further tasks.
    strategy:
        The strategy, and of it the part that lets the network sleep, if there is one.
    sleeper:
        That part.
    deployment:
        What chips are asked for, if any.
    """

    request: RunRequest
    trainings: tuple[Learning, ...]
    strategy: Strategy
    sleeper: SRC | None
    deployment: Deployment | None

    def trainings_for(self, tasks: int) -> list[Learning]:
        """The wake training of each of so many tasks."""
        if isinstance(self.strategy, LastTaskOnly):
            return [self.trainings[min(tasks, len(self.trainings)) - 1]]
        return [self.trainings[min(task, len(self.trainings) - 1)] for task in range(tasks)]


def check_request(request: RunRequest) -> Plan:
    """Find everything wrong with a request before anything is written or computed, and make what it comes to."""
    experiment = request.settings
    check_strategies([request.strategy])
    check_seed(request.seed)
    listed = max(len(values or ()) for values in (experiment.wake.lr_per_task, experiment.wake.epochs_per_task))
    listed = max(listed, 2 if experiment.wake.frozen_in(1) else 1)
    trainings = tuple(experiment.trainings(request.strategy, listed))
    _check_kinds(request, trainings[-1])
    deployment = deployment_of(experiment)
    if experiment.engine not in engine_names():
        raise unknown_name("engine", experiment.engine, engine_names())
    if check_device(experiment.device).type not in ("cpu", "cuda"):
        raise SettingsError(f"device is {experiment.device!r}.", expected="'cpu', 'cuda' or 'cuda:1'")
    engine = get_engine(experiment.stepping)
    parts = [_part(request, name) for name in request.parts]
    _check_boundaries(request, parts)
    network = experiment.small_network()
    for part in parts:
        part.check_network(network)
    sleeper = next((part for part in parts if isinstance(part, SRC)), None)
    if sleeper is not None:
        # A few neurons are enough to find that an extra is missing, or that the engine does not know the rule.
        stage = sleeper.settings.rem
        if stage.streams > 1:
            check_stream_memory(stage.streams, experiment.network.sizes)
        smallest, device = _smallest(sleeper.settings), experiment.device
        engine.start_streams(smallest, stage.rule, stage.streams, stage.stream_updates, device=device)
    if any(isinstance(part, HomeostaticSleep) and part.engine is not None for part in parts):
        engine.check_homeostasis()
    if "owm" in request.parts and len(experiment.owm.alpha) != experiment.layers:
        raise SettingsError(
            f"owm.alpha has {len(experiment.owm.alpha)} entries.", expected=f"{experiment.layers}, one per layer"
        )
    _check_folder(request)
    strategy = parts[0] if len(parts) == 1 else Combination(parts, experiment.order)
    return Plan(request, trainings, strategy, sleeper, deployment)


def _check_boundaries(request: RunRequest, parts: Sequence[Strategy]) -> None:
    """Find what asks where a task ends, where nobody says so."""
    experiment = request.settings
    wake, stream = experiment.wake, experiment.data.blur is not None
    task_free = experiment.nrem.task_free if "sleep" in request.parts else None
    why = f"data.blur is {experiment.data.blur:g}: nothing says" if stream else f"{task_free}: sleep is not told"
    if not stream and task_free is None:
        return
    asking = next((part.name for part in parts if part.needs_boundaries), None)
    if asking is not None:
        also = "" if asking != "sleep" else ", or nrem.every_samples or nrem.drift with sleep"
        raise SettingsError(
            f"{why} where a task ends, and the strategy {asking!r} asks for it.",
            expected=f"sequential, joint, or sleep alone{also}",
        )
    loss = getattr(wake, "loss", None)
    given = {
        "lr_per_task": wake.lr_per_task,
        "epochs_per_task": wake.epochs_per_task,
        "freeze_after_first": wake.frozen_in(1) or None,
        "loss": loss if loss == "task-cross-entropy" else None,
    }
    key = next((key for key, value in given.items() if value is not None), None)
    if key is not None:
        raise SettingsError(
            f"{why} where a task ends, and wake.{key} is {given[key]!r:.60}, which asks for it.",
            expected=f"without wake.{key}" if key != "loss" else "wake.loss cross-entropy",
        )


def _part(request: RunRequest, name: str) -> Strategy:
    experiment = request.settings
    if name == "src":
        sleep = experiment.sleep.for_layers(experiment.layers)
        return SRC(sleep, engine=experiment.stepping, device=experiment.device, record=_record(request))
    if name == "sequential" and experiment.data.control == "last":
        return LastTaskOnly()
    strategy = STRATEGIES[name](**experiment.options(name))
    if isinstance(strategy, HomeostaticSleep):
        strategy.device = experiment.device
    # What is in rates for whatever reason has no spikes, and no engine.
    if isinstance(strategy, HomeostaticSleep) and experiment.nrem.form != "rates":
        strategy.record = Record(spikes="all") if experiment.record == "all" else None
        if experiment.network.kind in _CONVERTED and experiment.nrem.profile is None and experiment.engine != "event":
            strategy.engine = experiment.engine
    return strategy


def _record(request: RunRequest) -> Record:
    """What a sleep keeps: where single spikes are wanted, also what becomes of the weights, at some twenty moments."""
    experiment = request.settings
    if experiment.record != "all":
        return Record(spikes=experiment.record)
    every = min(max(experiment.sleep.rem.steps // 20, 1), Record.rates_every)
    return Record(spikes="all", weights="statistics", weights_every=every)


def _check_folder(request: RunRequest) -> None:
    folder = request.folder
    if not request.resume and os.path.lexists(folder.path):
        raise RunFolderError(
            f"The run folder {str(folder.path)!r} exists already.",
            hint="--resume goes on with it (or keeps it, if it is finished); --out names another folder",
        )
    check_folder(folder.path, "choose another --out")
    folder.check()
    if request.resume and folder.finished:
        folder.check_config(dump_toml(request.settings))
        folder.metrics()


def _smallest(sleeping: Sleep) -> SpikingNetwork:
    """One neuron in each layer, joined as in the networks that sleep so."""
    names = ("input", "output") if sleeping.feedback == "none" else ("input", "hidden1", "output")
    populations = [Population(name, "lif", (1,), decay=sleeping.decay) for name in names[1:]]
    links: list[Projection] = [Dense(a, b, torch.zeros(1, 1)) for a, b in itertools.pairwise(names)]
    if sleeping.feedback == "delayed":
        shared = ("hidden1", "output")
        links.append(Transposed("output", "hidden1", of=shared, symmetric_rule=sleeping.symmetric_rule))
    return SpikingNetwork((Population("input", "input", (1,)), *populations), tuple(links))


def _check_kinds(request: RunRequest, training: Learning) -> None:
    """Find what this network, this learning and this strategy cannot do together."""
    experiment = request.settings
    kind, learning = experiment.network.kind, experiment.wake.kind
    network = experiment.small_network()
    # One step size per layer, or one for all.
    if isinstance(training, PhasedLearning):
        if isinstance(network, EquilibriumNetwork):
            training.rates(network)
            training.check_network(network)
    elif isinstance(training, Backprop) and isinstance(network, FeedForwardNetwork):
        training.rates(network)
        training.learning_layers(network)
    for part in request.parts:
        works = STRATEGIES[part].works_with
        if works is not None and learning not in works:
            raise SettingsError(
                f"The strategy {part!r} does not work with wake.kind {learning!r}.", expected=" or ".join(works)
            )
    if "src" in request.parts and kind not in _CAN_SLEEP:
        raise SettingsError(
            f"A network of kind {kind!r} cannot sleep: it has no spiking counterpart here.",
            expected=f"network.kind {' or '.join(_CAN_SLEEP)}, or a strategy without src",
        )
    if "icarl" in request.parts and experiment.icarl.faithful and kind != "mlp":
        raise SettingsError("icarl.faithful is a fault with dropout, which this network has not.", expected="false")


def check_fit(plan: Plan, tasks: list[Task]) -> None:
    """Find what is wrong with a request only on this data, also before anything is written or computed."""
    experiment = plan.request.settings
    sizes = experiment.network.sizes
    shape = tasks[0].train_images.shape[1:]
    inputs = int(np.prod(shape))
    classes = max(max(task.classes) for task in tasks) + 1
    if sizes[0] != inputs or sizes[-1] < classes:
        raise SettingsError(
            f"network.sizes is {[*sizes]!r}.", expected=f"{inputs} inputs and at least {classes} outputs for this data"
        )
    if plan.sleeper is not None:
        sleeping = plan.sleeper.settings
        sleeping.rem.drive(np.zeros(inputs), shape)
        learnt = plan.strategy.tasks(tasks)
        _check_after("sleep", sleeping.after, learnt)
        _check_sleep(plan.request, sleeping, learnt)
    if "sleep" in plan.request.parts:
        _check_after("nrem", experiment.nrem.after, plan.strategy.tasks(tasks))
    exemplars = sum(len(task.classes) for task in tasks)
    if "icarl" in plan.request.parts and experiment.icarl.k < exemplars:
        raise SettingsError(
            f"icarl.k is {experiment.icarl.k}.", expected=f"at least {exemplars}, one exemplar per class"
        )


def _check_after(table: str, after: tuple[int, ...] | None, tasks: list[Task]) -> None:
    """Find that a sleep is to follow a task that does not come."""
    beyond = [number for number in after or () if abs(number) > len(tasks)]
    if beyond:
        raise SettingsError(f"{table}.after holds {beyond[0]}.", expected=f"numbers of the {len(tasks)} tasks, from 1")


def _check_sleep(request: RunRequest, sleeping: Sleep, tasks: list[Task]) -> None:
    """Find that a sleep has no end in sight, or that the mean input which drives it is negative somewhere."""
    phases = [k for k in range(len(tasks)) if sleeping.sleeps_after(k, len(tasks))]
    longest = max((sleeping.rem.steps_after(k) for k in phases), default=1)
    if longest > _LONGEST_SLEEP:
        raise SettingsError(f"A sleep would have {longest:.3g} steps.", expected=f"at most {_LONGEST_SLEEP:.0e}")
    if all(task.pool_images.dtype.kind in "ub" or task.pool_images.min(initial=0) >= 0 for task in tasks):
        return
    mean = RunningMean()
    for k, task in enumerate(tasks):
        if k == 0 or sleeping.statistics == "seen":
            mean.update(task.pool_images)
        if k in phases and (mean.mean < 0).any():
            scale = request.settings.data.scale
            raise SettingsError(
                f"The data have negative values (data.scale {scale!r}), and their mean drives a sleep, as rates do.",
                found=f"{int((mean.mean < 0).sum())} of {mean.mean.size} inputs have a negative mean",
                expected="inputs of at least 0 for the strategy src",
                hint="--set data.scale=maximum" if scale == "standard" else "scale the data to 0..1",
            )


def source_of(request: RunRequest) -> tuple[object, ...]:
    """What the tasks of a request depend on."""
    data = request.settings.data
    # Only these depend on the seed.
    drawn = data.order == "random" or data.name == "patches" or data.permutations is not None or data.noise or data.blur
    return data, request.data, request.seed if drawn else None


def read_data(plans: Sequence[Plan]) -> Iterator[list[Task]]:
    """The tasks of each request, read once where they are the same; a file that is bad or does not fit is refused."""
    read = None
    tasks: list[Task] = []
    for plan in plans:
        request = plan.request
        if (source := source_of(request)) != read:
            tasks, read = tasks_of(request.settings, request.data, request.seed), source
        check_fit(plan, tasks)
        if request.resume and request.folder.path.is_dir():
            stored_state(request, request.folder, tasks)
        yield tasks


def check_data(plans: Sequence[Plan]) -> list[Task]:
    """Find a bad file, or one that does not fit, before the first run; returns the tasks of the last request.

    Extras that are not installed are named together.
    """
    tasks: list[Task] = []
    missing: list[MissingExtraError] = []
    for _, alike in itertools.groupby(plans, key=lambda plan: source_of(plan.request)):
        try:
            for tasks in read_data(list(alike)):  # noqa: B007 - those of the others are checked as they are read
                pass
        except MissingExtraError as error:
            missing.append(error)
    if missing:
        raise missing[0] if len(missing) == 1 else all_missing(missing)
    return tasks
