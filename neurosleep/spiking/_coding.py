"""From intensities to spikes: how many a step they stand for, drawing them, and biases that keep pace with them."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep._checks import check_number
from neurosleep.errors import NeurosleepWarning, SettingsError, UnsupportedError
from neurosleep.spiking.network import SpikingNetwork

__all__ = [
    "CODINGS",
    "SPIKE_CODINGS",
    "Coding",
    "OneAStep",
    "drawn",
    "expected_spikes",
    "gain_of",
    "paced",
    "say_waiting",
]

Coding = Literal["constant", "bernoulli", "poisson"]
CODINGS: tuple[Coding, ...] = get_args(Coding)
#: Those that make spikes.
SPIKE_CODINGS: tuple[Coding, ...] = CODINGS[1:]

# Of its spikes, so large a part may wait at the end without a word.
_WAITING = 0.01
# Of one neuron in one step, in the mean: counts are kept in a byte.
_MOST = 100


def gain_of(max_rate: float | None, dt: float) -> float:
    """How many spikes a step an intensity of 1 stands for; one where no rate is given."""
    if max_rate is None:
        return 1.0
    gain = check_number("max_rate", max_rate, 0) * dt
    return 1.0 if math.isclose(gain, 1.0, rel_tol=1e-9) else gain


def expected_spikes(values: Tensor, coding: str, gain: float, several: bool) -> Tensor:
    """Spikes a step, in the mean, of intensities ``[batch, n]``; ``several``: whether one step may have more than one.

    Raises
    ------
    SettingsError
        If an intensity lies outside 0 to 1.

    Warns
    -----
    NeurosleepWarning
        If some stand for more spikes a step than there can be, with their share.
    """
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise SettingsError(
            f"The images hold intensities outside 0 to 1, of which {coding!r} makes no spikes.",
            found=f"{low:g} to {high:g}",
            expected="every intensity from 0 to 1",
            hint="scale the images, or coding='constant' takes any values",
        )
    mean = values * gain
    if several and high * gain > _MOST:
        raise SettingsError(
            f"An intensity of {high:g} stands for {high * gain:.3g} spikes a step.",
            expected=f"up to {_MOST}",
            hint="a lower max_rate; 1/dt stands for one",
        )
    if not several and high * gain > 1:
        warnings.warn(
            f"{float((mean > 1).double().mean()):.1%} of the intensities stand for more than one spike a step (up to "
            f"{high * gain:.3g}) and are cut to one: a lower max_rate, 1/dt, represents all of them.",
            NeurosleepWarning,
            stacklevel=3,
        )
        mean = mean.clamp_max(1)
    return mean


def paced(network: SpikingNetwork, gain: float) -> SpikingNetwork:
    """``network`` with its biases times ``gain``, as its inputs are: then it computes the same, so much stronger.

    Raises
    ------
    UnsupportedError
        If the biases are those of a chip, which are integers.
    """
    biased = [p for p in network.populations if bool((torch.as_tensor(p.bias) != 0).any())]
    if gain == 1 or not biased:
        return network
    if not network.real_valued:
        raise UnsupportedError(
            f"With {gain:g} spikes a step for an intensity of 1, the biases would be other numbers than the chip's.",
            found=f"a bias in population {biased[0].name!r}",
            expected="max_rate left out, or 1/dt",
        )
    populations = tuple(dataclasses.replace(p, bias=p.bias * gain) if p in biased else p for p in network.populations)
    return dataclasses.replace(network, populations=populations)


def drawn(mean: npt.NDArray[Any], coding: str, steps: int, generator: np.random.Generator) -> npt.NDArray[Any]:
    """Spikes of ``steps`` steps: bool ``[steps, n]``, or with ``poisson`` how many, uint8."""
    if coding == "poisson":
        counts: npt.NDArray[Any] = np.empty((steps, len(mean)), dtype=np.uint8)
        for row in counts:
            np.minimum(generator.poisson(mean), 255, out=row, casting="unsafe")
        return counts
    fired: npt.NDArray[Any] = np.empty((steps, len(mean)), dtype=np.bool_)
    for row in fired:
        np.less(generator.random(len(mean), dtype=mean.dtype), mean, out=row)
    return fired


class OneAStep:
    """Lets spikes beyond one a step wait for the next step, where only one can be sent: none is lost."""

    def __init__(self, n: int) -> None:
        self._waiting = np.zeros(n, dtype=np.int64)
        self._sent = 0

    def __call__(self, counts: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """What is sent of ``counts`` ``[steps, n]``, bool of the same shape."""
        fired = np.empty(counts.shape, dtype=np.bool_)
        for now, count in zip(fired, counts, strict=True):
            self._waiting += count
            np.greater(self._waiting, 0, out=now)
            self._waiting -= now
        self._sent += int(fired.sum())
        return fired

    @property
    def waiting(self) -> int:
        """How many have not been sent yet."""
        return int(self._waiting.sum())

    @property
    def sent(self) -> int:
        """How many have been sent."""
        return self._sent


def say_waiting(waiting: int, sent: int) -> None:
    """Warn of spikes that were still waiting at the end, with their share."""
    if waiting > _WAITING * (waiting + sent):
        warnings.warn(
            f"{waiting / (waiting + sent):.1%} of the Poisson spikes were not sent: one neuron sends one a step here, "
            "what is beyond waits, and the steps ended. coding='bernoulli' has none that wait.",
            NeurosleepWarning,
            stacklevel=3,
        )
