"""What an experiment's network becomes on chips: converted, mapped, and tested in integer arithmetic."""

from __future__ import annotations

import csv
import dataclasses
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurosleep._checks import check_count
from neurosleep.continual import AwakeNetwork
from neurosleep.conversion import LAYER_RECIPES, RECIPES, ConvertedNetwork, RecipeName, convert
from neurosleep.data import Task, to_float
from neurosleep.errors import MappingError, SettingsError, UnsupportedError, unknown_name
from neurosleep.experiments.experiment import Experiment
from neurosleep.experiments.metrics import ChipRow, OnChip
from neurosleep.experiments.usual import CHIP_RECIPE
from neurosleep.functional import Reset, numpy_generator
from neurosleep.hardware import (
    STATEMENT,
    HardwareProfile,
    MappedNetwork,
    energy_of,
    load_profile,
    map_to,
)
from neurosleep.networks import MLP
from neurosleep.spiking import SpikingNetwork, simulate

__all__ = ["Deployment", "deploy", "deployment_of", "deployment_table"]


@dataclass(frozen=True)
class Deployment:
    """What is asked of chips.

    Parameters
    ----------
    profiles:
        Names or files of the chips.
    images, steps:
        Number of test images, drawn at random, and how long each is shown, as Bernoulli spikes.
    recipe:
        Of the conversion, which is calibrated on the newest task's training images.
    allow_split:
        Whether a network that does not fit otherwise has its sums split over helper neurons.
    """

    profiles: tuple[str, ...]
    images: int = 1000
    steps: int = 100
    recipe: RecipeName = CHIP_RECIPE
    allow_split: bool = False

    def __post_init__(self) -> None:
        if not self.profiles:
            raise SettingsError("hardware.profiles is [].", expected="a list of names of profiles, or of files")
        for name in self.profiles:
            load_profile(name)
        check_count("hardware.images", self.images)
        check_count("hardware.steps", self.steps)
        if self.recipe not in RECIPES:
            raise unknown_name("recipe", str(self.recipe), RECIPES)


def deployment_of(experiment: Experiment) -> Deployment | None:
    """What an experiment asks of chips, checked; None if it names none."""
    given = {key: value for key, value in vars(experiment.hardware).items() if value is not None}
    if "profiles" not in given:
        if given:
            raise SettingsError(
                f"hardware.{next(iter(given))} is given without chips.", expected="hardware.profiles with it"
            )
        return None
    if experiment.network.kind != "mlp":
        raise SettingsError(
            f"A network of kind {experiment.network.kind!r} is not put on chips here.", expected="network.kind mlp"
        )
    deployment = Deployment(**given)
    if experiment.network.bias and deployment.recipe in LAYER_RECIPES:
        raise SettingsError(
            f"hardware.recipe is {deployment.recipe!r}, which knows no biases, and network.bias is true.",
            expected=", ".join(name for name in RECIPES if name not in LAYER_RECIPES),
        )
    return deployment


@torch.no_grad()
def deploy(
    network: AwakeNetwork,
    tasks: Sequence[Task],
    deployment: Deployment,
    *,
    seed: int = 0,
    report: Callable[[str], None] = lambda text: None,
) -> list[ChipRow]:
    """One row for each chip, of plain names and numbers.

    Returns
    -------
    list
        ``profile``; ``reset`` of the neurons that it is given; ``images`` and ``steps``; accuracies (fractions) of the
        awake network, of the spiking one in floating point, and of the one on the chip (``awake``, ``converted``,
        ``mapped``), all on the same images; ``fits``, perhaps with sums that were ``split``, and ``missing``, what does
        not fit or is not there, one sentence each; ``cores``; ``weight_error``, the largest of a layer; ``energy``:
        ``low_j`` and ``high_j`` an image over the conventions (None: not estimated, ``reason`` says why), ``basis`` and
        ``statement``; ``seconds_mapping``. What is not known of a chip is None.
    """
    assert isinstance(network, MLP)  # deployment_of checks it
    images = np.concatenate([task.test_images for task in tasks])
    labels = torch.from_numpy(np.concatenate([task.test_labels for task in tasks])).long()
    chosen = numpy_generator(seed, "deployment").permutation(len(labels))[: deployment.images]
    x = torch.from_numpy(to_float(images[chosen])).flatten(1)
    y = labels[torch.from_numpy(chosen)]
    calibration = torch.from_numpy(to_float(tasks[-1].pool_images)).flatten(1)
    was_training = network.training
    network.eval()
    awake = _right(network(x), y)
    converted: dict[Reset, tuple[ConvertedNetwork, float]] = {}
    rows: list[ChipRow] = []
    for name in deployment.profiles:
        report(f"on {name}")
        profile = load_profile(name)
        reset: Reset = "subtract" if "subtract_threshold" in (profile.reset.modes or ()) else "to_value"
        if reset not in converted:
            # In float64, as chips' integers are kept, so that both are given the same spikes.
            spiking = convert(network, calibration, recipe=deployment.recipe, reset=reset).to(torch.float64)
            found = simulate(spiking, x, deployment.steps, coding="bernoulli", seed=seed)
            converted[reset] = spiking, float(found.accuracy(y)[-1])
        spiking, accuracy = converted[reset]
        rows.append(
            {
                "profile": profile.id,
                "reset": reset,
                "images": len(y),
                "steps": deployment.steps,
                "awake": awake,
                "converted": accuracy,
                **_on_chip(spiking, profile, x, y, deployment, seed),
            }
        )
    network.train(was_training)
    return rows


def _right(read_out: Tensor, labels: Tensor) -> float:
    return float((read_out.argmax(1) == labels).double().mean())


def _mapped(network: SpikingNetwork, profile: HardwareProfile, deployment: Deployment) -> tuple[MappedNetwork, bool]:
    """The network on the chip, and whether its sums had to be split for that."""
    try:
        return map_to(network, profile, steps=deployment.steps), False
    except MappingError as error:
        if not deployment.allow_split:
            raise
        try:
            return map_to(network, profile, steps=deployment.steps, allow_split=True), True
        except MappingError as split:
            # Not what splitting would mend is in the way, but what it needs then: of each limit once.
            found = [f for f in error.findings if "allow_split" not in (f.hint or "")]
            for f in split.findings:
                if f.level == "error" and f.limit not in {other.limit for other in found}:
                    found.append(dataclasses.replace(f, text=f"with split sums, {f.text}"))
            raise MappingError(split.message, findings=tuple(found)) from None


def _on_chip(
    network: SpikingNetwork, profile: HardwareProfile, x: Tensor, y: Tensor, deployment: Deployment, seed: int
) -> OnChip:
    """What is found on one chip, or why the network is not there."""
    start = time.perf_counter()
    try:
        mapped, split = _mapped(network, profile, deployment)
    except (MappingError, UnsupportedError) as error:
        findings = getattr(error, "findings", ())
        missing = [str(f) for f in findings if f.level == "error"] or [str(error).splitlines()[0]]
        return {
            "fits": False,
            "split": False,
            "missing": missing,
            "mapped": None,
            "cores": None,
            "weight_error": None,
            "energy": None,
            "seconds_mapping": time.perf_counter() - start,
        }
    seconds = time.perf_counter() - start
    found = simulate(mapped, x, deployment.steps, coding="bernoulli", engine="fixed", seed=seed)
    energy = energy_of(mapped, found, profile)
    low, high = energy.interval or (None, None)
    errors = [row.error for row in mapped.report.layers if row.error is not None]
    return {
        "fits": True,
        "split": split,
        "missing": [],
        "mapped": float(found.accuracy(y)[-1]),
        "cores": mapped.report.cores,
        "weight_error": max(errors, default=None),
        "energy": {
            "low_j": None if low is None else low / len(y),
            "high_j": None if high is None else high / len(y),
            "basis": energy.basis,
            "reason": energy.reason,
            "statement": STATEMENT,
        },
        "seconds_mapping": seconds,
    }


def deployment_table(rows: Sequence[ChipRow]) -> str:
    """The rows of :func:`deploy` as CSV, energies in columns of their own."""
    flat = []
    for row in rows:
        energy: dict[str, object] = dict(row["energy"] or {})
        columns = {key: value for key, value in row.items() if key not in ("energy", "missing")}
        numbers = {f"energy_{key}": energy.get(key) for key in ("low_j", "high_j", "basis")}
        flat.append(columns | numbers | {"missing": "; ".join(row["missing"])})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()
