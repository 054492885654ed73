"""Every analysis of one sleep in one call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from neurosleep.analysis._correlation import class_correlation, correlation_summary
from neurosleep.analysis._drive import check_tasks, input_drive
from neurosleep.analysis._inputs import Array, Layered, check_images, check_pair
from neurosleep.analysis._mean_change import with_mean_change
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
    recording: Recording | None,
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
        Of the sleep; None where it kept no spikes.
    images, labels:
        Test images, floating point ``[n, inputs]``, and their classes ``[n]``. Only those of ``tasks`` are used.
    tasks:
        The classes of each task learnt so far, the newest last.
    seed:
        Of random subsets and windows.

    Returns
    -------
    ``class_correlation``, ``correlation_summary``, ``centred_correlation`` (such a summary, ``centred``),
    ``unit_correlation`` and ``pattern_correlation`` (two more: what the mean change of each unit's weights does, and
    what the rest of the change does, :func:`with_mean_change`), ``sparseness``, ``representation_change``,
    ``weight_summary``, ``weight_histogram``, ``stable_rank``; of a network with hidden layers also
    ``task_specific_firing`` and ``sleep_wake_similarity`` where there is a recording, and after at least two tasks
    ``input_drive`` and ``activity_share`` (the same with ``share``). The function of each name says what the table
    holds.

    See Also
    --------
    weight_summary, class_correlation, input_drive : some of them by themselves
    neurosleep.experiments.run_experiment : writes them with ``analyse = true``

    Examples
    --------
    >>> import torch
    >>> from neurosleep import MLP, Recording, SpikeEvents
    >>> from neurosleep.analysis import analyse_sleep
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> events = SpikeEvents.from_dense(torch.rand(500, 8) < 0.05)  # of the sleep phase between them
    >>> recording = Recording(500, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
    >>> images, labels = torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1])
    >>> tables = analyse_sleep(before, after, recording, images, labels, tasks=[(0,), (1,)])
    >>> sorted(tables)[:3]
    ['activity_share', 'centred_correlation', 'class_correlation']
    """
    check_pair(before, after)
    x, y = check_images(before, images, labels)
    groups = check_tasks(tasks, y)
    learnt = np.isin(y, [c for group in groups for c in group])
    x, y = x[np.flatnonzero(learnt)], y[learnt]
    correlation, between = class_correlation(before, after, x, y), with_mean_change(before, after)
    tables = {
        "class_correlation": correlation,
        "correlation_summary": correlation_summary(correlation),
        "centred_correlation": correlation_summary(class_correlation(before, after, x, y, centred=True)),
        "unit_correlation": correlation_summary(class_correlation(before, between, x, y, centred=True)),
        "pattern_correlation": correlation_summary(class_correlation(between, after, x, y, centred=True)),
        "sparseness": sparseness(before, after, x, y),
        "representation_change": representation_change(before, after, x, y),
        "weight_summary": weight_summary(before, after),
        "weight_histogram": weight_histogram(before, after),
        "stable_rank": stable_rank(before, after),
    }
    if len(before.weights) > 1:
        if recording is not None:
            tables["task_specific_firing"] = task_specific_firing(before, recording, x, y, seed=seed)
            tables["sleep_wake_similarity"] = sleep_wake_similarity(before, recording, x, y, seed=seed)
        if len(groups) > 1:
            tables["input_drive"] = input_drive(before, after, x, y, groups)
            tables["activity_share"] = input_drive(before, after, x, y, groups, share=True)
    return tables
