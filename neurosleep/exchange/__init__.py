"""Networks in files, and in other tools' formats."""

from neurosleep.exchange._convert_file import TARGETS, convert_file
from neurosleep.exchange._files import load, save

__all__ = ["TARGETS", "convert_file", "load", "save"]
