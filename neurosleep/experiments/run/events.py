"""What a listener is told of a run while it goes on: plain values, the kind of event under ``event``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeAlias, TypedDict

from neurosleep.experiments.metrics import RunName

__all__ = [
    "EndEvent",
    "EpochEvent",
    "Event",
    "Listener",
    "Look",
    "PhaseEvent",
    "SleepEvent",
    "StartEvent",
    "Told",
    "end_event",
]


class Told(RunName):
    """What every event says: of which run it is, and when, in seconds since the epoch."""

    time: float


class StartEvent(Told):
    """A run starts, or goes on."""

    event: Literal["start"]
    tasks: int


class EpochEvent(Told):
    """An epoch is over; tasks count from 1."""

    event: Literal["epoch"]
    task: int
    epoch: int


class PhaseEvent(Told):
    """A phase, ``wake`` or ``sleep``, is over, with the accuracy on each task and on all."""

    event: Literal["phase"]
    task: int
    phase: str
    accuracy: list[float | None]
    accuracy_all: float | None


class Look(TypedDict, total=False):
    """What a sleep is asked from time to time.

    By projection, the norm of the change of its weights since the sleep started over the norm then; and the accuracy of
    the network woken at that step, on a part of the test images of all tasks.
    """

    weight_change: dict[str, float | None]
    accuracy_all: float | None


class SleepEvent(Told, Look):
    """A piece of a sleep phase is over: its last step, and the steps of all sleep phases so far (``asleep``).

    ``rates``: mean firing rate in Hz over the neurons of each layer in that piece.
    """

    event: Literal["sleep"]
    task: int
    step: int
    steps: int
    asleep: int
    rates: dict[str, float | None]


class EndEvent(Told):
    """The run is over, and its folder is complete if it is done.

    ``status`` is that of its metrics; ``failed`` where an error ended it, ``stopped`` by Ctrl-C.
    """

    event: Literal["end"]
    status: str
    accuracy_all: float | None
    folder: str


def end_event(name: RunName, folder: str, status: str, accuracy_all: float | None = None) -> EndEvent:
    """The last event of a run."""
    return {
        **name,
        "time": time.time(),
        "event": "end",
        "status": status,
        "accuracy_all": accuracy_all,
        "folder": folder,
    }


Event: TypeAlias = StartEvent | EpochEvent | PhaseEvent | SleepEvent | EndEvent
Listener: TypeAlias = Callable[[Event], None]
"""Takes one event."""
