"""How an awake network learns one task."""

from neurosleep.learning.backprop import LOSSES, Backprop, Batch, Loss, accuracy, predict, task_loss

__all__ = ["LOSSES", "Backprop", "Batch", "Loss", "accuracy", "predict", "task_loss"]
