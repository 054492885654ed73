"""One night: drive, rule and engine; the verbs sleep and consolidate."""

from neurosleep.replay._consolidate import consolidate, thresholds_for_rates
from neurosleep.replay._sleep import CHUNK, Divergence, Night, sleep

__all__ = ["CHUNK", "Divergence", "Night", "consolidate", "sleep", "thresholds_for_rates"]
