"""One figure of a run: what it needs, how it is drawn, what it shows in words, and its data as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from neurosleep import plot
from neurosleep.experiments.report.images import as_json
from neurosleep.experiments.report.read import Rows, Run
from neurosleep.plot._hover import drawn_points
from neurosleep.plot._style import Figure

__all__ = ["RunFigure", "Tabulated"]

Tabulated = tuple[Sequence[str], Rows]


@dataclass(frozen=True)
class RunFigure:
    """One figure of a run.

    Attributes
    ----------
    name:
        Stem of its files.
    height:
        In inches, at a width of 4.8: narrow enough for its text to be read on a phone too, where the width counts.
    title:
        Of the figure when it stands alone.
    there:
        Whether the run has the data for it.
    draw:
        On an empty figure.
    words:
        Alternative text and caption.
    table:
        The data that it shows: column names and rows.
    dots:
        Whether it is a picture of many dots or squares, which as vectors would be large.
    """

    name: str
    height: float
    title: Callable[[Run], str]
    there: Callable[[Run], bool]
    draw: Callable[[Run, Figure], None]
    words: Callable[[Run], tuple[str, str]]
    table: Callable[[Run], Tabulated]
    dots: bool = False

    def png(self, run: Run, *, dpi: float = 150) -> bytes:
        """The figure alone, titled, as a PNG file."""
        fig = plot.figure(6.0, self.height + 0.4, title=f"{run.name}: {self.title(run)}")
        self.draw(run, fig)
        return plot.to_png_bytes(fig, dpi=dpi)

    def embedded(self, run: Run) -> tuple[bytes, Markup | None]:
        """The figure as it stands under a heading and above a caption, and where its values lie in it."""
        fig = plot.figure(4.8, self.height)
        self.draw(run, fig)
        if self.dots:
            return plot.to_png_bytes(fig, dpi=140), None
        return plot.to_svg_bytes(fig), as_json(drawn_points(fig))
