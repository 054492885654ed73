"""One night: drive, rule and engine; the verb sleep."""

from neurosleep.replay._sleep import Divergence, Night, sleep

__all__ = ["Divergence", "Night", "sleep"]
