"""How an awake network learns one task."""

from neurosleep.learning.backprop import LOSSES, Backprop, Loss, accuracy, predict, task_loss

__all__ = ["LOSSES", "Backprop", "Loss", "accuracy", "predict", "task_loss"]
