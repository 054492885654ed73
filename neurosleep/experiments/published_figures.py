"""Which published figures stand beside which runs, and which seeds are reported beside them."""

from __future__ import annotations

from neurosleep.experiments.reading import Published, load_published
from neurosleep.experiments.variant_parts import VariantName

__all__ = ["REPORTED", "published_figures"]

# Seeds of the reported figures, fixed before they were run; any others are shown beside them.
REPORTED = range(10)


def published_figures(experiment: str, variant: str) -> dict[str, Published]:
    """By strategy, the published figures that ours in this variant are to be compared with; of changed settings none.

    With settings of a search (``tuned``) they are those of the variant that was searched.
    """
    base = VariantName.of(experiment, variant).figures_of
    if base is None:
        return {}
    return {strategy: figure for strategy, figure in load_published(experiment).items() if figure.variant == base}
