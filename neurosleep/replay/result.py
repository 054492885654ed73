"""What came of a sleep phase: the network, what was recorded, and what it did to the model."""

from __future__ import annotations

import html
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan, nan
from typing import Any, Literal

import torch
from torch import Tensor, nn

from neurosleep._shown import html_table, short_line, to_frame
from neurosleep.errors import ConversionError, NeurosleepWarning, UnsupportedError
from neurosleep.spiking import Recording, SpikingNetwork

__all__ = ["Divergence", "LayerChange", "SleepReport", "SleepResult"]


@dataclass(frozen=True)
class Divergence:
    """Where a sleep left the limits.

    Attributes
    ----------
    step:
        After which step that was seen.
    projection:
        The projection whose weights did, or the firing.
    value:
        Size of the largest of those weights (NaN if one is), or spikes per step.

    See Also
    --------
    neurosleep.sleep : whose result holds it

    Examples
    --------
    >>> from neurosleep.replay import Divergence
    >>> Divergence(step=2000, projection="input -> hidden1", value=1.5e6)
    Divergence(step=2000, projection='input -> hidden1', value=1500000.0)
    """

    step: int
    projection: str
    value: float = nan

    def __str__(self) -> str:
        if self.projection.startswith("firing"):
            return f"by step {self.step} the network fired {self.value:.4g} spikes per step"
        what = "a weight was no number" if isnan(self.value) else f"a weight had reached {self.value:.4g}"
        return f"by step {self.step} {what} in the projection {self.projection}"


@dataclass(frozen=True)
class LayerChange:
    """What sleep did to one layer's weights.

    Attributes
    ----------
    name:
        Of the parameter.
    changed:
        Which part of its weights is another than before, 0 to 1.
    relative:
        Norm of the change over the norm before; NaN of weights that were all 0.

    See Also
    --------
    SleepReport : whose ``layers`` they are

    Examples
    --------
    >>> import torch
    >>> from neurosleep.replay import LayerChange
    >>> LayerChange.of("0.weight", torch.ones(2, 2), torch.tensor([[1.0, 1.0], [1.0, 3.0]]))
    LayerChange(name='0.weight', changed=0.25, relative=1.0)
    """

    name: str
    changed: float
    relative: float

    @classmethod
    def of(cls, name: str, before: Tensor, after: Tensor) -> LayerChange:
        """What lies between two states of a weight."""
        a, b = before.detach().double(), after.detach().double()
        norm = float(a.norm())
        return cls(name, float((a != b).double().mean()), float((b - a).norm()) / norm if norm else nan)


@dataclass(frozen=True, eq=False)
class SleepReport:
    """What sleep did to a model.

    Attributes
    ----------
    layers:
        The weights of each layer.
    spikes:
        Fired in it by all populations but the input.
    images:
        How many images the model was asked about, before and after.
    answers_changed:
        Which part of its answers to them is another, 0 to 1.
    biased:
        Layers whose biases stayed as they were.

    See Also
    --------
    neurosleep.consolidate : whose result holds it

    Examples
    --------
    >>> from neurosleep.replay import LayerChange, SleepReport
    >>> report = SleepReport((LayerChange("0.weight", 0.25, 1.0),), spikes=120, images=500, answers_changed=0.02)
    >>> report.rows()
    [{'name': '0.weight', 'changed': 0.25, 'relative': 1.0}]
    """

    layers: tuple[LayerChange, ...]
    spikes: int
    images: int
    answers_changed: float
    biased: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return short_line(f"<SleepReport: {len(self.layers)} layers, {self._said}>")

    @property
    def _said(self) -> str:
        return f"{100 * self.answers_changed:.1f} % of {self.images} answers changed; {self.spikes} spikes"

    def rows(self) -> list[dict[str, Any]]:
        """One row per layer."""
        return [asdict(layer) for layer in self.layers]

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame`` (extra ``pandas``)."""
        return to_frame(self.rows())

    def _repr_html_(self) -> str:
        return html_table(self.rows(), f"SleepReport: {self._said}")


@dataclass(frozen=True, eq=False)
class SleepResult:
    """What came of :func:`~neurosleep.sleep` or :func:`~neurosleep.consolidate`.

    Attributes
    ----------
    network:
        The spiking network after sleep; after a divergence as it was before.
    recording:
        What was recorded.
    status:
        ``"done"`` or ``"diverged"`` (then ``divergence`` says where).
    seconds:
        Time it took.
    model, report:
        Of :func:`~neurosleep.consolidate`: a copy of the model with the weights after sleep, and what became of them;
        None of :func:`~neurosleep.sleep`, where :func:`~neurosleep.wake` makes the model.

    See Also
    --------
    neurosleep.sleep, neurosleep.consolidate : what returns it

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> model = ns.MLP([4, 30, 20], init=0.5, generator=torch.Generator().manual_seed(0))
    >>> x = torch.rand(20, 4, generator=torch.Generator().manual_seed(1))
    >>> sleep = ns.Sleep.src2022(steps=100, rates=[0.01, 0.01], rule=ns.SRCRule(1e-6, 1e-7))
    >>> result = ns.consolidate(model, mean=x.mean(0), calibration=x, sleep=sleep)
    >>> result.status, [layer.name for layer in result.report.layers]
    ('done', ['layers.0.weight', 'layers.1.weight'])
    >>> result.apply_to(model)
    """

    network: SpikingNetwork
    recording: Recording
    status: Literal["done", "diverged"]
    seconds: float
    divergence: Divergence | None = None
    model: nn.Module | None = None
    report: SleepReport | None = None

    def __repr__(self) -> str:
        end = f" ({self.divergence})" if self.divergence is not None else ""
        steps = f"{self.recording.steps} steps in {self.seconds:.3g} s"
        return short_line(f"<SleepResult: {self.status}{end}, {steps}, {self.fired} spikes>")

    def _repr_html_(self) -> str:
        """What it was, the table of its report, if it has one, and that of its recording."""
        report = "" if self.report is None else self.report._repr_html_()
        return f"<p>{html.escape(repr(self))}</p>{report}{self.recording._repr_html_()}"

    @property
    def fired(self) -> int:
        """Spikes of all populations but the inputs."""
        inputs = {population.name for population in self.network.inputs}
        return sum(int(counts.sum()) for name, counts in self.recording.counts.items() if name not in inputs)

    def apply_to(self, model: nn.Module) -> None:
        """Give ``model`` the weights after sleep, in place: its parameters stay the tensors that an optimiser knows.

        Parameters
        ----------
        model:
            The one that was given to :func:`~neurosleep.consolidate`, or another with parameters of the same names.

        Raises
        ------
        UnsupportedError
            If this is the result of :func:`~neurosleep.sleep`, which knows no model.
        ConversionError
            If ``model`` lacks one of the parameters, before any is changed.

        Warns
        -----
        NeurosleepWarning
            If the sleep diverged, so that there is nothing to apply.
        """
        if self.model is None or self.report is None:
            raise UnsupportedError(
                "The result of neurosleep.sleep belongs to no model.",
                expected="the result of neurosleep.consolidate",
                hint="neurosleep.wake(result.network, model) makes a copy of the model",
            )
        if self.status == "diverged":
            warnings.warn(
                f"The sleep diverged, and the model stays as it is: {self.divergence}.", NeurosleepWarning, stacklevel=2
            )
            return
        present = dict(model.named_parameters()) if isinstance(model, nn.Module) else {}
        _check_fit(model, present, self.model, [layer.name for layer in self.report.layers])
        with torch.no_grad():
            for layer in self.report.layers:
                present[layer.name].copy_(self.model.get_parameter(layer.name))


def _check_fit(model: object, present: dict[str, nn.Parameter], source: nn.Module, names: Sequence[str]) -> None:
    for name in names:
        shape = source.get_parameter(name).shape
        if name not in present or present[name].shape != shape:
            given = f"one of shape {list(present[name].shape)}" if name in present else type(model).__name__
            raise ConversionError(
                f"The model has no parameter {name!r} of shape {list(shape)}.",
                found=given,
                expected="the model that slept, or one that is built like it",
            )
