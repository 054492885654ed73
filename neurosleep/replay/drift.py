"""When a stream drifts, seen from its inputs alone: how far they are from those before, and Page and Hinkley's test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from neurosleep._checks import check_count, check_number
from neurosleep._shown import brief

__all__ = ["Drift", "PageHinkley"]


@dataclass(frozen=True)
class PageHinkley:
    """Page and Hinkley's test of whether the mean of a signal has risen.

    The signal x of a window of n samples is how far its mean input is from that of the N samples before, both since the
    last drift, in units of what the spread s of the inputs lets expect: x = sum (m_n - m_N)^2 / sum s^2 / (1/n + 1/N),
    sums over the inputs. It is about 1, whatever n and N, while nothing changes. With g_t the sum of x_i - mean(x_1 ..
    x_i) - tolerance over the windows, the stream drifts where g_t - min(g) is above the threshold (Page 1954,
    doi:10.2307/2333009; Hinkley 1971, doi:10.1093/biomet/58.3.509). Labels are not looked at: inputs that stay as they
    are while their labels change are no drift.

    Parameters
    ----------
    threshold:
        Above 0; a larger one is reached later, and less often where nothing changed.
    tolerance:
        Rise of the signal that is no drift, 0 or more.
    window:
        Samples, however they come: a shorter window sees a drift sooner and a smaller one not at all.
    warm_up:
        Windows after a drift in which none is seen, at least 1: the first ones tell what is usual.

    Raises
    ------
    SettingsError
        If a number is impossible.

    See Also
    --------
    Consolidator : whose ``drift`` it may be
    Drift : sees it in a stream

    Examples
    --------
    >>> PageHinkley(threshold=20)
    PageHinkley(threshold=20)
    """

    threshold: float = 10.0
    tolerance: float = 0.5
    window: int = 100
    warm_up: int = 5

    __repr__ = brief

    def __post_init__(self) -> None:
        threshold = check_number("The threshold of a drift", self.threshold, above=0)
        object.__setattr__(self, "threshold", threshold)
        object.__setattr__(self, "tolerance", check_number("The tolerance of a drift", self.tolerance, 0))
        check_count("The window of a drift", self.window)
        check_count("Windows to warm up", self.warm_up)


class Drift:
    """Looks at a stream of inputs, and says when it drifts.

    See Also
    --------
    PageHinkley : its settings

    Examples
    --------
    >>> import torch
    >>> from neurosleep.replay import Drift, PageHinkley
    >>> drift = Drift(PageHinkley())
    >>> drift.seen(torch.rand(2000, 20)), drift.seen(torch.rand(2000, 20) + 0.5)
    (False, True)
    """

    def __init__(self, settings: PageHinkley) -> None:
        self.settings = settings
        self._empty()

    def _empty(self) -> None:
        none = torch.zeros(0, dtype=torch.float64)
        # Of the samples since the last drift: how many, their mean, and the sum of squares around it.
        self._count, self._mean, self._squares = 0, none, none
        # Of the window that is not full yet: its samples.
        self._window = none
        # Of the signal: values so far, their mean, g and its smallest value.
        self._values, self._usual, self._sum, self._least = 0, 0.0, 0.0, 0.0

    def seen(self, inputs: Tensor) -> bool:
        """Look at further ``inputs`` ``[n, ...]``; whether the stream drifted among them."""
        rows = inputs.detach().flatten(1).double()
        rows = torch.cat([self._window, rows]) if len(self._window) else rows
        size, drifted = self.settings.window, False
        while len(rows) >= size:
            if self._drifts(rows[:size]):
                self._empty()
                drifted = True
            self._take(rows[:size])
            rows = rows[size:]
        self._window = rows.clone()
        return drifted

    def _drifts(self, window: Tensor) -> bool:
        if not self._count:
            return False
        spread = float(self._squares.sum()) / self._count
        apart = float((window.mean(0) - self._mean).square().sum()) / (1 / len(window) + 1 / self._count)
        if not spread:
            return apart > 0
        signal = apart / spread
        self._values += 1
        self._usual += (signal - self._usual) / self._values
        self._sum += signal - self._usual - self.settings.tolerance
        self._least = min(self._least, self._sum)
        return self._values >= self.settings.warm_up and self._sum - self._least > self.settings.threshold

    def _take(self, window: Tensor) -> None:
        mean, n = window.mean(0), len(window)
        squares = (window - mean).square().sum(0)
        if self._count:
            apart, count = mean - self._mean, self._count + n
            self._squares = self._squares + squares + apart.square() * (self._count * n / count)
            self._mean = self._mean + apart * (n / count)
            self._count = count
        else:
            self._count, self._mean, self._squares = n, mean, squares

    def state_dict(self, *, samples: bool = False) -> dict[str, Tensor]:
        """What it has seen, as tensors; ``samples``: those of a window that is not full too."""
        numbers = [self._count, self._values, self._usual, self._sum, self._least]
        return {
            "numbers": torch.tensor(numbers, dtype=torch.float64),
            "mean": self._mean.clone(),
            "squares": self._squares.clone(),
            "window": self._window.clone() if samples else self._window[:0].clone(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
        count, values, *rest = state["numbers"].tolist()
        self._count, self._values = int(count), int(values)
        self._usual, self._sum, self._least = rest
        self._mean, self._squares, self._window = state["mean"], state["squares"], state["window"]
