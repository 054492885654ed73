"""What came of a sleep phase: the network, what was recorded, and what it did to the model."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass
from math import isnan, nan
from typing import Any, Literal

import torch
from torch import Tensor

from neurosleep._shown import html_table, short_line, to_frame
from neurosleep.replay.moved_answers import MovedAnswers
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
        a, b = before.detach(), after.detach()
        norm, difference = (float(torch.linalg.vector_norm(one, dtype=torch.float64)) for one in (a, b - a))
        return cls(name, int((a != b).count_nonzero()) / a.numel(), difference / norm if norm else nan)


@dataclass(frozen=True, eq=False)
class SleepReport:
    """What sleep did to a model.

    Attributes
    ----------
    layers:
        The weights of each layer.
    spikes:
        Fired in it by all populations but the input.
    moved:
        The answers to the newest samples before and after; None where there were no samples.
    biased:
        Layers whose biases stayed as they were.

    See Also
    --------
    neurosleep.consolidate : whose result holds it

    Examples
    --------
    >>> from neurosleep.replay import LayerChange, SleepReport
    >>> report = SleepReport((LayerChange("0.weight", 0.25, 1.0),), spikes=120)
    >>> report.rows()
    [{'name': '0.weight', 'changed': 0.25, 'relative': 1.0}]
    """

    layers: tuple[LayerChange, ...]
    spikes: int
    moved: MovedAnswers | None = None
    biased: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return short_line(f"<SleepReport: {len(self.layers)} layers, {self._said}>")

    @property
    def images(self) -> int:
        """How many images the model was asked about, before and after."""
        return 0 if self.moved is None else self.moved.images

    @property
    def answers_changed(self) -> float:
        """Which part of its answers to them is another, 0 to 1; NaN where there were none."""
        return nan if self.moved is None else self.moved.share

    @property
    def _said(self) -> str:
        spikes = f"{self.spikes} spikes"
        if self.moved is None:
            return spikes
        answers = f"{100 * self.answers_changed:.1f} % of {self.images} answers changed"
        return f"{answers}; {spikes}" if self.spikes else answers

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
    """What came of :func:`~neurosleep.sleep`.

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
    fired:
        Spikes of all populations but the inputs, in all streams.

    See Also
    --------
    neurosleep.sleep : which returns it
    neurosleep.wake : the weights in the model that was converted

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> model = ns.MLP([4, 30, 20], init=0.5, generator=torch.Generator().manual_seed(0))
    >>> x = torch.rand(20, 4, generator=torch.Generator().manual_seed(1))
    >>> network = ns.convert(model, x)
    >>> drive = ns.MeanDrive(x.mean(0).double().numpy(), max_rate=200.0)
    >>> result = ns.sleep(network, drive=drive, rule=ns.SRCRule(0.01, 0.001), steps=100)
    >>> result.status, result.recording.steps
    ('done', 100)
    """

    network: SpikingNetwork
    recording: Recording
    status: Literal["done", "diverged"]
    seconds: float
    divergence: Divergence | None = None
    fired: int = 0

    def __repr__(self) -> str:
        end = f" ({self.divergence})" if self.divergence is not None else ""
        steps = f"{self.recording.steps} steps in {self.seconds:.3g} s"
        return short_line(f"<SleepResult: {self.status}{end}, {steps}, {self.fired} spikes>")

    def _repr_html_(self) -> str:
        """What it was, and the table of its recording."""
        return f"<p>{html.escape(repr(self))}</p>{self.recording._repr_html_()}"
