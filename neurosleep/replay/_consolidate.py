"""Sleep for a network of one's own, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurosleep._checks import as_images, check_count
from neurosleep.conversion import Recursive, convert, copied, feedback_of, sleeping_chain
from neurosleep.errors import ConversionError, DataError
from neurosleep.functional import MeanDrive, PlasticityRule, SRCRule, check_seed
from neurosleep.networks import EquilibriumNetwork
from neurosleep.replay._effect import answers, evenly, warn_of_biases, warn_of_effect
from neurosleep.replay._sleep import CHUNK, check_rule, sleep
from neurosleep.replay._thresholds import check_rates, thresholds_for_rates

__all__ = ["consolidate"]

# Spikes per unit and step, as in the hidden layers of the published network.
_RATE = 2e-5

Module = TypeVar("Module", bound=nn.Module)


def consolidate(
    model: Module,
    *,
    input_mean: Tensor | NDArray[np.float64],
    calibration: Tensor | NDArray[np.float32],
    rates: Sequence[float] | None = None,
    rule: PlasticityRule | None = None,
    max_rate: float = 240.0,
    window: int | None = None,
    image_shape: tuple[int, int] | None = None,
    steps: int = 5000,
    seed: int = 0,
    feedback: Literal["none", "delayed"] = "none",
    gamma: float = 1.0,
    symmetric_rule: bool = False,
    bias_drive: bool = False,
) -> Module:
    """Let a trained classifier sleep: a copy of ``model`` comes back with the slept weights.

    Parameters
    ----------
    model:
        Chain of ``Linear`` layers with ``ReLU`` between them, as a ``Sequential`` or any module that torch.fx traces
        (:func:`~neurosleep.conversion.sleeping_chain`), or an equilibrium network. Biases stay as they are, and drive
        nothing. Half precision sleeps in single.
    input_mean:
        Mean input over everything ever learnt, ``[n]``, 1 being full intensity: the only thing needed from old tasks.
    calibration:
        Images ``[n, inputs]``, or of the shape that the model takes, of the newest task, for the scale of the layers.
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
        If the network cannot be converted, a layer cannot fire at its rate, or the sleep diverges.
    DataError, SettingsError
        If an argument makes no sense, before anything is done.

    Warns
    -----
    NeurosleepWarning
        If the model has biases; if nothing fired or nothing changed in the sleep; if more than 5 % of the answers to
        the calibration images changed.
    """
    check_count("sleep steps", steps)
    check_seed(seed)
    if rule is not None:
        check_rule(rule)
    slept = copied(model)
    # Half precision sleeps, and is judged, in single.
    half = any(value.dtype in (torch.float16, torch.bfloat16) for value in slept.parameters())
    single = copied(slept).float() if half else slept
    images = as_images("calibration", calibration)
    images = images.to(next(single.parameters(), images))
    chain, weights = sleeping_chain(single, images[:2])
    mean = as_images("input_mean", input_mean).double().flatten().cpu().numpy()
    if len(mean) != weights[0].shape[1]:
        raise DataError(
            f"input_mean has {len(mean)} values.", expected=f"{weights[0].shape[1]}, one for each input of the network"
        )
    drive = MeanDrive(mean, max_rate, window=window, image_shape=image_shape)
    targets = check_rates([_RATE] * len(weights) if rates is None else rates, len(weights))
    network = convert(
        copied(chain).cpu(),
        images.flatten(1).cpu(),
        recipe=Recursive(),
        feedback=feedback_of(feedback, gamma, symmetric_rule),
        bias_drive=bias_drive,
    )
    settles = isinstance(chain, EquilibriumNetwork)
    if not settles:
        warn_of_biases(single, weights)
    asleep = thresholds_for_rates(network, drive, targets, steps=2 * CHUNK, seed=seed)
    if rule is None:
        rule = SRCRule(0.01, 0.001) if settles else SRCRule(0.032, 0.0033)
    result = sleep(asleep, drive=drive, rule=rule, steps=steps, seed=seed)
    if result.divergence is not None:
        raise ConversionError(
            f"The sleep diverged: {result.divergence}.",
            found=f"the rule {rule}, {steps} steps",
            expected="weights that are finite and at most 1e+06 in size",
            hint="a smaller inc and dec, fewer steps, lower rates, or a window",
        )
    # A chain that stands for itself reads its images flat; a traced model reads them as they came.
    itself = any(part is chain for part in single.modules())
    judge, newest = (chain, evenly(images).flatten(1)) if itself else (single, evenly(images))
    names = {weight: name for name, weight in single.named_parameters()}
    own = [slept.get_parameter(names[weight]) for weight in weights]
    with torch.no_grad():
        was, before = answers(judge, newest), [weight.clone() for weight in own]
        for weight, of_copy, new in zip(weights, own, result.network.weights, strict=True):
            weight.copy_(new)
            of_copy.copy_(new)
    warn_of_effect(result.fired, before, own, was, answers(judge, newest))
    return slept
