"""A network's file onto a chip: what ``neurosleep map`` does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

from neurosleep.errors import NeurosleepError, unknown_name
from neurosleep.exchange import ReadOptions, read_calibration, read_labels, read_spiking
from neurosleep.hardware._energy_of import energy_of
from neurosleep.hardware.arithmetic.rounding import Rounding
from neurosleep.hardware.mapping.map_network import map_to
from neurosleep.hardware.mapping.mapped import MappedNetwork
from neurosleep.hardware.profiles.load import load_profile
from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.hardware.report import MappingFinding
from neurosleep.spiking import SPIKE_CODINGS, Coding, Recording, simulate

__all__ = ["map_file"]

# Of calibration images, of which there may be thousands, so many are simulated.
_CALIBRATION = 100
_PLAIN = ReadOptions()


def map_file(
    model: str | Path,
    profile: HardwareProfile | str,
    *,
    read: ReadOptions = _PLAIN,
    rounding: str | None = None,
    seed: int = 0,
    steps: int = 100,
    allow_split: bool = False,
    mismatch_sd: float | None = None,
    inputs: str | Path | None = None,
    coding: str = "bernoulli",
    labels: str | Path | None = None,
) -> dict[str, Any]:
    """Read a network, convert it if it is awake, and say what it becomes on a chip, fits it or not.

    With images the mapped network is simulated in the chip's integers, and its energy estimated of what it did.

    An awake network is given neurons whose reset subtracts the threshold if the chip has such, else resets to 0; the
    findings then say so.

    Parameters
    ----------
    model, read:
        The file, and how it is read.
    profile, rounding, seed, steps, allow_split, mismatch_sd:
        As for :func:`~neurosleep.map_to`.
    inputs:
        File of images of intensities from 0 to 1, each shown for ``steps`` steps; left out, the first hundred of the
        calibration images, where there are any and they are of that kind.
    coding:
        How images become spikes: ``bernoulli`` or ``poisson``.
    labels:
        File (.npy) of the class of each of the images in ``inputs``, for the accuracy.

    Returns
    -------
    dict
        ``profile``, ``fits``, ``cores``, ``layers``, ``findings`` and ``energy``; with labels ``accuracy`` too:
        fractions of the ``images``, on the ``chip`` and of the ``network`` that it was given.

    Raises
    ------
    NeurosleepError
        If a file cannot be read, or the chip does not have the network's dynamics at all.

    See Also
    --------
    neurosleep.map_to : of a network in memory

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> from neurosleep.hardware import map_file
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, reset="to_value", read_out="spikes")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mapped = map_file(ns.save(network, f"{folder}/network.safetensors"), "loihi1")
    >>> mapped["fits"], mapped["cores"]
    (True, 2)
    """
    if isinstance(profile, str):
        profile = load_profile(profile)
    # Calibration images are what only an awake network has; every recipe knows a reset to 0.
    awake, modes = read.calibration is not None, profile.reset.modes
    to_value = awake and read.reset is None and modes is not None and "subtract_threshold" not in modes
    network = read_spiking(model, dataclasses.replace(read, reset="to_value") if to_value else read)
    way = cast("Rounding | None", rounding)
    if coding not in SPIKE_CODINGS:
        raise unknown_name("coding", coding, SPIKE_CODINGS)
    mapped = map_to(
        network,
        profile,
        rounding=way,
        seed=seed,
        steps=steps,
        strict=False,
        allow_split=allow_split,
        mismatch_sd=mismatch_sd,
    )
    report = mapped.report
    file = inputs if inputs is not None else read.calibration
    expected = None if labels is None else read_labels(labels, inputs)
    accuracy: dict[str, Any] | None = None
    if file is not None:
        shown = (steps, coding, seed)
        energy, recording = _energy(mapped, profile, file, shown, inputs is not None)
        report = dataclasses.replace(report, energy=energy)
        if expected is not None and recording is not None:
            before = simulate(network, read_calibration(file, "file of inputs"), steps, coding=coding, seed=seed)
            accuracy = {
                "images": len(expected),
                "chip": float(recording.accuracy(expected)[-1]),
                "network": float(before.accuracy(expected)[-1]),
            }
    outcome = report.to_json()
    if to_value:
        text = "neurons reset to 0: the chip has no reset that subtracts the threshold"
        outcome["findings"].insert(0, MappingFinding("note", "", text).to_json())
    return outcome if accuracy is None else {**outcome, "accuracy": accuracy}


def _energy(
    network: MappedNetwork,
    profile: HardwareProfile,
    file: str | Path,
    shown: tuple[int, Coding, int],
    asked: bool,
) -> tuple[dict[str, Any], Recording | None]:
    """Energy and recording of images of a file; those not meant for it (not ``asked``) need not serve."""
    steps, coding, seed = shown
    try:
        images = read_calibration(file, "file of inputs" if asked else "calibration file")
        if not asked:
            images = images[:_CALIBRATION]
        engine = "fixed" if network.arithmetic is not None else None
        recording = simulate(network, images, steps, coding=coding, engine=engine, seed=seed)
        return energy_of(network, recording, profile).to_json(), recording
    except NeurosleepError as error:
        if asked:
            raise
        reason = f"the calibration images could not be shown to the network: {error.message}"
        return {**network.report.energy, "reason": reason}, None
