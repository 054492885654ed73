"""What a plasticity rule does to a weight, by the time between the two spikes of a pair."""

from __future__ import annotations

import math
from typing import Any

import torch
from matplotlib.axes import Axes

from neurosleep._checks import check_number
from neurosleep.errors import SettingsError
from neurosleep.functional import PlasticityRule
from neurosleep.plot._style import GREY, PALETTE, axes, plain
from neurosleep.plot._tables import zero_line

__all__ = ["stdp_window", "stdp_window_rows"]


def stdp_window(
    rule: PlasticityRule, *, weight: float = 0.0, steps: int = 50, dt: float = 0.001, ax: Axes | None = None
) -> Axes:
    """Change of one weight by one spike on either side, against the time from the input's spike to the unit's, in ms.

    A dotted line shows the change by a spike of the unit alone. It is found by running the rule up to the second spike,
    so that any can be drawn.

    Parameters
    ----------
    rule:
        Any rule, such as those of ``neurosleep.functional.RULES``, or one of your own.
    weight:
        The weight before the pair, on which the change may depend.
    steps, dt:
        The longest time between the spikes, and the length of a step in seconds.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If ``steps`` or ``dt`` is not positive, or the weight is not finite.

    See Also
    --------
    stdp_window_rows : the numbers
    neurosleep.functional.PairSTDP, neurosleep.functional.SRCRule : rules

    Examples
    --------
    >>> from neurosleep import PairSTDP
    >>> from neurosleep.plot import stdp_window
    >>> ax = stdp_window(PairSTDP(a_plus=0.01, a_minus=0.012), steps=30)
    """
    rows = stdp_window_rows(rule, weight=weight, steps=steps, dt=dt)
    ax = axes(ax, 5.2, 3.4)
    pairs = [row for row in rows if row["lag_s"] is not None]
    alone = next(row["change"] for row in rows if row["lag_s"] is None)
    lags, changes = [1000 * row["lag_s"] for row in pairs], [row["change"] for row in pairs]
    ax.vlines(lags, 0, changes, color="#c8c8c8", linewidth=1, zorder=1)
    for sign, colour, label in ((1, PALETTE[0], "strengthened"), (-1, PALETTE[1], "weakened"), (0, GREY, "unchanged")):
        own = [(x, y) for x, y in zip(lags, changes, strict=True) if (y > 0) - (y < 0) == sign]
        if own:
            marker = "os^"[(1, -1, 0).index(sign)]
            ax.plot(*zip(*own, strict=True), linestyle="none", marker=marker, markersize=4, color=colour, label=label)
    if alone:
        ax.axhline(alone, color="black", linestyle=":", linewidth=1.2, label="postsynaptic spike alone")
    ax.axhline(0, color="#b0b0b0", linewidth=0.8, zorder=0)
    zero_line(ax, [-1.0, 1.0], vertical=True)
    ax.set_xlabel(r"$t_\mathrm{post} - t_\mathrm{pre}$ (ms)")
    ax.set_ylabel(rf"$\Delta w$ (at $w = {weight:g}$)")
    ax.set_title(plain(f"rule {rule.name}"), fontsize="medium")
    ax.legend(frameon=False, fontsize=9)
    return ax


def stdp_window_rows(
    rule: PlasticityRule, *, weight: float = 0.0, steps: int = 50, dt: float = 0.001
) -> list[dict[str, Any]]:
    """The numbers that :func:`stdp_window` draws.

    Returns
    -------
    A row for each time between two spikes: ``lag_s`` (seconds, positive where the input fires first) and ``change`` (in
    units of the weight); the last, whose ``lag_s`` is None, for a spike of the unit alone.

    See Also
    --------
    stdp_window : a picture of them

    Examples
    --------
    >>> from neurosleep import PairSTDP
    >>> from neurosleep.plot import stdp_window_rows
    >>> rows = stdp_window_rows(PairSTDP(a_plus=0.25, a_minus=0.25), steps=1)
    >>> [(row["lag_s"], round(row["change"], 3)) for row in rows]
    [(-0.001, -0.238), (0.0, 0.25), (0.001, 0.238), (None, 0.0)]
    """
    check_number("The number of steps", steps, above=0)
    check_number("The step length dt", dt, above=0)
    if not math.isfinite(weight):
        raise SettingsError(f"The weight is {weight!r}.", expected="a finite number")
    rows: list[dict[str, Any]] = [
        {"lag_s": lag * dt, "change": _change(rule, weight, max(0, -lag), max(0, lag), abs(lag) + 1)}
        for lag in range(-int(steps), int(steps) + 1)
    ]
    return [*rows, {"lag_s": None, "change": _change(rule, weight, None, 0, 1)}]


def _change(rule: PlasticityRule, start: float, pre_at: int | None, post_at: int, steps: int) -> float:
    """Change of a single weight by one spike of either side (of the unit alone, where ``pre_at`` is None)."""
    weight = torch.full((1, 1), start, dtype=torch.float64)
    traces = rule.initial_traces(weight)
    for step in range(steps):
        pre, post = torch.tensor([step == pre_at]), torch.tensor([step == post_at])
        traces = rule.step_(weight, pre, post, traces)
    return float(weight) - start
