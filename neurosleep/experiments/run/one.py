"""Running experiments: one run in one thread, several side by side, each in its own folder, all resumable."""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import pickle
import platform
import statistics
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurosleep._files import check_folder, remove_leftovers
from neurosleep._surroundings import surroundings_kept
from neurosleep.continual import (
    SRC,
    STRATEGIES,
    AwakeNetwork,
    Combination,
    Learner,
    Learning,
    Progress,
    Strategy,
    learn_tasks,
    matrix_metrics,
    trained,
)
from neurosleep.data import RunningMean, Task
from neurosleep.errors import NeurosleepError, RunFolderError, RunsFailedError, SettingsError, unknown_name
from neurosleep.experiments.kinds import CAN_SLEEP, check_size, kinds_of, make_network
from neurosleep.experiments.names import folder_name
from neurosleep.experiments.report import write_run_figures
from neurosleep.experiments.run.analysis import write_analysis, write_preferred_task, write_settling
from neurosleep.experiments.run.commit import own_commit
from neurosleep.experiments.run.deployment import deploy, deployment_settings, deployment_table
from neurosleep.experiments.run.live import Listener, Watcher
from neurosleep.experiments.run.origin import differences, fingerprint, versions
from neurosleep.experiments.run.scenario import LastTaskOnly, kind_of, tasks_of
from neurosleep.experiments.run_folder import RunFolder, restore, tensors_of, write_whole
from neurosleep.experiments.schedule.workers import Outcome, check_main_guard, side_by_side
from neurosleep.experiments.settings import check_strategies, dump_toml, learning_settings, sleep_settings
from neurosleep.functional import check_seed, torch_generator
from neurosleep.hardware import load_profile
from neurosleep.learning import Backprop, PhasedLearning
from neurosleep.networks import MLP, EquilibriumNetwork
from neurosleep.replay import Moment, Sleep
from neurosleep.spiking import Population, Projection, Record, SpikingNetwork, engine_names, get_engine

__all__ = ["RunRequest", "run_experiment", "run_one", "summarise"]

Report = Callable[[str], None]

# In steps: some years of computing.
_LONGEST_SLEEP = 10**12
# Length in seconds of a step of every experiment.
_DT = 0.001
# Failed runs that a message names, at most.
_NAMED = 10


@dataclass(frozen=True)
class RunRequest:
    """One run: what, with which settings, from where, to where.

    Parameters
    ----------
    experiment, variant, strategy, seed:
        Its place in the output folder.
    settings:
        Complete settings (see :mod:`neurosleep.experiments.settings`).
    data:
        Folder of the data sets, or None.
    out:
        Output folder.
    resume:
        Whether to go on in a folder that exists.
    command:
        The command line, for the record.
    force:
        Whether to go on with a stored state although the data or the packages are others now, or although it is of a
        version that wrote no checksum; the metrics then say so under ``resumed_with``.
    """

    experiment: str
    variant: str
    strategy: str
    seed: int
    settings: dict[str, Any]
    data: str | None
    out: str
    resume: bool = False
    command: str = ""
    force: bool = False

    @property
    def folder(self) -> RunFolder:
        """Its run folder, which lies in the output folder whatever the names are."""
        names = (
            folder_name("experiment", self.experiment, levels=True),
            folder_name("variant", self.variant),
            folder_name("strategy", self.strategy),
            folder_name("seed", f"seed{self.seed}"),
        )
        return RunFolder(Path(self.out, *names), Path(self.out))


def _environment(request: RunRequest, origin: dict[str, Any]) -> dict[str, Any]:
    command = request.command
    if request.data:
        command = command.replace(request.data, "DATA")
    return {
        "versions": origin["versions"],
        "data": origin["data"],
        "device": "cpu",
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "commit": own_commit(),
        "command": command,
        "dt": _DT,
        **({"resumed_with": origin["changed"]} if origin["changed"] else {}),
    }


def _tasks(request: RunRequest) -> list[Task]:
    return tasks_of(request.settings, request.data, request.seed)


def _record(settings: dict[str, Any]) -> Record:
    """What a night keeps: where single spikes are wanted, also what becomes of the weights, at some twenty moments."""
    if settings["record"] != "all":
        return Record(spikes=settings["record"])
    every = min(max(settings["sleep"]["steps"] // 20, 1), Record.rates_every)
    return Record(spikes="all", weights="statistics", weights_every=every)


def _strategy(
    request: RunRequest,
    report: Report = lambda text: None,
    watch: Callable[[Learner, Moment], None] | None = None,
) -> Strategy:
    settings = request.settings
    parts: list[Strategy] = []
    for name in request.strategy.split("+"):
        if name == "src":
            parts.append(
                SRC(
                    sleep_settings(settings),
                    engine=settings["engine"],
                    record=_record(settings),
                    progress=lambda done, steps: report(f"asleep, step {done} of {steps}"),
                    watch=watch,
                )
            )
        elif name == "sequential" and settings["data"]["control"] == "last":
            parts.append(LastTaskOnly())
        else:
            options = settings.get(name, {}) if name != "joint" else {}
            parts.append(STRATEGIES[name](**options))
    return parts[0] if len(parts) == 1 else Combination(parts, settings["order"])


def check_request(request: RunRequest) -> None:
    """Find everything wrong with a request before anything is written or computed."""
    check_strategies([request.strategy])
    check_seed(request.seed)
    (training,) = learning_settings(request.settings, request.strategy)
    sizes = request.settings["network"]["sizes"]
    if not all(isinstance(size, int) and size >= 1 for size in sizes) or len(sizes) < 2:
        raise SettingsError(f"network.sizes is {sizes!r}.", expected="at least two whole numbers of at least 1")
    check_size(request.settings)
    _check_kinds(request, training)
    deployment_settings(request.settings)
    if request.settings["engine"] not in engine_names():
        raise unknown_name("engine", request.settings["engine"], engine_names())
    engine = get_engine(request.settings["engine"])
    strategy = _strategy(request)
    if strategy.sleeps:
        sleeping = sleep_settings(request.settings)
        sleeping.for_layers(len(sizes) - 1)
        # A few neurons are enough to find that an extra is missing, or that the engine does not know the rule.
        engine.start(_smallest_asleep(sleeping), sleeping.rem.rule)
    Record(spikes=request.settings["record"])
    owm = request.settings["owm"]
    if "owm" in request.strategy.split("+") and len(owm["alpha"]) != len(sizes) - 1:
        raise SettingsError(f"owm.alpha has {len(owm['alpha'])} entries.", expected=f"{len(sizes) - 1}, one per layer")
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


def _smallest_asleep(sleeping: Sleep) -> SpikingNetwork:
    """One neuron in each layer, joined as in the networks that sleep so."""
    names = ("input", "output") if sleeping.feedback == "none" else ("input", "hidden1", "output")
    populations = [Population(name, "lif", (1,), decay=sleeping.decay) for name in names[1:]]
    links = [Projection(a, b, weight=torch.zeros(1, 1)) for a, b in itertools.pairwise(names)]
    if sleeping.feedback == "delayed":
        shared = ("hidden1", "output")
        links.append(
            Projection("output", "hidden1", delay=1, transpose_of=shared, symmetric_rule=sleeping.symmetric_rule)
        )
    return SpikingNetwork((Population("input", "input", (1,)), *populations), tuple(links))


def _check_kinds(request: RunRequest, training: Learning) -> None:
    """Find what this network, this learning and this strategy cannot do together."""
    settings = request.settings
    kind, learning = kinds_of(settings)
    # Small layers are enough to find an option that makes no sense.
    sizes = settings["network"]["sizes"]
    small = sizes if kind == "equilibrium-conv" else [2] * len(sizes)
    network = make_network({**settings, "network": settings["network"] | {"sizes": small}})
    # One step size per layer, or one for all.
    if isinstance(training, PhasedLearning):
        if isinstance(network, EquilibriumNetwork):
            training.rates(network)
            training.check_network(network)
    elif isinstance(training, Backprop) and isinstance(network, MLP):
        training.rates(network)
    for part in request.strategy.split("+"):
        works = STRATEGIES[part].works_with
        if works is not None and learning not in works:
            raise SettingsError(
                f"The strategy {part!r} does not work with wake.kind {learning!r}.", expected=" or ".join(works)
            )
    if "src" in request.strategy.split("+") and kind not in CAN_SLEEP:
        raise SettingsError(
            f"A network of kind {kind!r} cannot sleep: it has no spiking counterpart here.",
            expected=f"network.kind {' or '.join(CAN_SLEEP)}, or a strategy without src",
        )
    if "icarl" in request.strategy.split("+") and settings["icarl"]["faithful"] and kind != "mlp":
        raise SettingsError("icarl.faithful is a fault with dropout, which this network has not.", expected="false")


def _check_fit(request: RunRequest, tasks: list[Task]) -> None:
    """Find what is wrong with a request only on this data, also before anything is written or computed."""
    sizes = request.settings["network"]["sizes"]
    shape = tasks[0].train_images.shape[1:]
    inputs = int(np.prod(shape))
    classes = max(max(task.classes) for task in tasks) + 1
    if sizes[0] != inputs or sizes[-1] < classes:
        raise SettingsError(
            f"network.sizes is {sizes!r}.", expected=f"{inputs} inputs and at least {classes} outputs for this data"
        )
    learning_settings(request.settings, request.strategy, len(tasks))
    parts = request.strategy.split("+")
    if "src" in parts:
        sleeping = sleep_settings(request.settings)
        sleeping.rem.drive(np.zeros(inputs), shape)
        learnt = len(_strategy(request).tasks(tasks))
        beyond = [number for number in sleeping.after or () if abs(number) > learnt]
        if beyond:
            raise SettingsError(f"sleep.after holds {beyond[0]}.", expected=f"numbers of the {learnt} tasks, from 1")
        _check_asleep(request, sleeping, _strategy(request).tasks(tasks))
    kept = sum(len(task.classes) for task in tasks)
    if "icarl" in parts and request.settings["icarl"]["k"] < kept:
        raise SettingsError(
            f"icarl.k is {request.settings['icarl']['k']}.", expected=f"at least {kept}, one exemplar per class"
        )


def _check_asleep(request: RunRequest, sleeping: Sleep, tasks: list[Task]) -> None:
    """Find that a sleep has no end in sight, or that the mean input which drives it is negative somewhere."""
    nights = [k for k in range(len(tasks)) if sleeping.sleeps_after(k, len(tasks))]
    longest = max((sleeping.rem.steps_after(k) for k in nights), default=1)
    if longest > _LONGEST_SLEEP:
        raise SettingsError(f"A sleep would have {longest:.3g} steps.", expected=f"at most {_LONGEST_SLEEP:.0e}")
    if all(task.pool_images.dtype.kind in "ub" or task.pool_images.min(initial=0) >= 0 for task in tasks):
        return
    mean = RunningMean()
    for k, task in enumerate(tasks):
        if k == 0 or sleeping.statistics == "seen":
            mean.update(task.pool_images)
        if k in nights and (mean.mean < 0).any():
            scale = request.settings["data"]["scale"]
            raise SettingsError(
                f"The data have negative values (data.scale {scale!r}), and their mean drives a sleep, as rates do.",
                found=f"{int((mean.mean < 0).sum())} of {mean.mean.size} inputs have a negative mean",
                expected="inputs of at least 0 for the strategy src",
                hint="--set data.scale=maximum" if scale == "standard" else "scale the data to 0..1",
            )


def _check_data(requests: Sequence[RunRequest]) -> list[Task]:
    """Read the data of all requests once, so that a bad file or one that does not fit is found before the first run.

    Returns the tasks of the last.
    """
    read = None
    tasks: list[Task] = []
    for request in requests:
        data = request.settings["data"]
        # Only these depend on the seed.
        source = (data, request.data, request.seed if data["order"] == "random" or data["name"] == "patches" else None)
        if source != read:
            tasks, read = _tasks(request), source
        _check_fit(request, tasks)
        if request.resume and request.folder.path.is_dir():
            _stored_state(request, request.folder, tasks, dump_toml(request.settings))
    return tasks


def _stored_state(
    request: RunRequest, folder: RunFolder, tasks: list[Task], config: str
) -> tuple[dict[str, torch.Tensor], Progress] | None:
    """What the run goes on from, if anything, and in ``folder.origin`` what it goes on with.

    Raises
    ------
    RunFolderError
        If the state is damaged, or the data or the packages are others than it was begun with, without ``force``.
    """
    present: dict[str, Any] = {"versions": versions(), "data": fingerprint(tasks)}
    finished = request.resume and folder.finished
    stored = folder.load_bundle(config, unchecked=request.force) if request.resume and not finished else None
    environment = folder.environment() if (stored or finished) and folder.has("environment.json") else {}
    if finished:
        # It is not gone on with, so that it may be of another version; its numbers are of its own data.
        found = differences({**environment, "versions": present["versions"]}, present)
        if found and not request.force:
            raise _other_origin(folder, found)
        return None
    changed: list[str] = []
    if stored is not None:
        folder.check_config(config)
        began = folder.origin
        if not began:
            found = ["the stored state has no checksum"]
        else:
            found = [*differences(began, present), *differences(environment, present)]
        found = list(dict.fromkeys(found))
        if found and not request.force:
            raise _other_origin(folder, found)
        changed = [*began.get("changed", []), *found]
    folder.origin = present | {"changed": changed}
    return stored


def _other_origin(folder: RunFolder, found: list[str]) -> RunFolderError:
    return RunFolderError(
        f"The run in {str(folder.path)!r} was begun with other data or packages.",
        found="; ".join(found),
        hint="bring them back, choose another folder with --out, or go on all the same with --force",
    )


@surroundings_kept(threads=1)
def run_one(
    request: RunRequest, report: Report = lambda text: None, *, listener: Listener | None = None
) -> dict[str, Any]:
    """Run one request in the present process and return its metrics; a finished one is not run again.

    ``listener`` is told what happens while it goes on (:class:`~neurosleep.experiments.run.live.Watcher`).

    Raises
    ------
    NeurosleepError
        If the request cannot be run; nothing is left half-written then.
    """
    check_request(request)
    folder = request.folder
    if request.resume and folder.finished:
        folder.check_config(dump_toml(request.settings))
        return folder.metrics()
    tests = _tasks(request)
    settings = request.settings
    _check_fit(request, tests)
    config = dump_toml(settings)
    network = make_network(settings, torch_generator(request.seed, "init"))
    training = learning_settings(settings, request.strategy, len(tests))
    velocity = _optimiser_state(training[0], network)
    name = {key: getattr(request, key) for key in ("experiment", "variant", "strategy", "seed")}
    watcher = None if listener is None else Watcher(listener, name, tests)
    strategy = _strategy(request, report, None if watcher is None else watcher.sleep)
    learner = Learner(network, velocity, strategy.tasks(tests), request.seed)
    with folder.locked():
        remove_leftovers(folder.path)
        stored = _stored_state(request, folder, tests, config)
        progress = Progress()
        if stored is not None:
            tensors, progress = stored
            if watcher is not None:
                watcher.slept = sum(night["steps"] for night in progress.nights)
            restore(tensors, trained(network), velocity)
            strategy.load_state_dict(
                {k.removeprefix("strategy."): v for k, v in tensors.items() if k.startswith("strategy.")}
            )
            if any(key.startswith("mean.") for key in tensors):
                state = {k.removeprefix("mean."): v.numpy() for k, v in tensors.items() if k.startswith("mean.")}
                learner.mean = RunningMean.from_state(state)
            if folder.origin["changed"]:
                folder.write_json("environment.json", _environment(request, folder.origin))
        else:
            write_whole(folder.path / "config.toml", config)
            folder.write_json("environment.json", _environment(request, folder.origin))

        awake = copy.deepcopy(network) if settings["analyse"] else network

        def keep(phase: str, task: int) -> None:
            if settings["analyse"] and phase == "wake":
                awake.load_state_dict(network.state_dict())
            last = task + 1 == len(learner.tasks) and settings["analyse"] and progress.status == "done"
            if last and isinstance(awake, EquilibriumNetwork) and isinstance(network, EquilibriumNetwork):
                report("analysing the free phase")
                before = awake if phase == "sleep" and learner.night is not None else None
                write_settling(folder.path, network, tests, before=before, seed=request.seed)
            elif last and phase == "sleep" and learner.night is not None:
                report("analysing the last sleep")
                assert isinstance(awake, MLP) and isinstance(network, MLP)
                write_analysis(folder.path, awake, network, learner.night.recording, tests, seed=request.seed)
            if learner.night is not None and phase == "sleep":
                recording = learner.night.recording
                progress.nights[-1] |= {
                    "window": recording.window,
                    "windows": {name: counts.tolist() for name, counts in recording.windows.items()},
                    "sizes": {name: len(counts) for name, counts in recording.counts.items()},
                    "weights": {
                        name: {"steps": samples.steps.tolist(), "values": samples.values.tolist()}
                        for name, samples in recording.weights.items()
                    },
                }
                if recording.spikes:
                    arrays: dict[str, Any] = {"dt": np.float64(recording.dt)}
                    for name, events in recording.spikes.items():
                        arrays |= {f"{name}:offsets": events.offsets, f"{name}:indices": events.indices}
                        arrays[f"{name}:n"] = np.int64(events.n)
                    folder.write_spikes(task, arrays)
                    if isinstance(network, MLP) and progress.status == "done":
                        write_preferred_task(folder.path, network, tests[: task + 1])
            mean = {f"mean.{k}": torch.from_numpy(np.array(v)) for k, v in learner.mean.state_dict().items()}
            kept = {f"strategy.{k}": v for k, v in strategy.state_dict().items()}
            folder.save_bundle(tensors_of(trained(network), velocity) | mean | kept, progress, config)
            done = progress.after[-1] if phase == "sleep" else progress.before_sleep[-1]
            if watcher is not None and (phase == "wake" or learner.night is not None):
                watcher.phase(phase, task, done)
            report(f"task {task + 1} of {len(learner.tasks)}, {phase}: {100 * sum(done) / len(done):.1f} %")

        def after_epoch(task: int, epoch: int) -> None:
            report(f"task {task + 1}, epoch {epoch}")
            if watcher is not None:
                watcher.epoch(task, epoch)

        learn_tasks(
            learner,
            strategy,
            training[-1:] if isinstance(strategy, LastTaskOnly) else training,
            tests,
            progress,
            after_phase=keep,
            after_epoch=after_epoch,
        )
        folder.write_accuracy(progress)
        if progress.nights:
            folder.write_firing(progress)
            folder.write_weights(progress, dt=_DT)
        metrics = _metrics(request, strategy, progress, tests)
        if folder.origin["changed"]:
            metrics["resumed_with"] = folder.origin["changed"]
        deployment = deployment_settings(settings)
        if deployment is not None and progress.status == "done":
            seen = learner.tasks
            rows = deploy(network, seen, deployment, seed=request.seed, report=report)
            metrics |= _on_chips([row | {"slept": _slept(request)} for row in rows], metrics)
            write_whole(folder.path / "hardware.csv", deployment_table(metrics["hardware"]))
        write_run_figures(folder.path)
        # Last, since it is what says that the folder is complete.
        folder.write_metrics(metrics)
    if watcher is not None:
        watcher.end(metrics)
    return metrics


def _optimiser_state(training: Learning, network: AwakeNetwork) -> list[torch.Tensor]:
    """State of the optimiser before the first task."""
    if isinstance(training, PhasedLearning) and isinstance(network, EquilibriumNetwork):
        return training.state(network)
    return [torch.zeros_like(weight) for weight in trained(network)]


def _metrics(request: RunRequest, strategy: Strategy, progress: Progress, tests: list[Task]) -> dict[str, Any]:
    last = progress.after[-1] if progress.after else progress.before_sleep[-1]
    counts = [len(task.test_labels) for task in tests]

    def over(accuracies: list[float]) -> float:
        return sum(a * n for a, n in zip(accuracies, counts, strict=True)) / sum(counts)

    overall = over(last)
    done = progress.status == "done"
    square = len(progress.after) == len(tests)
    seconds = {key: round(value, 3) for key, value in progress.seconds.items()}
    populations = list(progress.nights[0]["spikes_per_step"]) if progress.nights else []
    further = {f"accuracy_all_{name}": over(rows[-1]) for name, rows in progress.read_outs.items() if done}
    if strategy.sleeps and done:
        further["accuracy_all_before_last_sleep"] = over(progress.before_sleep[-1])
    labels = torch.cat([torch.as_tensor(task.test_labels) for task in tests]).long()
    divergence = next((night["divergence"] for night in progress.nights if night["divergence"]), None)
    return {
        "experiment": request.experiment,
        "variant": request.variant,
        "strategy": request.strategy,
        "seed": request.seed,
        "kind": kind_of(request.settings, len(tests)),
        "split": request.settings["data"]["split"],
        "status": progress.status,
        "data": ", ".join(request.settings["data"]["sequence"] or [request.settings["data"]["name"]]),
        "reads_old_data": strategy.reads_old_data,
        **({"note": request.settings["note"]} if request.settings["note"] is not None else {}),
        "results": {"accuracy_all": overall if done else None} | further,
        "accuracy_all": overall if done else None,
        # What naming the most frequent class every time would reach.
        "accuracy_of_a_guess": int(torch.bincount(labels).max()) / len(labels),
        "accuracy_per_task": last,
        "accuracy_matrix": progress.after,
        # Images of old tasks that were trained on with each task.
        "replayed": progress.replayed,
        "accuracy_before_sleep": progress.before_sleep if strategy.sleeps else None,
        **(matrix_metrics(progress.after) if done and square else dict.fromkeys(matrix_metrics([[0.0]]))),
        "sleep": {
            "steps": [night["steps"] for night in progress.nights],
            "after_task": [night["task"] + 1 for night in progress.nights],
            "spikes_per_step": [list(night["spikes_per_step"].values()) for night in progress.nights],
            "populations": populations,
            "divergence": divergence,
            # Of a night that did nothing, or that changed much of what was learnt last.
            "notes": [f"after task {n['task'] + 1}: {note}" for n in progress.nights for note in n.get("notes", ())],
        },
        "seconds": seconds | {"total": round(sum(seconds.values()), 3)},
    }


def _slept(request: RunRequest) -> str:
    """Where a network slept before it was put on a chip."""
    if "src" not in request.strategy.split("+"):
        return "no sleep"
    sleep = request.settings["sleep"]
    if sleep["profile"] is None:
        return "slept before mapping"
    rounding = str(sleep["rounding"] or load_profile(sleep["profile"]).learning.update_rounding)
    return f"slept on the chip, rounding {'by chance' if rounding == 'stochastic' else rounding.replace('_', ' ')}"


def _on_chips(rows: list[dict[str, Any]], metrics: dict[str, Any]) -> dict[str, Any]:
    """What a deployment adds to the metrics: its rows, and their numbers among the results."""
    numbers: dict[str, Any] = {}
    for row in rows:
        found = {"accuracy": row["mapped"], "cores": row["cores"]}
        if row["energy"] is not None:
            found |= {key: row["energy"][key] for key in ("low_j", "high_j")}
        numbers |= {f"{row['profile']}.{key}": value for key, value in found.items()}
    return {"kind": "hardware", "hardware": rows, "results": metrics["results"] | numbers}


@surroundings_kept()
def run_experiment(
    requests: Sequence[RunRequest],
    *,
    jobs: int = 1,
    report: Callable[[int, str], None] = lambda number, text: None,
    listener: Listener | None = None,
) -> list[dict[str, Any]]:
    """Run all requests, ``jobs`` at a time with one thread each; metrics come back in their order.

    Everything that can be checked is checked for all of them before the first starts. A run that fails all the same
    does not stop the others. ``report(number, text)`` tells the progress of a request (with several jobs only that it
    is ``"done"``, or has ``"failed"``). ``listener`` is told what happens in each; with several jobs it is sent to
    other processes, and so must be one that can be pickled. Ctrl-C ends the runs that are under way; requests with
    ``resume`` go on where they stopped.

    Raises
    ------
    RunsFailedError
        At the end, if some of several runs failed; it holds the metrics of the others. A single run raises its own.
    NeurosleepError
        Before anything is written, if a request cannot be run.
    """
    check_main_guard()
    if jobs < 1:
        raise SettingsError(f"--jobs is {jobs!r}.", expected="at least 1")
    for request in requests:
        check_request(request)
    _check_data(requests)
    jobs = min(jobs, len(requests))
    if jobs > 1:
        _check_listener(listener)
    found: dict[int, dict[str, Any]] = {}
    failed: dict[int, Exception] = {}
    with contextlib.closing(_outcomes(requests, jobs, report, listener)) as outcomes:
        try:
            for number, outcome in outcomes:
                if outcome.error is None:
                    found[number] = outcome.value
                else:
                    failed[number] = outcome.error
                report(number, "done" if outcome.error is None else "failed")
        except KeyboardInterrupt as stop:
            stop.add_note("The runs that were under way are ended; with resume=True they go on where they stopped.")
            raise
    if len(requests) == 1 and failed:
        raise failed[0]
    if failed:
        raise _failures(requests, found, failed)
    return [found[number] for number in range(len(requests))]


def _outcomes(
    requests: Sequence[RunRequest], jobs: int, report: Callable[[int, str], None], listener: Listener | None
) -> Generator[tuple[int, Outcome], None, None]:
    """What becomes of each request, as they end: one after another in this process, or side by side in others."""
    if jobs > 1:
        run = partial(run_one, listener=listener)
        with contextlib.closing(side_by_side(run, [(request,) for request in requests], jobs)) as outcomes:
            yield from outcomes
        return
    for number, request in enumerate(requests):
        try:
            outcome = Outcome(run_one(request, partial(report, number), listener=listener))
        except Exception as error:
            outcome = Outcome(error=error)
        yield number, outcome


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
    requests: Sequence[RunRequest], found: Mapping[int, dict[str, Any]], failed: Mapping[int, Exception]
) -> RunsFailedError:
    """The error at the end of several runs of which some have failed."""
    names, lines = [], []
    for number, error in sorted(failed.items()):
        request = requests[number]
        names.append({key: getattr(request, key) for key in ("experiment", "variant", "strategy", "seed")})
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


def summarise(runs: Sequence[dict[str, Any]], failed: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Mean, standard deviation (n - 1) and number of runs of the final accuracy, per experiment, variant, strategy.

    Beside them stand how many of the runs diverged, and how many failed: ``failed`` are the names of those, as in
    :class:`~neurosleep.errors.RunsFailedError`.
    """

    def group(run: Mapping[str, Any]) -> tuple[str, str, str]:
        return run["experiment"], run["variant"], run["strategy"]

    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault(group(run), []).append(run)
    for name in failed:
        groups.setdefault(group(name), [])
    rows = []
    for (experiment, variant, strategy), members in groups.items():
        values = [run["accuracy_all"] for run in members if run["accuracy_all"] is not None]
        rows.append(
            {
                "experiment": experiment,
                "variant": variant,
                "strategy": strategy,
                "accuracy_all": {
                    "mean": statistics.fmean(values) if values else None,
                    "sd": statistics.stdev(values) if len(values) > 1 else None,
                    "n": len(values),
                },
                "diverged": sum(run["status"] == "diverged" for run in members),
                "failed": sum(group(name) == (experiment, variant, strategy) for name in failed),
            }
        )
    return rows
