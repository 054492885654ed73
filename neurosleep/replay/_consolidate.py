"""Sleep for a network of one's own, in one call."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurosleep._checks import as_images, check_unread
from neurosleep.conversion import LAYER_RECIPES, biased_layers, convert, copied, feedback_of, sleeping_chain
from neurosleep.errors import DataError, NeurosleepWarning, SettingsError
from neurosleep.functional import MeanDrive, SRCRule, check_seed
from neurosleep.networks import EquilibriumNetwork
from neurosleep.replay._effect import answers, evenly, warn_of_biases, warn_of_effect
from neurosleep.replay._sleep import CHUNK, Limits, check_rule
from neurosleep.replay._sleep import sleep as sleep_phase
from neurosleep.replay._thresholds import check_rates, thresholds_for_rates
from neurosleep.replay.options import OWN_NETWORK, RATE, Sleep
from neurosleep.replay.result import LayerChange, SleepReport, SleepResult
from neurosleep.spiking import Record, SpikingNetwork

__all__ = ["consolidate"]


def consolidate(
    model: nn.Module,
    *,
    mean: Tensor | NDArray[np.generic],
    calibration: Tensor | NDArray[np.generic],
    sleep: Sleep | None = None,
    engine: str = "event",
    record: Record | None = None,
    seed: int = 0,
) -> SleepResult:
    """Let a trained classifier sleep: the result holds a copy of ``model`` with the weights after sleep.

    Parameters
    ----------
    model:
        Chain of ``Linear`` layers with ``ReLU`` between them, as a ``Sequential`` or any module that torch.fx traces
        (:func:`~neurosleep.conversion.sleeping_chain`), or an equilibrium network; it stays as it is. Biases stay as
        they are, and drive nothing. Half precision sleeps in single.
    mean:
        Mean input over everything ever learnt, ``[n]``, 1 being full intensity: the only thing needed from old tasks.
        With a window, of the shape of the images, ``[height, width]``.
    calibration:
        Images ``[n, inputs]``, or of the shape that the model takes, of the newest task, for the scale of the layers.
    sleep:
        How it sleeps, as after a first task. Where it has neither ``thresholds`` nor ``rates``, thresholds are found at
        which each layer fires 2e-5 times a unit and step, as hidden layers of the published network do. None: 5000
        steps at 240 Hz with the published rule, of equilibrium networks, for which none is published, with
        ``SRCRule(0.01, 0.001)``.
    engine, record, seed:
        As in :func:`~neurosleep.replay.sleep`.

    Returns
    -------
    SleepResult
        With ``model``, ``report``, ``recording`` and ``status``. After a divergence ``model`` is as it was.

    Raises
    ------
    ConversionError
        If the network cannot be converted, or a layer cannot fire at its rate.
    DataError, SettingsError
        If an argument makes no sense, before anything is done.

    Warns
    -----
    NeurosleepWarning
        If the model has biases; if the sleep diverged; if nothing fired or nothing changed in it; if more than 5 % of
        the answers to the calibration images changed.

    See Also
    --------
    neurosleep.SleepResult : what comes back; its ``apply_to`` gives the weights to the model itself
    neurosleep.sleep : of a spiking network

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> model = ns.MLP([4, 30, 20], init=0.5, generator=torch.Generator().manual_seed(0))
    >>> x = torch.rand(20, 4, generator=torch.Generator().manual_seed(1))
    >>> sleep = ns.Sleep.src2022(steps=100, rates=[0.01, 0.01], rule=ns.SRCRule(1e-6, 1e-7))
    >>> result = ns.consolidate(model, mean=x.mean(0), calibration=x, sleep=sleep)
    >>> result.status, type(result.model).__name__
    ('done', 'MLP')

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7.
    """
    check_seed(seed)
    if sleep is not None:
        _check_settings(sleep)
    after_sleep = copied(model)
    # Half precision sleeps, and is judged, in single.
    half = any(value.dtype in (torch.float16, torch.bfloat16) for value in after_sleep.parameters())
    single = copied(after_sleep).float() if half else after_sleep
    images = as_images("calibration", calibration)
    images = images.to(next(single.parameters(), images))
    chain, weights = sleeping_chain(single, images[:2])
    settles = isinstance(chain, EquilibriumNetwork)
    s = sleep or Sleep.src2022(**OWN_NETWORK, **({"rule": SRCRule(0.01, 0.001)} if settles else {}))
    drive = _drive(s, mean, weights[0].shape[1])
    network = _spiking(chain, len(weights), images, s, drive, seed)
    if not settles:
        warn_of_biases(single, weights)
    limits = Limits(spikes=s.spike_limit)
    result = sleep_phase(
        network,
        drive=drive,
        rule=s.rem.rule,
        steps=s.rem.steps_after(0),
        engine=engine,
        record=record,
        seed=seed,
        limits=limits,
    )
    # A chain that stands for itself reads its images flat; a traced model reads them as they came.
    itself = any(part is chain for part in single.modules())
    judge, newest = (chain, evenly(images).flatten(1)) if itself else (single, evenly(images))
    names = [{weight: name for name, weight in single.named_parameters()}[weight] for weight in weights]
    changed = [after_sleep.get_parameter(name) for name in names]
    with torch.no_grad():
        was, before = answers(judge, newest), [weight.clone() for weight in changed]
        for weight, of_copy, new in zip(weights, changed, result.network.weights, strict=True):
            if result.status == "done":
                weight.copy_(new)
                of_copy.copy_(new)
    now = answers(judge, newest)
    if result.divergence is None:
        warn_of_effect(result.fired, before, changed, was, now)
    else:
        warnings.warn(
            f"The sleep diverged: {result.divergence}, with the rule {s.rem.rule} and {s.rem.steps_after(0)} steps. "
            f"The model is as it was; expected are weights that are finite and at most {limits.weights:g} in "
            "size. A smaller inc and dec, fewer steps, lower rates, or a window change less.",
            NeurosleepWarning,
            stacklevel=2,
        )
    report = SleepReport(
        tuple(LayerChange.of(name, a, b) for name, a, b in zip(names, before, changed, strict=True)),
        spikes=result.fired,
        images=len(newest),
        answers_changed=float((was != now).double().mean()),
        biased=() if settles else tuple(biased_layers(single, weights)),
    )
    return dataclasses.replace(result, model=after_sleep, report=report)


def _check_settings(sleep: Sleep) -> None:
    if not isinstance(sleep, Sleep):
        raise SettingsError(
            f"sleep is {sleep!r:.60}.", expected="a Sleep, such as neurosleep.Sleep.src2022(steps=5000)"
        )
    check_rule(sleep.rem.rule)
    usual = Sleep()
    unread = {
        key: (getattr(part, key), getattr(default, key))
        for part, default, keys in (
            (sleep, usual, ("after", "statistics", "profile", "rounding", "headroom", "read_back")),
            (sleep.rem, usual.rem, ("growth", "lengths")),
        )
        for key in keys
    }
    hint = "neurosleep.continual.SRC and SleepPlugin have it: they sleep after each task, and on chips"
    check_unread("The sleep of consolidate", unread, hint)


def _drive(s: Sleep, mean: Tensor | NDArray[np.generic], inputs: int) -> MeanDrive:
    image = as_images("mean", mean).double().squeeze().cpu().numpy()
    if image.size != inputs:
        raise DataError(f"mean has {image.size} values.", expected=f"{inputs}, one for each input of the network")
    if s.rem.window is not None and image.ndim != 2:
        raise SettingsError(
            f"A window of {s.rem.window} pixels needs the shape of the images.",
            found=f"a mean of shape {list(image.shape)}",
            expected="mean [height, width]",
        )
    return s.rem.drive(image.reshape(-1), image.shape)


def _spiking(chain: nn.Module, layers: int, images: Tensor, s: Sleep, drive: MeanDrive, seed: int) -> SpikingNetwork:
    """The spiking network of ``chain``, with thresholds as given or found."""
    rates = [RATE] * layers if s.rates is None and s.thresholds is None else s.rates
    targets = None if rates is None else check_rates(rates, layers)
    network = convert(
        copied(chain).cpu(),
        images.flatten(1).cpu(),
        recipe=LAYER_RECIPES[s.recipe](s.alpha_scale),
        thresholds=s.thresholds,
        decay=s.decay,
        compare=s.compare,
        feedback=feedback_of(s.feedback, s.gamma, s.symmetric_rule),
        bias_drive=s.bias_drive,
    )
    if targets is None:
        return network
    return thresholds_for_rates(network, drive, targets, steps=2 * CHUNK, seed=seed)
