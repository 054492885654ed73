"""A run while it goes on: what is analysed, recorded, stored and told after each of its phases."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from neurosleep._progress import heard_by, tell_progress
from neurosleep.continual import AwakeNetwork, Learner, Learning, Progress, trained
from neurosleep.data import RunningMean, Task
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.run.analysis import (
    renamed,
    write_analysis,
    write_homeostasis,
    write_preferred_task,
    write_settling,
    write_weights,
)
from neurosleep.experiments.run.check import Plan
from neurosleep.experiments.run.events import Listener
from neurosleep.experiments.run.live import Watcher
from neurosleep.experiments.run.position import Position
from neurosleep.experiments.run.state import environment_of, stored_state
from neurosleep.experiments.run_folder import RunFolder, restore, tensors_of, write_whole
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop, PhasedLearning
from neurosleep.networks import MLP, EquilibriumNetwork, FeedForwardNetwork
from neurosleep.spiking import Recording, SleepSpan

__all__ = ["Phases", "Report"]

Report: TypeAlias = Callable[[str], None]


class Phases:
    """The network that learns and sleeps, how far it is, and what is done after each phase.

    Parameters
    ----------
    plan, tests, folder:
        What is run, on which tasks, and where to.
    report, listener:
        Who is told of it.
    """

    def __init__(
        self, plan: Plan, tests: list[Task], folder: RunFolder, report: Report, listener: Listener | None
    ) -> None:
        request = plan.request
        experiment = request.settings
        self.request, self.strategy, self.tests, self.folder = request, plan.strategy, tests, folder
        self.report = report
        self.config = dump_toml(experiment)
        network: AwakeNetwork = experiment.network.make(experiment.wake, torch_generator(request.seed, "init"))
        velocity = _optimiser_state(plan.trainings[0], network)
        self.learner = Learner(network, velocity, plan.strategy.tasks(tests), request.seed)
        self.progress = Progress()
        self.watcher = None if listener is None else Watcher(listener, request.name, tests)
        if plan.sleeper is not None:
            plan.sleeper.progress = lambda done, steps: self._say("sleep", done, steps)
            plan.sleeper.watch = None if self.watcher is None else self.watcher.sleep
        self.awake = network

    def start(self) -> None:
        """Go on from what the folder stores, if the request resumes it; else write what the run is."""
        folder, learner = self.folder, self.learner
        stored = stored_state(self.request, folder, self.tests)
        if stored is not None:
            tensors, self.progress = stored
            if self.watcher is not None:
                self.watcher.slept = sum(phase["steps"] for phase in self.progress.sleeps)
            restore(tensors, trained(learner.network), learner.velocity)
            self.strategy.load_state_dict(_under("strategy.", tensors))
            mean = _under("mean.", tensors)
            if mean:
                learner.mean = RunningMean.from_state({key: value.numpy() for key, value in mean.items()})
        else:
            write_whole(folder.path / "config.toml", self.config)
        if stored is None or folder.origin["changed"]:
            folder.write_json("environment.json", environment_of(self.request, folder.origin))
        if self.request.settings.analyse or self.strategy.sleeps:
            self.awake = copy.deepcopy(learner.network)

    def reporting(self) -> AbstractContextManager[None]:
        """Tell, meanwhile, also of what is counted within a phase."""

        def hear(what: str, done: int, total: int) -> None:
            # Of a sleep under a rule, whose steps are reported, and of what is told here.
            if what.startswith("homeostasis"):
                self._say(what, done, total)

        return heard_by(hear)

    def _say(self, phase: str, step: int, steps: int) -> None:
        """Report steps of a phase of the task that is under way."""
        self.report(str(Position(self.learner.task + 1, len(self.learner.tasks), phase, step, steps)))

    def after_epoch(self, task: int, epoch: int) -> None:
        """Tell of an epoch."""
        self.report(str(Position(task + 1, len(self.learner.tasks), f"wake, epoch {epoch}")))
        if self.watcher is not None:
            self.watcher.epoch(task, epoch)

    def after_phase(self, phase: str, task: int) -> None:
        """Analyse, record, store and tell of a phase, ``wake`` or ``sleep``."""
        learner, progress = self.learner, self.progress
        if self.request.settings.analyse or self.strategy.sleeps:
            self._analyse(phase, task)
        if learner.sleep_result is not None and phase == "sleep":
            self._record(learner.sleep_result.recording, task)
        elif phase == "sleep" and learner.consolidation is not None and learner.consolidation.recording is not None:
            self._record(learner.consolidation.recording, task)
        mean = {f"mean.{key}": torch.from_numpy(np.array(value)) for key, value in learner.mean.state_dict().items()}
        state = {f"strategy.{key}": value for key, value in self.strategy.state_dict().items()}
        tensors = tensors_of(trained(learner.network), learner.velocity) | mean | state
        self.folder.save_bundle(tensors, progress, self.config)
        done = progress.after[-1] if phase == "sleep" else progress.before_sleep[-1]
        if self.watcher is not None and (phase == "wake" or learner.sleep_result is not None):
            self.watcher.phase(phase, task, done)
        self.report(str(Position(task + 1, len(learner.tasks), f"{phase}: {100 * sum(done) / len(done):.1f} %")))
        tell_progress("tasks", task + (phase == "sleep"), len(learner.tasks))

    def _analyse(self, phase: str, task: int) -> None:
        learner, network, seed = self.learner, self.learner.network, self.request.seed
        if phase == "wake":
            self.awake.load_state_dict(network.state_dict())
        if task + 1 != len(learner.tasks) or self.progress.status != "done":
            return
        slept = learner.sleep_result or learner.consolidation
        if phase == "sleep" and slept is not None and isinstance(self.awake, MLP) and isinstance(network, MLP):
            write_weights(self.folder.path, self.awake, network)
        if phase == "sleep" and learner.consolidation is not None:
            stages = [stage.regulated for stage in learner.consolidation.stages if stage.regulated is not None]
            write_homeostasis(self.folder.path, self.awake, network, stages[-1] if stages else None, self.tests)
        if not self.request.settings.analyse:
            return
        if isinstance(self.awake, EquilibriumNetwork) and isinstance(network, EquilibriumNetwork):
            self.report("analysing the free phase")
            before = self.awake if phase == "sleep" and learner.sleep_result is not None else None
            write_settling(self.folder.path, network, self.tests, before=before, seed=seed)
        elif phase == "sleep" and slept is not None and isinstance(self.awake, MLP) and isinstance(network, MLP):
            self.report("analysing the last sleep")
            write_analysis(self.folder.path, self.awake, network, slept.recording, self.tests, seed=seed)

    def _record(self, recording: Recording, task: int) -> None:
        """Write what a sleep recorded into the progress and, where single spikes were, into a file."""
        progress, network = self.progress, self.learner.network
        progress.sleeps[-1] |= {
            "window": recording.window,
            "windows": {name: counts.tolist() for name, counts in recording.windows.items()},
            "sizes": {name: len(counts) for name, counts in recording.counts.items()},
            "weights": {
                name: {"steps": samples.steps.tolist(), "values": samples.values.tolist()}
                for name, samples in recording.weights.items()
            },
        }
        if recording.spikes:
            self._of_all_stages(recording).to_npz(self.folder.path / "spikes" / f"task{task + 1}.npz")
            if isinstance(network, MLP) and progress.status == "done":
                write_preferred_task(self.folder.path, network, self.tests[: task + 1])

    def _of_all_stages(self, recording: Recording) -> Recording:
        """The recording of the last stage, behind or before that of the other where two strategies slept in turn."""
        consolidation = self.learner.consolidation
        nrem = None if consolidation is None else consolidation.recording
        if nrem is None or self.learner.sleep_result is None or not nrem.spikes:
            return recording
        rem = replace(recording, hypnogram=(SleepSpan("REM", "tonic", 0, recording.steps),))
        # The two conversions name layers in ways of their own; both have them in the order of the network.
        nrem = renamed(nrem, list(recording.counts))
        first = self.request.parts.index("sleep") < self.request.parts.index("src")
        return nrem.then(rem) if first else rem.then(nrem)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _optimiser_state(training: Learning, network: AwakeNetwork) -> list[Tensor]:
    """State of the optimiser before the first task."""
    if isinstance(training, PhasedLearning) and isinstance(network, EquilibriumNetwork):
        return training.state(network)
    if isinstance(training, Backprop) and isinstance(network, FeedForwardNetwork):
        return training.state(network)
    return [torch.zeros_like(weight) for weight in trained(network)]
