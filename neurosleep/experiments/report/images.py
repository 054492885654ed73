"""Pictures inside the page, as many as there is room for."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from markupsafe import Markup

__all__ = ["Budget", "Image", "image"]

SMALLEST_IMAGE = 8_000


@dataclass(frozen=True)
class Image:
    """A picture as a data URL, with what it shows in words."""

    source: Markup
    alt: str
    caption: str
    name: str = ""
    # Spikes for the inline script, so that this picture can be zoomed.
    zoom: Markup | None = None


@dataclass
class Budget:
    """Bytes left."""

    left: int

    @property
    def room(self) -> bool:
        """Whether any picture may fit: drawing takes far longer than finding that there is no room left."""
        return self.left > SMALLEST_IMAGE

    def take(self, size: int) -> bool:
        """Whether so many are left; they are then used up."""
        if size > self.left:
            return False
        self.left -= size
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
