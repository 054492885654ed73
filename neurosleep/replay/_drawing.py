"""What a drive must draw, and what drives a sleep piece by piece: a user's own drive is looked at like ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

import numpy as np

from neurosleep.errors import DataError, SettingsError
from neurosleep.functional import MeanDrive, SpikeEvents, numpy_generator
from neurosleep.replay.streams import STREAM_CHUNK, Streams
from neurosleep.spiking import SpikingNetwork

__all__ = ["CHUNK", "check_drive", "drawn", "pieces"]

# Steps drawn at once from one generator: a fixed number, so that every engine, and a resumed run, sees the same spikes.
CHUNK = 1000


def check_drive(network: SpikingNetwork, drive: MeanDrive) -> None:
    """Refuse a drive that cannot drive ``network``: of another size, or none at all."""
    draw = getattr(drive, "draw", None)
    if not callable(draw) or not hasattr(drive, "n") or not _takes_three(draw):
        raise SettingsError(
            f"The drive is {drive!r:.60}.",
            expected="a number of inputs, n, and a method draw(generator, steps, dt)",
            hint="ns.MeanDrive(mean, max_rate=...)",
        )
    inputs = network.inputs
    if len(inputs) != 1 or inputs[0].size != drive.n:
        raise SettingsError(
            f"The drive has {drive.n!r} inputs.",
            expected="one input population of that size",
            found=", ".join(f"{p.name}: {p.size}" for p in inputs) or "no input population",
        )


def _takes_three(draw: Callable[..., object]) -> bool:
    """Whether ``draw`` can be called with a generator, a number of steps and their length."""
    try:
        inspect.signature(draw).bind(None, 1, 0.001)
    except TypeError:
        return False
    except ValueError:  # compiled functions need not say what they take
        return True
    return True


def drawn(drive: MeanDrive, generator: np.random.Generator, steps: int, dt: float) -> SpikeEvents:
    """The spikes of the next ``steps`` steps of ``dt`` seconds, or an error if the drive drew anything else."""
    events = drive.draw(generator, steps, dt)
    if not isinstance(events, SpikeEvents):
        raise DataError(
            f"The drive drew an object of type {type(events).__name__}.",
            expected="SpikeEvents",
            hint="SpikeEvents.from_times(times, neurons, steps=steps, n=n)",
        )
    if events.n != drive.n or events.steps != steps:
        raise DataError(
            "The drive drew spikes of another size.",
            found=f"{events.steps} steps of {events.n} inputs",
            expected=f"{steps} steps of {drive.n} inputs",
        )
    return events


def pieces(drive: Streams, steps: int, dt: float, seed: int, task: int) -> Iterator[SpikeEvents]:
    """The input spikes of a sleep of so many steps of ``dt`` seconds, all streams side by side, piece by piece."""
    length = CHUNK if drive.streams == 1 else STREAM_CHUNK
    for chunk, start in enumerate(range(0, steps, length)):
        # A whole chunk is always drawn, so that a shorter sleep equals the first part of a longer one.
        generator = numpy_generator(seed, "drive", task, chunk)
        yield _of_streams(drive, generator, length, dt).slice(0, min(length, steps - start))


def _of_streams(drive: Streams, generator: np.random.Generator, steps: int, dt: float) -> SpikeEvents:
    one = drive.drive
    # A drive of a user's own, whose steps may hang together, is drawn one stream after another.
    if drive.streams > 1 and getattr(type(one), "draw", None) is MeanDrive.draw:
        return one.draw_streams(generator, drive.streams, steps, dt)
    return SpikeEvents.side_by_side([drawn(one, generator, steps, dt) for _ in range(drive.streams)])
