"""Functions that take data and axes and return axes: the only room that draws.

None of them touches pyplot's state. Without ``ax`` each makes a figure of its own, reachable as ``ax.figure``. A
function with the name of an analysis draws the table of that analysis, or the rows of its CSV file.
"""

from neurosleep.plot._accuracy_matrix import accuracy_matrix
from neurosleep.plot._animation import animate_sleep, sleep_rows
from neurosleep.plot._before_after import input_drive, sparseness, stable_rank
from neurosleep.plot._by_class import representation_change, sleep_wake_similarity, task_specific_firing
from neurosleep.plot._changes import changes
from neurosleep.plot._chips import chip_accuracy, chip_cores
from neurosleep.plot._comparison import comparison, progress
from neurosleep.plot._confusion import confusion
from neurosleep.plot._confusion_change import confusion_change
from neurosleep.plot._conversion import conversion
from neurosleep.plot._correlations import class_correlation, correlation_change
from neurosleep.plot._curves import accuracy, rates
from neurosleep.plot._dot_whisker import dot_whisker
from neurosleep.plot._energy import energy
from neurosleep.plot._equilibrium import activation_spread, settling, stability, state_trajectories
from neurosleep.plot._growth import growth
from neurosleep.plot._hover import hover_points
from neurosleep.plot._hypnogram import hypnogram, sleep_overview
from neurosleep.plot._intervals import interval_counts, intervals
from neurosleep.plot._mosaic import chosen_units, image_shape, receptive_fields, sleep_images, window_rates
from neurosleep.plot._patch_task import patch_drive, patch_weights
from neurosleep.plot._raster import raster
from neurosleep.plot._saved_epochs import epochs_saved
from neurosleep.plot._stdp_window import stdp_window, stdp_window_rows
from neurosleep.plot._style import (
    PALETTE,
    figure,
    save,
    strategy_colours,
    task_colours,
    to_png_bytes,
    to_svg_bytes,
)
from neurosleep.plot._sweep import sweep
from neurosleep.plot._training import training
from neurosleep.plot._unit_drives import unit_drives
from neurosleep.plot._weight_change import weight_change
from neurosleep.plot._weight_counts import weight_histogram
from neurosleep.plot._weight_space import solution_distance, weight_trajectory

__all__ = [
    "PALETTE",
    "accuracy",
    "accuracy_matrix",
    "activation_spread",
    "animate_sleep",
    "changes",
    "chip_accuracy",
    "chip_cores",
    "chosen_units",
    "class_correlation",
    "comparison",
    "confusion",
    "confusion_change",
    "conversion",
    "correlation_change",
    "dot_whisker",
    "energy",
    "epochs_saved",
    "figure",
    "growth",
    "hover_points",
    "hypnogram",
    "image_shape",
    "input_drive",
    "interval_counts",
    "intervals",
    "patch_drive",
    "patch_weights",
    "progress",
    "raster",
    "rates",
    "receptive_fields",
    "representation_change",
    "save",
    "settling",
    "sleep_images",
    "sleep_overview",
    "sleep_rows",
    "sleep_wake_similarity",
    "solution_distance",
    "sparseness",
    "stability",
    "stable_rank",
    "state_trajectories",
    "stdp_window",
    "stdp_window_rows",
    "strategy_colours",
    "sweep",
    "task_colours",
    "task_specific_firing",
    "to_png_bytes",
    "to_svg_bytes",
    "training",
    "unit_drives",
    "weight_change",
    "weight_histogram",
    "weight_trajectory",
    "window_rates",
]
