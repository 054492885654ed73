"""How many of Loihi's cores a densely connected population takes, and what decides it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CorePlan", "axon_bits", "plan_dense"]


def axon_bits(targets: int, bits: int, *, group: int = 64, overhead: int = 10, word: int = 64) -> int:
    """Synapse memory, in bits, that one input axon takes with ``targets`` dense synapses of ``bits`` bits on a core.

    Synapses come in groups of at most ``group``, each with ``overhead`` bits of index and count, in words of ``word``.
    """
    full, rest = divmod(targets, group)
    sizes = [group] * full + ([rest] if rest else [])
    return sum(word * -(-(size * bits + overhead) // word) for size in sizes)


@dataclass(frozen=True)
class CorePlan:
    """Neurons on each core, number of cores, and synapse memory in bits of the fullest core."""

    neurons_per_core: int
    cores: int
    bits: int


def plan_dense(
    neurons: int,
    axons: int,
    bits: int,
    *,
    neurons_per_core: int = 1024,
    memory: int = 1_048_576,
    group: int = 64,
    overhead: int = 10,
    word: int = 64,
) -> CorePlan | None:
    """Cores for ``neurons`` neurons that each hear all of ``axons`` axons; None if not even one fits on a core."""

    def needed(n: int) -> int:
        return axons * axon_bits(n, bits, group=group, overhead=overhead, word=word)

    # Memory grows with the neurons, so that the largest number that fits is found by halving.
    low, high = 0, min(neurons, neurons_per_core)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if needed(middle) <= memory else (low, middle - 1)
    if low == 0:
        return None
    return CorePlan(low, -(-neurons // low), needed(low))
