"""What the populations of a traced model are called."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from neurosleep.conversion._windows import is_number
from neurosleep.conversion.plan import Sum
from neurosleep.spiking import Pool

__all__ = ["Names"]


class Names:
    """The names that are taken, and how many layers of each kind were counted."""

    def __init__(self) -> None:
        self._taken = {"input", "output"}
        self.numbered: Counter[str] = Counter()

    def of(self, kind: Literal["lif", "relay", "output"], total: Sum) -> str:
        """That of the layer; layers that have a number only are counted, as the recipes of sleep do."""
        if kind == "output":
            return "output"
        if not is_number(total.name):
            return self.unique(total.name)
        pools = any(term.kind is Pool for term in total.terms)
        stem = "hidden" if kind == "lif" else "pool" if pools else "relay"
        self.numbered[stem] += 1
        return self.unique(f"{stem}{self.numbered[stem]}")

    def unique(self, wish: str) -> str:
        """``wish``, or with a number where that is taken."""
        name, number = wish, 2
        while name in self._taken:
            name, number = f"{wish}_{number}", number + 1
        self._taken.add(name)
        return name
