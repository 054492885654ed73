"""What sleep changed: representations, selectivity, input drive, weights, firing. Every result is a :class:`Table`."""

from neurosleep.analysis._avalanches import avalanches
from neurosleep.analysis._bursts import bursts, up_states
from neurosleep.analysis._confusion_change import confusion_change
from neurosleep.analysis._correlation import class_correlation, correlation_summary
from neurosleep.analysis._drive import input_drive
from neurosleep.analysis._equilibrium import activation_spread, settling, stability, state_trajectories
from neurosleep.analysis._every import analyse_sleep
from neurosleep.analysis._fano import fano_factor, fano_factor_of_trials
from neurosleep.analysis._intervals import cv, cv2, isi
from neurosleep.analysis._mean_change import with_mean_change
from neurosleep.analysis._pairwise import mean_pairwise_correlation, pairwise_correlation
from neurosleep.analysis._patches import patch_drive, patch_weights
from neurosleep.analysis._rates import firing_rate, psth
from neurosleep.analysis._replay import class_patterns, replay_similarity, replay_windows
from neurosleep.analysis._representation import representation_change
from neurosleep.analysis._savings import epochs_saved
from neurosleep.analysis._selectivity import preferred_class, selective_groups
from neurosleep.analysis._similarity import sleep_wake_similarity
from neurosleep.analysis._solutions import solution_distance
from neurosleep.analysis._sparse import sparseness, treves_rolls
from neurosleep.analysis._spike_summary import firing_statistics, neuron_statistics
from neurosleep.analysis._student import TTest, incomplete_beta, paired_test, welch_test
from neurosleep.analysis._synchrony import chi_synchrony, spike_contrast
from neurosleep.analysis._task_firing import task_specific_firing
from neurosleep.analysis._trains import SpikeTrains, spike_trains
from neurosleep.analysis._trajectory import weight_trajectory
from neurosleep.analysis._weights import stable_rank, weight_histogram, weight_summary
from neurosleep.analysis.table import Table

__all__ = [
    "SpikeTrains",
    "TTest",
    "Table",
    "activation_spread",
    "analyse_sleep",
    "avalanches",
    "bursts",
    "chi_synchrony",
    "class_correlation",
    "class_patterns",
    "confusion_change",
    "correlation_summary",
    "cv",
    "cv2",
    "epochs_saved",
    "fano_factor",
    "fano_factor_of_trials",
    "firing_rate",
    "firing_statistics",
    "incomplete_beta",
    "input_drive",
    "isi",
    "mean_pairwise_correlation",
    "neuron_statistics",
    "paired_test",
    "pairwise_correlation",
    "patch_drive",
    "patch_weights",
    "preferred_class",
    "psth",
    "replay_similarity",
    "replay_windows",
    "representation_change",
    "selective_groups",
    "settling",
    "sleep_wake_similarity",
    "solution_distance",
    "sparseness",
    "spike_contrast",
    "spike_trains",
    "stability",
    "stable_rank",
    "state_trajectories",
    "task_specific_firing",
    "treves_rolls",
    "up_states",
    "weight_histogram",
    "weight_summary",
    "weight_trajectory",
    "welch_test",
    "with_mean_change",
]
