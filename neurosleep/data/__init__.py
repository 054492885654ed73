"""Data sets and the task sequences cut from them; nothing here needs torch."""

from __future__ import annotations

from neurosleep.data._load import dataset_names, load_dataset
from neurosleep.data.dataset import Dataset, to_float
from neurosleep.data.running_mean import RunningMean
from neurosleep.data.splits import Task, class_incremental, cross_modal, joint, permuted, validation_split

__all__ = [
    "Dataset",
    "RunningMean",
    "Task",
    "class_incremental",
    "cross_modal",
    "dataset_names",
    "joint",
    "load_dataset",
    "permuted",
    "to_float",
    "validation_split",
]
