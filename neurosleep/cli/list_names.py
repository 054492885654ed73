"""``neurosleep list``: what there is."""

from __future__ import annotations

from typing import Any

from neurosleep.cli._text import print_table
from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import Json, emit

__all__ = ["list_names"]


def list_names(as_json: Json = False) -> None:
    """Name the experiments, strategies, engines, rules, profiles and data sets there are."""
    with user_errors(as_json):
        from neurosleep.data import dataset_names
        from neurosleep.experiments import STRATEGIES, experiment_names
        from neurosleep.functional import RULES
        from neurosleep.hardware import profile_names
        from neurosleep.spiking import engine_names

        result: dict[str, Any] = {
            "experiments": list(experiment_names()),
            "strategies": list(STRATEGIES),
            "engines": list(engine_names()),
            "rules": sorted(RULES),
            "profiles": list(profile_names()),
            "datasets": list(dataset_names()),
        }

        def show(result: dict[str, Any]) -> None:
            rows = [(kind, ", ".join(names) or "none yet") for kind, names in result.items()]
            print_table("Available names", ("kind", "names"), rows)

        emit(result, as_json, show)
