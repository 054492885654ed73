"""One NREM stage on a model: in spikes where it converts, else in rates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from neurosleep._checks import device_of
from neurosleep.conversion import ConvertedNetwork, Percentile, convert, copied
from neurosleep.errors import ConversionError, NeurosleepError, UnsupportedError
from neurosleep.functional import Homeostasis, InputNoise, SetPoint
from neurosleep.networks import EquilibriumNetwork
from neurosleep.replay._drives import trace_drives
from neurosleep.replay.consolidation import StageOutcome
from neurosleep.replay.homeostasis import regulate
from neurosleep.replay.regulated_layers import RegulatedLayers
from neurosleep.replay.spiking_drives import population_drives
from neurosleep.replay.spiking_homeostasis import regulate_spikes
from neurosleep.replay.stages import NREM
from neurosleep.spiking import Record, SpikingNetwork, get_engine

__all__ = ["converted", "run_nrem", "spiking_form", "stage_device"]

# Frames of noise by which a network is scaled.
_CALIBRATION = 500


class _Spiking(NamedTuple):
    """A network that the model was converted into; by layer of the model, the population that stands for it."""

    network: SpikingNetwork
    populations: dict[str, str]


@torch.no_grad()
def run_nrem(
    model: nn.Module,
    noise: InputNoise,
    stage: NREM,
    rule: Homeostasis,
    *,
    set_points: Mapping[str, SetPoint] | None = None,
    in_rates: tuple[StageOutcome, nn.Module] | None = None,
    engine: str | None = None,
    record: Record | None = None,
    seed: int = 0,
    task: int = 0,
) -> tuple[StageOutcome, nn.Module]:
    """What ``stage`` does with ``rule``, and a regulated copy of ``model``.

    ``in_rates`` is the same in rates, where it is known already.
    """
    noise = stage.of(noise)
    points = dict(set_points or {}) if rule.target == "set-points" else None
    spiking, note = spiking_form(model, noise, stage, rule, seed=seed)
    if spiking is None:
        if in_rates is not None:
            return dataclasses.replace(in_rates[0], note=note), in_rates[1]
        done = regulate(model, noise, rule, set_points=points, draws=stage.draws, seed=seed, task=task)
        return StageOutcome("NREM", "rates", done, note=note), done.model
    layers = {population: layer for layer, population in spiking.populations.items()}
    if points is not None:
        points = {spiking.populations[name]: point for name, point in points.items() if name in spiking.populations}
    slept = regulate_spikes(
        spiking.network,
        noise,
        rule,
        oscillation=stage.oscillation,
        engine=engine,
        record=record,
        set_points=points,
        seed=seed,
        task=task,
        device=stage_device(model, engine),
    )
    named = RegulatedLayers(tuple(dataclasses.replace(one, name=layers[one.name]) for one in slept.layers))
    steps = stage.oscillation.steps * len(named.layers)
    return StageOutcome("NREM", "spikes", named, steps=steps, recording=slept.recording), slept.woken(model)


def stage_device(model: nn.Module, engine: str | None) -> str:
    """Where a spiking stage of ``model`` is stepped: where the model is, if the engine named computes there."""
    device = device_of(model)
    able = engine is None or torch.device(device).type in get_engine(engine).devices
    return device if able else "cpu"


def spiking_form(
    model: nn.Module, noise: InputNoise, stage: NREM, rule: Homeostasis, *, seed: int
) -> tuple[_Spiking | None, str]:
    """The spiking network that sleeps in the place of ``model``; None for the form of rates, and why, if it may be."""
    if stage.form == "rates":
        return None, ""
    if rule.layers is not None and stage.form == "auto":
        return None, "in rates, since only some layers change"
    try:
        return converted(model, noise, seed), ""
    except (ConversionError, UnsupportedError) as error:
        if stage.form == "spikes":
            raise
        return None, f"in rates, since {_first_sentence(error)}"


def converted(model: nn.Module, noise: InputNoise, seed: int) -> _Spiking:
    """The spiking network that regulates in the place of ``model``; refuses a model that has none."""
    if isinstance(model, EquilibriumNetwork):
        raise UnsupportedError("the drives of an equilibrium network are those at its fixed point.")
    plain = copied(model).float().cpu().eval()
    network = convert(plain, noise.frames(_CALIBRATION, seed=seed), recipe=Percentile(99.9))
    drives = trace_drives(plain, noise.frames(2, seed=seed)).drives
    populations = population_drives(network, None)
    units = [drive.units(network) for drive in populations]
    if [drive.units for drive in drives] != units:
        raise UnsupportedError(
            f"the layers of the spiking network are not those of the model{_other_layer(network)}.",
            hint="form='rates' regulates the model itself",
        )
    if [drive.output for drive in drives] != [drive.output for drive in populations]:
        raise UnsupportedError("the scores of the classes come from several layers, which regulate together.")
    for drive, population in zip(drives, populations, strict=True):
        stays = any(part.bias is not None and part.free_bias is None for part in drive.parts)
        if population.has_bias(network) and (stays or drive.mover.free_bias is None):
            raise UnsupportedError(f"the bias of layer {drive.name!r} stays, which the spiking network cannot tell.")
    pairs = zip(drives, populations, strict=True)
    return _Spiking(network, {drive.name: population.name for drive, population in pairs})


def _other_layer(network: ConvertedNetwork) -> str:
    """The first layer that became populations of fixed weights, which stand for no layer with weights of the model."""
    for layer, became in network.report.became:
        if any(
            words in became for words in ("differences", "fixed weights", "a number per channel", "the same matrix")
        ):
            return f": {layer!r} became {became.partition(', max(')[0].partition(':')[0]}"
    return ""


def _first_sentence(error: NeurosleepError) -> str:
    text = str(error).splitlines()[0].rstrip(".")
    return text[:1].lower() + text[1:]
