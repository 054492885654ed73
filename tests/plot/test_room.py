"""No text leaves its figure: measured on what matplotlib draws, for 1 to 12 strategies with short and long names."""

from __future__ import annotations

import random
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from neurosleep import plot
from neurosleep.plot._room import columns_for, fitted, room_of

SHIPPED = ["sequential", "joint", "src", "sleep", "rehearsal+src", "icarl+sleep", "ewc", "owm", "si", "lwf"]


def outside(fig: Figure) -> list[str]:
    """The texts of a figure that are drawn in part outside of it."""
    fig.draw_without_rendering()
    unseen = set()
    for ax in fig.findobj(Axes):
        for axis in (ax.xaxis, ax.yaxis):
            shown = ax.axison and ax.get_visible() and axis.get_visible()
            drawn = axis._update_ticks() if shown else []
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                unseen |= set() if tick in drawn else {tick.label1, tick.label2}
    whole = fig.bbox.padded(1.0)
    return [
        text.get_text()
        for text in fig.findobj(Text)
        if text.get_visible()
        and text.get_text().strip()
        and text not in unseen
        # Of a part of the figure that is not drawn.
        and text.get_window_extent().width > 0
        and not (whole.contains(*text.get_window_extent().min) and whole.contains(*text.get_window_extent().max))
    ]


def names_of(draws: random.Random, count: int) -> list[str]:
    """Names of strategies and variants, some of them long, with signs that mean something to matplotlib."""
    letters = "abcdefghijklmnopqrstuvwxyz=._,-+$ WM0123456789"
    names = []
    for k in range(count):
        size = draws.choice((3, 9, 18, 40, 90))
        made = "".join(draws.choice(letters) for _ in range(size))
        names.append(draws.choice((SHIPPED[k % len(SHIPPED)], f"{made}{k}")))
    return list(dict.fromkeys(names))


def figures_of(draws: random.Random, count: int) -> dict[str, Figure]:
    """The figures that name strategies, at the width of the report."""
    names = names_of(draws, count)

    def drawn(height: float, function: Any, *given: Any, **options: Any) -> Figure:
        fig = plot.figure(draws.choice((4.8, 6.4, 9.0)), height)
        function(*given, ax=fig.add_subplot(), **options)
        return fig

    summary = [
        {
            "strategy": name,
            "accuracy_all": {"mean": draws.random(), "sd": draws.choice((None, 0.05)), "n": 2},
            "published": draws.choice((None, {"mean": draws.random(), "sd": 0.1})),
            "diverged": draws.choice((0, 3)),
        }
        for name in names
    ]
    tasks = [
        {"strategy": n, "line": n, "after_task": k, "value": k, "mean": draws.random(), "sd": 0.1}
        for n in names
        for k in range(1, draws.choice((2, 5)) + 1)
    ]
    grown = [row | {"accuracy": 0.5, "seconds": 2.0, "sleep_seconds": 1.0, "memory": 1e8} for row in tasks]
    fired = [
        {"after_task": 1, "population": n, "neurons": 4, "start_step": s, "steps": 50, "spikes": 9}
        for n in names
        for s in (0, 50)
    ]
    changed = [{"after_task": 1, "projection": n, "time_s": s, "change": s} for n in names for s in (0.0, 1.0)]
    fig = plot.figure(4.8, 6.0)
    tall = 3.2 + 0.2 * len(names)
    return {
        "comparison": drawn(1.1 + 0.42 * max(len(names), 2), plot.comparison, summary),
        "progress": drawn(tall, plot.progress, tasks),
        "sweep": drawn(tall, plot.sweep, tasks, label=names[0]),
        "growth": plot.growth(grown, fig=fig),
        "rates": drawn(tall, plot.rates, fired),
        "weight_change": drawn(tall, plot.weight_change, changed),
    }


@pytest.mark.parametrize("count", range(1, 13))
def test_no_text_leaves_a_figure(count: int) -> None:
    found = {name: outside(fig) for name, fig in figures_of(random.Random(count), count).items()}
    assert found == {key: [] for key in found}


@pytest.mark.full
@pytest.mark.parametrize("seed", range(40))
def test_no_text_leaves_two_hundred_figures(seed: int) -> None:
    draws = random.Random(1000 + seed)
    found = {name: outside(fig) for name, fig in figures_of(draws, draws.randint(1, 12)).items()}
    assert found == {key: [] for key in found}


def test_a_text_that_leaves_would_be_noticed() -> None:
    fig = plot.figure(3, 2)
    fig.add_subplot().set_xlabel("a label far too long for a figure of three inches, as anybody can see")
    assert outside(fig)


def axes_of(width: float) -> Axes:
    return plot.figure(width, 3).add_subplot()


def test_names_are_cut_in_their_middle_where_they_have_no_room() -> None:
    assert fitted("src", 100) == "src" and fitted("", 1) == ""
    short = fitted("sleep.rule.inc=0.032273,sleep.steps=5000", 100)
    assert short.startswith("sleep.") and short.endswith("5000") and "…" in short and len(short) < 20
    assert fitted("ab\n" + 40 * "w", 60).split("\n")[0] == "ab"


def test_a_legend_has_as_many_columns_as_there_is_room_for() -> None:
    names = ["sequential", "joint-matched", "rehearsal+sleep", "rehearsal+src"]
    assert columns_for(axes_of(12), names, 4) == (4, names)
    columns, labels = columns_for(axes_of(4.8), names, 4)
    assert 1 < columns < 4 and labels == names
    assert columns_for(axes_of(4.8), [60 * "w", "x"], 4)[0] == 1
    assert columns_for(axes_of(4.8), [], 4) == (1, [])
    # Two lines before a word is cut.
    assert columns_for(axes_of(4.8), [f"{20 * 'w'} {20 * 'v'}"], 4) == (1, [f"{20 * 'w'}\n{20 * 'v'}"])


def test_the_axes_of_a_row_share_all_of_its_width() -> None:
    third, whole = plot.figure(10.5, 3).subplots(1, 3)[1], plot.figure(10.5, 3).add_subplot()
    assert room_of(whole) + 62 == pytest.approx(3 * (room_of(third) + 62))
    assert columns_for(third, ["input -> hidden1"], 2)[1] == ["input -> hidden1"]
    # What matplotlib would read as a formula stays escaped.
    assert columns_for(axes_of(12), [r"\$5"], 4)[1] == [r"\$5"]
    cut = columns_for(axes_of(4.8), [r"\$" + 80 * "w" + r"\$"], 4)[1][0]
    assert cut.startswith(r"\$w") and cut.endswith(r"w\$") and "…" in cut
