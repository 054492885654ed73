"""The upper bound: all tasks at once ("parallel")."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from neurosleep.continual.strategies.base import Strategy
from neurosleep.data import Task, joint

__all__ = ["Joint", "JointMatched"]


class Joint(Strategy):
    """Train once on all training images of all tasks.

    See Also
    --------
    JointMatched : the same on less data
    neurosleep.data.joint : the task that it makes

    Examples
    --------
    >>> from neurosleep.continual import Joint
    >>> Joint().reads_old_data
    True
    """

    name: ClassVar[str] = "joint"
    reads_old_data = True
    chooses_data: ClassVar[bool] = True

    def tasks(self, tasks: list[Task]) -> list[Task]:
        """One task that holds them all."""
        return [joint(tasks)]


class JointMatched(Joint):
    """Train once on those images only that the other strategies train on, for as many epochs as they have.

    See Also
    --------
    Joint : on all images

    Examples
    --------
    >>> from neurosleep.continual import JointMatched
    >>> JointMatched().name
    'joint-matched'
    """

    name: ClassVar[str] = "joint-matched"

    def tasks(self, tasks: list[Task]) -> list[Task]:
        """One task that holds the training images of all."""
        return [joint([dataclasses.replace(t, pool_images=t.train_images, pool_labels=t.train_labels) for t in tasks])]
