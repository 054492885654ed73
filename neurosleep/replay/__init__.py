"""One night: drive, rule and engine; the verbs sleep and consolidate."""

from neurosleep.replay._consolidate import consolidate, thresholds_for_rates
from neurosleep.replay._sleep import CHUNK, Divergence, Moment, Night, sleep

__all__ = ["CHUNK", "Divergence", "Moment", "Night", "consolidate", "sleep", "thresholds_for_rates"]
