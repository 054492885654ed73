"""Many networks sleep at once as one stack on a device: each sleeps in a thread, and all steps are taken together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.functional import SpikeEvents
from neurosleep.replay._sleep import check_sleep, step_sleep
from neurosleep.replay.result import SleepResult
from neurosleep.spiking import Session, SpikingNetwork
from neurosleep.spiking.engines.memory import in_pieces
from neurosleep.spiking.engines.tensor.engine import TorchEngine
from neurosleep.spiking.engines.tensor.session import TensorSessions
from neurosleep.spiking.engines.tensor.stack import check_alike

__all__ = ["sleep_stacked", "stacks"]

#: What has to be the same of all networks of a stack.
_SHARED = ("rule", "steps", "record", "device")


def stacks(networks: Sequence[SpikingNetwork], calls: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the engine ``torch`` steps all of them, and can do it as one stack."""
    checked = [
        check_sleep(network, *(call[key] for key in ("drive", "rule", "steps", "limits", "engine", "device")))
        for network, call in zip(networks, calls, strict=True)
    ]
    shapes = {(noise.streams, noise.updates) for noise, _, _ in checked}
    if len(shapes) > 1 or not all(isinstance(engine, TorchEngine) for _, engine, _ in checked):
        return False
    if any(call[key] != calls[0][key] for call in calls for key in _SHARED):
        return False
    try:
        check_alike(networks)
    except SettingsError:
        return False
    return True


def sleep_stacked(
    networks: Sequence[SpikingNetwork], calls: Sequence[Mapping[str, Any]], progress: Callable[[int], None]
) -> list[SleepResult]:
    """The sleeps of all ``networks``, of as many at once as the device has room for."""

    def piece(first: int, last: int) -> list[SleepResult]:
        made = _together(networks[first:last], calls[first:last])
        progress(last)
        return made

    return [result for made in in_pieces(len(networks), piece, "network") for result in made]


def _together(networks: Sequence[SpikingNetwork], calls: Sequence[Mapping[str, Any]]) -> list[SleepResult]:
    first = calls[0]
    keys = ("drive", "rule", "steps", "limits", "engine", "device")
    noises = [check_sleep(n, *(c[key] for key in keys))[0] for n, c in zip(networks, calls, strict=True)]
    device, noise = first["device"], noises[0]
    stack = TorchEngine().start_many(networks, first["rule"], noise.streams, noise.updates, device=device)
    turns = _Turns(stack, networks, noise.streams)

    def one(number: int) -> SleepResult:
        call = calls[number]
        try:
            with torch.no_grad():
                member = _Member(turns, number)
                options = (call[key] for key in ("steps", "record", "seed", "task", "limits"))
                return step_sleep(networks[number], member, noises[number], *options)
        except BaseException as error:
            turns.fail(error)
            raise
        finally:
            turns.leave(number)

    with ThreadPoolExecutor(len(networks), "neurosleep") as pool:
        futures = [pool.submit(one, number) for number in range(len(networks))]
    failed = next((error for future in futures if (error := future.exception())), None)
    if failed is not None:
        raise turns.failure or failed
    return [future.result() for future in futures]


class _Turns:
    """A stack that takes a turn as soon as all of its networks that still sleep have been given their input."""

    def __init__(self, stack: TensorSessions, networks: Sequence[SpikingNetwork], streams: int) -> None:
        self._stack, self._condition = stack, threading.Condition()
        self._present = set(range(len(networks)))
        self._sizes = {p.name: p.size * streams for p in networks[0].inputs}
        self._given: dict[int, Mapping[str, SpikeEvents]] = {}
        self._made: list[dict[str, SpikeEvents]] = []
        self._beyond: dict[float, list[tuple[int, int]]] = {}
        self._count = len(networks)
        self._turn = 0
        self.failure: BaseException | None = None

    def run(self, number: int, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        """What network ``number`` does with ``inputs``, once all are there."""
        with self._condition:
            turn = self._turn
            self._given[number] = inputs
            self._advance_if_all()
            self._condition.wait_for(lambda: self._turn > turn or self.failure is not None)
            if self.failure is not None:
                raise self.failure
            return self._made[number]

    def leave(self, number: int) -> None:
        """Network ``number`` sleeps no more; the others wait for it no longer."""
        with self._condition:
            self._present.discard(number)
            self._advance_if_all()

    def fail(self, error: BaseException) -> None:
        """Nobody waits any longer: ``error`` ends all."""
        with self._condition:
            self.failure = self.failure or error
            self._condition.notify_all()

    def _advance_if_all(self) -> None:
        if self.failure is not None or not self._given or self._given.keys() != self._present:
            return
        steps = next(iter(next(iter(self._given.values())).values())).steps
        silence = {name: SpikeEvents.empty(size, steps) for name, size in self._sizes.items()}
        try:
            self._made = self._stack.run([self._given.get(number, silence) for number in range(self._count)])
        except BaseException as error:
            self.fail(error)
            raise
        self._given, self._beyond = {}, {}
        self._turn += 1
        self._condition.notify_all()

    def weights(self, number: int) -> list[Tensor]:
        """The present weights of network ``number``."""
        with self._condition:
            return self._stack.weights(number)

    def outliers(self, number: int, bound: float) -> list[int]:
        """Its weights beyond ``bound``; all networks are looked at once a turn."""
        with self._condition:
            if bound not in self._beyond:
                self._beyond[bound] = self._stack.outliers(bound)
            return [weight for network, weight in self._beyond[bound] if network == number]

    def membranes(self, number: int) -> dict[str, Tensor]:
        """The present potentials of network ``number``."""
        with self._condition:
            return self._stack.membranes(number)


class _Member(Session):
    """One network of a stack."""

    def __init__(self, turns: _Turns, number: int) -> None:
        self._turns, self._number = turns, number

    def run(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        return self._turns.run(self._number, inputs)

    def weights(self) -> list[Tensor]:
        return self._turns.weights(self._number)

    def outliers(self, bound: float) -> list[int]:
        return self._turns.outliers(self._number, bound)

    def membranes(self) -> dict[str, Tensor]:
        return self._turns.membranes(self._number)
