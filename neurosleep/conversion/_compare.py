"""A converted network against its model, layer by layer and step by step: where a conversion loses what."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neurosleep._checks import as_images
from neurosleep._shown import html_table, named, short_line, to_frame
from neurosleep.conversion._model import check_model, evaluation_copy, number_type
from neurosleep.conversion._trace import matching
from neurosleep.conversion.converted import ConvertedNetwork
from neurosleep.conversion.plan import activations
from neurosleep.conversion.recipes import ActivityRecipe
from neurosleep.conversion.report import ConversionReport
from neurosleep.errors import ConversionError, SettingsError
from neurosleep.spiking import Coding, simulate

__all__ = ["ConversionCheck", "LayerCheck", "compare"]

# A unit that fires in so large a part of the steps can hardly fire more.
_SATURATED = 0.99


@dataclass(frozen=True)
class LayerCheck:
    """One layer: activations of the model against spike rates times what a spike stands for.

    Attributes
    ----------
    population:
        Its name in the spiking network.
    error:
        Mean absolute difference over the mean absolute activation (None where the model's layer is silent).
    correlation:
        Pearson's, over all units and images (None where one side does not vary).
    saturated:
        Fraction of units and images that fire in at least 99 of 100 steps.
    silent:
        Fraction of those active in the model that never fire.

    See Also
    --------
    ConversionCheck : whose ``layers`` they are

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> from neurosleep.conversion import compare
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> layer = compare(model, ns.convert(model, images), images, steps=200).layers[0]
    >>> layer.population, layer.error < 0.1
    ('hidden1', True)
    """

    population: str
    error: float | None
    correlation: float | None
    saturated: float
    silent: float


@dataclass(frozen=True)
class ConversionCheck:
    """What :func:`compare` found.

    Attributes
    ----------
    report, steps, images:
        The conversion's own report, the number of steps and of images.
    layers:
        One :class:`LayerCheck` per layer that fires, and for the last one, from first to last.
    accuracy_model, accuracy:
        Fraction right of the model, and of the spiking network after every step (None and empty without labels).
    advice:
        Where the loss arises and what to try, in sentences.

    See Also
    --------
    compare : makes it
    neurosleep.plot.conversion : a picture of it

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> from neurosleep.conversion import compare
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> check = compare(model, ns.convert(model, images), images, steps=100)
    >>> [layer.population for layer in check.layers], check.steps
    (['hidden1', 'output'], 100)
    """

    report: ConversionReport
    steps: int
    images: int
    layers: tuple[LayerCheck, ...]
    accuracy_model: float | None
    accuracy: tuple[float, ...]
    advice: tuple[str, ...]

    def __repr__(self) -> str:
        known = self.accuracy_model is not None
        right = f", accuracy {self.accuracy[-1]:.4g} of {self.accuracy_model:.4g}" if known else ""
        layers = named([layer.population for layer in self.layers])
        return short_line(f"<ConversionCheck: {self.images} images, {self.steps} steps{right}; {layers}>")

    def _repr_html_(self) -> str:
        """One row per layer."""
        return html_table(self.rows(), f"{self.images} images, {self.steps} steps")

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame`` (extra ``pandas``)."""
        return to_frame(self.rows())

    def rows(self) -> list[dict[str, object]]:
        """One row per layer."""
        return [dict(vars(layer)) for layer in self.layers]

    def to_json(self) -> dict[str, object]:
        """Everything, of plain lists, names and numbers."""
        return {
            **self.report.to_json(),
            "steps": self.steps,
            "compared_images": self.images,
            "compared": self.rows(),
            "accuracy_model": self.accuracy_model,
            "accuracy": list(self.accuracy),
            "advice": list(self.advice),
        }


@torch.no_grad()
def compare(
    model: nn.Module,
    network: ConvertedNetwork,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    steps: int = 100,
    coding: Coding = "constant",
    seed: int = 0,
) -> ConversionCheck:
    """Run both on ``images`` ``[n, ...]`` and compare every layer.

    Parameters
    ----------
    model, network:
        What was converted, and what :func:`~neurosleep.convert` made of it with the recipe ``Percentile``, ``Maximum``
        or ``Balance``. Max-pools are compared as what they became.
    images, labels:
        All are shown at once: a few hundred are enough. With ``labels`` ``[n]`` accuracies are compared too.
    steps, coding, seed:
        As for :func:`~neurosleep.simulate`.

    Raises
    ------
    ConversionError
        If the network was not converted, or with another recipe, or is that of another model.

    See Also
    --------
    neurosleep.convert : converts it
    neurosleep.plot.conversion : a picture of the result

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> from neurosleep.conversion import compare
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> check = compare(model, ns.convert(model, images), images, labels=torch.arange(50) % 4, steps=100)
    >>> len(check.accuracy)  # after every step
    100
    """
    if not isinstance(network, ConvertedNetwork):
        raise ConversionError(
            f"A {type(network).__name__} does not say how it was converted.",
            expected="what neurosleep.convert(model, images) made",
            hint="files keep no report: convert the model again",
        )
    report = network.report
    if not isinstance(report.recipe, ActivityRecipe) or not report.populations:
        raise ConversionError(
            f"A conversion with the recipe {report.recipe!r} cannot be compared: its rates stand for no activities.",
            expected="the recipe Percentile, Maximum or Balance",
        )
    model = check_model(model)
    images = as_images("images", images, SettingsError).to(number_type(model))
    plan = matching(model, images, [tuple(weight.shape) for weight in network.weights])
    present = {p.name for p in network.populations}
    missing = [name for name in (*report.populations, plan.output) if name not in present]
    if missing:
        raise ConversionError(
            f"The network has no population {missing[0]!r}.", expected="the network that this model was converted to"
        )
    recording = simulate(network, images, steps, coding=coding, seed=seed)
    spikes_for = dict(zip(report.populations, report.largest, strict=True))
    sums: dict[str, list[Tensor]] = {}
    for batch in activations(plan, images):
        for name, values in batch.items():
            sums.setdefault(name, []).append(values)
    layers = []
    for planned in plan.populations:
        name, ours = planned.name, None
        if name in spikes_for:
            # Spikes per step: 1 is the largest value that a unit can say.
            rate = torch.from_numpy(recording.counts[name]).to(network.dtype) / steps
            ours = rate * spikes_for[name]
        elif name == plan.output:
            rate, ours = None, torch.from_numpy(recording.read_out[-1]) / steps
        if ours is not None:
            layers.append(_layer(name, torch.cat(sums[name]), ours, rate))
    accuracy: tuple[float, ...] = ()
    accuracy_model = None
    if labels is not None:
        accuracy = tuple(float(a) for a in recording.accuracy(labels))
        # The model as it is, its max-pools included.
        accuracy_model = float((evaluation_copy(model)(images.clone()).argmax(1) == labels).double().mean())
    advice = _advice(report, layers, accuracy_model, accuracy)
    return ConversionCheck(report, steps, len(images), tuple(layers), accuracy_model, accuracy, advice)


def _layer(name: str, theirs: Tensor, ours: Tensor, rate: Tensor | None) -> LayerCheck:
    a, b = theirs.double().flatten(), ours.double().flatten()
    size = float(a.abs().mean())
    x, y = a - a.mean(), b - b.mean()
    norm = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    active = theirs > 0
    return LayerCheck(
        name,
        float((a - b).abs().mean()) / size if size > 0 else None,
        float((x * y).sum()) / norm if norm > 0 else None,
        0.0 if rate is None else float((rate >= _SATURATED).double().mean()),
        0.0 if rate is None or not active.any() else float((rate[active] == 0).double().mean()),
    )


def _advice(
    report: ConversionReport, layers: list[LayerCheck], model: float | None, accuracy: tuple[float, ...]
) -> tuple[str, ...]:
    sentences = [f"Note: {note}." for note in report.notes]
    errors = [0.0, *(layer.error or 0.0 for layer in layers)]
    if layers:
        gains = [after - before for before, after in itertools.pairwise(errors)]
        worst = gains.index(max(gains))
        sentences.append(
            f"The error grows most at {layers[worst].population!r}, "
            f"from {errors[worst]:.3g} to {errors[worst + 1]:.3g}."
        )
    for layer in layers:
        if layer.saturated > 0.01:
            sentences.append(
                f"{layer.population!r}: {layer.saturated:.1%} of its units fire in every step; a higher percentile, or "
                "the recipe Maximum, gives them room."
            )
        if layer.silent > 0.2:
            sentences.append(
                f"{layer.population!r}: {layer.silent:.1%} of its active units never fire; more steps, or a lower "
                "percentile, lets them."
            )
    if model is not None and accuracy and accuracy[-1] < model:
        last = len(accuracy)
        rising = accuracy[-1] > accuracy[last * 3 // 4 - 1] if last >= 4 else True
        sentences.append(
            f"Accuracy is {model - accuracy[-1]:.4f} below the model's after {last} steps"
            + (", and still rising: more steps help." if rising else ", and no longer rising.")
        )
    return tuple(sentences)
