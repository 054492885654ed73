"""Which published figures stand beside which runs, and which seeds are reported beside them."""

from __future__ import annotations

from neurosleep.experiments.files import experiment_names
from neurosleep.experiments.reading import Published, load_published, variant_names

__all__ = ["REPORTED", "published_figures"]

# Seeds of the reported figures, fixed before they were run; any others are shown beside them.
REPORTED = range(10)


def published_figures(experiment: str, variant: str) -> dict[str, Published]:
    """By strategy, the published figures that ours in this variant are to be compared with; of changed settings none.

    With settings of a search (``tuned``) they are those of the variant that was searched.
    """
    if experiment not in experiment_names():
        return {}
    names = ("default", *variant_names(experiment))
    base = variant if variant in names else variant.removeprefix("tuned").removeprefix(",") or "default"
    return {
        strategy: figure
        for strategy, figure in load_published(experiment).items()
        if base in names and figure.variant == base
    }
