"""What a sleep of one's own network is given, checked before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from neurosleep._checks import as_images, as_labels, check_count, check_unread
from neurosleep.conversion._model import check_model
from neurosleep.errors import DataError, SettingsError, UnsupportedError
from neurosleep.replay._effect import outputs
from neurosleep.replay._judging import Known, rule_of
from neurosleep.replay._nrem import spiking_form
from neurosleep.replay._sleep import check_rule
from neurosleep.replay.guard import check_guard
from neurosleep.replay.options import Sleep
from neurosleep.replay.stages import NREM
from neurosleep.spiking import Record, get_engine

__all__ = ["as_classes", "as_samples", "check_call", "check_engine", "check_outputs", "check_spiking"]

# Frames of noise by which it is found out what a model makes of them.
_FEWEST = 2


def check_call(model: Any, known: Known, sleep: Any, guard: Any) -> None:
    """Refuse, before anything is done, what makes no sense."""
    check_model(model)
    if not isinstance(sleep, Sleep):
        raise SettingsError(
            f"sleep is {sleep!r:.60}.", expected="a Sleep, such as neurosleep.Sleep(stages=[neurosleep.NREM()])"
        )
    check_guard(guard)
    if any(parameter.is_meta for parameter in model.parameters()):
        raise UnsupportedError(
            "The model is on the device 'meta': it has no weights.", hint="model.to_empty, then load"
        )
    _check_labels(known)
    unread = {key: (getattr(sleep, key), getattr(Sleep(), key)) for key in _ELSEWHERE}
    for stage in sleep.stages:
        if not isinstance(stage, NREM):
            check_rule(stage.rule)
            usual = type(stage)()
            unread |= {key: (getattr(stage, key), getattr(usual, key)) for key in ("growth", "lengths")}
    hint = "neurosleep.continual.SRC and SleepPlugin have it: they sleep after each task, and on chips"
    check_unread("The sleep of consolidate", unread, hint)


def _check_labels(known: Known) -> None:
    """Refuse classes and labels that contradict each other."""
    if known.classes is not None and known.new_classes is not None:
        unseen = sorted(set(known.new_classes) - set(known.classes))
        if unseen:
            raise SettingsError(
                f"new_classes holds {unseen}, which classes does not.", expected="classes: all seen, the newest too"
            )
    if known.labels is not None and known.classes is not None:
        unseen = sorted(set(known.labels.tolist()) - set(known.classes))
        if unseen:
            raise DataError(f"holdout has the labels {unseen}, which were never seen.", expected=f"{known.classes}")


def check_outputs(model: nn.Module, known: Known) -> None:
    """Refuse classes for which the model has no output."""
    named = {"new_classes": known.new_classes, "holdout": None if known.labels is None else known.labels.tolist()}
    frames = known.noise.frames(_FEWEST, seed=0) if known.images is None else known.images[:_FEWEST]
    try:
        count = outputs(model, frames).shape[1]
    except DataError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError):  # said with the reason by what runs it next
        return
    for name, values in named.items():
        if values and count > 1 and max(values) >= count:
            raise SettingsError(
                f"{name} holds the class {max(values)}, and the model has {count} outputs.",
                expected=f"classes from 0 to {count - 1}",
                hint="labels that start elsewhere are to be mapped to outputs",
            )


def check_spiking(sleep: Sleep, engine: str | None, record: Record | None) -> None:
    """Refuse an engine that there is not, and options that no stage reads."""
    if engine is not None:
        get_engine(engine)
    if record is not None and all(isinstance(stage, NREM) for stage in sleep.stages):
        read = replace(record, potentials={}, weights="none", folder=None)
        keys = ("potentials", "weights", "folder")
        unread = {f"record.{key}": (getattr(record, key), getattr(read, key)) for key in keys}
        check_unread("A sleep without REM", unread, "NREM records spikes and rates; a REM stage has it")
    if all(isinstance(stage, NREM) and stage.form == "rates" for stage in sleep.stages):
        unread = {"engine": (engine, None), "record": (record, None)}
        check_unread("A sleep in rates", unread, "NREM(form='spikes') has it")


def check_engine(model: nn.Module, known: Known, sleep: Sleep, engine: str | None) -> None:
    """Refuse an engine where every stage would take the form of rates."""
    if engine is None:
        return
    notes = []
    for stage in sleep.stages:
        if not isinstance(stage, NREM):
            return
        network, note = spiking_form(model, known.noise, stage, rule_of(stage, known, 1.0), seed=0)
        if network is not None:
            return
        notes.append(note or "in rates")
    check_unread(f"A sleep {notes[0]},", {"engine": (engine, None)}, "engine=None; only stages in spikes read it")


_ELSEWHERE = ("after", "statistics", "profile", "rounding", "headroom", "read_back")


def as_classes(name: str, values: Sequence[int] | None) -> tuple[int, ...] | None:
    """Class numbers, sorted; None for what is not known."""
    if values is None:
        return None
    if isinstance(values, str | int):
        raise SettingsError(f"{name} is {values!r:.60}.", expected="class numbers, such as [0, 1]")
    return tuple(sorted({check_count(f"A class of {name}", value, 0) for value in values}))


def as_samples(holdout: Any, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Inputs of ``shape`` and their labels."""
    if not isinstance(holdout, tuple | list) or len(holdout) != 2:
        raise DataError(
            "holdout cannot be read.", found=type(holdout).__name__, expected="(inputs [n, ...], labels [n])"
        )
    images = as_images("The inputs of holdout", holdout[0])
    labels = as_labels("labels of holdout", holdout[1], len(images))
    if images.shape[1:] != shape:
        raise DataError(f"holdout has inputs of shape {tuple(images.shape[1:])}.", expected=f"{shape}, as the mean")
    if not torch.isfinite(images).all():
        raise DataError("holdout holds NaN or infinite values.", expected="finite numbers")
    return images, labels
