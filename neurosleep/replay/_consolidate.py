"""Sleep for a network of one's own, in one call."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from neurosleep._checks import as_images, check_device, check_unread, device_of
from neurosleep.conversion import copied, sleeping_chain
from neurosleep.errors import DataError, NeurosleepWarning, SettingsError
from neurosleep.functional import InputNoise, check_seed
from neurosleep.replay._effect import answers, evenly, outputs, warn_of_effect
from neurosleep.replay._judging import Judged, Known, judge, output_under_noise, rule_of
from neurosleep.replay._nrem import converted, run_nrem
from neurosleep.replay._rem import run_rem
from neurosleep.replay._sleep import Limits
from neurosleep.replay.consolidate_checks import (
    as_classes,
    as_samples,
    check_call,
    check_engine,
    check_outputs,
    check_spiking,
)
from neurosleep.replay.consolidation import Consolidation, StageOutcome
from neurosleep.replay.guard import Guard, OutputDrive, Verdict
from neurosleep.replay.moved_answers import MovedAnswers
from neurosleep.replay.noise_response import NoiseResponse
from neurosleep.replay.options import Sleep
from neurosleep.replay.result import LayerChange, SleepReport
from neurosleep.replay.stages import NREM
from neurosleep.spiking import Record

__all__ = ["check_consolidates", "consolidate", "consolidated"]

Status: TypeAlias = Literal["done", "declined", "diverged", "silent"]

# Frames of noise that stand for images where none are given to scale a REM stage by.
_CALIBRATION = 500
# Of the newest samples as many are asked before and after sleep, at most: all of them would take as long as sleep.
_ASKED = 250
# Frames by which it is found out whether a model can sleep.
_FEWEST = 2
# What a model raises that cannot take its inputs as they are.
_CANNOT = (RuntimeError, ValueError, TypeError, IndexError)


def consolidate(
    model: nn.Module,
    mean: Any,
    std: Any = None,
    *,
    classes: Sequence[int] | None = None,
    new_classes: Sequence[int] | None = None,
    holdout: tuple[Any, Any] | None = None,
    calibration: Any = None,
    sleep: Sleep | None = None,
    guard: bool | Guard = True,
    engine: str | None = None,
    record: Record | None = None,
    seed: int = 0,
    device: str | None = None,
) -> Consolidation:
    """Let a trained classifier sleep after a task, so that it remembers those before; ``model`` stays as it is.

    All that is kept of old data are statistics of the inputs, the mean at least. Noise around it drives the network,
    and every unit regulates mean and spread of its drive (:class:`~neurosleep.functional.Homeostasis`): the units of
    old classes, which the newest task has pushed far below the others, come back. Nothing needs to be searched.

    Parameters
    ----------
    model:
        Any module of linear and convolutional layers, with or without biases, batch normalisation and residual sums.
    mean, std:
        Mean, and standard deviation where inputs are not within 0..1, of each input over everything ever learnt; of the
        shape of one input. Or, as ``mean``, all of it as an :class:`~neurosleep.functional.InputNoise`, with the
        principal components of the inputs, as :attr:`Consolidator.noise` has them.
    classes, new_classes:
        Classes seen so far (None: all outputs), and those of them that came with the newest task.
    holdout:
        Samples of the newest task, inputs ``[n, ...]`` and labels ``[n]``, better ones that were not trained on: the
        guard sees to it that enough of them are still recognised.
    calibration:
        Inputs ``[n, ...]`` of the newest task by which a REM stage scales the layers. None: those of ``holdout``, or
        noise.
    sleep:
        How it sleeps; :class:`Sleep` with its defaults, one NREM stage, if not given.
    guard:
        Whether a sleep with an NREM stage is judged before it is kept, and by which :class:`Guard`. A sleep that is
        declined leaves the model as it is, and the result says why. REM stages alone are not judged.
    engine, record:
        Of the spiking stages: what steps them (None: the fastest that can), and what is recorded; of NREM spikes
        and rates, one step at a time, which is slower.
    seed:
        Of the noise; the global generators stay as they are.
    device:
        Where all of it is computed, ``"cpu"`` or ``"cuda"``; None: where the model is. The new model is where the given
        one is.

    Raises
    ------
    DataError, SettingsError
        If an argument makes no sense, before anything is done.
    UnsupportedError, ConversionError
        If nothing of the model can be regulated, or it cannot be converted for a stage that needs it.

    Warns
    -----
    NeurosleepWarning
        If the guard declines; if nothing changed, or the sleep diverged; of REM alone also if the model has biases, or
        more than 5 % of the answers to the newest samples changed.

    See Also
    --------
    Consolidator : keeps mean and classes between tasks
    Consolidation : what comes back; its ``apply_to`` gives the weights to the model itself

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> result = ns.consolidate(model, torch.full((4,), 0.5), classes=[0, 1, 2], guard=False)
    >>> result.status, result.stages[0].regulated
    ('done', <RegulatedLayers: 11 units in 2 layers (0, 2)>)

    References
    ----------
    Turrigiano (2008), doi:10.1016/j.cell.2008.10.008; of REM stages Tadros et al. (2022),
    doi:10.1038/s41467-022-34938-7.
    """
    if isinstance(mean, InputNoise):
        check_unread("Beside an InputNoise", {"std": (std, None)}, "its spread is what std would be")
        noise = mean
    else:
        for name, value in (("mean", mean), ("std", std)):
            if isinstance(value, int | float) or getattr(value, "shape", None) == ():
                raise DataError(f"{name} is {value!r:.60}, one number.", expected="one for every input, as x.mean(0)")
        noise = _noise(as_images("mean", mean), None if std is None else as_images("std", std), sleep)
    images, labels = (None, None) if holdout is None else as_samples(holdout, noise.shape)
    if images is not None and noise.spread is None and _regulates(sleep) and not 0 <= images.min() <= images.max() <= 1:
        raise DataError(
            f"The inputs of holdout reach from {float(images.min()):.4g} to {float(images.max()):.4g}, and a mean "
            "without a spread is one of inputs within 0..1.",
            expected="inputs as those that the model was trained on, and that the mean is of",
            hint="divide images by 255, or give the standard deviation beside the mean",
        )
    if calibration is not None:
        images = as_images("calibration", calibration)
        if holdout is not None:
            raise SettingsError("Both holdout and calibration are given.", expected="holdout, which serves both")
    known = Known(noise, as_classes("classes", classes), as_classes("new_classes", new_classes), images, labels)
    options: dict[str, Any] = {"sleep": sleep, "guard": guard, "engine": engine, "record": record, "seed": seed}
    if device is None or not isinstance(model, nn.Module) or check_device(device) == torch.device(device_of(model)):
        return consolidated(model, known, **options)
    elsewhere = consolidated(copied(model).to(device), known, **options)
    return replace(elsewhere, model=elsewhere.model.to(device_of(model)))


def consolidated(
    model: nn.Module,
    known: Known,
    *,
    sleep: Sleep | None = None,
    guard: bool | Guard = True,
    engine: str | None = None,
    record: Record | None = None,
    seed: int = 0,
    task: int = 0,
) -> Consolidation:
    """The same from what is known of the data."""
    started = perf_counter()
    check_seed(seed)
    sleep = Sleep() if sleep is None else sleep
    check_call(model, known, sleep, guard)
    check_spiking(sleep, engine, record)
    given, known = known, _as_read(model, known)
    check_outputs(model, known)
    check_engine(model, known, sleep, engine)
    verdict, judged = None, None
    regulates = _regulates(sleep)
    if guard is not False and regulates:
        verdict, judged = judge(model, known, sleep, Guard() if guard is True else guard, seed, task)
    if verdict is not None and not verdict.accepted:
        reason = f"the guard declined: {verdict.reason}"
        warnings.warn(
            f"The network did not sleep, {reason}. guard=False lets it sleep anyway.", NeurosleepWarning, stacklevel=3
        )
        report = _report(model, copied(model), (), known, (), ())
        then = known.response or _response(model, known)
        seconds = perf_counter() - started
        return Consolidation(copied(model), "declined", reason, report, (), verdict, seconds, response=then)
    slept, outcomes, names, biased = _gone_through(
        model, known, given.noise.mean, sleep, verdict, judged, engine, record, seed, task
    )
    report = _report(model, slept, names, known, outcomes, biased)
    status, reason = _said(outcomes, verdict, report)
    if status == "diverged":
        warnings.warn(
            f"The model is as it was: {reason}. Expected are finite weights of at most {Limits().weights:g} in size. A "
            "smaller inc and dec, fewer steps, lower rates, or a window change less.",
            NeurosleepWarning,
            stacklevel=3,
        )
    elif regulates and status == "silent":
        warnings.warn(f"The sleep did nothing: {reason}.", NeurosleepWarning, stacklevel=3)
    elif regulates and status == "done":
        _warn_of_silent(outcomes, known.classes)
    elif not regulates and report.moved is not None:
        before, after = ([one.get_parameter(name) for name in names] for one in (model, slept))
        warn_of_effect(report.spikes, before, after, report.moved.before, report.moved.after, stacklevel=3)
    left = _left(slept, known, sleep, outcomes, seed, task) if status == "done" else None
    response = None if verdict is None or status != "done" else _response(slept, known)
    return Consolidation(slept, status, reason, report, outcomes, verdict, perf_counter() - started, left, response)


def _response(model: nn.Module, known: Known) -> NoiseResponse:
    """What the outputs of the classes seen answer to noise, by which the guard will judge the next sleep."""
    classes = known.classes or tuple(range(outputs(model, known.noise.frames(_FEWEST, seed=0)).shape[1]))
    return NoiseResponse.of(model, known.noise, classes)


def _left(
    model: nn.Module, known: Known, sleep: Sleep, outcomes: tuple[StageOutcome, ...], seed: int, task: int
) -> OutputDrive | None:
    """Where the outputs are driven after sleep: as the last stage says, or measured anew behind one of REM."""
    last = sleep.stages[-1]
    if isinstance(last, NREM):
        regulated = outcomes[-1].regulated
        output = next((one for one in regulated.layers if one.output), None) if regulated is not None else None
        return None if output is None else OutputDrive.of(output, output.mean_after)
    stage = next((stage for stage in sleep.stages if isinstance(stage, NREM)), None)
    output = None if stage is None else output_under_noise(model, known, stage, seed, task)
    return None if output is None else OutputDrive.of(output, output.mean_before)


def _silent(outcomes: tuple[StageOutcome, ...]) -> list[str]:
    """The layers that nothing drives under noise."""
    layers = [layer for stage in outcomes if stage.regulated is not None for layer in stage.regulated.layers]
    return list(dict.fromkeys(layer.name for layer in layers if layer.target is None))


def _warn_of_silent(outcomes: tuple[StageOutcome, ...], classes: tuple[int, ...] | None) -> None:
    """Say which layers stay, and which outputs of classes seen do in a layer that changes."""
    silent = _silent(outcomes)
    if silent:
        warnings.warn(
            f"Nothing drives the layers {', '.join(map(repr, silent))} under noise, and they stay as they are: "
            "what is below them is silent, or their classes were never seen.",
            NeurosleepWarning,
            stacklevel=4,
        )
    layers = [layer for stage in outcomes[-1:] if stage.regulated is not None for layer in stage.regulated.layers]
    for layer in layers:
        seen = range(len(layer.driven)) if classes is None or len(layer.driven) == 1 else classes
        dead = [k for k in seen if not layer.driven[k]] if layer.output and layer.target is not None else []
        if dead:
            warnings.warn(
                f"The drive of the outputs {dead} (of {len(seen)} of classes seen) does not vary under noise, and they "
                "stay as they are: their weights are 0, or what they listen to is silent.",
                NeurosleepWarning,
                stacklevel=4,
            )


def check_consolidates(
    model: nn.Module, known: Known, sleep: Sleep | None, guard: bool | Guard, engine: str | None
) -> None:
    """Refuse now what :func:`consolidated` would refuse later; nothing changes, nor do the global generators."""
    sleep = Sleep() if sleep is None else sleep
    check_call(model, known, sleep, guard)
    read = _as_read(model, known)
    check_outputs(model, read)
    check_engine(model, read, sleep, engine)
    for stage in sleep.stages:
        if isinstance(stage, NREM):
            run_nrem(model, read.noise, replace(stage, form="rates", draws=_FEWEST), rule_of(stage, known, 1.0))
            if stage.form == "spikes":
                converted(model, read.noise, seed=0)
        else:
            frames = read.noise.frames(_FEWEST, seed=0).to(next(model.parameters(), torch.zeros(0)))
            _, weights = sleeping_chain(model, frames)
            sleep.for_layers(len(weights))


def _noise(mean: Tensor, std: Tensor | None, sleep: Sleep | None) -> InputNoise:
    """What drives a sleep. The drive of REM, which warns of it, also takes means above 1, and no spread."""
    outside = bool(torch.isfinite(mean).all()) and (float(mean.min()) < 0 or float(mean.max()) > 1)
    return InputNoise(mean, mean.abs() if std is None and outside and not _regulates(sleep) else std)


def _regulates(sleep: Any) -> bool:
    """Whether a stage is one of NREM; what is no sleep is refused later."""
    return not isinstance(sleep, Sleep) or any(isinstance(stage, NREM) for stage in sleep.stages)


def _as_read(model: nn.Module, known: Known) -> Known:
    """The same with flat inputs, where the model does not take them as they are: it may start with a linear layer."""
    frames = known.noise.frames(2, seed=0)
    if frames.ndim == 2 and (known.images is None or known.images.ndim == 2):
        return known
    try:
        answers(model, frames)
        return known
    except _CANNOT:
        mean, spread = known.noise.mean, known.noise.spread
        loadings = known.noise.loadings
        flat = InputNoise(
            mean.flatten(),
            None if spread is None else spread.flatten(),
            loadings=None if loadings is None else loadings.flatten(1),
        )
    try:
        answers(model, frames.flatten(1))
    except _CANNOT:  # what is said then is of the shape that was given
        return known
    return replace(known, noise=flat, images=None if known.images is None else known.images.flatten(1))


def _gone_through(
    model: nn.Module,
    known: Known,
    image: Tensor,
    sleep: Sleep,
    verdict: Verdict | None,
    judged: Judged | None,
    engine: str | None,
    record: Record | None,
    seed: int,
    task: int,
) -> tuple[nn.Module, tuple[StageOutcome, ...], tuple[str, ...], tuple[str, ...]]:
    """The model after all stages, what each did, the parameters that they may change, and whose biases stay.

    ``image`` is the mean in the shape in which it was given: a window of REM lies in it. ``judged`` is the first stage
    as the guard has tried it, in rates.
    """
    damping = 1.0 if verdict is None else verdict.damping
    outcomes: list[StageOutcome] = []
    # Every stage changes a copy.
    slept, touched, biased = model, set[str](), tuple[str, ...]()
    for cycle in range(sleep.cycles):
        # Every cycle has noise of its own; the first that of the task, whatever the number of cycles.
        key = task if cycle == 0 else task + 1_000_000 * cycle
        for stage in sleep.stages:
            before = slept
            if isinstance(stage, NREM):
                rule = rule_of(stage, known, damping)
                outcome, slept = run_nrem(
                    slept,
                    known.noise,
                    stage,
                    rule,
                    set_points=known.set_points,
                    in_rates=None if outcomes else judged,
                    engine=engine,
                    record=None if record is None else replace(record, potentials={}, weights="none", folder=None),
                    seed=seed,
                    task=key,
                )
                old = dict(before.named_parameters())
                touched |= {name for name, value in slept.named_parameters() if not torch.equal(value, old[name])}
            else:
                images = known.images
                if images is None:
                    images = known.noise.frames(_CALIBRATION, seed=seed, task=key)
                rem = run_rem(
                    slept,
                    image,
                    images,
                    sleep,
                    stage,
                    engine=engine,
                    record=record,
                    seed=seed,
                    task=key,
                    warns=not biased,
                )
                outcome, slept, biased = rem.outcome, rem.model, rem.biased
                touched |= set(rem.names)
            outcomes.append(_in_cycle(outcome, cycle + 1))
            if outcome.phase is not None and outcome.phase.status == "diverged":
                names = tuple(name for name, _ in model.named_parameters() if name in touched)
                return copied(model), tuple(outcomes), names, biased
    names = tuple(name for name, _ in model.named_parameters() if name in touched)
    return slept, tuple(outcomes), names, biased


def _in_cycle(outcome: StageOutcome, cycle: int) -> StageOutcome:
    """The outcome, whose recording knows the number of its cycle."""
    if outcome.recording is None or cycle == 1:
        return outcome
    spans = tuple(replace(span, cycle=cycle) for span in outcome.recording.hypnogram)
    recording = replace(outcome.recording, hypnogram=spans)
    phase = None if outcome.phase is None else replace(outcome.phase, recording=recording)
    return replace(outcome, recording=recording, phase=phase)


def _report(
    model: nn.Module,
    slept: nn.Module,
    names: tuple[str, ...],
    known: Known,
    outcomes: tuple[StageOutcome, ...],
    biased: tuple[str, ...],
) -> SleepReport:
    old, new = dict(model.named_parameters()), dict(slept.named_parameters())
    moved = None
    if known.images is not None:
        newest = evenly(known.images, _ASKED)
        before = answers(model, newest)
        labels = None if known.labels is None else evenly(known.labels, _ASKED).cpu()
        moved = MovedAnswers(before, answers(slept, newest) if names else before, labels)
    return SleepReport(
        tuple(LayerChange.of(name, old[name], new[name]) for name in names),
        spikes=sum(stage.phase.fired for stage in outcomes if stage.phase is not None),
        moved=moved,
        biased=biased,
    )


def _said(outcomes: tuple[StageOutcome, ...], verdict: Verdict | None, report: SleepReport) -> tuple[Status, str]:
    """The status, and why, in a sentence."""
    last = outcomes[-1].phase
    if last is not None and last.divergence is not None:
        return "diverged", f"the sleep diverged: {last.divergence}"
    if not any(layer.changed for layer in report.layers):
        silent = _silent(outcomes)
        what = f"nothing drives the layers {', '.join(silent)}" if silent else f"{report.spikes} spikes were fired"
        return "silent", f"no weight changed, and {what}"
    units = sum(int(one.changed.sum()) for stage in outcomes if stage.regulated for one in stage.regulated.layers)
    did = f"{units} units regulated their drive" if units else f"{report.spikes} spikes"
    return "done", did if verdict is None else f"{did}: {verdict.reason}"
