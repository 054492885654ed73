"""Data sets, features of them by frozen networks, and the task sequences cut from them.

Importing this room needs no torch: what computes features imports it when it is used.
"""

from __future__ import annotations

from neurosleep.data._at_hand import at_hand
from neurosleep.data._covertype_like import covertype_like
from neurosleep.data._load import dataset_names, load_dataset
from neurosleep.data._patches import patches
from neurosleep.data.blurred import blurred_stream
from neurosleep.data.dataset import Dataset, to_float
from neurosleep.data.extractors import Extractor, extractor_names, make_extractor
from neurosleep.data.feature_files import load_feature_file
from neurosleep.data.features import extract_features
from neurosleep.data.limited import limit_images
from neurosleep.data.noise import Noise, disturb
from neurosleep.data.running_mean import RunningMean
from neurosleep.data.scaling import scale_by_maximum, standardise_by_first
from neurosleep.data.splits import (
    Task,
    class_incremental,
    cross_modal,
    joint,
    permutations_of,
    permuted,
    validation_split,
)

__all__ = [
    "Dataset",
    "Extractor",
    "Noise",
    "RunningMean",
    "Task",
    "at_hand",
    "blurred_stream",
    "class_incremental",
    "covertype_like",
    "cross_modal",
    "dataset_names",
    "disturb",
    "extract_features",
    "extractor_names",
    "joint",
    "limit_images",
    "load_dataset",
    "load_feature_file",
    "make_extractor",
    "patches",
    "permutations_of",
    "permuted",
    "scale_by_maximum",
    "standardise_by_first",
    "to_float",
    "validation_split",
]
