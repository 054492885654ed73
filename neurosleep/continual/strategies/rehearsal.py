"""Rehearsal: a fraction of all old training images is trained on again, together with each new task."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from neurosleep._checks import check_count, check_number
from neurosleep.continual.strategies.base import Learner, Strategy
from neurosleep.data import to_float
from neurosleep.functional import numpy_generator

__all__ = ["Rehearsal"]


class Rehearsal(Strategy):
    """Replay stored images.

    Parameters
    ----------
    fraction:
        Part of ALL training images of the old tasks that is mixed into the new task, from 0 to 1; drawn anew, without
        replacement, before each task, and rounded to whole batches as in the released code of Tadros et al. (2022).
        Where that would leave none of a fraction above 0, it is rounded to whole images, at least one per old class.
    multiple:
        Size of such a batch; 1 rounds to whole images.

    See Also
    --------
    ICaRL : which chooses what it stores
    learn_tasks : runs one

    Examples
    --------
    >>> from neurosleep.continual import Rehearsal
    >>> Rehearsal(fraction=0.02, multiple=1).reads_old_data
    True
    """

    name: ClassVar[str] = "rehearsal"
    reads_old_data = True
    chooses_data: ClassVar[bool] = True

    def __init__(self, fraction: float = 0.0075, multiple: int = 100) -> None:
        self.fraction = check_number("rehearsal.fraction", fraction, 0, 1)
        self.multiple = check_count("rehearsal.multiple", multiple)

    def training_data(self, learner: Learner, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The task's own images and the replayed ones after them."""
        old = learner.tasks[: learner.task]
        stored = sum(len(task.pool_labels) for task in old)
        # Half rounds up, as MATLAB does it; Python would round it to even.
        count = int(np.floor(self.fraction * stored / self.multiple + 0.5)) * self.multiple
        if not count and self.fraction:
            classes = len({c for task in old for c in task.classes})
            count = max(int(np.floor(self.fraction * stored + 0.5)), classes)
        count = min(count, stored)
        if not count:
            return images, targets
        chosen = np.sort(numpy_generator(learner.seed, "rehearsal", learner.task).permutation(stored)[:count])
        parts_x, parts_y, start = [images], [targets], 0
        for task in old:
            own = chosen[(chosen >= start) & (chosen < start + len(task.pool_labels))] - start
            parts_x.append(torch.from_numpy(to_float(task.pool_images[own])))
            parts_y.append(torch.from_numpy(task.pool_labels[own]))
            start += len(task.pool_labels)
        return torch.cat(parts_x), torch.cat(parts_y)
