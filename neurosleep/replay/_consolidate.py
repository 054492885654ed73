"""Sleep for a network of one's own, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from neurosleep._checks import check_count
from neurosleep.conversion import Feedback, convert, wake
from neurosleep.errors import ConversionError
from neurosleep.functional import MeanDrive, PlasticityRule, SRCRule, numpy_generator
from neurosleep.networks import EquilibriumNetwork
from neurosleep.replay._drawing import check_drive, drawn
from neurosleep.replay._sleep import CHUNK, sleep
from neurosleep.spiking import SpikingNetwork, get_engine

__all__ = ["consolidate", "thresholds_for_rates"]


# With feedback, each layer's threshold is found this many times: what is fed back at the rates aimed at is little.
_TURNS = 2


def thresholds_for_rates(
    network: SpikingNetwork, drive: MeanDrive, rates: Sequence[float], *, steps: int = 2000, seed: int = 0
) -> SpikingNetwork:
    """The same network with one threshold per population found so that it fires at a target rate, without plasticity.

    Parameters
    ----------
    network, drive:
        A network with one input population, and its drive.
    rates:
        Target chance per neuron and step to fire, one per population after the input, input side first.
    steps, seed:
        Length of each trial and seed of its input.

    Notes
    -----
    Bisection on the logarithm of the threshold, layer by layer: the rate falls with the threshold, given the layers
    below. With feedback the layers above count too: the first turn finds thresholds while they are silent, and further
    turns start from what the one before found.
    """
    check_drive(network, drive)
    events = drawn(drive, numpy_generator(seed, "calibration"), check_count("steps", steps))
    engine = get_engine("event")
    layers = network.layers
    if len(rates) != len(layers) or any(not 0 < rate < 1 for rate in rates):
        raise ConversionError(
            f"The target rates {list(rates)!r} cannot be used.",
            expected=f"{len(layers)} numbers between 0 and 1, one per population",
        )
    # A population whose turn has not come yet must stay silent, or it would cost time.
    found = network.with_thresholds({p.name: 1e30 for p in layers})
    order = list(network.order)
    feedback = any(order.index(p.source) > order.index(p.target) for p in network.projections)
    for population, rate in [*zip(layers, rates, strict=True)] * (_TURNS if feedback else 1):
        low, high = -12.0, 12.0
        for _ in range(24):
            middle = (low + high) / 2
            found = found.with_thresholds({population.name: float(np.exp(middle))})
            spikes = engine.start(found).run({network.inputs[0].name: events})[population.name].count
            low, high = (middle, high) if spikes / (steps * population.size) > rate else (low, middle)
        found = found.with_thresholds({population.name: float(np.exp((low + high) / 2))})
    return found


Module = TypeVar("Module", bound=nn.Module)


def consolidate(
    model: Module,
    *,
    input_mean: Tensor | npt.NDArray[np.float64],
    calibration: Tensor,
    rates: Sequence[float] | None = None,
    rule: PlasticityRule | None = None,
    max_rate: float = 240.0,
    window: int | None = None,
    image_shape: tuple[int, int] | None = None,
    steps: int = 5000,
    seed: int = 0,
    feedback: Feedback = "none",
    gamma: float = 1.0,
    symmetric_rule: bool = False,
    bias_drive: bool = False,
) -> Module:
    """Let a trained classifier sleep: a copy of ``model`` comes back with the slept weights.

    Parameters
    ----------
    model:
        Bias-free ReLU network or equilibrium network (:func:`~neurosleep.conversion.convert` says which).
    input_mean:
        Mean input over everything ever learnt, ``[n]``: the only thing needed from old tasks.
    calibration:
        Images ``[n, inputs]`` of the newest task, for the scale of the layers.
    rates:
        Firing targets for the thresholds, one per layer; 2e-5 a unit and step for hidden layers if not given, as in the
        published network, and 2e-5 for the output.
    rule, max_rate, window, image_shape, steps, seed:
        As in :func:`~neurosleep.replay.sleep` and :class:`~neurosleep.functional.MeanDrive`. The rule is the published
        one if not given, for equilibrium networks, for which none is published, a weaker one of ours.
    feedback, gamma, symmetric_rule, bias_drive:
        Of equilibrium networks, as in :func:`~neurosleep.conversion.convert`.

    Raises
    ------
    ConversionError
        If the network cannot be converted, or the night diverges.
    """
    network = convert(
        model,
        calibration,
        feedback=feedback,
        gamma=gamma,
        symmetric_rule=symmetric_rule,
        bias_drive=bias_drive,
    )
    mean = input_mean.detach().cpu().numpy() if isinstance(input_mean, Tensor) else np.asarray(input_mean)
    drive = MeanDrive(mean.astype(np.float64), max_rate, window=window, image_shape=image_shape, dt=network.dt)
    targets = [2e-5] * len(network.layers) if rates is None else rates
    asleep = thresholds_for_rates(network, drive, targets, steps=2 * CHUNK, seed=seed)
    if rule is None:
        rule = SRCRule(0.01, 0.001) if isinstance(model, EquilibriumNetwork) else SRCRule(0.032, 0.0033)
    night = sleep(asleep, drive=drive, rule=rule, steps=steps, seed=seed)
    if night.status == "diverged":
        raise ConversionError(
            f"The sleep diverged at {night.divergence}.", hint="use a smaller inc and dec, fewer steps, or a window"
        )
    return wake(night.network, model)
