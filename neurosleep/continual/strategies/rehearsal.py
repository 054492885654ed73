"""Rehearsal: a fraction of all old training images is trained on again, together with each new task."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from neurosleep._checks import check_count, check_number
from neurosleep.continual.strategies.base import Learner, Strategy
from neurosleep.data import Task, to_float
from neurosleep.functional import numpy_generator

__all__ = ["Rehearsal"]


class Rehearsal(Strategy):
    """Replay stored images.

    Parameters
    ----------
    fraction:
        Part of ALL training images of the old tasks that is mixed into the new task, from 0 to 1; drawn anew, without
        replacement, before each task, and rounded to whole batches as in the released code of Tadros et al. (2022).
        Where that would leave none of a fraction above 0, it is rounded to whole images, at least one of each old
        class.
    multiple:
        Size of such a batch; 1 rounds to whole images.
    stored:
        In place of a fraction: so many images are all that is kept, of each old class the same number (the first that
        training saw), and they are repeated until they are as many as the new ones, as replay memories do it whose
        batches are half old.

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
    needs_boundaries = True
    reads_old_data = True
    chooses_data: ClassVar[bool] = True

    def __init__(self, fraction: float = 0.0075, multiple: int = 100, stored: int | None = None) -> None:
        self.fraction = check_number("rehearsal.fraction", fraction, 0, 1)
        self.multiple = check_count("rehearsal.multiple", multiple)
        self.stored = None if stored is None else check_count("rehearsal.stored", stored)

    def training_data(self, learner: Learner, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The task's own images and the replayed ones after them."""
        old = learner.tasks[: learner.task]
        if self.stored is not None:
            return _with_memory(old, self.stored, images, targets)
        stored = sum(len(task.pool_labels) for task in old)
        # Half rounds up, as MATLAB does it; Python would round it to even.
        count = min(int(np.floor(self.fraction * stored / self.multiple + 0.5)) * self.multiple, stored)
        if not (stored and self.fraction):
            return images, targets
        order = numpy_generator(learner.seed, "rehearsal", learner.task).permutation(stored)
        if not count:
            # The first of each class to the front, so that none is left out.
            _, firsts = np.unique(np.concatenate([task.pool_labels for task in old])[order], return_index=True)
            order = np.concatenate([order[firsts], np.delete(order, firsts)])
            count = min(max(int(np.floor(self.fraction * stored + 0.5)), len(firsts)), stored)
        chosen = np.sort(order[:count])
        parts_x, parts_y, start = [images], [targets], 0
        for task in old:
            of_task = chosen[(chosen >= start) & (chosen < start + len(task.pool_labels))] - start
            parts_x.append(torch.from_numpy(to_float(task.pool_images[of_task])))
            parts_y.append(torch.from_numpy(task.pool_labels[of_task]))
            start += len(task.pool_labels)
        return torch.cat(parts_x), torch.cat(parts_y)


def _with_memory(old: list[Task], stored: int, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The new images, and after them as many of ``stored`` old ones, which are repeated in turn."""
    if not old:
        return images, targets
    classes = [(task, c) for task in old for c in sorted(task.classes)]
    # What is left over goes to the oldest; fewer images than classes are those of the oldest classes.
    counts = [stored // len(classes) + (k < stored % len(classes)) for k in range(len(classes))]
    rows = [np.flatnonzero(task.train_labels == c)[:n] for (task, c), n in zip(classes, counts, strict=True)]
    chosen = [(task, r) for (task, _), r in zip(classes, rows, strict=True)]
    again = torch.arange(len(targets)) % sum(len(r) for _, r in chosen)
    old_images = torch.cat([torch.from_numpy(to_float(task.train_images[r])) for task, r in chosen])
    old_labels = torch.cat([torch.from_numpy(task.train_labels[r]) for task, r in chosen])
    return torch.cat([images, old_images[again]]), torch.cat([targets, old_labels[again]])
