"""Names of strategies, alone or joined by a plus."""

from __future__ import annotations

from collections.abc import Sequence

from neurosleep.continual import STRATEGIES, check_combination
from neurosleep.errors import SettingsError, unknown_name

__all__ = ["check_strategies"]


def check_strategies(names: Sequence[str]) -> None:
    """Refuse the first name that is no strategy or comes twice, parts that cannot be combined, and no name at all."""
    if not names:
        raise SettingsError("No strategy was named.", expected="one or more of " + ", ".join(STRATEGIES))
    for name in names:
        parts = name.split("+")
        for part in parts:
            if part not in STRATEGIES:
                raise unknown_name("strategy", part, STRATEGIES)
        check_combination([STRATEGIES[part] for part in parts])
        if names.count(name) > 1:
            raise SettingsError(f"The strategy {name!r} is named {names.count(name)} times.", hint="--seeds repeats it")
