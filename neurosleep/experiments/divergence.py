"""Where a run diverged, in words, and what to try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurosleep.experiments.metrics import RunDivergence
from neurosleep.experiments.plain import number

__all__ = ["divergence_of", "told_divergence"]

# By phase and quantity.
_HINTS = {
    ("wake", "weights"): "lower wake.lr, or the strength of the strategy if it adds to the loss",
    ("sleep", "largest weight"): "lower sleep.rule.inc and sleep.rule.dec, or sleep.steps",
    ("sleep", "spikes per step"): "raise sleep.thresholds, or lower sleep.alpha_scale or sleep.max_rate",
}


def divergence_of(where: Mapping[str, Any]) -> RunDivergence:
    """What the progress of a run says of it, for metrics.json: tasks counted from 1, and what to try."""
    return {
        "task": where["task"] + 1,
        "phase": where["phase"],
        "epoch": where["epoch"],
        "step": where["step"],
        "layer": where["layer"],
        "quantity": where["quantity"],
        "value": where["value"],
        "hint": _HINTS[where["phase"], where["quantity"]],
    }


def told_divergence(metrics: Mapping[str, Any]) -> str:
    """Where a run diverged and what to try, in a sentence; empty where its metrics do not say."""
    where = metrics.get("divergence")
    if not isinstance(where, dict):
        return _of_earlier_versions(metrics)
    texts = {key: str(where.get(key) or "") for key in ("phase", "layer", "quantity", "hint")}
    task, step, epoch, value = (number(where.get(key)) for key in ("task", "step", "epoch", "value"))
    place = [f"task {task:.0f}" if task is not None else "", texts["phase"]]
    place += [f"epoch {epoch:.0f}" if epoch is not None else "", f"step {step:,.0f}" if step is not None else ""]
    size = "not finite" if value is None else f"{value:.3g}"
    layer = f" of {texts['layer']}" if texts["layer"] else ""
    hint = f" Try: {texts['hint']}." if texts["hint"] else ""
    what = f"{texts['quantity'] or 'a number'}{layer}"
    return f"Diverged in {', '.join(part for part in place if part)}: {what} {size}.{hint}"


def _of_earlier_versions(metrics: Mapping[str, Any]) -> str:
    """At which step of a sleep, and in which projection: all that runs once said."""
    sleep = metrics.get("sleep")
    where = sleep.get("divergence") if isinstance(sleep, dict) else None
    if not isinstance(where, dict) or not {"step", "projection"} <= where.keys():
        return ""
    return f"It left its bounds within {where['step']} steps of a sleep: {where['projection']}."
