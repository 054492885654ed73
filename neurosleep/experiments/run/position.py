"""How far a run is, as the one line of text that it reports: workers and clusters send nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Position"]

_TEXT = re.compile(
    r"(?:.*, )?task (?P<task>\d+) of (?P<tasks>\d+), (?P<phase>.+?)(?:, step (?P<step>\d+) of (?P<steps>\d+))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Position:
    """Where a run is: task (from 1) of so many, phase, and step of so many where steps are counted.

    ``phase`` is wake or sleep, with what there is to say of it: ``wake, epoch 2``, ``sleep: 61.0 %`` when it is over.
    """

    task: int
    tasks: int
    phase: str
    step: int = 0
    steps: int = 0

    def __str__(self) -> str:
        steps = f", step {self.step} of {self.steps}" if self.steps else ""
        return f"task {self.task} of {self.tasks}, {self.phase}{steps}"

    @classmethod
    def read(cls, text: str) -> Position | None:
        """The position that a text tells, whatever stands before it; None if it tells none."""
        match = _TEXT.fullmatch(text)
        if match is None:
            return None
        task, tasks, step, steps = (int(match[key] or 0) for key in ("task", "tasks", "step", "steps"))
        return cls(task, tasks, match["phase"], step, steps)

    @property
    def share(self) -> float:
        """About how much of the run is done, from 0 to 1: wake and sleep count the same."""
        if self.phase.startswith(("wake:", "sleep:")):
            inside = 1.0 if self.phase.startswith("sleep:") else 0.5
        else:
            inside = 0.5 + 0.5 * self.step / self.steps if self.steps else 0.0
        return (self.task - 1 + inside) / self.tasks
