"""The warning for what another tool's file or network leaves open, or is known to say wrongly."""

from __future__ import annotations

from neurosleep.errors import NeurosleepWarning

__all__ = ["ExchangeWarning"]


class ExchangeWarning(NeurosleepWarning):
    """Something was read or written, but not quite as the other tool would say it: the text says what and why."""
