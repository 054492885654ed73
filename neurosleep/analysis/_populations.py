"""Which population of a recording belongs to which layer of a network."""

from __future__ import annotations

from neurosleep.analysis._inputs import Layered, layer_names
from neurosleep.errors import DataError
from neurosleep.spiking import Recording

__all__ = ["hidden_populations"]


def hidden_populations(network: Layered, recording: Recording) -> list[tuple[int, str]]:
    """Number (from 0) and name of each hidden layer, whose spikes the recording holds under that name.

    Raises
    ------
    DataError
        If the network has no hidden layer, or the recording lacks one, holds one of another size, is of a batch, or has
        no steps.
    """
    hidden = list(enumerate(layer_names(network)))[:-1]
    if not hidden:
        raise DataError("The network has no hidden layer.", expected="at least one between input and output")
    if not isinstance(recording, Recording):
        raise DataError(
            f"The recording is an object of type {type(recording).__name__}.", expected="the Recording of a sleep"
        )
    if recording.steps < 1:
        raise DataError("The recording has no steps.", expected="at least one")
    for k, name in hidden:
        counts = recording.counts.get(name)
        size = len(network.weights[k])
        if counts is None or counts.shape != (size,):
            shapes = ", ".join(f"{key} {list(values.shape)}" for key, values in recording.counts.items())
            raise DataError(
                "The recording is not of a sleep of this network.",
                found=f"spike counts of {shapes}" if shapes else "no spike counts",
                expected=f"a population {name!r} of {size} neurons",
            )
    return hidden
