"""Numbers as the report writes them: what is undefined is a dash, and never NaN."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from neurosleep.experiments.plain import number

__all__ = ["DASH", "counted", "defined", "mean", "minus", "percent", "plain", "plain_spread", "points", "sd"]
__all__ += ["seconds", "show", "si", "spread", "wilson"]

DASH = "–"


def defined(values: Iterable[object]) -> list[float]:
    """Those of the values that are finite numbers."""
    return [found for value in values if (found := number(value)) is not None]


def mean(values: Iterable[object]) -> float | None:
    """Mean of those that are defined."""
    numbers = defined(values)
    return statistics.fmean(numbers) if numbers else None


def sd(values: Iterable[object]) -> float | None:
    """Standard deviation (n - 1) of those that are defined, of at least two."""
    numbers = defined(values)
    return statistics.stdev(numbers) if len(numbers) > 1 else None


def percent(value: float | None, unit: str = " %") -> str:
    """A fraction in %."""
    return DASH if value is None else f"{minus(100 * value, '.1f')}{unit}"


def spread(values: Iterable[object]) -> str:
    """Mean and standard deviation of fractions, in %."""
    numbers = defined(values)
    middle, deviation = mean(numbers), sd(numbers)
    if deviation is None:
        return percent(middle)
    return f"{percent(middle, unit='')} ± {percent(deviation)}"


def plain_spread(values: Iterable[object]) -> str:
    """Mean and standard deviation of any numbers."""
    numbers = defined(values)
    deviation = sd(numbers)
    return plain(mean(numbers)) if deviation is None else f"{plain(mean(numbers))} ± {plain(deviation)}"


def plain(value: float | None) -> str:
    """A number with four digits, or all of its whole part."""
    if value is None:
        return DASH
    return minus(value, ",.0f" if 1e4 <= abs(value) < 1e12 else ".4g")


def minus(value: float, form: str) -> str:
    """A number in a format, with a real minus sign."""
    text = format(value, form)
    # No number is "-0.0", and a minus is not a hyphen.
    return text.lstrip("-") if not float(text.replace(",", "")) else text.replace("-", "−")


def points(gap: float) -> str:
    """A difference of percentages, without its sign."""
    size = f"{abs(gap):.0f}" if abs(gap) >= 10 else f"{abs(gap):.1f}"
    return f"{size} {'point' if size == '1.0' else 'points'}"


def counted(count: int, what: str, plural: str = "") -> str:
    """A number of things in words."""
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def seconds(value: float | None) -> str:
    """A duration."""
    if value is None:
        return DASH
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def si(value: float, unit: str) -> str:
    """A quantity with three digits and a prefix, such as 6.91 mJ."""
    if not value or not math.isfinite(value):
        return f"{value:g} {unit}"
    power = min(max(math.floor(math.log10(abs(float(f"{value:.2e}"))) / 3), -6), 3)
    prefix = ("a", "f", "p", "n", "µ", "m", "", "k", "M", "G")[power + 6]
    return f"{value / 1000.0**power:.3g} {prefix}{unit}"


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``n``: that of Wilson's score."""
    z2 = 1.959964**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def show(value: object) -> str:
    """Anything that a JSON file holds."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {show(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(show, value))
    return DASH if value is None else str(value)
