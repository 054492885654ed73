"""The slow oscillation of deep sleep: up states in which the network fires, and silent down states between them."""

from __future__ import annotations

from dataclasses import dataclass

from neurosleep._checks import check_count, check_number
from neurosleep.errors import SettingsError

__all__ = ["SlowOscillation"]


@dataclass(frozen=True)
class SlowOscillation:
    """Up states, each with one frame of noise held, and down states between them in which potentials return to rest.

    Parameters
    ----------
    frames:
        Number of up states, and of frames of noise; at least 2.
    up, down:
        Length of an up state and of the down state after it, in steps.
    settle:
        Steps at the start of an up state that are not counted; at least two steps after them are.

    See Also
    --------
    InputNoise : what the frames are drawn from
    Homeostasis : the rule of this sleep

    Examples
    --------
    >>> SlowOscillation(frames=100).frequency(dt=0.001)
    10.0
    >>> SlowOscillation.at(1.0, dt=0.001)
    SlowOscillation(frames=500, up=500, down=500, settle=10)

    References
    ----------
    Neske (2016), doi:10.3389/fncir.2015.00088, a review.
    """

    frames: int = 500
    up: int = 50
    down: int = 50
    settle: int = 10

    def __post_init__(self) -> None:
        check_count("The number of frames", self.frames, 2)
        check_count("The length of a down state, in steps,", self.down, 0)
        check_count("The length of an up state, in steps,", self.up, 2)
        check_count("The number of steps that are not counted", self.settle, 0)
        if self.settle > self.up - 2:
            raise SettingsError(
                f"Of an up state of {self.up} steps {self.settle} are not counted.",
                expected="at least two that are",
            )

    @classmethod
    def at(cls, frequency: float, *, dt: float = 0.001, frames: int = 500, settle: int = 10) -> SlowOscillation:
        """One of ``frequency`` in Hz, half of it up, for steps of ``dt`` seconds."""
        period = 1 / (check_number("The frequency of the oscillation, in Hz,", frequency, above=0) * dt)
        half = max(1, round(period / 2))
        return cls(frames, half, half, settle)

    @property
    def halves(self) -> tuple[int, int]:
        """Lengths of the two halves of the counted steps."""
        counted = self.up - self.settle
        return counted // 2, counted - counted // 2

    @property
    def steps(self) -> int:
        """Steps of all up and down states."""
        return self.frames * (self.up + self.down)

    def frequency(self, dt: float) -> float:
        """Up states per second, in Hz, with steps of ``dt`` seconds."""
        return 1 / ((self.up + self.down) * dt)
