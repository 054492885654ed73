"""What other tools are known to write wrongly into NIR graphs."""

from __future__ import annotations

import numpy as np

from neurosleep.exchange.nir.nodes import NEURONS, Nodes

__all__ = ["defects"]


def defects(nodes: Nodes, writer: str, dt: float) -> list[str]:
    """What a graph looks to have wrong, a sentence each, as other tools are known to write it."""
    sentences: list[str] = []
    neurons = {k: nodes.nodes[k] for k in nodes.nodes if nodes.kind(k) in NEURONS}
    scalars = [k for k, n in neurons.items() if hasattr(n, "v_threshold") and np.ndim(n.v_threshold) == 0]
    if scalars and writer != "sinabs":
        sentences.append(
            f"The parameters of node {scalars[0]!r} are numbers where NIR wants one for each neuron (snnTorch 1.0 "
            "and Norse 1.1.0 write layers so): they are taken for all neurons of the layer."
        )
    inputs = [k for k in nodes.nodes if nodes.kind(k) == "Input"]
    batched = [k for k in inputs if len(nodes.shape(k)) < len(np.atleast_1d(nodes.nodes[k].input_type["input"]))]
    if batched:
        sentences.append(
            f"The shape of input {batched[0]!r} has a batch dimension (Norse 1.1.0 and nirtorch write that of the "
            "sample data): it is left out."
        )
    for key, node in neurons.items():
        taus = [float(np.min(getattr(node, f))) for f in ("tau", "tau_mem", "tau_syn") if hasattr(node, f)]
        plain = hasattr(node, "r") and bool(np.all(np.asarray(node.r) == 1))
        if writer != "norse" and plain and taus and min(taus) < dt:
            sentences.append(
                f"The time constant {min(taus):g} s of node {key!r} is shorter than a step, with R = 1: "
                "Norse 1.1.0 writes dt/tau_mem_inv where NIR wants 1/tau_mem_inv. writer='norse' puts it right."
            )
            break
    for key, node in neurons.items():
        if writer == "nir" and type(node).__name__ == "IF" and np.all(np.asarray(node.r) == 1):
            sentences.append(
                f"R = 1 of the IF node {key!r} means a gain of dt = {dt:g} per step; Norse 1.1.0, "
                "snnTorch 1.0 and Sinabs write it for a gain of 1 (writer='norse' reads it so)."
            )
            break
    for key, node in neurons.items():
        tau = getattr(node, "tau", getattr(node, "tau_mem", None))
        if writer != "nir" or tau is None or not hasattr(node, "v_reset"):
            continue
        times, factors = (np.asarray(values, dtype=float).reshape(-1) for values in (tau, node.r))
        # Other numbers of values are an error when the neurons are made.
        fits = len({1, len(times), len(factors)}) < 3
        like = fits and np.allclose(factors, times / 1e-4, rtol=1e-4)
        if like and not np.any(node.v_leak) and not np.any(node.v_reset):
            sentences.append(
                f"The node {key!r} looks like snnTorch's: it writes for dt = 1e-4 s, whatever the step was, and "
                "does not write how a neuron resets (by default by subtraction, one step later; NIR says to 0, in "
                "the same step). writer='snntorch', with reset= if it was not the default, reads what was meant."
            )
            break
    if writer == "norse" and any(hasattr(n, "v_reset") for n in neurons.values()):
        sentences.append("Norse 1.1.0 does not write v_reset: it is taken as the graph says it, usually 0.")
    return sentences
