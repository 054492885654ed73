"""The warning for what another tool's file or network leaves open, or is known to say wrongly."""

from __future__ import annotations

__all__ = ["ExchangeWarning"]


class ExchangeWarning(UserWarning):
    """Something was read or written, but not quite as the other tool would say it: the text says what and why."""
