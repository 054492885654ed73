"""Data sets, features of them by frozen networks, and the task sequences cut from them.

Importing this room needs no torch: what computes features imports it when it is used.
"""

from __future__ import annotations

from neurosleep.data._load import dataset_names, load_dataset
from neurosleep.data._patches import patches
from neurosleep.data.dataset import Dataset, to_float
from neurosleep.data.extractors import Extractor, extractor_names, make_extractor
from neurosleep.data.feature_files import load_feature_file
from neurosleep.data.features import extract_features
from neurosleep.data.running_mean import RunningMean
from neurosleep.data.scaling import scale_by_maximum
from neurosleep.data.splits import Task, class_incremental, cross_modal, joint, permuted, validation_split

__all__ = [
    "Dataset",
    "Extractor",
    "RunningMean",
    "Task",
    "class_incremental",
    "cross_modal",
    "dataset_names",
    "extract_features",
    "extractor_names",
    "joint",
    "load_dataset",
    "load_feature_file",
    "make_extractor",
    "patches",
    "permuted",
    "scale_by_maximum",
    "to_float",
    "validation_split",
]
