"""Plain values, as JSON and TOML hold them, and tables of such flattened to dotted keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

__all__ = ["Plain", "PlainTable", "flatten", "number"]

#: What a JSON file holds, and a TOML file without dates (:func:`~neurosleep.experiments.files.check_plain`).
Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
PlainTable: TypeAlias = dict[str, Plain]

Value = TypeVar("Value")


def number(value: object) -> float | None:
    """The value if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def flatten(
    table: Mapping[str, Value], *, is_value: Callable[[dict[str, Value]], object] = lambda inner: False
) -> dict[str, Value]:
    """The values of nested tables by their dotted keys; ``is_value`` says which tables are values themselves.

    >>> flatten({"sleep": {"steps": 3, "rule": {"name": "src"}}})
    {'sleep.steps': 3, 'sleep.rule.name': 'src'}
    """
    flat: dict[str, Value] = {}
    for key, value in table.items():
        if isinstance(value, dict) and not is_value(value):
            flat |= {f"{key}.{inner}": entry for inner, entry in flatten(value, is_value=is_value).items()}
        else:
            flat[key] = value
    return flat
