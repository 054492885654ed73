"""What ends a command: a usage error in one message and exit code 2, Ctrl-C, SIGTERM."""

from __future__ import annotations

import errno
import json
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from neurosleep.cli._text import say_error
from neurosleep.errors import NeurosleepError, RunFolderError, RunsFailedError

__all__ = ["described", "fail", "interruptible", "usage_errors", "user_errors"]

# By way of its public child, since the class itself lives in click or, in newer versions of typer, in typer.
UsageError: Any = typer.BadParameter.__base__


# Why the operating system refuses a file, where that is for the user to mend: its name, rights, room, a read-only disk.
_REFUSED = {errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def _print_error(kind: str, message: str, hint: str | None) -> None:
    print(json.dumps({"error": {"type": kind, "message": message, "hint": hint}}))


def described(error: NeurosleepError) -> dict[str, Any]:
    """The error as the object that ``--json`` prints."""
    # What was found and expected belongs to the message here: the object has no other place for it.
    details = [f"{k}: {v}" for k, v in (("found", error.found), ("expected", error.expected)) if v]
    message = " ".join([error.message, *(f"({d})" for d in details)])
    return {"type": type(error).__name__, "message": message, "hint": error.hint}


def fail(error: NeurosleepError, as_json: bool, more: dict[str, Any] | None = None) -> NoReturn:
    """Print the error, and end the command."""
    if as_json:
        print(json.dumps({"error": described(error), **(more or {})}, allow_nan=False))
    else:
        say_error(type(error).__name__, str(error))
    if isinstance(error, RunsFailedError) and error.internal is not None:
        traceback.print_exception(error.internal)
        raise typer.Exit(1)
    raise typer.Exit(2)


@contextmanager
def usage_errors(as_json: bool) -> Iterator[None]:
    """Usage errors in the arguments themselves, as an object with ``--json``."""
    try:
        yield
    except UsageError as error:
        if not as_json:
            raise
        path = error.ctx.command_path if error.ctx else "neurosleep"
        _print_error("UsageError", error.format_message(), f"{path} --help names what it takes")
        raise typer.Exit(2) from error


@contextmanager
def user_errors(as_json: bool) -> Iterator[None]:
    """Usage errors, and files that the system refuses, end in one message."""
    try:
        yield
    except NeurosleepError as error:
        fail(error, as_json)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        name = str(error.filename or "a file")
        hint = "name another place, or free some space"
        fail(RunFolderError(f"{name!r:.80} cannot be used.", found=error.strerror, hint=hint), as_json)


def _how_far(stop: KeyboardInterrupt) -> list[str]:
    """How much was done, where runs were stopped (their first note)."""
    return getattr(stop, "__notes__", [])[:1]


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


@contextmanager
def interruptible(as_json: bool, hint: str) -> Iterator[None]:
    """Ctrl-C and SIGTERM end a command with one message that says how to go on; the exit code is 128 + the signal."""

    def terminate(number: int, frame: Any) -> None:
        raise _TerminatedError

    handled = threading.current_thread() is threading.main_thread()
    handled = handled and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if handled:
        signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as stop:
        number = signal.SIGTERM if isinstance(stop, _TerminatedError) else signal.SIGINT
        message = " ".join([f"Stopped by {number.name}; whatever was under way is ended.", *_how_far(stop)])
        if as_json:
            _print_error("Interrupted", message, hint)
        else:
            say_error("", f"{message}\n  Try:      {hint}", "warning")
        raise typer.Exit(128 + number) from None
    finally:
        if handled:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
