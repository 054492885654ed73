"""What came of consolidating a model: the model after sleep, what each stage did, and whether it was kept."""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from neurosleep._shown import short_line, to_frame
from neurosleep.errors import ConversionError, NeurosleepWarning
from neurosleep.functional import SetPoint
from neurosleep.replay.guard import OutputDrive, Verdict
from neurosleep.replay.moved_answers import MovedAnswers
from neurosleep.replay.noise_response import NoiseResponse
from neurosleep.replay.regulated_layers import RegulatedLayers
from neurosleep.replay.result import Divergence, SleepReport, SleepResult
from neurosleep.spiking import Recording, SleepSpan

__all__ = ["Consolidation", "StageOutcome"]


@dataclass(frozen=True, eq=False)
class StageOutcome:
    """What one stage of a sleep did.

    Attributes
    ----------
    stage:
        ``"NREM"`` or ``"REM"``.
    form:
        ``"spikes"`` or ``"rates"``.
    regulated:
        Of NREM: mean and spread of every unit's drive before and after.
    phase:
        Of REM: what :func:`~neurosleep.sleep` gave.
    note:
        Why NREM took the form that it did, where it was to choose; else empty.
    steps:
        Of the form ``"spikes"``: steps of the spiking network, up and down states of all passes.
    recording:
        Of the form ``"spikes"``: what was recorded of it, if that was asked for.

    See Also
    --------
    Consolidation : all stages of a sleep

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    >>> result = ns.consolidate(model, torch.full((4,), 0.5), guard=False)
    >>> result.stages[0]
    <StageOutcome: NREM in rates, 11 units in 2 layers>
    """

    stage: Literal["NREM", "REM"]
    form: Literal["spikes", "rates"]
    regulated: RegulatedLayers | None = None
    phase: SleepResult | None = None
    note: str = ""
    steps: int = 0
    recording: Recording | None = None

    def __repr__(self) -> str:
        did = ""
        if self.regulated is not None:
            units = sum(int(layer.changed.sum()) for layer in self.regulated.layers)
            did = f"{units} units in {len(self.regulated.layers)} layers"
        elif self.phase is not None:
            did = f"{self.phase.recording.steps} steps, {self.phase.fired} spikes"
        return short_line(f"<StageOutcome: {self.stage} in {self.form}, {did}>")


@dataclass(frozen=True, eq=False)
class Consolidation:
    """What came of :func:`~neurosleep.consolidate`.

    Attributes
    ----------
    model:
        A copy of the model with the weights after sleep; after a sleep that was declined or diverged, as it was.
    status:
        ``"done"``; ``"declined"`` by the guard; ``"diverged"``; ``"silent"``: nothing fired or nothing varied, and
        nothing changed.
    reason:
        The status in one sentence, with numbers.
    report:
        What became of the parameters, and of the answers to the newest samples.
    stages:
        What each stage did, in turn.
    verdict:
        The guard's, if it was asked.
    seconds:
        Time it took.
    left:
        How it left the outputs driven, if it was done.
    response:
        What its outputs answer to noise, by which the guard judges the next sleep; of a sleep that it declined, what
        they answered after the last one.

    See Also
    --------
    neurosleep.consolidate, neurosleep.Consolidator : what returns it

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> result = ns.consolidate(model, torch.full((4,), 0.5), guard=False)
    >>> result.status, [layer.name for layer in result.report.layers]
    ('done', ['0.weight', '0.bias', '2.weight', '2.bias'])
    >>> result.rows()[0]["stage"], result.rows()[0]["layer"], len(result.rows())
    (1, '0', 11)
    >>> result.apply_to(model)
    """

    model: nn.Module
    status: Literal["done", "declined", "diverged", "silent"]
    reason: str
    report: SleepReport
    stages: tuple[StageOutcome, ...]
    verdict: Verdict | None
    seconds: float
    left: OutputDrive | None = None
    response: NoiseResponse | None = None

    def __repr__(self) -> str:
        return short_line(f"<Consolidation: {self.status}, {self.reason}; {self.seconds:.2g} s>")

    def _repr_html_(self) -> str:
        """Status, reason and verdict, what moved of the answers, each stage's units or spikes, and the parameters."""
        verdict = self.verdict
        said = [self.status, self.reason, f"{self.seconds:.2g} s"]
        if verdict is not None:
            numbers = {"gain score": verdict.gain, "damping": verdict.damping, "recall": verdict.recall}
            given = ", ".join(f"{name} {value:.3g}" for name, value in numbers.items() if not math.isnan(value))
            said.insert(2, f"guard: {'accepted' if verdict.accepted else 'declined'} ({given})")
        lines = "<br>".join(html.escape(line) for line in said[1:])
        parts = [f"<p><b>Consolidation: {html.escape(said[0])}</b><br>{lines}</p>"]
        if self.moved is not None and self.moved.share:
            parts.append(self.moved._repr_html_())
        for stage in self.stages:
            shown = stage.regulated if stage.regulated is not None else stage.phase
            parts.append("" if shown is None else shown._repr_html_())
        if self.report.layers:
            parts.append(self.report._repr_html_())
        return "".join(parts)

    @property
    def moved(self) -> MovedAnswers | None:
        """From which class to which the answers to the newest samples moved; None where there were no samples."""
        return self.report.moved

    def rows(self) -> list[dict[str, Any]]:
        """One row per unit of each NREM stage: the drive before and after, and what the unit did."""
        return [
            {"stage": number, **row}
            for number, stage in enumerate(self.stages, 1)
            if stage.regulated is not None
            for row in stage.regulated.rows()
        ]

    def to_pandas(self) -> Any:
        """:meth:`rows` as a ``pandas.DataFrame`` (extra ``pandas``); ``moved`` and ``report`` have tables of theirs."""
        return to_frame(self.rows())

    @property
    def set_points(self) -> dict[str, SetPoint]:
        """By layer, mean and spread that its units were to have in the first NREM stage."""
        for stage in self.stages:
            if stage.regulated is not None:
                return stage.regulated.set_points
        return {}

    @property
    def recording(self) -> Recording | None:
        """What the last stage recorded, if one did: REM stages do, NREM in spikes where ``record`` is given."""
        recordings = [stage.recording for stage in self.stages if stage.recording is not None]
        return recordings[-1] if recordings else None

    @property
    def hypnogram(self) -> tuple[SleepSpan, ...]:
        """Stages and states of the whole sleep, as far as they were recorded, one stage after another."""
        start, spans = 0, list[SleepSpan]()
        for stage in self.stages:
            if stage.recording is not None:
                spans += [replace(span, start=start + span.start) for span in stage.recording.hypnogram]
                start += stage.recording.steps
        return tuple(spans)

    @property
    def divergence(self) -> Divergence | None:
        """Where the sleep left its limits, if it did."""
        return next((stage.phase.divergence for stage in self.stages if stage.phase and stage.phase.divergence), None)

    @property
    def fired(self) -> int:
        """Spikes of all populations but the inputs, in the REM stages."""
        return sum(stage.phase.fired for stage in self.stages if stage.phase is not None)

    @property
    def gain(self) -> float:
        """The guard's gain score: how far the newest classes were driven above the older ones; NaN if not known."""
        return math.nan if self.verdict is None else self.verdict.gain

    def apply_to(self, model: nn.Module) -> None:
        """Give ``model`` the parameters after sleep, in place: they stay the tensors that an optimiser knows.

        Parameters
        ----------
        model:
            The one that was given to :func:`~neurosleep.consolidate`, or another with parameters of the same names.

        Raises
        ------
        ConversionError
            If ``model`` lacks one of the parameters, before any is changed.

        Warns
        -----
        NeurosleepWarning
            If the sleep diverged, so that there is nothing to apply.
        """
        present = dict(model.named_parameters()) if isinstance(model, nn.Module) else {}
        names = [layer.name for layer in self.report.layers]
        _check_fit(model, present, self.model, names)
        if self.status == "diverged":
            warnings.warn(f"The model stays as it is: {self.reason}.", NeurosleepWarning, stacklevel=2)
            return
        with torch.no_grad():
            for name in names:
                present[name].copy_(self.model.get_parameter(name))


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
