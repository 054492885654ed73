"""Text that fits: names cut in their middle, legends of as many columns as there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from neurosleep.plot._style import plain

__all__ = ["columns_for", "fitted", "room_of"]

# Points that axes need beside themselves, for the labels of the y axis; and that an entry of a legend needs beside its
# text, of a font of nine points: the mark, and the gap to the next column.
_BESIDE = 62.0
_ENTRY = 48.0


@lru_cache(maxsize=4096)
def _width(text: str, size: float) -> float:
    """Width of a text in points: of its longest line."""
    if "\n" in text:
        return max(_width(line, size) for line in text.split("\n"))
    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), plain(text), size=size, prop=FontProperties()).get_extents().width)


def fitted(text: str, points: float, size: float = 10.0) -> str:
    """The text, or so much of its start and its end as fits into so many points, each line for itself."""
    lines = []
    for line in text.split("\n"):
        left, short = len(line), line
        while left > 4 and _width(short, size) > points:
            left -= 1
            short = f"{line[: (left + 1) // 2]}…{line[len(line) - left // 2 :]}"
        lines.append(short)
    return "\n".join(lines)


def room_of(ax: Axes) -> float:
    """About how wide axes will be, in points."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    cell = ax.get_subplotspec()
    share = ax.get_position().width if cell is None else cell.get_position(figure).width
    if cell is not None and cell.get_topmost_subplotspec() == cell:
        # The layout finds margins and gaps, and gives the columns of a figure all of its width.
        grid = cell.get_gridspec()
        share /= sum(grid[0, k].get_position(figure).width for k in range(grid.ncols))
    return max(72 * float(figure.get_figwidth()) * min(share, 1.0) - _BESIDE, 40.0)


def columns_for(ax: Axes, labels: Sequence[str], most: int, size: float = 9.0) -> tuple[int, list[str]]:
    """How many columns of these labels have room above the axes, and the labels; too long ones in two lines, or cut."""
    room = room_of(ax)
    short = [_cut(label, room - _ENTRY, size) for label in labels]
    for columns in range(min(most, max(len(labels), 1)), 1, -1):
        # A legend is filled column by column; each is as wide as its widest entry.
        parts = np.array_split(short, columns)
        if sum(max(_width(str(label), size) for label in part) + _ENTRY for part in parts) <= room:
            return columns, short
    return 1, short


def _cut(label: str, points: float, size: float) -> str:
    """A label for matplotlib, whose dollar signs are escaped already."""
    text = label.replace(r"\$", "$")
    short = text
    if _width(text, size) > points:
        words = text.split(" ")
        halves = [(" ".join(words[:k]), " ".join(words[k:])) for k in range(1, len(words))]
        lines = min(halves, key=lambda pair: max(_width(line, size) for line in pair), default=(text,))
        short = fitted("\n".join(lines), points, size)
    return label if short == text else plain(short)
