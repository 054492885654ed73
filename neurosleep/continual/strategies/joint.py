"""The upper bound: all tasks at once ("parallel")."""

from __future__ import annotations

from typing import ClassVar

from neurosleep.continual.strategies.base import Strategy
from neurosleep.data import Task, joint

__all__ = ["Joint"]


class Joint(Strategy):
    """Train once on the images of all tasks."""

    name: ClassVar[str] = "joint"
    reads_old_data = True

    def tasks(self, tasks: list[Task]) -> list[Task]:
        """One task that holds them all."""
        return [joint(tasks)]
