"""Errors of a file's content, with the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from neurosleep.errors import ExchangeError

__all__ = ["naming"]


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Put the name of the file before what an :class:`~neurosleep.errors.ExchangeError` says, where it is not there."""
    try:
        yield
    except ExchangeError as error:
        if repr(file) in error.message:
            raise
        message = f"{file!r}: {error.message[:1].lower()}{error.message[1:]}"
        raise ExchangeError(message, found=error.found, expected=error.expected, hint=error.hint) from error
