"""What a drive must be, and what it must draw: a user's own is looked at like ours."""

from __future__ import annotations

import math

import numpy as np

from neurosleep._checks import check_number
from neurosleep.errors import DataError, SettingsError
from neurosleep.functional import MeanDrive, SpikeEvents
from neurosleep.spiking import SpikingNetwork

__all__ = ["check_drive", "drawn"]


def check_drive(network: SpikingNetwork, drive: MeanDrive) -> None:
    """Refuse a drive that cannot drive ``network``: of another size or step length, or none at all."""
    if not callable(getattr(drive, "draw", None)) or not hasattr(drive, "n"):
        raise SettingsError(
            f"The drive is {drive!r:.60}.",
            expected="a number of inputs, n, and a method draw(generator, steps)",
            hint="ns.MeanDrive(mean, max_rate=...)",
        )
    inputs = network.inputs
    if len(inputs) != 1 or inputs[0].size != drive.n:
        raise SettingsError(
            f"The drive has {drive.n!r} inputs.",
            expected="one input population of that size",
            found=", ".join(f"{p.name}: {p.size}" for p in inputs) or "no input population",
        )
    # A drive that counts in steps has no step length of its own.
    if getattr(drive, "dt", None) is None:
        return
    dt = check_number("The drive's dt", drive.dt, above=0)
    if not math.isclose(dt, network.dt, rel_tol=1e-6):
        raise SettingsError(
            f"The drive's dt is {dt:g} s, and the network's is {network.dt:g} s.",
            found=f"rates in Hz that would become {dt / network.dt:.3g} times what they say",
            expected="one step length",
            hint=f"MeanDrive(..., dt={network.dt:g})",
        )


def drawn(drive: MeanDrive, generator: np.random.Generator, steps: int) -> SpikeEvents:
    """The spikes of the next ``steps`` steps, or an error if the drive drew anything else."""
    events = drive.draw(generator, steps)
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
