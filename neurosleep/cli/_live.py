"""A run in the terminal while it sleeps: rates, change of weights and accuracy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurosleep.experiments.run.events import Event, SleepEvent

__all__ = ["LiveView", "live_view", "sparkline"]

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40


def sparkline(values: Sequence[float | None], *, low: float = 0.0, high: float = 1.0, width: int = _WIDTH) -> str:
    """A letter for each of the last ``width`` values, as high as it is from ``low`` to ``high``; None is a gap."""
    drawn = []
    for value in values[-width:]:
        if value is None:
            drawn.append(" ")
            continue
        part = min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.0
        drawn.append(_BARS[min(int(part * len(_BARS)), len(_BARS) - 1)])
    return "".join(drawn)


class LiveView:
    """Keeps what events say, puts it into lines, and has itself shown after each."""

    def __init__(self, show: Callable[[LiveView], None] = lambda view: None) -> None:
        self._show = show
        self._begin(None, 0)

    def _begin(self, event: Event | None, tasks: int) -> None:
        self.event, self.tasks = event, tasks
        self.sleep: SleepEvent | None = None
        self.change: dict[str, float | None] = {}
        self.accuracies: list[float | None] = []
        self.rates: dict[str, list[float | None]] = {}

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self.event = event
        if event["event"] == "start":
            self._begin(event, event["tasks"])
        elif event["event"] == "sleep":
            self.sleep = event
            self.change = event.get("weight_change", self.change)
            if "accuracy_all" in event:
                self.accuracies.append(event["accuracy_all"])
            for name, rate in event["rates"].items():
                self.rates.setdefault(name, []).append(rate)
        elif event["event"] == "phase":
            self.accuracies.append(event["accuracy_all"])
            if event["phase"] == "sleep":
                self.sleep = None
        self._show(self)

    def _what(self, event: Event) -> str:
        if event["event"] == "start":
            return "starts"
        if event["event"] == "end":
            return event["status"]
        where = f"task {event['task']} of {self.tasks}"
        if event["event"] == "epoch":
            return f"{where}, epoch {event['epoch']} done"
        if event["event"] == "phase":
            return f"{where}, after {event['phase']}"
        return f"{where}, sleep phase, step {event['step']} of {event['steps']}"

    def lines(self, *, curves: bool = True) -> list[str]:
        """What there is to see, line by line; without ``curves`` only what is now."""
        e = self.event
        if e is None:
            return []
        variant = e["variant"]
        variant = variant if len(variant) <= _WIDTH else variant[: _WIDTH - 1] + "…"
        told = [f"{e['experiment']} ({variant}), {e['strategy']}, seed {e['seed']}"]
        what = self._what(e)
        last = next((a for a in reversed(self.accuracies) if a is not None), None)
        told.append(
            what + ("" if last is None else f"; accuracy {100 * last:.1f} %{f' {sparkline(self.accuracies)}' * curves}")
        )
        if self.sleep is not None:
            for name, rate in self.sleep["rates"].items():
                into = [value for key, value in self.change.items() if key.endswith(f"-> {name}") and value is not None]
                seen = self.rates[name]
                high = max((r for r in seen if r is not None), default=0.0)
                shown = "-" if rate is None else f"{rate:8.2f} Hz"
                moved = f"  weights changed by {100 * max(into):6.1f} %" if into else ""
                curve = f" {sparkline(seen, high=high or 1.0, width=20):<20}" * curves
                told.append(f"  {name:<10} {shown:>11}{curve}{moved}")
        return told


def _in_one_line(view: LiveView) -> str:
    return " | ".join(" ".join(line.split()) for line in view.lines(curves=False))


@contextmanager
def live_view() -> Iterator[LiveView]:
    """A view on standard error: redrawn in place on a terminal, else one line for each event."""
    if not sys.stderr.isatty():
        yield LiveView(lambda view: print(_in_one_line(view), file=sys.stderr, flush=True))
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(Text(""), console=Console(stderr=True), refresh_per_second=8) as screen:
        # As a text, since names from files may hold what rich takes for markup.
        yield LiveView(lambda view: screen.update(Text("\n".join(view.lines())), refresh=True))
