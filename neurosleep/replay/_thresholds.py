"""Thresholds at which every layer of a sleeping network fires at the rate asked for, and a word where none is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from neurosleep._checks import check_count
from neurosleep.errors import ConversionError, NeurosleepWarning
from neurosleep.functional import MeanDrive, numpy_generator
from neurosleep.replay._drawing import check_drive, drawn
from neurosleep.spiking import SpikingNetwork, get_engine
from neurosleep.spiking.given import check_spiking

__all__ = ["check_rates", "thresholds_for_rates"]

# With feedback, each layer's threshold is found this many times: what is fed back at the rates aimed at is little.
_TURNS = 2
# Natural logarithms of the smallest and the largest threshold tried.
_LOW, _HIGH = -12.0, 12.0


def check_rates(rates: Any, layers: int) -> list[float]:
    """One target rate per layer, each a firing probability between 0 and 1."""
    try:
        targets = [] if isinstance(rates, str | bytes) else [float(rate) for rate in rates]
    except (TypeError, ValueError):
        targets = []
    if len(targets) != layers or not all(0 < rate < 1 for rate in targets):
        raise ConversionError(
            f"The target rates {rates!r:.100} cannot be used.",
            expected=f"{layers} numbers between 0 and 1, one per population",
        )
    return targets


def thresholds_for_rates(
    network: SpikingNetwork,
    drive: MeanDrive,
    rates: Sequence[float],
    *,
    steps: int = 2000,
    seed: int = 0,
    strict: bool = True,
) -> SpikingNetwork:
    """The same network with one threshold per population found so that it fires at a target rate, without plasticity.

    Parameters
    ----------
    network, drive:
        A network with one input population, and its drive.
    rates:
        Target firing probability per neuron and step, one per population after the input, input side first.
    steps, seed:
        Length of each trial and seed of its input.
    strict:
        Whether a rate that no threshold comes near is refused; else the nearest threshold is taken, with a warning.

    Raises
    ------
    SettingsError
        If ``network`` is no SpikingNetwork, or drive or rates do not fit it.
    ConversionError
        If a population stays silent at any threshold, or its rate below half or above twice the one asked for.

    Warns
    -----
    NeurosleepWarning
        If the rate reached is nearer than that, but further off than chance would have it.

    See Also
    --------
    neurosleep.sleep : takes the network
    neurosleep.MeanDrive : the drive

    Notes
    -----
    Bisection on the logarithm of the threshold, layer by layer: the rate falls with the threshold, given the layers
    below. With feedback the layers above count too: the first turn finds thresholds while they are silent, and further
    turns start from what the one before found.

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> images, start = torch.rand(50, 16), torch.Generator().manual_seed(0)
    >>> network = ns.convert(ns.MLP([16, 8, 4], init=0.3, generator=start), images, recipe="recursive")
    >>> drive = ns.MeanDrive(images.mean(0).double().numpy(), max_rate=100.0)  # Hz
    >>> found = ns.thresholds_for_rates(network, drive, [0.05, 0.05])
    >>> all(layer.threshold > 0 for layer in found.layers)
    True
    """
    layers = check_spiking(network, "given thresholds").layers
    targets = check_rates(rates, len(layers))
    check_drive(network, drive)
    inputs = network.inputs[0]
    events = drawn(drive, numpy_generator(seed, "calibration"), check_count("steps", steps), network.dt)
    engine = get_engine("event")
    # A population whose turn has not come yet must stay silent, or it would cost time.
    with_threshold = network.with_thresholds({p.name: 1e30 for p in layers})
    order = list(network.order)
    feedback = any(order.index(p.source) > order.index(p.target) for p in network.projections)
    turns = _TURNS if feedback else 1

    def fires(trial: SpikingNetwork) -> dict[str, int]:
        spikes = engine.start(trial).run({inputs.name: events})
        return {p.name: spikes[p.name].count for p in layers}

    for turn in range(turns):
        for population, rate in zip(layers, targets, strict=True):
            name, trials = population.name, steps * population.size
            low, high = _LOW, _HIGH
            # Spikes at the two ends; None where an end of all thresholds has not been tried.
            above: int | None = None
            below: int | None = None
            for _ in range(24):
                middle = (low + high) / 2
                with_threshold = with_threshold.with_thresholds({name: float(np.exp(middle))})
                spikes = fires(with_threshold)[name]
                if spikes / trials > rate:
                    low, above = middle, spikes
                else:
                    high, below = middle, spikes
            threshold = float(np.exp((low + high) / 2))
            with_threshold = with_threshold.with_thresholds({name: threshold})
            if turn < turns - 1:
                continue
            asked = rate * trials
            if above is not None and below is not None and _as_asked(above, asked) and _as_asked(below, asked):
                continue  # and so is what lies between
            counts = fires(with_threshold)
            reached = counts[name]
            silent = above is None and reached == 0
            if not silent and _as_asked(reached, asked):
                continue
            below_it = {p.source for p in network.projections if p.target == name}
            quiet = [f"{p.name} {counts[p.name]}" for p in layers if p.name in below_it and not counts[p.name]]
            near = not silent and asked / 2 <= reached <= 2 * asked
            _say(name, rate, reached, trials, threshold, steps if quiet else None, near, strict)
    return with_threshold


def _as_asked(reached: int, asked: float) -> bool:
    """Whether two numbers of spikes differ by a quarter at most, or by no more than chance makes of it."""
    return abs(reached - asked) <= max(0.25 * asked, 3 * sqrt(max(asked, 1)))


def _say(
    name: str, rate: float, reached: int, trials: int, threshold: float, quiet: int | None, near: bool, strict: bool
) -> None:
    """Refuse or warn; ``quiet``: steps of a trial in which the layer below did not fire."""
    what = "fires at another rate than was asked for" if near else "cannot fire at the rate asked for"
    message = f"Population {name!r} {what}, whatever its threshold."
    found = f"{reached / trials:.3g} spikes per neuron and step ({reached} in all) at a threshold of {threshold:.3g}"
    expected = f"{rate:.3g} spikes per neuron and step ({rate * trials:.3g} in all)"
    if quiet is None:
        hint = (
            "look whether the layer is dead for the mean input, and whether that is on the scale of the calibration "
            "images; raise max_rate, ask for another rate, or take the nearest with strict=False"
        )
    else:
        hint = f"the layer below it did not fire in {quiet} steps at the rate asked of that: ask for a higher one"
    if strict and not near:
        raise ConversionError(message, found=found, expected=expected, hint=hint)
    warnings.warn(
        f"{message} Reached: {found}; asked: {expected}. Try: {hint}.",
        NeurosleepWarning,
        stacklevel=3,
    )
