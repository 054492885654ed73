"""Who computes several tasks at a time: what processes of this machine and the workers of a cluster have in common."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["Executor", "Outcome", "side_by_side"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Outcome(Generic[T_co]):
    """What a task gave: ``value``, or the ``error`` that it ended with."""

    value: T_co | None = None
    error: Exception | None = None


class Executor(Protocol[T_co]):
    """Computes tasks, at most ``slots`` at a time; used until :meth:`close` is called, whatever happens."""

    @property
    def slots(self) -> int:
        """How many tasks may be under way, as far as is known now."""

    def start(self, number: int, *task: object) -> None:
        """Start a task, which is told from others under way by its number."""

    def ended(self) -> Iterator[tuple[int, Outcome[T_co]]]:
        """Wait until a task has ended; number and outcome of each that has."""

    def close(self) -> None:
        """End what is under way; nothing starts afterwards."""


def side_by_side(
    executor: Executor[T], tasks: Iterable[Sequence[object]]
) -> Generator[tuple[int, Outcome[T]], None, None]:
    """Have each of ``tasks`` computed, and yield number and outcome as they come.

    A task is taken from ``tasks`` when there is room for it. However this generator ends, be it by an error, Ctrl-C or
    ``close()``, no further task starts and what is under way is ended: use it within :func:`contextlib.closing`.
    """
    waiting, under_way, more = enumerate(tasks), 0, True
    try:
        while True:
            while more and under_way < executor.slots:
                number, task = next(waiting, (None, ()))
                if number is None:
                    more = False
                    break
                executor.start(number, *task)
                under_way += 1
            if not under_way:
                return
            for number, outcome in executor.ended():
                under_way -= 1
                yield number, outcome
    finally:
        executor.close()
