"""How an awake network learns one task."""

from neurosleep.learning._phases import EQUILIBRIUM_LOSSES, ConvergenceWarning, EquilibriumLoss, PhasedLearning
from neurosleep.learning.backprop import FROZEN, LOSSES, Backprop, Batch, Frozen, Loss, accuracy, predict, task_loss
from neurosleep.learning.bptt import BPTT
from neurosleep.learning.contrastive_hebbian import ContrastiveHebbian
from neurosleep.learning.equilibrium_propagation import ESTIMATORS, EquilibriumPropagation, Estimator, adapt
from neurosleep.learning.optimiser import OPTIMISERS, SGD, AdaGrad, Adam, Optimiser, make_optimiser

__all__ = [
    "BPTT",
    "EQUILIBRIUM_LOSSES",
    "ESTIMATORS",
    "FROZEN",
    "LOSSES",
    "OPTIMISERS",
    "SGD",
    "AdaGrad",
    "Adam",
    "Backprop",
    "Batch",
    "ContrastiveHebbian",
    "ConvergenceWarning",
    "EquilibriumLoss",
    "EquilibriumPropagation",
    "Estimator",
    "Frozen",
    "Loss",
    "Optimiser",
    "PhasedLearning",
    "accuracy",
    "adapt",
    "make_optimiser",
    "predict",
    "task_loss",
]
