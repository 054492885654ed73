"""What the name of a variant says: a variant of the experiment's file, settings of a search, settings changed."""

from __future__ import annotations

from dataclasses import dataclass

from neurosleep.errors import SettingsError
from neurosleep.experiments.files import experiment_names
from neurosleep.experiments.reading import variant_names

__all__ = ["VariantName", "tuned_variant", "variant_order"]


@dataclass(frozen=True)
class VariantName:
    """The parts of a variant's name.

    ``named`` is the variant of the experiment's file, or ``default``; ``tuned`` says whether a search found the
    settings; ``changes`` are those of ``--set``, as the name has them, or a label, which may stand for any.
    """

    experiment: str
    named: str
    tuned: bool
    changes: str

    @classmethod
    def of(cls, experiment: str, variant: str) -> VariantName:
        """Take a name apart; of an experiment that is not at hand only what needs no file."""
        try:
            first, _, rest = variant.partition(",")
            tuned = first == "tuned" and first not in variant_names(experiment)
            named = tuned_variant(experiment, rest if tuned else variant)
        except SettingsError:
            tuned, named = first == "tuned", "default"
        changes = rest if tuned else variant
        if named != "default":
            changes = changes.removeprefix(named).removeprefix(",")
        return cls(experiment, named, tuned, "" if changes == "default" else changes)

    @property
    def figures_of(self) -> str | None:
        """The variant whose published figures belong to it: none where settings were changed."""
        return None if self.changes or self.experiment not in experiment_names() else self.named

    @property
    def text(self) -> str:
        """The variant as tables show it, whether searched or not."""
        if not self.changes:
            return self.named
        if self.experiment not in experiment_names():
            return self.changes
        # A label of `--name` says nothing of what was changed.
        changed = f"changed: {self.changes.replace(',', ', ')}" if "=" in self.changes else f"changed ({self.changes})"
        return changed if self.named == "default" else f"{self.named}, {changed}"


def tuned_variant(experiment: str, name: str) -> str:
    """The variant of the experiment's file that ``name`` starts with, before any changes; else ``default``."""
    first = name.partition(",")[0]
    return first if first in variant_names(experiment) else "default"


def variant_order(experiment: str, variant: str) -> tuple[bool, int, str, bool]:
    """What sorts variants: the experiment as it is first, then in the order of its file, each before its tuned one."""
    try:
        named = ("default", *variant_names(experiment))
    except SettingsError:
        named = ("default",)
    name = VariantName.of(experiment, variant)
    return bool(name.changes), named.index(name.named), name.changes, name.tuned
