"""What a conversion did."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from neurosleep._shown import html_table, named, short_line, to_frame
from neurosleep.conversion.recipes import Recipe

__all__ = ["ConversionReport"]


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion found and did: ``report`` of what :func:`~neurosleep.convert` makes.

    Attributes
    ----------
    largest, scales:
        Per spiking layer: largest value lambda, and the scale alpha (with the recipes ``Percentile``, ``Maximum`` and
        ``Balance`` what one spike stands for, and its inverse).
    images:
        How many images it read.
    recipe:
        The recipe, with its options.
    populations:
        Names of the spiking layers, in the order of ``largest``.
    became:
        What became of each layer of a traced model: pairs of its name and a few words.
    notes:
        What else the reader should know, such as an approximation that was asked for.

    See Also
    --------
    neurosleep.convert : whose network holds it

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images)
    >>> network.report.images, network.report.populations
    (50, ('hidden1',))
    """

    largest: tuple[float, ...]
    scales: tuple[float, ...]
    images: int
    recipe: Recipe
    populations: tuple[str, ...]
    became: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        notes = f", {len(self.notes)} notes" if self.notes else ""
        what = f"recipe {self.recipe!r}, {self.images} images; {named(self.populations)}{notes}"
        return short_line(f"<ConversionReport: {what}>")

    def _repr_html_(self) -> str:
        """One row per spiking layer, and the notes."""
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return html_table(self.rows(), f"Recipe {self.recipe!r}, {self.images} images") + (
            f"<ul>{notes}</ul>" * bool(notes)
        )

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame`` (extra ``pandas``)."""
        return to_frame(self.rows())

    def rows(self) -> list[dict[str, object]]:
        """One row per spiking layer: population, largest activity and scale."""
        return [
            {"population": name, "largest": largest, "scale": scale}
            for name, largest, scale in zip(self.populations, self.largest, self.scales, strict=True)
        ]

    def to_json(self) -> dict[str, object]:
        """Everything, of plain lists, names and numbers."""
        return {
            "recipe": self.recipe.name,
            "images": self.images,
            "layers": self.rows(),
            "became": [{"layer": layer, "became": what} for layer, what in self.became],
            "notes": list(self.notes),
        }
