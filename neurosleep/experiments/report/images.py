"""Pictures inside the page, as many as there is room for."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from neurosleep import plot
from neurosleep.plot._hover import drawn_points
from neurosleep.plot._style import Figure

__all__ = ["Budget", "Image", "Rows", "as_csv", "as_json", "drawing", "image"]

Rows = list[dict[str, Any]]

SMALLEST_IMAGE = 8_000
# After so many that were drawn in vain the rest is not tried: of thousands of runs each would be.
MOST_MISSES = 10
LARGEST_TABLE = 60_000


@dataclass(frozen=True)
class Image:
    """A picture as a data URL, with what it shows in words."""

    source: Markup
    alt: str
    caption: str
    name: str = ""
    # Spikes for the inline script, so that this picture can be zoomed.
    zoom: Markup | None = None
    # Where its values are and what, for the inline script.
    points: Markup | None = None
    # Where its table is: a file beside the page, or the table itself.
    table: str = ""


@dataclass
class Budget:
    """Bytes left, and how many pictures in a row were too large for them."""

    left: int
    misses: int = 0

    @property
    def room(self) -> bool:
        """Whether any picture may fit: drawing takes far longer than finding that there is no room left."""
        return self.left > SMALLEST_IMAGE and self.misses < MOST_MISSES

    def take(self, size: int) -> bool:
        """Whether so many are left; they are then used up."""
        if size > self.left:
            self.misses += 1
            return False
        self.left -= size
        self.misses = 0
        return True


def image(
    content: bytes, alt: str, caption: str, budget: Budget, *, name: str = "", zoom: Markup | None = None
) -> Image | None:
    """The picture (PNG, GIF or SVG) if there is room for it."""
    kinds = {b"\x89PNG": "png", b"GIF8": "gif"}
    kind = kinds.get(content[:4], "svg+xml")
    source = f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")
    # Base64 holds nothing that would need escaping.
    return Image(Markup(source), alt, caption, name, zoom) if budget.take(len(source)) else None


def drawing(
    fig: Figure, alt: str, caption: str, budget: Budget, *, name: str, rows: Rows | None = None
) -> Image | None:
    """A figure as a picture that says its values on hover and that carries its table, if there is room for it."""
    made = image(plot.to_svg_bytes(fig), alt, caption, budget, name=name)
    if made is None:
        return None
    points, table = as_json(drawn_points(fig)), ""
    if rows:
        content = as_csv(rows, list(dict.fromkeys(key for row in rows for key in row)))
        if len(content) <= LARGEST_TABLE:
            table = "data:text/csv;base64," + base64.b64encode(content).decode("ascii")
    return replace(made, points=points, table=table) if budget.take(len(points) + len(table)) else made


def as_csv(rows: Rows, columns: Sequence[str]) -> bytes:
    """Rows as the text of a CSV file."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode("utf-8")


def as_json(content: object) -> Markup:
    """JSON that is safe inside an element of the page."""
    text = json.dumps(content, separators=(",", ":"))
    # Nothing in it may end the element that holds it.
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)
