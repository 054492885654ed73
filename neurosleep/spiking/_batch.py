"""Many samples at once through a spiking network, and what its last population says after every step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep._progress import tell_progress
from neurosleep.errors import SettingsError
from neurosleep.functional import numpy_generator
from neurosleep.spiking._coding import Coding, OneAStep, drawn
from neurosleep.spiking.engines import Engine
from neurosleep.spiking.engines.batch import BatchInput, BatchSession, ConstantInput, SpikeInput
from neurosleep.spiking.engines.memory import in_pieces
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.recording.recording import Recording

__all__ = ["CHUNK", "DrawnSpikes", "batch_of_images", "batch_of_trains"]

# Samples that are stepped together and steps whose spikes are drawn at once, so that the room for them is bounded.
_BLOCK, CHUNK = 256, 128

# What a block of samples did: sums by population [batch, n], read-out [steps, batch, n], potentials [batch, n].
_Answer = tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]


def batch_of_images(
    network: SpikingNetwork,
    mean: Tensor,
    steps: int,
    coding: Coding,
    several: bool,
    engine: Engine,
    seed: int,
    device: str,
) -> tuple[Recording, int, int]:
    """What ``network`` does with images ``[batch, n]``: values, or spikes a step in the mean; spikes left, and sent."""
    answers, waiting, sent = list[_Answer](), 0, 0
    for block, low in enumerate(range(0, len(mean), _BLOCK)):
        present = mean[low : low + _BLOCK].to(device)
        queues: list[OneAStep] = []

        def answer(first: int, last: int, present: Tensor = present, block: int = block) -> _Answer:
            session = engine.start_batch(network, last - first, device=device)
            if coding == "constant":
                return _answer(network, session, [ConstantInput(present[first:last], steps)])
            # Drawn for the whole block, however many of it are stepped at once.
            spikes = DrawnSpikes(present, coding, steps, (seed, block), several)
            queues.append(spikes.queue)  # noqa: B023
            return _answer(network, session, (part.of(first, last) for part in spikes))

        answers += in_pieces(len(present), answer)
        for queue in queues[-1:]:
            waiting, sent = waiting + queue.waiting, sent + queue.sent
        tell_progress("images", min(low + _BLOCK, len(mean)), len(mean))
    return _recording(network, steps, answers, engine.name, coding), waiting, sent


def batch_of_trains(network: SpikingNetwork, spikes: npt.NDArray[np.bool_], engine: Engine, device: str) -> Recording:
    """What ``network`` does with boolean ``spikes`` ``[steps, batch, n]``."""
    (source,) = network.inputs
    if spikes.shape[2] != source.size or not spikes.shape[1]:
        raise SettingsError(
            "The inputs do not fit the network.",
            found=f"spikes of shape {list(spikes.shape)}",
            expected=f"[steps, batch, {source.size}], of at least one sample",
        )
    answers = list[_Answer]()
    for low in range(0, spikes.shape[1], _BLOCK):
        block = spikes[:, low : low + _BLOCK]

        def answer(first: int, last: int, block: npt.NDArray[np.bool_] = block) -> _Answer:
            present = block[:, first:last]
            session = engine.start_batch(network, last - first, device=device)
            samples, neurons = np.nonzero(present.any(0))
            parts = (present[start : start + CHUNK, samples, neurons] for start in range(0, len(present), CHUNK))
            inputs = (SpikeInput(last - first, source.size, samples, neurons, fired) for fired in parts)
            return _answer(network, session, inputs)

        answers += in_pieces(block.shape[1], answer)
    return _recording(network, len(spikes), answers, engine.name, None)


def _answer(network: SpikingNetwork, session: BatchSession, inputs: Iterable[BatchInput]) -> _Answer:
    # To the host chunk by chunk: a device need not have room for the answers of all samples.
    said = torch.cat([session.advance(part).cpu() for part in inputs])
    read = [p.name for p in network.layers if p.kind == "li"]
    membranes = session.batch_membranes() if read else {}
    return dict(session.totals()), said, {name: membranes[name] for name in read}


def _recording(
    network: SpikingNetwork, steps: int, answers: list[_Answer], engine: str, coding: Coding | None
) -> Recording:
    counts = {}
    for p in network.populations:
        total = torch.cat([sums[p.name] for sums, _, _ in answers]).cpu()
        graded = p.kind == "relay" or (p.kind == "input" and coding == "constant")
        counts[p.name] = total.to(torch.float64 if graded else torch.int64).numpy()
    potentials = {name: torch.cat([last[name] for *_, last in answers]).cpu().numpy() for name in answers[0][2]}
    said = torch.cat([said for _, said, _ in answers], 1).cpu().numpy()
    return Recording(
        steps=steps, dt=network.dt, counts=counts, potentials=potentials, engine=engine, coding=coding, outputs=said
    )


class DrawnSpikes:
    """Spikes of one block of samples in chunks of steps; drawn only where there may be any."""

    def __init__(self, mean: Tensor, coding: Coding, steps: int, key: tuple[int, int], several: bool) -> None:
        self._shape, self._coding, self._steps, self._key, self._several = mean.shape, coding, steps, key, several
        dense = mean.cpu().numpy()
        self._samples, self._neurons = np.nonzero(dense)
        self._mean = dense[self._samples, self._neurons]
        self.queue = OneAStep(len(self._mean))

    def __iter__(self) -> Iterator[SpikeInput]:
        for chunk, start in enumerate(range(0, self._steps, CHUNK)):
            generator = numpy_generator(self._key[0], "coding batch", self._key[1], chunk)
            fired = drawn(self._mean, self._coding, min(CHUNK, self._steps - start), generator)
            if fired.dtype == np.uint8 and not self._several:
                fired = self.queue(fired)
            yield SpikeInput(self._shape[0], self._shape[1], self._samples, self._neurons, fired)
