"""Populations: many networks that sleep at once in the threads of one process, each as it would sleep alone.

What takes the time of a sleep runs without Python's lock: compiled steps, draws of noise, copies of weights. So threads
need no processes: everything is compiled once, and networks are handed over without being copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any, TypeAlias, TypeVar

from neurosleep._checks import check_count, check_memory, check_unread
from neurosleep._surroundings import cores, surroundings_kept
from neurosleep.errors import SettingsError
from neurosleep.functional import EngineRule, Homeostasis, InputNoise, MeanDrive, PlasticityRule, SlowOscillation
from neurosleep.replay._sleep import Limits, sleep
from neurosleep.replay._stacked import sleep_stacked, stacks
from neurosleep.replay.result import SleepResult
from neurosleep.replay.spiking_homeostasis import SpikingRegulation, check_regulates, regulate_spikes
from neurosleep.replay.streams import Streams, bytes_of
from neurosleep.spiking import Record, SpikingNetwork

__all__ = ["regulate_many", "sleep_many"]

T = TypeVar("T")
#: One value for all networks, or a list with one for each.
Each: TypeAlias = T | Sequence[T]

# Frames of noise that are stepped together are held in a few copies, of inputs and of what every unit does.
_FRAMES = 250
_LIMITS = Limits()


def sleep_many(
    networks: Sequence[SpikingNetwork],
    *,
    drive: Each[MeanDrive | Streams],
    rule: Each[PlasticityRule | EngineRule],
    steps: Each[int],
    engine: Each[str | None] = None,
    record: Each[Record | None] = None,
    seed: Each[int] = 0,
    task: Each[int] = 0,
    limits: Each[Limits] = _LIMITS,
    device: Each[str] = "cpu",
    jobs: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[SleepResult]:
    """Let many networks sleep at once over the cores, in one process; each result equals that of its own ``sleep``.

    Parameters
    ----------
    networks:
        At least one; the same network may be named several times, with a seed each.
    drive, rule, steps, engine, record, seed, task, limits, device:
        As of :func:`~neurosleep.sleep`: one value for all networks, or a list with one for each.
    jobs:
        How many sleep at once; None: one for each core. With the engine ``torch`` networks of one architecture that
        sleep alike, each with its own noise, are stepped as one stack, on a GPU too, of as many as it has room for.
    progress:
        Called with the number of networks that have slept.

    Raises
    ------
    SettingsError
        If a list has another length than the networks, or they need more memory than there is; before any sleep, as
        all that :func:`~neurosleep.sleep` refuses.

    See Also
    --------
    neurosleep.sleep : one network
    regulate_many : the same of homeostatic sleep
    Streams : several streams of noise for one network

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import neurosleep as ns
    >>> from neurosleep.replay import sleep_many
    >>> network = ns.convert(ns.MLP([4, 30, 20], init=0.5), torch.rand(20, 4))
    >>> drive = ns.MeanDrive(np.full(4, 0.5), max_rate=200.0)
    >>> slept = sleep_many([network] * 3, drive=drive, rule=ns.SRCRule(0.01, 0.001), steps=100, seed=[0, 1, 2])
    >>> [result.status for result in slept]
    ['done', 'done', 'done']
    """
    options = {
        "drive": drive,
        "rule": rule,
        "steps": steps,
        "engine": engine,
        "record": record,
        "seed": seed,
        "task": task,
        "limits": limits,
        "device": device,
    }
    calls = _calls(networks, options)
    if stacks(networks, calls):
        unread = {"jobs": (jobs, None)}
        check_unread("A population that the engine 'torch' steps as one", unread, "engine='event' reads it")
        return sleep_stacked(networks, calls, progress)
    streams = max(one.streams if isinstance(one := call["drive"], Streams) else 1 for call in calls)
    return _together(sleep, networks, calls, jobs, streams, progress)


def regulate_many(
    networks: Sequence[SpikingNetwork],
    noise: Each[InputNoise],
    rule: Each[Homeostasis | None] = None,
    *,
    oscillation: Each[SlowOscillation | None] = None,
    every: Each[int | None] = None,
    engine: Each[str | None] = None,
    seed: Each[int] = 0,
    task: Each[int] = 0,
    device: Each[str] = "cpu",
    jobs: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[SpikingRegulation]:
    """Let many networks regulate themselves at once; each outcome equals that of its own ``regulate_spikes``.

    Parameters
    ----------
    networks, jobs, progress:
        As of :func:`sleep_many`.
    noise, rule, oscillation, every, engine, seed, task, device:
        As of :func:`regulate_spikes`: one value for all networks, or a list with one for each.

    Raises
    ------
    SettingsError
        As of :func:`sleep_many`.

    See Also
    --------
    regulate_spikes : one network

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> from neurosleep.functional import InputNoise, SlowOscillation
    >>> from neurosleep.replay import regulate_many
    >>> noise = InputNoise([0.5, 0.5])
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    >>> network = ns.convert(model, noise.frames(100, seed=0))
    >>> done = regulate_many([network] * 2, noise, oscillation=SlowOscillation(frames=50), seed=[0, 1])
    >>> len(done)
    2
    """
    options = {
        "noise": noise,
        "rule": rule,
        "oscillation": oscillation,
        "every": every,
        "engine": engine,
        "seed": seed,
        "task": task,
        "device": device,
    }
    calls = _calls(networks, options)
    for network, call in zip(networks, calls, strict=True):
        check_regulates(network, call["noise"], call["rule"] or Homeostasis(), call["oscillation"] or SlowOscillation())
    return _together(regulate_spikes, networks, calls, jobs, _FRAMES, progress)


def _calls(networks: Sequence[SpikingNetwork], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The options of each network."""
    if isinstance(networks, SpikingNetwork) or not isinstance(networks, Sequence) or not networks:
        raise SettingsError(f"networks is {networks!r:.60}.", expected="a list of at least one SpikingNetwork")
    for network in networks:
        if not isinstance(network, SpikingNetwork):
            raise SettingsError(f"networks holds {network!r:.60}.", expected="objects of SpikingNetwork")
    each = {}
    for key, value in options.items():
        several = list(value) if isinstance(value, list | tuple) else [value] * len(networks)
        if len(several) != len(networks):
            raise SettingsError(
                f"{key} has {len(several)} entries.", expected=f"{len(networks)}, one for each network, or one value"
            )
        each[key] = several
    return [{key: values[k] for key, values in each.items()} for k in range(len(networks))]


def _together(
    verb: Callable[..., T],
    networks: Sequence[SpikingNetwork],
    calls: list[dict[str, Any]],
    jobs: int | None,
    streams: int,
    progress: Callable[[int], None],
) -> list[T]:
    jobs = min(len(networks), cores() if jobs is None else check_count("jobs", jobs))
    results = sum(bytes_of(network, 0) for network in networks)
    working = jobs * max(bytes_of(network, streams) for network in networks)
    fewer = f"networks in parts, half of {len(networks)} at a time" + (f", or jobs={jobs // 2}" if jobs > 1 else "")
    check_memory(f"A population of {len(networks)} networks, {jobs} at once,", results + working, fewer)
    # torch's own threads would only be in the way of these.
    with surroundings_kept(threads=1), ThreadPoolExecutor(jobs, "neurosleep") as pool:
        futures = [pool.submit(verb, network, **call) for network, call in zip(networks, calls, strict=True)]
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            if any(future.exception() for future in done):
                pool.shutdown(wait=True, cancel_futures=True)
                break
            progress(len(futures) - len(waiting))
    failed = [future for future in futures if not future.cancelled() and future.exception()]
    return [future.result() for future in failed or futures]
