"""The command line."""

from neurosleep.cli.app import main

__all__ = ["main"]
