"""What sleep changed: representations, selectivity, input drive, weights, firing. Every result is a :class:`Table`."""

from neurosleep.analysis._correlation import class_correlation, correlation_summary
from neurosleep.analysis._drive import input_drive
from neurosleep.analysis._equilibrium import activation_spread, settling, stability, state_trajectories
from neurosleep.analysis._every import analyse_sleep
from neurosleep.analysis._patches import patch_drive, patch_weights
from neurosleep.analysis._representation import representation_change
from neurosleep.analysis._savings import epochs_saved
from neurosleep.analysis._similarity import sleep_wake_similarity
from neurosleep.analysis._solutions import solution_distance
from neurosleep.analysis._sparse import sparseness, treves_rolls
from neurosleep.analysis._student import TTest, incomplete_beta, welch_test
from neurosleep.analysis._task_firing import task_specific_firing
from neurosleep.analysis._trajectory import weight_trajectory
from neurosleep.analysis._weights import stable_rank, weight_histogram, weight_summary
from neurosleep.analysis.table import Table

__all__ = [
    "TTest",
    "Table",
    "activation_spread",
    "analyse_sleep",
    "class_correlation",
    "correlation_summary",
    "epochs_saved",
    "incomplete_beta",
    "input_drive",
    "patch_drive",
    "patch_weights",
    "representation_change",
    "settling",
    "sleep_wake_similarity",
    "solution_distance",
    "sparseness",
    "stability",
    "stable_rank",
    "state_trajectories",
    "task_specific_firing",
    "treves_rolls",
    "weight_histogram",
    "weight_summary",
    "weight_trajectory",
    "welch_test",
]
