"""Streams of noise: copies of a network's state, each with noise of its own, that share the weights and change them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurosleep._checks import check_count, check_memory
from neurosleep._shown import brief
from neurosleep.errors import unknown_name
from neurosleep.functional import STREAM_UPDATES, MeanDrive, SpikeEvents, StreamUpdates
from neurosleep.spiking import Session, SpikingNetwork

__all__ = [
    "STREAM_CHUNK",
    "FirstStream",
    "Streams",
    "bytes_of",
    "check_memory_of",
    "check_stream_memory",
    "check_streams",
]

# Steps of several streams that are drawn at once.
STREAM_CHUNK = 50


def check_streams(where: str, streams: int, updates: str) -> None:
    """Refuse numbers of streams that are none, and unknown ways to take their updates together."""
    check_count(f"{where}streams", streams)
    if updates not in STREAM_UPDATES:
        raise unknown_name("way to take updates of streams together", str(updates), STREAM_UPDATES)


@dataclass(frozen=True, eq=False)
class Streams:
    """A drive many times over: so many independent streams of its noise per step, for one set of weights.

    Every stream has potentials of its own, from rest. In each step all of them are stepped with the same weights, which
    then change once: of a unit that fired, by the sum or the mean of what the streams in which it fired would have
    changed, the weight factor taken once, as it was before (:func:`~neurosleep.functional.src_stream_rows`).

    Parameters
    ----------
    drive:
        The drive of one stream.
    streams:
        How many; one is a sleep as without.
    updates:
        ``"sum"``: a step of b streams changes about as much as b steps of one. ``"mean"``: a weight goes no further in
        a step than one spike takes it, however many streams fire together.

    See Also
    --------
    neurosleep.sleep : which takes it for its drive
    REM : ``streams`` of which makes one

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.replay import Streams
    >>> Streams(MeanDrive(np.full(4, 0.5), max_rate=100.0), streams=32).streams
    32
    """

    drive: MeanDrive
    streams: int
    updates: StreamUpdates = "sum"

    __repr__ = brief

    def __post_init__(self) -> None:
        check_streams("", self.streams, self.updates)


def bytes_of(network: SpikingNetwork, streams: int) -> float:
    """About the bytes that a sleep of so many streams needs; of none, what the slept network does."""
    item = torch.empty(0, dtype=network.dtype).element_size()
    weights = sum(item * weight.numel() for weight in network.weights)
    if not streams:
        return weights
    reach = 1 + max([projection.delay for projection in network.projections], default=0)
    units, inputs = (sum(p.size for p in populations) for populations in (network.populations, network.inputs))
    # Weights as the engine lays them out, and read back.
    return 3 * weights + streams * _bytes_of_stream(units, inputs, item, reach)


def _bytes_of_stream(units: int, inputs: int, item: int, reach: int) -> float:
    """Potentials, waits, and spikes of the steps that delays reach; of inputs what is drawn, and the spikes of that."""
    return units * (2 * item + 8 + 5 * reach) + inputs * STREAM_CHUNK * 8


def check_stream_memory(streams: int, sizes: Sequence[int]) -> None:
    """Refuse more streams than memory holds of a network of layers of such ``sizes``, which need not be there yet."""
    weights = sum(4 * a * b for a, b in itertools.pairwise(sizes))
    check_memory_of(streams, 3 * weights + streams * _bytes_of_stream(sum(sizes), sizes[0], 4, 1))


def check_memory_of(streams: int, needed: float) -> None:
    """Refuse a sleep that needs more bytes than there are."""
    half = f"streams={streams // 2} needs about half of it" if streams > 1 else "a smaller network"
    check_memory(f"A sleep of {streams} streams", needed, half)


class FirstStream(Session):
    """Of a session of several streams what the first one does; counts what all of them do."""

    def __init__(self, session: Session, network: SpikingNetwork, streams: int) -> None:
        self._session, self._streams = session, streams
        self._sizes = {p.name: p.size for p in network.populations}
        self._inputs = {p.name for p in network.inputs}
        #: Spikes of all streams so far: of the inputs, and of all others.
        self.driven = self.fired = 0

    def run(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        """Advance all streams; the spikes of the first."""
        fired = self._session.run(inputs)
        for name, events in fired.items():
            if name in self._inputs:
                self.driven += events.count
            else:
                self.fired += events.count
        if self._streams == 1:
            return fired
        return {name: events.part(0, self._sizes[name]) for name, events in fired.items()}

    def weights(self) -> list[Tensor]:
        """The present weights."""
        return self._session.weights()

    def weights_at(self, number: int, post: NDArray[np.int64], pre: NDArray[np.int64]) -> Tensor:
        """Some of the present weights."""
        return self._session.weights_at(number, post, pre)

    def outliers(self, bound: float) -> list[int]:
        """Numbers of the weights that hold a value beyond ``bound``."""
        return self._session.outliers(bound)

    def membranes(self) -> dict[str, Tensor]:
        """The present potentials of the first stream."""
        return {name: v[: self._sizes[name]] for name, v in self._session.membranes().items()}
