"""How many of Loihi's cores a densely connected population takes, and what decides it."""

from __future__ import annotations

__all__ = ["axon_bits"]


def axon_bits(targets: int, bits: int, *, group: int = 64, overhead: int = 10, word: int = 64) -> int:
    """Synapse memory, in bits, that one input axon takes with ``targets`` dense synapses of ``bits`` bits on a core.

    Synapses come in groups of at most ``group``, each with ``overhead`` bits of index and count, in words of ``word``.
    """
    full, rest = divmod(targets, group)
    sizes = [group] * full + ([rest] if rest else [])
    return sum(word * -(-(size * bits + overhead) // word) for size in sizes)
