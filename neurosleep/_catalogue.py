"""What the package has by name, with a line on each: read without torch, so that a list of it comes at once.

The registries themselves lie where the things are; that both name the same is tested.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from neurosleep._reproductions import load_reproduction, reproduction_names
from neurosleep.errors import unknown_name

__all__ = ["KINDS", "Entry", "catalogue", "experiment_names", "profile_folder", "profile_names"]

_STRATEGIES = {
    "sequential": "task after task, nothing against forgetting: the lower bound",
    "joint": "all tasks at once: the upper bound",
    "joint-matched": "all tasks at once, with as many updates as task after task",
    "ewc": "Elastic Weight Consolidation: important weights are held",
    "si": "Synaptic Intelligence: weights are held by what they did for the loss",
    "owm": "Orthogonal Weights Modification: updates leave old inputs alone",
    "lwf": "Learning without Forgetting: the old network's outputs are a second target",
    "rehearsal": "a fraction of old images is trained on again",
    "icarl": "iCaRL: stored examples, distillation, nearest mean",
    "sleep": "homeostatic sleep: units regulate mean and spread of their drive",
    "src": "Sleep Replay Consolidation: spiking sleep under a rule of plasticity",
}
_ENGINES = {
    "event": "compiled, touches what fired only; the default",
    "fixed": "the integers of a chip's profile",
    "norse": "Norse's cells (extra norse)",
    "reference": "the definition, step by step in plain torch",
    "snntorch": "snnTorch's neurons",
    "torch": "tensors on any device, CUDA too",
}
_RULES = {
    "bcm": "Bienenstock, Cooper and Munro: the threshold of change slides with activity",
    "oja": "Oja: Hebbian with weights that stay bounded",
    "src": "the rule of Sleep Replay Consolidation",
    "src-pooled": "that rule on weights that convolutions share",
    "stdp": "pairs of spikes",
    "stdp-multiplicative": "pairs of spikes, changes in proportion to the weight",
    "stdp-sign": "pairs of spikes, of which only the order counts",
    "stdp-triplet": "triplets of spikes",
}
_DATASETS = {
    "breast-cancer": "30 measures of tumours, 2 classes (scikit-learn)",
    "cifar10": "colour images of 32 x 32, 10 classes",
    "cifar10-efficientnet": "features of EfficientNet-lite0",
    "cifar10-efficientnet-128": "the same of images enlarged to 128 pixels",
    "cifar10-resnet50": "features of ResNet-50",
    "cifar10-vgg": "features of a VGG-like network of our own",
    "covertype-like": "made up, as large as Covertype",
    "digits": "8 x 8 digits (scikit-learn)",
    "fashion-mnist": "clothes, 28 x 28, 10 classes",
    "kmnist": "Kuzushiji-MNIST",
    "kmnist-resplit": "its official test part, split anew",
    "mnist": "digits, 28 x 28",
    "mnist-mini": "some thousand of them, inside the package",
    "tiny-imagenet-100": "100 classes of Tiny ImageNet",
    "tiny-imagenet-100-efficientnet": "features of EfficientNet-lite0",
    "tiny-imagenet-100-efficientnet-128": "the same of images enlarged to 128 pixels",
    "tiny-imagenet-100-resnet50": "features of ResNet-50",
    "wine": "13 measures of wines, 3 classes (scikit-learn)",
}
KINDS = ("experiments", "strategies", "engines", "rules", "profiles", "datasets")

# The first sentence of a comment; "et al." ends none.
_SENTENCE = re.compile(r"(.+?)(?:(?<!al)\.(?:\s|$)|$)", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A line on one thing.

    ``published`` are the accuracies in percent that a publication reports, by strategy (and variant); ``minutes`` are
    those of a run on one processor, where they are known.
    """

    name: str
    text: str
    published: Mapping[str, float] | None = None
    minutes: float | None = None


# Installed files do not come and go while a program runs.
@cache
def experiment_names() -> tuple[str, ...]:
    """The experiments that come with the package.

    See Also
    --------
    load_settings : the settings of one

    Examples
    --------
    >>> from neurosleep.experiments import experiment_names
    >>> "src2022/mnist" in experiment_names()
    True
    """
    root = resources.files("neurosleep") / "experiments" / "published"
    names = []
    for folder in root.iterdir():
        # What tables and figures of papers are made of is no experiment.
        if folder.is_dir() and folder.name != "reproduce":
            files = [file.name for file in folder.iterdir() if file.name.endswith(".toml")]
            # The search spaces that a group of experiments shares lie beside them.
            names += [f"{folder.name}/{file[:-5]}" for file in files if file != "tune.toml"]
    return tuple(sorted(names))


def profile_folder() -> Path:
    """Where the shipped profiles lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "hardware_profiles"
    return installed if installed.is_dir() else package.parent / "hardware_profiles"


def profile_names() -> tuple[str, ...]:
    """The names of the shipped profiles.

    See Also
    --------
    load_profile : loads one

    Examples
    --------
    >>> from neurosleep.hardware import profile_names
    >>> "loihi1" in profile_names()
    True
    """
    return tuple(sorted(path.stem for path in profile_folder().glob("*.toml")))


def catalogue(kind: str) -> tuple[Entry, ...]:
    """Everything of a kind, of :data:`KINDS`."""
    if kind not in KINDS:
        raise unknown_name("kind of thing", kind, KINDS)
    if kind == "experiments":
        seconds = _seconds()
        return tuple(_experiment(name, seconds.get(name)) for name in experiment_names())
    if kind == "profiles":
        return tuple(Entry(name, _profile(name)) for name in profile_names())
    texts = {"strategies": _STRATEGIES, "engines": _ENGINES, "rules": _RULES, "datasets": _DATASETS}[kind]
    return tuple(Entry(name, text) for name, text in texts.items())


def _experiment(name: str, seconds: float | None) -> Entry:
    file = resources.files("neurosleep") / "experiments" / "published" / f"{name}.toml"
    text = file.read_text(encoding="utf-8")
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    sentence = _SENTENCE.match(" ".join(lines))
    table: dict[str, Any] = tomllib.loads(text).get("published", {})
    figures = {strategy: one["mean"] for strategy, one in table.items() if isinstance(one, dict) and "mean" in one}
    minutes = None if seconds is None else seconds / 60
    return Entry(name, sentence.group(1) if sentence else "", figures or None, minutes)


@cache
def _seconds() -> dict[str, float]:
    """Processor time of a run of an experiment, the mean over those that tables and figures are made of."""
    times: dict[str, list[float]] = {}
    for name in reproduction_names():
        for part in load_reproduction(name).parts:
            times.setdefault(part.experiment, []).append(part.seconds)
    return {experiment: sum(values) / len(values) for experiment, values in times.items()}


def _profile(name: str) -> str:
    profile = tomllib.loads((profile_folder() / f"{name}.toml").read_text(encoding="utf-8"))["profile"]
    return ", ".join(str(profile[key]) for key in ("name", "vendor", "kind") if profile.get(key))
