"""Task sequences, strategies and metrics of continual learning."""

from neurosleep.continual.loop import Progress, learn_tasks
from neurosleep.continual.metrics import (
    backward_transfer,
    forgetting_first_minus_last,
    forgetting_max_minus_last,
    matrix_metrics,
)
from neurosleep.continual.strategies import (
    EWC,
    OWM,
    SI,
    SRC,
    STRATEGIES,
    Combination,
    ICaRL,
    Joint,
    JointMatched,
    Learner,
    LwF,
    Rehearsal,
    SleepSettings,
    Strategy,
    check_combination,
)

__all__ = [
    "EWC",
    "OWM",
    "SI",
    "SRC",
    "STRATEGIES",
    "Combination",
    "ICaRL",
    "Joint",
    "JointMatched",
    "Learner",
    "LwF",
    "Progress",
    "Rehearsal",
    "SleepSettings",
    "Strategy",
    "backward_transfer",
    "check_combination",
    "forgetting_first_minus_last",
    "forgetting_max_minus_last",
    "learn_tasks",
    "matrix_metrics",
]
