"""One REM stage on a model: it is converted, sleeps under a plasticity rule, and wakes up with the new weights."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neurosleep.conversion import LAYER_RECIPES, biased_layers, convert, copied, feedback_of, sleeping_chain
from neurosleep.errors import DataError, SettingsError
from neurosleep.functional import MeanDrive
from neurosleep.networks import EquilibriumNetwork
from neurosleep.replay._effect import warn_of_biases
from neurosleep.replay._nrem import stage_device
from neurosleep.replay._sleep import CHUNK, Limits
from neurosleep.replay._sleep import sleep as sleep_phase
from neurosleep.replay._thresholds import check_rates, thresholds_for_rates
from neurosleep.replay.consolidation import StageOutcome
from neurosleep.replay.options import RATE, Sleep
from neurosleep.replay.result import SleepResult
from neurosleep.replay.stages import REM
from neurosleep.spiking import Record, SleepSpan, SpikingNetwork, get_engine

__all__ = ["REMOutcome", "run_rem"]


class REMOutcome(NamedTuple):
    """outcome: what the stage did; model: the one after it; names: of its weights; biased: layers whose biases stay."""

    outcome: StageOutcome
    phase: SleepResult
    model: nn.Module
    names: tuple[str, ...]
    biased: tuple[str, ...]


def run_rem(
    model: nn.Module,
    mean: Tensor,
    images: Tensor,
    sleep: Sleep,
    stage: REM,
    *,
    engine: str | None,
    record: Record | None,
    seed: int,
    task: int = 0,
    warns: bool = True,
) -> REMOutcome:
    """Let a copy of ``model`` go through ``stage``, its layers scaled by ``images`` ``[n, ...]``.

    ``warns``: whether it says so if biases stay.
    """
    slept = copied(model)
    # Half precision sleeps in single.
    half = any(value.dtype in (torch.float16, torch.bfloat16) for value in slept.parameters())
    single = copied(slept).float() if half else slept
    images = images.to(next(single.parameters(), images))
    chain, weights = sleeping_chain(single, images[:2])
    settles = isinstance(chain, EquilibriumNetwork)
    drive = _drive(stage, mean, weights[0].shape[1])
    network = _spiking(chain, len(weights), images, sleep, drive, seed)
    biased = () if settles else tuple(biased_layers(single, weights))
    if biased and warns:
        warn_of_biases(single, weights)
    device = stage_device(model, engine)
    if engine is None and device != "cpu" and not get_engine("torch").offers(network, device, stage.rule):
        # What the engine of the device does not offer, such as weights that are shared, is stepped where it was before.
        device = "cpu"
    phase = sleep_phase(
        network,
        drive=stage.noise(drive),
        rule=stage.rule,
        steps=stage.steps_after(0),
        engine=engine,
        record=record,
        seed=seed,
        task=task,
        limits=Limits(spikes=sleep.spike_limit),
        device=device,
    )
    by_weight = {weight: name for name, weight in single.named_parameters()}
    names = tuple(by_weight[weight] for weight in weights)
    if phase.status == "done":
        with torch.no_grad():
            for name, new in zip(names, phase.network.weights, strict=True):
                slept.get_parameter(name).copy_(new)
    steps = phase.recording.steps
    spans = (SleepSpan("REM", "tonic", 0, steps),) if steps else ()
    recording = replace(phase.recording, hypnogram=spans)
    outcome = StageOutcome("REM", "spikes", phase=replace(phase, recording=recording), steps=steps, recording=recording)
    return REMOutcome(outcome, phase, slept, names, biased)


def _drive(stage: REM, mean: Tensor, inputs: int) -> MeanDrive:
    image = mean.double().squeeze().cpu().numpy()
    if image.size != inputs:
        raise DataError(f"mean has {image.size} values.", expected=f"{inputs}, one for each input of the network")
    if stage.window is not None and image.ndim != 2:
        raise SettingsError(
            f"A window of {stage.window} pixels needs the shape of the images.",
            found=f"a mean of shape {list(image.shape)}",
            expected="mean [height, width]",
        )
    return stage.drive(image.reshape(-1), image.shape)


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
