"""What is known of the data, and the guard's verdict on a sleep from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TypeAlias

from torch import Tensor, nn

from neurosleep.functional import Homeostasis, InputNoise, SetPoint
from neurosleep.replay._nrem import run_nrem
from neurosleep.replay.consolidation import StageOutcome
from neurosleep.replay.guard import Guard, OutputDrive, Verdict, newest_recall
from neurosleep.replay.homeostasis import regulate
from neurosleep.replay.noise_response import NoiseResponse
from neurosleep.replay.options import Sleep
from neurosleep.replay.regulated_layers import RegulatedLayer
from neurosleep.replay.stages import NREM

__all__ = ["Judged", "Known", "judge", "output_under_noise", "rule_of"]

#: An NREM stage in rates, and the model after it.
Judged: TypeAlias = tuple[StageOutcome, nn.Module]

# Frames by which it is found out which layer is the output.
_FEWEST = 2


@dataclass(frozen=True, eq=False)
class Known:
    """What is at hand of the data.

    noise: around the mean of all inputs ever learnt; classes, new_classes: seen so far, and with the newest task (None:
    not known); images, labels: samples of the newest task; set_points: of the first sleep; left: where the last sleep
    left the outputs; response: what outputs answered to noise then.
    """

    noise: InputNoise
    classes: tuple[int, ...] | None = None
    new_classes: tuple[int, ...] | None = None
    images: Tensor | None = None
    labels: Tensor | None = None
    set_points: Mapping[str, SetPoint] = field(default_factory=dict)
    left: OutputDrive | None = None
    response: NoiseResponse | None = None


def rule_of(stage: NREM, known: Known, damping: float) -> Homeostasis:
    """The rule of a stage, for the classes seen."""
    rule = stage.rule
    classes = rule.classes if rule.classes is not None else known.classes
    return replace(rule, classes=classes, damping=rule.damping * damping)


def output_under_noise(model: nn.Module, known: Known, stage: NREM, seed: int, task: int) -> RegulatedLayer | None:
    """How the outputs are driven by the noise of a stage; None if they are not among the layers that it changes."""
    rule, noise = (
        replace(rule_of(stage, known, 1.0), target="layer", downscale=1.0),
        stage.of(known.noise),
    )
    layers = regulate(model, noise, rule, draws=_FEWEST, seed=seed, task=task).layers
    output = next((layer for layer in layers if layer.output), None)
    if output is None:
        return None
    alone = replace(rule, layers=tuple(output.name.split("+")))
    return regulate(model, noise, alone, draws=stage.draws, seed=seed, task=task).layers[-1]


def judge(
    model: nn.Module, known: Known, sleep: Sleep, guard: Guard, seed: int, task: int
) -> tuple[Verdict, Judged | None]:
    """The guard's verdict on the first NREM stage, in rates, which are quick; and that stage, if it opens the sleep."""
    stage = next(stage for stage in sleep.stages if isinstance(stage, NREM))
    before = output_under_noise(model, known, stage, seed, task)
    if before is None:
        return Verdict(False, "the output layer does not change, and by it the guard judges"), None
    if before.target is None:
        return Verdict(False, "nothing drives the outputs under noise: a layer below them is silent"), None
    if len(before.driven) == 1:
        return Verdict(False, "one output tells two classes apart, and not which of them was forgotten"), None
    seen = stage.rule.classes or known.classes or tuple(range(len(before.driven)))

    @cache
    def slept(damping: float) -> Judged:
        rule = rule_of(stage, known, damping)
        rates = replace(stage, form="rates")
        return run_nrem(model, known.noise, rates, rule, set_points=known.set_points, seed=seed, task=task)

    recall = even_recall = None
    learnt: set[int] = set()
    if known.images is not None and known.labels is not None:
        learnt = set(known.labels.tolist())
        recall = partial(_recall, model, known.images, known.labels, seen)
        even_recall = partial(recall, even=True) if learnt >= set(seen) else None
    verdict, done = guard.ask(
        before,
        slept,
        classes=seen,
        new_classes=known.new_classes,
        recall=recall,
        even_recall=even_recall,
        learnt=learnt,
        left=known.left,
        likeness=None if known.response is None else known.response.likeness,
    )
    return verdict, done if stage is sleep.stages[0] else None


def _recall(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    classes: tuple[int, ...],
    after: nn.Module | None,
    *,
    even: bool = False,
) -> float:
    return newest_recall(model if after is None else after, images, labels, classes, even=even)
