"""Networks in files, and in other tools' formats."""

from neurosleep.exchange._files import load, save

__all__ = ["load", "save"]
