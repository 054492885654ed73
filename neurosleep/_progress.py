"""How far a long call is: told by what counts, deep inside, and heard by whoever shows it.

Who hears is a variable of the context, so that no function on the way has to hand it on.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, ParamSpec, TypeAlias, TypeVar

from neurosleep.errors import SettingsError

__all__ = ["ShowProgress", "heard_by", "show_progress", "shows_progress", "tell_progress"]

Hear: TypeAlias = Callable[[str, int, int], None]
ShowProgress: TypeAlias = bool | Literal["lines"]
P = ParamSpec("P")
T = TypeVar("T")

_hear: ContextVar[Hear | None] = ContextVar("_hear", default=None)
# Lines of one count, at most, where there is no terminal.
_LINES = 10


def tell_progress(what: str, done: int, total: int) -> None:
    """Say that ``done`` of ``total`` are done of ``what``; without somebody who hears it costs nothing."""
    hear = _hear.get()
    if hear is not None:
        hear(what, done, total)


@contextmanager
def heard_by(hear: Hear) -> Iterator[None]:
    """Have ``hear`` called with what, done and total, beside whoever hears already."""
    outer = _hear.get()

    def both(what: str, done: int, total: int) -> None:
        hear(what, done, total)
        if outer is not None:
            outer(what, done, total)

    token = _hear.set(both)
    try:
        yield
    finally:
        _hear.reset(token)


@contextmanager
def show_progress(progress: ShowProgress = True) -> Iterator[None]:
    """Show on standard error how far each long call inside is; results stay the same.

    Functions that have an argument ``progress`` take the same values.

    Parameters
    ----------
    progress:
        True: a bar for each thing that is counted, in a terminal or notebook, and nothing elsewhere; ``"lines"``: lines
        of text, wherever standard error goes; False: nothing.

    Raises
    ------
    SettingsError
        If it is something else.

    See Also
    --------
    neurosleep.consolidate, neurosleep.sleep, neurosleep.simulate : calls that may be long

    Examples
    --------
    >>> import neurosleep as ns
    >>> with ns.show_progress():
    ...     drive = ns.MeanDrive([0.5, 0.5], max_rate=100.0)
    """
    if not isinstance(progress, bool) and progress != "lines":
        raise SettingsError(f"progress is {progress!r:.60}.", expected="True, False or 'lines'")
    if progress == "lines":
        with heard_by(_Lines()):
            yield
        return
    if not progress:
        yield
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console) as bars:
        numbers: dict[str, TaskID] = {}

        def hear(what: str, done: int, total: int) -> None:
            if what not in numbers:
                numbers[what] = bars.add_task(what, total=total)
            bars.update(numbers[what], completed=done, total=total)

        with heard_by(hear):
            yield


class _Lines:
    """A line for each tenth of what is counted."""

    def __init__(self) -> None:
        self._tenths: dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        tenth = _LINES * done // max(total, 1)
        if tenth != self._tenths.get(what):
            self._tenths[what] = tenth
            print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)


def shows_progress(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, whose keyword ``progress`` says whether to show how far it is."""

    @functools.wraps(function)
    def shown(*args: P.args, **kwargs: P.kwargs) -> T:
        progress = kwargs.get("progress", False)
        # A function in its place is called by what counts.
        if callable(progress) or progress is False:
            return function(*args, **kwargs)
        with show_progress(progress):  # type: ignore[arg-type]
            return function(*args, **kwargs)

    return shown
