"""Every analysis of one sleep in one call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from neurosleep.analysis._correlation import class_correlation, correlation_summary
from neurosleep.analysis._drive import check_tasks, input_drive
from neurosleep.analysis._inputs import Array, Layered, check_images, check_pair
from neurosleep.analysis._representation import representation_change
from neurosleep.analysis._similarity import sleep_wake_similarity
from neurosleep.analysis._sparse import sparseness
from neurosleep.analysis._task_firing import task_specific_firing
from neurosleep.analysis._weights import stable_rank, weight_histogram, weight_summary
from neurosleep.analysis.table import Table
from neurosleep.spiking import Recording

__all__ = ["analyse_sleep"]


def analyse_sleep(
    before: Layered,
    after: Layered,
    recording: Recording,
    images: Tensor | Array,
    labels: Tensor | Array,
    tasks: Sequence[Sequence[int]],
    *,
    seed: int = 0,
) -> dict[str, Table]:
    """What one sleep changed, and how it fired: the tables of all analyses that fit the network, by name.

    Parameters
    ----------
    before, after:
        The awake network before and after the sleep.
    recording:
        Of the sleep.
    images, labels:
        Test images, floating point ``[n, inputs]``, and their classes ``[n]``. Only those of ``tasks`` are used.
    tasks:
        The classes of each task learnt so far, the newest last.
    seed:
        Of random subsets and windows.

    Returns
    -------
    ``class_correlation``, ``correlation_summary``, ``sparseness``, ``representation_change``, ``weight_summary``,
    ``weight_histogram``, ``stable_rank``; of a network with hidden layers also ``task_specific_firing`` and
    ``sleep_wake_similarity``, and after at least two tasks ``input_drive``. The function of each name says what the
    table holds.
    """
    check_pair(before, after)
    x, y = check_images(before, images, labels)
    groups = check_tasks(tasks, y)
    learnt = np.isin(y, [c for group in groups for c in group])
    x, y = x[np.flatnonzero(learnt)], y[learnt]
    correlation = class_correlation(before, after, x, y)
    tables = {
        "class_correlation": correlation,
        "correlation_summary": correlation_summary(correlation),
        "sparseness": sparseness(before, after, x, y),
        "representation_change": representation_change(before, after, x, y),
        "weight_summary": weight_summary(before, after),
        "weight_histogram": weight_histogram(before, after),
        "stable_rank": stable_rank(before, after),
    }
    if len(before.weights) > 1:
        tables["task_specific_firing"] = task_specific_firing(before, recording, x, y, seed=seed)
        tables["sleep_wake_similarity"] = sleep_wake_similarity(before, recording, x, y, seed=seed)
        if len(groups) > 1:
            tables["input_drive"] = input_drive(before, after, x, y, groups)
    return tables
