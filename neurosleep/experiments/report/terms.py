"""What the words of a page mean: the page is read offline, where no link to a glossary opens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from neurosleep._catalogue import catalogue

__all__ = ["TERMS", "Term", "terms_in"]


@dataclass(frozen=True)
class Term:
    """A word, by what a text shows that it is used, and what it means."""

    word: str
    pattern: str
    meaning: str


TERMS: tuple[Term, ...] = (
    Term(
        "accuracy, average",
        r"accuracy over all classes|all classes after the last task",
        "the share of right answers over all classes learnt so far, after the last task; one output layer for all, and "
        "nothing says which task an input is from (class-incremental)",
    ),
    Term("α (scale)", r"\balpha", "what a spike is multiplied by on its way; weights stay those of the model"),
    Term(
        "backward transfer",
        r"backward transfer",
        "over the tasks before the last: the mean of last accuracy minus accuracy right after learning",
    ),
    Term(
        "drive",
        r"\bdrive\b",
        "the noise that makes a sleeping network fire; of a unit: the sum of its weighted inputs",
    ),
    Term("forgetting", r"forgetting", "best accuracy on a task minus the last one, the mean over old tasks"),
    Term(
        "guard",
        r"\bguard\b|declined",
        "judges a sleep without old data before it is kept, and declines one that would not help",
    ),
    Term("hypnogram", r"hypnogram", "the stages of a sleep over time"),
    Term(
        "ISI",
        r"\bISIs?\b|inter-spike",
        "inter-spike interval: the time from one spike of a neuron to its next",
    ),
    Term(
        "NREM, REM",
        r"\bN?REM\b",
        "stages of a sleep: slow oscillation in which units regulate their drive; steady noise in which a plasticity "
        "rule changes synapses",
    ),
    Term("raster", r"\braster\b", "a dot for each spike: time to the right, neurons upwards"),
    Term(
        "sleep phase",
        r"\bsleeps?\b",
        "from conversion into a spiking network to waking: noise drives the network while its weights change",
    ),
    Term(
        "stored examples",
        r"stored examples",
        "whether anything was computed from data of earlier tasks; a method without them is called exemplar-free",
    ),
    Term("Δw", r"Δw", "the change of a weight"),
)


def terms_in(html: Sequence[str], strategies: Sequence[str]) -> list[tuple[str, str]]:
    """Words and meanings: of the strategies, and of what the finished parts of a page show, by the alphabet."""
    shown = " ".join(Markup(part).striptags() + " ".join(re.findall(r' alt="([^"]*)"', part)) for part in html)
    parts = {part for strategy in strategies for part in strategy.split("+")}
    found = {entry.name: entry.text for entry in catalogue("strategies") if entry.name in parts}
    found |= {term.word: term.meaning for term in TERMS if re.search(term.pattern, shown, re.IGNORECASE)}
    return sorted(found.items(), key=lambda pair: pair[0].lower())
