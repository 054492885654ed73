"""What a recorder looks at between two steps: potentials and weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.spiking.engines import Session
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.recording.files import array_file
from neurosleep.spiking.recording.record import Record
from neurosleep.spiking.recording.samples import STATISTICS, States, WeightSamples
from neurosleep.spiking.recording.store import Store

__all__ = ["WatchedPotentials", "WatchedWeights", "weight_names"]

# Weights that are looked at together: few enough to stay in the processor's cache.
_PART = 2**15


def weight_names(network: SpikingNetwork) -> list[str]:
    """A name for each weight of the network, in order: ``"source -> target"``, numbered if several have the same."""
    names: list[str] = []
    for projection in network.weighted:
        name = f"{projection.source} -> {projection.target}"
        same = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({same + 1})" if same else name)
    return names


class WatchedPotentials:
    """Potentials of chosen neurons, by population."""

    def __init__(self, chosen: Mapping[str, NDArray[np.int64]], record: Record, network: SpikingNetwork) -> None:
        with_membrane = [p.name for p in network.populations if p.kind not in ("input", "relay")]
        for name in chosen:
            if name not in with_membrane:
                raise UnsupportedError(
                    f"The neurons of population {name!r} ({network.population(name).kind}) have no membrane potential.",
                    expected="one of: " + ", ".join(with_membrane) if with_membrane else "a population that has one",
                )
        self.every = record.potentials_every
        self._chosen = dict(chosen)
        self._dtype = np.float64 if network.dtype == torch.float64 else np.float32
        self._stores: dict[str, Store] = {}
        self._steps: Store | None = None

    def __bool__(self) -> bool:
        return bool(self._chosen)

    def open(self, folder: Path | None) -> None:
        """Make the arrays, or the files, that will hold what is seen."""
        if self:
            self._steps = Store(np.int64, path=array_file(folder, "states", "steps"))
        for name, neurons in self._chosen.items():
            self._stores[name] = Store(self._dtype, len(neurons), array_file(folder, name, "potentials"))

    def look(self, session: Session, step: int) -> None:
        """Take a sample after ``step`` steps."""
        assert self._steps is not None
        membranes = session.membranes()
        for name, neurons in self._chosen.items():
            values = membranes[name].to(torch.float64 if self._dtype == np.float64 else torch.float32).numpy()
            self._stores[name].append(values[neurons][None])
        # Last, since it is what counts the samples.
        self._steps.append(np.array([step]))

    def states(self) -> dict[str, States]:
        """What was seen, by population."""
        if self._steps is None:
            return {}
        steps = self._steps.array()
        return {name: States(steps, self._chosen[name], store.array()) for name, store in self._stores.items()}

    def weights(self) -> dict[str, WeightSamples]:
        """None."""
        return {}


class WatchedWeights:
    """Weights of chosen synapses, or statistics of all of them, by projection."""

    def __init__(self, record: Record, network: SpikingNetwork) -> None:
        names = weight_names(network)
        self.every = record.weights_every
        self._number: dict[str, int] = {}
        self._synapses: dict[str, NDArray[np.int64] | None] = {}
        if record.weights == "statistics":
            self._number = {name: k for k, name in enumerate(names)}
            self._synapses = dict.fromkeys(names)
        elif not isinstance(record.weights, str):
            for name, synapses in record.weights.items():
                if name not in names:
                    raise unknown_name("projection with a weight", str(name), names)
                self._number[name] = names.index(name)
                self._synapses[name] = _check_synapses(name, synapses, network.weights[names.index(name)])
        self._first = [weight.detach() for weight in network.weights] if record.weights == "statistics" else []
        self._stores: dict[str, Store] = {}
        self._steps: Store | None = None
        self._dtype = np.float64 if network.dtype == torch.float64 else np.float32

    def __bool__(self) -> bool:
        return bool(self._number)

    def open(self, folder: Path | None) -> None:
        """Make the arrays, or the files, that will hold what is seen."""
        if self:
            self._steps = Store(np.int64, path=array_file(folder, "weights", "steps"))
        for name, synapses in self._synapses.items():
            width, dtype = (len(STATISTICS), np.float64) if synapses is None else (len(synapses), self._dtype)
            self._stores[name] = Store(dtype, width, array_file(folder, name, "weights"))

    def look(self, session: Session, step: int) -> None:
        """Take a sample after ``step`` steps."""
        assert self._steps is not None
        weights = session.weights() if self._first else []
        for name, synapses in self._synapses.items():
            number = self._number[name]
            if synapses is None:
                values = _statistics(weights[number], self._first[number])
            else:
                values = session.weights_at(number, synapses[:, 0], synapses[:, 1]).to(torch.float64).numpy()
            self._stores[name].append(values[None])
        self._steps.append(np.array([step]))

    def states(self) -> dict[str, States]:
        """None."""
        return {}

    def weights(self) -> dict[str, WeightSamples]:
        """What was seen, by projection."""
        if self._steps is None:
            return {}
        steps = self._steps.array()
        return {name: WeightSamples(steps, self._synapses[name], s.array()) for name, s in self._stores.items()}


def _statistics(weight: Tensor, first: Tensor) -> NDArray[np.float64]:
    """The numbers that STATISTICS names, in float64; part by part, since copies of all weights would cost more."""
    now, then = (torch.split(w.reshape(-1), _PART) for w in (weight, first.cpu()))
    n = weight.numel()
    mean = torch.stack([part.double().sum() for part in now]).sum() / n
    rows = []
    for part, before in zip(now, then, strict=True):
        w = part.double()
        low, high = torch.aminmax(w)
        rows.append(torch.stack([(w - mean).square().sum(), low, high, (w - before).square().sum()]))
    spread, lows, highs, change = torch.stack(rows).T
    sd, rms = ((squares.sum() / n).sqrt() for squares in (spread, change))
    return torch.stack([mean, sd, lows.min(), highs.max(), rms]).numpy()


def _check_synapses(name: str, synapses: Any, weight: Tensor) -> NDArray[np.int64]:
    if weight.ndim != 2:
        raise UnsupportedError(
            f"The weights of {name!r} are shared by many synapses, of which none can be chosen.",
            expected='Record(weights="statistics")',
        )
    post, pre = weight.shape
    expected = f"pairs (post, pre), post from 0 to {post - 1} and pre from 0 to {pre - 1}"
    try:
        pairs = np.asarray(synapses)
    except ValueError:
        pairs = np.zeros(0)  # nested lists of several lengths
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise SettingsError(f"The synapses of {name!r} cannot be read.", found=repr(synapses)[:80], expected=expected)
    outside = pairs[(pairs < 0).any(axis=1) | (pairs[:, 0] >= post) | (pairs[:, 1] >= pre)]
    if len(outside):
        raise SettingsError(f"There is no synapse {tuple(outside[0].tolist())} in {name!r}.", expected=expected)
    return pairs.astype(np.int64)
