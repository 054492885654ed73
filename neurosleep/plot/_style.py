"""What all figures share: colours that colour-blind readers can tell apart, a figure without pyplot, whole files."""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from neurosleep._checks import check_number
from neurosleep._files import write_whole
from neurosleep.errors import SettingsError

__all__ = ["MARKERS", "PALETTE", "Row", "axes", "field", "figure", "plain", "save", "say", "task_colours"]
# The first two of these are types for who hands figures on.
__all__ += ["Axes", "Figure", "guides", "lines_down", "palette_of", "strategy_colours", "to_png_bytes", "to_svg_bytes"]

Row = Mapping[str, Any]
"""One row of a table: column name to value, as a number or as the text that a CSV file holds."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's colours, less black (kept for means) and yellow (too faint on white)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#6b6b6b"


def task_colours(n: int) -> list[str]:
    """``n`` distinct colours, one per task, as hex codes: the palette, or beyond it a scale of even steps.

    See Also
    --------
    strategy_colours : of strategies

    Examples
    --------
    >>> from neurosleep.plot import task_colours
    >>> task_colours(3)
    ['#0072B2', '#D55E00', '#009E73']
    """
    if n <= len(PALETTE):
        return list(PALETTE[:n])
    scale = matplotlib.colormaps["cividis"]
    # The scale's last tenth is a yellow too faint on white.
    return [to_hex(scale(0.9 * k / (n - 1))) for k in range(n)]


# Fixed, so that a strategy looks the same in every report; single strategies can be told apart with any kind of
# colour blindness (tests/plot/test_colours.py measures it). Bounds stand back behind what is compared with them, in
# greys; with sleep beside it a strategy is darker, with SRC lighter.
_STRATEGIES = {
    "sequential": "#6c6c6c",
    "joint": "#272727",
    "joint-matched": "#bebebe",
    "src": PALETTE[0],
    "sleep": PALETTE[1],
    "sleep+src": "#8c2d04",
    "rehearsal": PALETTE[2],
    "rehearsal+sleep": "#00563f",
    "rehearsal+src": "#66c5a8",
    "ewc": "#7f20f2",
    "ewc+sleep": "#3d0d80",
    "ewc+src": "#b48cf2",
    "icarl": PALETTE[5],
    "icarl+sleep": "#8a5f00",
    "icarl+src": "#d9b65c",
    "owm": PALETTE[3],
    "si": PALETTE[4],
    "lwf": "#59200d",
}


def strategy_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each strategy by its name: a fixed one for those that ship, the others by the alphabet.

    Give the names of all strategies that a page or paper shows, so that each has one colour in all its figures.

    See Also
    --------
    comparison, progress, sweep : which take them

    Examples
    --------
    >>> from neurosleep.plot import strategy_colours
    >>> strategy_colours(["sequential", "src"])
    {'sequential': '#6c6c6c', 'src': '#0072B2'}
    """
    wanted = sorted(set(names))
    others = [name for name in wanted if name not in _STRATEGIES]
    taken = {_STRATEGIES[name].upper() for name in wanted if name in _STRATEGIES}
    free = [colour for colour in PALETTE if colour not in taken]
    scale = free[: len(others)] if len(others) <= len(free) else task_colours(len(others) + len(PALETTE))[: len(others)]
    return {name: _STRATEGIES[name] for name in _STRATEGIES if name in wanted} | dict(zip(others, scale, strict=True))


def figure(width: float = 6.4, height: float = 3.6, *, title: str = "") -> Figure:
    """An empty figure of ``width`` x ``height`` inches, outside pyplot's bookkeeping, with a title above its axes.

    Raises
    ------
    SettingsError
        If a side is not a positive number.

    See Also
    --------
    save : writes it as PNG
    to_svg_bytes, to_png_bytes : its bytes

    Examples
    --------
    >>> from neurosleep.plot import figure
    >>> fig = figure(8, 4, title="Last sleep")
    >>> left, right = fig.subplots(1, 2)  # each may be the ``ax`` of one of these functions
    """
    sides = check_number("The figure width", width, above=0), check_number("The figure height", height, above=0)
    made = Figure(figsize=sides, dpi=100, layout="constrained")
    if title:
        # About twelve letters of this size fill an inch.
        lines = textwrap.wrap(title, max(10, int(11.5 * sides[0])))
        made.suptitle("\n".join(map(plain, lines)), fontsize="medium")
    return made


def to_png_bytes(fig: Figure, *, dpi: float = 100) -> bytes:
    """The figure as the bytes of a PNG file, ``dpi`` pixels to the inch; the same figure gives the same bytes.

    See Also
    --------
    to_svg_bytes : as SVG
    save : into a file

    Examples
    --------
    >>> from neurosleep.plot import figure, to_png_bytes
    >>> to_png_bytes(figure())[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    # Without the version of matplotlib in it.
    fig.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def to_svg_bytes(fig: Figure) -> bytes:
    """The figure as the bytes of an SVG file, letters drawn as outlines; the same figure gives the same bytes.

    See Also
    --------
    to_png_bytes : as PNG
    save : into a file

    Examples
    --------
    >>> from neurosleep.plot import figure, to_svg_bytes
    >>> b"<svg" in to_svg_bytes(figure())
    True
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "neurosleep"}):
        fig.savefig(buffer, format="svg", metadata={"Creator": None, "Date": None, "Format": None, "Type": None})
    return _with_stable_clips(buffer.getvalue())


# Matplotlib names a clipping rectangle by all digits of its place, the last of which differ from run to run.
_CLIP = re.compile(rb'<clipPath id="(\w+)">(.*?)</clipPath>', re.DOTALL)


def _with_stable_clips(svg: bytes) -> bytes:
    """The picture with its clipping paths named by what is written of them."""
    names = {found[1]: b"p" + hashlib.sha256(found[2]).hexdigest()[:10].encode() for found in _CLIP.finditer(svg)}
    for old, new in names.items():
        svg = svg.replace(b'<clipPath id="%b">' % old, b'<clipPath id="%b">' % new)
        svg = svg.replace(b"url(#%b)" % old, b"url(#%b)" % new)
    return svg


def save(fig: Figure, path: str | os.PathLike[str], *, dpi: float = 150) -> Path:
    """Write the figure as a PNG file, whole or not at all; missing folders are made.

    Raises
    ------
    SettingsError
        If the file name ends in anything but ``.png``.
    RunFolderError
        If the file cannot be written.

    See Also
    --------
    to_png_bytes, to_svg_bytes : without a file

    Examples
    --------
    >>> import tempfile
    >>> from neurosleep.plot import figure, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(figure(title="empty"), f"{folder}/empty.png")
    >>> path.name
    'empty.png'
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise SettingsError(f"The figure cannot be written as {target.name!r}.", expected="a name that ends in .png")
    return write_whole(target, to_png_bytes(fig, dpi=dpi), what=f"The figure {str(target)!r}")


def axes(ax: Axes | None, width: float = 6.4, height: float = 3.6) -> Axes:
    """The given axes, or those of a new figure, with the common look."""
    chosen = figure(width, height).add_subplot() if ax is None else ax
    chosen.spines[["top", "right"]].set_visible(False)
    return chosen


def guides(ax: Axes, axis: Literal["x", "y"]) -> None:
    """Pale lines at the numbers of an axis, behind what is drawn."""
    ax.grid(axis=axis, color="#e4e4e4", zorder=0)
    ax.set_axisbelow(True)


def lines_down(ax: Axes, names: Sequence[str]) -> None:
    """A named line for each, from top to bottom; what belongs to the first is drawn at y = 0, to the next at 1."""
    ax.set_yticks(range(len(names)), [plain(name) for name in names])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(max(len(names), 1) - 0.45, -0.55)


def palette_of(names: Iterable[str], colours: Mapping[str, str] | None) -> dict[str, str]:
    """A colour for each strategy: the given one, else that of :func:`strategy_colours`."""
    return strategy_colours(names) | dict(colours or {})


def say(ax: Axes, text: str) -> None:
    """A sentence in the middle of otherwise empty axes."""
    ax.text(0.5, 0.5, plain(text), transform=ax.transAxes, ha="center", va="center", color=GREY)


def plain(text: str) -> str:
    """The text with dollar signs that matplotlib would otherwise read as formulas."""
    return text.replace("$", r"\$")


def field(row: Row, column: str) -> float:
    """One number of a row; an empty field or None is NaN.

    Raises
    ------
    SettingsError
        If the column is missing or does not hold a number.
    """
    if column not in row:
        raise SettingsError(
            f"A row has no column {column!r}.", found="the columns " + ", ".join(map(str, row)), expected=column
        )
    value = row[column]
    if value is None or value == "":
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SettingsError(f"The column {column!r} holds {value!r}.", expected="a number") from None
