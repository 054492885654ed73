"""Task sequences, strategies and metrics of continual learning."""

from neurosleep.continual.loop import Learning, Progress, learn_tasks
from neurosleep.continual.metrics import (
    backward_transfer,
    forgetting_first_minus_last,
    forgetting_max_minus_last,
    matrix_metrics,
)
from neurosleep.continual.naps import Naps
from neurosleep.continual.strategies import (
    EWC,
    OWM,
    SI,
    SRC,
    STRATEGIES,
    AwakeNetwork,
    Combination,
    HomeostaticSleep,
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
from neurosleep.continual.task_free import StreamSleep

__all__ = [
    "EWC",
    "OWM",
    "SI",
    "SRC",
    "STRATEGIES",
    "AwakeNetwork",
    "Combination",
    "HomeostaticSleep",
    "ICaRL",
    "Joint",
    "JointMatched",
    "Learner",
    "Learning",
    "LwF",
    "Naps",
    "Progress",
    "Rehearsal",
    "Strategy",
    "StreamSleep",
    "backward_transfer",
    "check_combination",
    "forgetting_first_minus_last",
    "forgetting_max_minus_last",
    "learn_tasks",
    "matrix_metrics",
    "trained",
]
