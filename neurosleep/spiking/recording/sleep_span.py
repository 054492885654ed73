"""A stretch of a sleep in one state: what a hypnogram is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from neurosleep._checks import check_count
from neurosleep.errors import SettingsError

__all__ = ["SleepSpan", "check_spans"]

State = Literal["up", "down", "tonic"]


@dataclass(frozen=True)
class SleepSpan:
    """A stretch of a sleep in one stage and one state.

    Parameters
    ----------
    stage:
        Name of the stage, such as ``"NREM"`` or ``"REM"``.
    state:
        ``"up"`` or ``"down"`` state of a slow oscillation, or ``"tonic"`` drive.
    start, length:
        First step, counted from the start of the recording, and number of steps.
    cycle:
        Number of the sleep cycle, from 1.

    Raises
    ------
    SettingsError
        If the state does not exist, or a number is negative or no integer.

    See Also
    --------
    neurosleep.Recording : whose ``hypnogram`` they are
    neurosleep.plot.hypnogram : a picture of them

    Examples
    --------
    >>> from neurosleep.spiking import SleepSpan
    >>> SleepSpan("NREM", "up", start=0, length=50).stop
    50
    """

    stage: str
    state: State
    start: int
    length: int
    cycle: int = 1

    def __post_init__(self) -> None:
        if self.state not in get_args(State):
            raise SettingsError(
                f"A sleep has no state {self.state!r}.", expected="one of: " + ", ".join(get_args(State))
            )
        if not isinstance(self.stage, str) or not self.stage:
            raise SettingsError(f"The stage of a sleep is {self.stage!r:.40}.", expected="its name, such as 'NREM'")
        check_count("The first step of a stretch of sleep", self.start, 0)
        check_count("The length of a stretch of sleep, in steps,", self.length, 1)
        check_count("The number of a sleep cycle", self.cycle, 1)

    @property
    def stop(self) -> int:
        """The step after its last one."""
        return self.start + self.length


def check_spans(spans: Iterable[SleepSpan], steps: int) -> tuple[SleepSpan, ...]:
    """The spans as a tuple; refuses those that overlap, or end after ``steps`` steps."""
    spans, last = tuple(spans), 0
    for span in spans:
        if not isinstance(span, SleepSpan) or span.start < last or span.stop > steps:
            raise SettingsError(
                f"The hypnogram holds {span!r:.90}.", expected=f"spans in order, without overlap, within {steps} steps"
            )
        last = span.stop
    return spans
