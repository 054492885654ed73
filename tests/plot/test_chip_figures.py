"""Figures of networks on chips."""

from __future__ import annotations

from typing import Any

from neurosleep import plot


def row(profile: str, slept: str, mean: float | None, cores: int | None, fits: bool = True) -> dict[str, Any]:
    mapped = {"mean": mean, "sd": None if mean is None else 0.02, "n": 3}
    return {"profile": profile, "slept": slept, "mapped": mapped, "cores": cores, "fits": fits}


ROWS = [
    row("big", "no sleep", 0.2, 12),
    row("big", "sleep before mapping", 0.7, 12),
    row("free", "no sleep", 0.21, None),
    row("small", "no sleep", None, None, fits=False),
]


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_accuracy_has_a_mark_for_each_way_and_says_what_does_not_fit() -> None:
    ax = plot.chip_accuracy(ROWS, bounds=[{"label": "joint", "value": 0.97}])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["big", "free", "small"]
    drawn = sorted(float(bars.lines[0].get_xdata()[0]) for bars in ax.containers)  # type: ignore[index]
    assert drawn == [20.0, 21.0, 70.0]
    assert texts(ax).count("does not fit") == 1 and any("joint" in text for text in texts(ax))
    legend = ax.get_legend()
    assert legend is not None and [t.get_text() for t in legend.get_texts()] == ["no sleep", "sleep before mapping"]
    assert ax.get_xlabel() == "accuracy on the chip (%)"


def test_cores_on_a_logarithmic_axis() -> None:
    ax = plot.chip_cores(ROWS)
    assert ax.get_xscale() == "log" and [round(bar.get_width()) for bar in ax.patches] == [12]
    assert "cores not known" in texts(ax) and "does not fit" in texts(ax) and "12" in texts(ax)


def test_without_rows_they_say_so() -> None:
    for draw in (plot.chip_accuracy, plot.chip_cores):
        assert "no network was put on a chip" in texts(draw([]))
