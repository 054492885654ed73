"""Compiled: the rules of plasticity that look at more than one step, on one block of units, and the numbers of all.

Those with traces that decay are stepped in every step: depression by inputs before the spikes of the step are known,
potentiation by these, and last the bounds and what the traces take up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from neurosleep._compiled import compiled

__all__ = [
    "MULTIPLICATIVE",
    "NONE",
    "SIGN",
    "SRC",
    "STDP",
    "TRIPLET",
    "Rule",
    "age",
    "depress",
    "end_step",
    "learn_sign",
    "note_times",
    "potentiate",
]

NONE, SRC, STDP, MULTIPLICATIVE, TRIPLET, SIGN = range(6)

# Where the numbers of a rule with traces lie: those that all have, then a rule's own.
_A_PLUS, _A_MINUS, _DECAY_PLUS, _DECAY_MINUS, _LOW, _HIGH = range(6)
_MU_PLUS, _MU_MINUS = 6, 7
_A3_PLUS, _A3_MINUS, _DECAY_X, _DECAY_Y = 6, 7, 8, 9


class Rule(NamedTuple):
    """A rule of plasticity: which, its parameters, and the number of its weight factor."""

    kind: int
    numbers: Any
    factor: int


@compiled(boundscheck=False)
def depress(block: Any, units: Any, rule: Any, arriving: Any, t: int, x: Any) -> None:
    """Traces decay and take up this step's inputs before weights change; the own spikes come last."""
    kind, numbers = rule.kind, rule.numbers
    w, low, rows, plastic, y = block.w, block.low, arriving.rows, units.plastic, units.trace_post
    width, lowest, span, zero = w.shape[1], numbers[_LOW], numbers[_HIGH] - numbers[_LOW], w.dtype.type(0)
    for r in range(x.shape[1]):
        x[0, r] *= numbers[_DECAY_PLUS]
    if kind == TRIPLET:
        for r in range(x.shape[1]):
            x[1, r] *= numbers[_DECAY_X]
    for q in range(len(plastic)):
        for j in range(width):
            y[0, q, low + j] *= numbers[_DECAY_MINUS]
        if kind == TRIPLET:
            for j in range(width):
                y[1, q, low + j] *= numbers[_DECAY_Y]
        for k in range(arriving.pointers[q, t], arriving.pointers[q, t + 1]):
            row = rows[k]
            x[0, row] += 1
            if not plastic[q]:
                continue
            amount = numbers[_A_MINUS]
            if kind == MULTIPLICATIVE and numbers[_MU_MINUS] == 1:
                # By far the most frequent exponents are 0 and 1; only other ones cost a call for each weight.
                for j in range(width):
                    w[row, j] -= amount * y[0, q, low + j] * max((w[row, j] - lowest) / span, zero)
                continue
            if kind == MULTIPLICATIVE and numbers[_MU_MINUS] != 0:
                for j in range(width):
                    room = max((w[row, j] - lowest) / span, zero) ** numbers[_MU_MINUS]
                    w[row, j] -= amount * y[0, q, low + j] * room
                continue
            if kind == TRIPLET:
                amount += numbers[_A3_MINUS] * x[1, row]
            for j in range(width):
                w[row, j] -= amount * y[0, q, low + j]


@compiled(boundscheck=False)
def potentiate(block: Any, units: Any, rule: Any, fired: Any, x: Any) -> None:
    """The weights of units that fired grow with their inputs' traces, up to their bounds."""
    kind, numbers, w, first_row = rule.kind, rule.numbers, block.w, units.first_row
    lowest, highest, zero = numbers[_LOW], numbers[_HIGH], w.dtype.type(0)
    for j in fired:
        for q in range(len(units.plastic)):
            if not units.plastic[q]:
                continue
            gain = numbers[_A_PLUS]
            if kind == MULTIPLICATIVE and numbers[_MU_PLUS] != 0:
                for r in range(first_row[q], first_row[q + 1]):
                    room = max((highest - w[r, j]) / (highest - lowest), zero)
                    if numbers[_MU_PLUS] != 1:
                        room = room ** numbers[_MU_PLUS]
                    w[r, j] = min(max(w[r, j] + gain * x[0, r] * room, lowest), highest)
                continue
            if kind == TRIPLET:
                gain += numbers[_A3_PLUS] * units.trace_post[1, q, block.low + j]
            for r in range(first_row[q], first_row[q + 1]):
                w[r, j] = min(max(w[r, j] + gain * x[0, r], lowest), highest)


@compiled(boundscheck=False)
def end_step(block: Any, units: Any, rule: Any, arriving: Any, t: int, fired: Any, x: Any) -> None:
    """The bounds of weights that inputs changed, and the spikes that traces take up after the change."""
    kind, numbers = rule.kind, rule.numbers
    w, rows, plastic = block.w, arriving.rows, units.plastic
    for q in range(len(plastic)):
        for k in range(arriving.pointers[q, t], arriving.pointers[q, t + 1]):
            row = rows[k]
            if kind == TRIPLET:
                x[1, row] += 1
            if plastic[q]:
                for j in range(w.shape[1]):
                    value = w[row, j]
                    w[row, j] = min(max(value, numbers[_LOW]), numbers[_HIGH])
    for j in fired:
        for q in range(len(plastic)):
            units.trace_post[0, q, block.low + j] += 1
            if kind == TRIPLET:
                units.trace_post[1, q, block.low + j] += 1


@compiled(boundscheck=False)
def note_times(arriving: Any, t: int, x: Any) -> None:
    """The step of each input's last spike."""
    pointers, rows = arriving.pointers, arriving.rows
    for q in range(len(pointers)):
        for k in range(pointers[q, t], pointers[q, t + 1]):
            x[0, rows[k]] = t


@compiled(boundscheck=False)
def learn_sign(block: Any, units: Any, rule: Any, t: int, fired: Any, x: Any) -> None:
    """A step up from every input that fired of late, and down from all others, up to the bounds."""
    w, first_row, numbers = block.w, units.first_row, rule.numbers
    step, window, lowest, highest = numbers[0], numbers[1], numbers[2], numbers[3]
    for j in fired:
        for q in range(len(units.plastic)):
            if units.plastic[q]:
                for r in range(first_row[q], first_row[q + 1]):
                    change = step if t - x[0, r] < window else -step
                    w[r, j] = min(max(w[r, j] + change, lowest), highest)


@compiled(boundscheck=False)
def age(x: Any, steps: int) -> None:
    """Times of last spikes, from the start of the next chunk."""
    for r in range(x.shape[1]):
        x[0, r] -= steps
