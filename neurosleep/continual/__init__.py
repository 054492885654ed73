"""Task sequences, strategies and metrics of continual learning."""

from neurosleep.continual.loop import Progress, learn_tasks
from neurosleep.continual.metrics import (
    backward_transfer,
    forgetting_first_minus_last,
    forgetting_max_minus_last,
    matrix_metrics,
)
from neurosleep.continual.strategies import SRC, Joint, Learner, SleepSettings, Strategy

__all__ = [
    "SRC",
    "Joint",
    "Learner",
    "Progress",
    "SleepSettings",
    "Strategy",
    "backward_transfer",
    "forgetting_first_minus_last",
    "forgetting_max_minus_last",
    "learn_tasks",
    "matrix_metrics",
]
