"""What a command shows of runs while they go on: a line for each that is under way, and one for all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurosleep.experiments.run.position import Position

__all__ = ["Board", "show_progress", "span"]

# Seconds between two lines where there is no terminal.
_EVERY = 30.0
# Of more runs than this at a time the others are only counted.
_MOST = 24
# What a search reports of its best trial starts so.
_BEST = "best so far"
# Below this share nothing is said about the time that is left.
_EARLY = 0.05


def span(seconds: float) -> str:
    """A time in words that fit a line: 0:07, 12:30, 3:04:00 or 2 d 3 h."""
    whole = int(seconds)
    if whole >= 86400:
        return f"{whole // 86400} d {whole % 86400 // 3600} h"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@dataclass
class _Run:
    """A run under way: since when, what it said last, and where its steps started to be counted."""

    since: float
    text: str = ""
    at: Position | None = None
    counted: tuple[float, int] | None = None
    rate: float | None = None


class Board:
    """How far several runs are.

    Parameters
    ----------
    labels:
        Of each run what says it in short, such as its strategy and seed, and what may be left out: variant, experiment.
    clock:
        Seconds, from anywhere.
    """

    def __init__(self, labels: Sequence[tuple[str, str]], clock: Callable[[], float] = time.monotonic) -> None:
        self._labels, self._clock = labels, clock
        self._since = clock()
        self._under_way: dict[int, _Run] = {}
        self._over = self._failed = 0
        self._best = ""

    def told(self, number: int, text: str) -> None:
        """Take what a run reports."""
        # Here, since --help shall not wait for what runs need.
        from neurosleep.experiments.run.position import Position

        if text.startswith(_BEST):
            self._best = f"; {text}"
            return
        if text in ("done", "failed"):
            self._over += 1
            self._failed += text == "failed"
            self._under_way.pop(number, None)
            return
        now = self._clock()
        run = self._under_way.setdefault(number, _Run(now))
        before, run.at, run.text = run.at, Position.read(text) or run.at, text
        at = run.at
        if at is None or not at.steps:
            run.counted = run.rate = None
        elif run.counted is None or before is None or (before.task, before.phase) != (at.task, at.phase):
            run.counted, run.rate = (now, at.step), None
        elif at.step > run.counted[1] and now > run.counted[0]:
            run.rate = (at.step - run.counted[1]) / (now - run.counted[0])

    def lines(self, width: int) -> list[str]:
        """One line for all runs, and one for each that is under way; what says least stands last."""
        rows = [self._line(number, run)[:width] for number, run in sorted(self._under_way.items())]
        more = [f"and {len(rows) - _MOST} more"] if len(rows) > _MOST else []
        return [self.summary()[:width], *rows[:_MOST], *more]

    def summary(self) -> str:
        """How many runs are over, the time so far, and about how much is left."""
        failed = f", {self._failed} of them failed" if self._failed else ""
        elapsed = self._clock() - self._since
        share = (self._over + sum(run.at.share for run in self._under_way.values() if run.at)) / len(self._labels)
        done = f"{self._over} of {len(self._labels)} done{failed}"
        return f"{done}; {span(elapsed)} so far{_left(elapsed, share)}{self._best}"

    def _line(self, number: int, run: _Run) -> str:
        name, more = self._labels[number]
        parts = [name]
        at = run.at
        if at is None:
            parts.append(run.text)
        else:
            # What stands before the position, such as the seed of a trial.
            before = run.text.partition("task ")[0].rstrip(", ")
            parts += [before] if before and run.text.endswith(str(at)) else []
            parts += [f"task {at.task}/{at.tasks}", at.phase]
            parts += [f"{at.step:,}/{at.steps:,}"] if at.steps else []
        parts += [f"{run.rate:,.0f} steps/s"] if run.rate else []
        left = _left(self._clock() - run.since, at.share, "") if at else ""
        parts += [left] if left else []
        parts += [more] if more else []
        return "  ".join(parts)


def _left(elapsed: float, share: float, start: str = ", ") -> str:
    """About how long it will go on."""
    return f"{start}about {span(elapsed * (1 - share) / share)} left" if _EARLY <= share < 1 else ""


@contextmanager
def show_progress(labels: Sequence[tuple[str, str]], *, silent: bool = False) -> Iterator[Callable[[int, str], None]]:
    """On standard error: on a terminal lines that change, elsewhere a line now and then, or nothing if ``silent``."""
    terminal = sys.stderr.isatty()
    if not labels or (silent and not terminal):
        yield lambda number, text: None
        return
    board = Board(labels)
    if not terminal:
        yield _NowAndThen(board, labels)
        return
    from rich.live import Live
    from rich.text import Text

    from neurosleep.cli._text import console

    out = console(error=True)

    # As a text, since names from files may hold what rich takes for markup.
    def shown() -> Text:
        return Text("\n".join(board.lines(out.width)), no_wrap=True)

    with Live(get_renderable=shown, console=out, refresh_per_second=4, transient=True):
        yield board.told


class _NowAndThen:
    """Prints a line where the last one is some time ago."""

    def __init__(self, board: Board, labels: Sequence[tuple[str, str]], clock: Callable[[], float] = time.monotonic):
        self._board, self._labels, self._clock = board, labels, clock
        self._printed = clock()

    def __call__(self, number: int, text: str) -> None:
        self._board.told(number, text)
        if self._clock() - self._printed >= _EVERY:
            self._printed = self._clock()
            where = ", ".join(part for part in (*self._labels[number], text) if part)
            print(f"{self._board.summary()}; {where}", file=sys.stderr, flush=True)
