"""Task sequences, strategies and metrics of continual learning."""

from neurosleep.continual.loop import Learning, Progress, learn_tasks
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
    AwakeNetwork,
    Combination,
    ICaRL,
    Joint,
    JointMatched,
    Learner,
    LwF,
    Rehearsal,
    Strategy,
    check_combination,
    trained,
)

__all__ = [
    "EWC",
    "OWM",
    "SI",
    "SRC",
    "STRATEGIES",
    "AwakeNetwork",
    "Combination",
    "ICaRL",
    "Joint",
    "JointMatched",
    "Learner",
    "Learning",
    "LwF",
    "Progress",
    "Rehearsal",
    "Strategy",
    "backward_transfer",
    "check_combination",
    "forgetting_first_minus_last",
    "forgetting_max_minus_last",
    "learn_tasks",
    "matrix_metrics",
    "trained",
]
