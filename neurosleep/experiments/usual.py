"""What a settings file need not say, as it is the usual; read without torch."""

from __future__ import annotations

from typing import Final

__all__ = ["CHIP_RECIPE", "PLAIN"]

#: The kinds of network and learning that need not be named.
PLAIN = ("mlp", "backprop")
#: The recipe by which a network is converted for chips.
CHIP_RECIPE: Final = "percentile"
