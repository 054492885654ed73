"""Strategies, one competitor per file."""

from neurosleep.continual.strategies.base import Learner, Strategy
from neurosleep.continual.strategies.joint import Joint
from neurosleep.continual.strategies.src import SRC, SleepSettings

__all__ = ["SRC", "Joint", "Learner", "SleepSettings", "Strategy"]
