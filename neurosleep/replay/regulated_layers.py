"""What homeostasis decides for a layer of units, measured in rates or in spikes, and how that is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neurosleep._shown import brief, html_table, named, short_line, to_frame
from neurosleep.errors import SettingsError
from neurosleep.functional import (
    DriveMoments,
    Homeostasis,
    HomeostaticChange,
    SetPoint,
    Shift,
    driven_units,
    homeostatic_change,
    layer_set_point,
)

__all__ = ["RegulatedLayer", "RegulatedLayers", "regulated"]

# A spread further from its target than this share of it is missed; so is a mean, by this share of the spread.
_MISSED = 0.01
# Outputs whose drives a notebook shows one by one, and by which columns.
_FEW = 20
_SHOWN = {
    "unit": "unit",
    "mean_before": "mean before",
    "mean_after": "mean after",
    "spread_before": "spread before",
    "spread_after": "spread after",
    "factor": "weights times",
}


@dataclass(frozen=True, eq=False)
class RegulatedLayer:
    """What one layer of units did; every tensor is float64 ``[n]`` on the CPU.

    Attributes
    ----------
    name:
        Of the layer; of a sum of layers their names, joined with ``+``.
    mean_before, spread_before, mean_after, spread_after:
        Of the drive of each unit, under noise, with the layers below as they are after their own change.
    target:
        Mean and spread that the units are to have; None if nothing drives the layer.
    factor, offset:
        What the weights of each unit were multiplied by, and what was added to the mean of its drive.
    driven, changed:
        Whether the drive of the unit varies at all; whether the unit was to change (boolean ``[n]``).
    output:
        Whether it is the output layer.
    mean_input:
        Where weights moved the mean: what they moved along, the mean of what each row of weights is multiplied with,
        of the shape of the weights or ``[1, ...]``; else None.
    notes:
        What could not be done, one sentence each.

    See Also
    --------
    Regulation : all layers of a network

    Examples
    --------
    >>> from torch import nn
    >>> from neurosleep.functional import InputNoise
    >>> from neurosleep.replay import regulate
    >>> layer = regulate(nn.Linear(2, 3), InputNoise([0.5, 0.5]), draws=200).layers[0]
    >>> bool((layer.mean_after - layer.target.mean).abs().max() < 1e-6)
    True
    """

    name: str
    mean_before: Tensor
    spread_before: Tensor
    mean_after: Tensor
    spread_after: Tensor
    target: SetPoint | None
    factor: Tensor
    offset: Tensor
    driven: Tensor
    changed: Tensor
    output: bool
    mean_input: Tensor | None = None
    notes: tuple[str, ...] = ()

    __repr__ = brief


@dataclass(frozen=True, eq=False, repr=False)
class RegulatedLayers:
    """What every layer did, and tables of it; layers are in the order of execution.

    See Also
    --------
    regulate, regulate_spikes : which make it

    Examples
    --------
    >>> from torch import nn
    >>> from neurosleep.functional import InputNoise
    >>> from neurosleep.replay import RegulatedLayers, regulate
    >>> done = regulate(nn.Linear(2, 3), InputNoise([0.5, 0.5]), draws=200)
    >>> isinstance(done, RegulatedLayers), len(done.layers)
    (True, 1)
    """

    layers: tuple[RegulatedLayer, ...]

    @property
    def set_points(self) -> dict[str, SetPoint]:
        """By layer, mean and spread that its units were to have: what ``set_points`` of the next sleep takes."""
        return {layer.name: layer.target for layer in self.layers if layer.target is not None}

    def __repr__(self) -> str:
        units = sum(int(layer.changed.sum()) for layer in self.layers)
        names = named([layer.name for layer in self.layers])
        return short_line(f"<{type(self).__name__}: {units} units in {len(self.layers)} layers ({names})>")

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "layer": layer.name,
                "units": len(layer.changed),
                "changed": int(layer.changed.sum()),
                "target mean": layer.target.mean if layer.target else math.nan,
                "target spread": layer.target.spread if layer.target else math.nan,
                "means before": _varies(layer.mean_before, layer),
                "means after": _varies(layer.mean_after, layer),
                "spreads before": _varies(layer.spread_before, layer),
                "spreads after": _varies(layer.spread_after, layer),
                "notes": "; ".join(layer.notes),
            }
            for layer in self.layers
        ]

    def _repr_html_(self) -> str:
        """One row per layer: how its units' means and spreads vary, which sleep takes away; and the output's units."""
        parts = [html_table(self._rows(), f"{type(self).__name__}: drive of the units, mean ± standard deviation")]
        for layer in self.layers:
            if layer.output and len(layer.changed) <= _FEW:
                rows = [row for row in RegulatedLayers((layer,)).rows() if row["driven"]]
                shown = [{_SHOWN[key]: row[key] for key in _SHOWN} for row in rows]
                parts.append(html_table(shown, f"Drive of each output ({layer.name})"))
        return "".join(parts)

    def rows(self) -> list[dict[str, Any]]:
        """One row per unit: its mean and spread before and after, its factor and offset, and whether it changed."""
        return [
            {
                "layer": layer.name,
                "unit": unit,
                "mean_before": float(layer.mean_before[unit]),
                "spread_before": float(layer.spread_before[unit]),
                "mean_after": float(layer.mean_after[unit]),
                "spread_after": float(layer.spread_after[unit]),
                "factor": float(layer.factor[unit]),
                "offset": float(layer.offset[unit]),
                "driven": bool(layer.driven[unit]),
                "changed": bool(layer.changed[unit]),
            }
            for layer in self.layers
            for unit in range(len(layer.changed))
        ]

    def to_pandas(self) -> Any:
        """:meth:`rows` as a ``pandas.DataFrame``."""
        return to_frame(self.rows())


def _varies(values: Tensor, layer: RegulatedLayer) -> str:
    """Mean and standard deviation over the units that change."""
    chosen = values[layer.changed]
    if not len(chosen):
        return "–"
    mean, deviation = float(chosen.mean()), float(chosen.std(correction=0))
    # Less is rounding.
    size = max(abs(mean), float(layer.spread_before.max()))
    return f"{mean:.3g} ± {deviation if deviation > 1e-9 * size else 0:.2g}"


def regulated(
    name: str,
    moments: DriveMoments,
    shift: Shift,
    rule: Homeostasis,
    set_points: Mapping[str, SetPoint],
    *,
    output: bool = False,
    fixed: Sequence[Tensor] = (),
    mean_input: Tensor | None = None,
) -> tuple[RegulatedLayer, HomeostaticChange]:
    """What becomes of the units of a layer whose drives have these ``moments``, biases that are ``fixed`` included."""
    mean, spread = moments.now
    if not bool((torch.isfinite(mean) & torch.isfinite(spread)).all()):
        raise SettingsError(
            f"The drive of layer {name!r} is NaN or infinite under noise.",
            expected="a network of finite weights",
            hint="lower the learning rate, or leave the layer out (Homeostasis(layers=...))",
        )
    for bias in fixed:
        moments = moments.fixed(bias)
    driven = driven_units(mean, spread)
    units = driven & (_seen(name, rule, driven) if output else torch.ones_like(driven))
    target, raised = set_points.get(name) if bool(units.any()) else None, list[str]()
    others = 1.0
    if target is None and bool(units.any()):
        usual, raised = _usual(layer_set_point(mean, spread, units), math.inf if output else rule.floor)
        target = SetPoint(rule.downscale * usual.mean, rule.downscale * usual.spread)
        others = 1 - rule.damping * (1 - rule.downscale)
    goal = target or SetPoint(0.0, 0.0)
    change = homeostatic_change(
        moments, goal, units, shift=shift, damping=rule.damping, limit=rule.limit, others=others
    )
    wanted = spread + rule.damping * (goal.spread - spread)
    layer = RegulatedLayer(
        name,
        mean.cpu(),
        spread.cpu(),
        change.mean.cpu(),
        change.spread.cpu(),
        target,
        change.factor.cpu(),
        change.offset.cpu(),
        driven.cpu(),
        units.cpu(),
        output,
        mean_input.cpu() if mean_input is not None and shift == "weights" else None,
        (*raised, *_notes(driven, units, change, wanted, shift, rule.limit)),
    )
    return layer, change


def _usual(usual: SetPoint, floor: float) -> tuple[SetPoint, list[str]]:
    """The target that the averages of a layer give, and a note if they would silence it."""
    if usual.mean >= -(floor + _MISSED) * usual.spread:
        return usual, []
    low = -usual.mean / usual.spread
    raised = f"its usual mean, {low:.1f} spreads below 0, would silence it; {floor:g} below 0 is the target"
    return SetPoint(-floor * usual.spread, usual.spread), [raised]


def _seen(name: str, rule: Homeostasis, driven: Tensor) -> Tensor:
    """Which units of the output layer are those of classes seen."""
    # A single output tells two classes apart, and belongs to both.
    if rule.classes is None or (len(driven) == 1 and rule.classes[-1] <= 1):
        return torch.ones_like(driven)
    if rule.classes[-1] >= len(driven):
        raise SettingsError(
            f"The class {rule.classes[-1]} was seen, and the output layer {name!r} has {len(driven)} units.",
            expected=f"classes from 0 to {len(driven) - 1}, the columns of what the model returns",
            hint="labels that start elsewhere are to be mapped to columns; an output layer that grows, grows first",
        )
    seen = torch.zeros_like(driven)
    seen[list(rule.classes)] = True
    return seen


def _notes(
    driven: Tensor, units: Tensor, change: HomeostaticChange, wanted: Tensor, shift: Shift, limit: float
) -> tuple[str, ...]:
    silent, n = int((~driven).sum()), len(driven)
    if silent == n:
        return ("nothing drives it, and it stays as it is",)
    notes = [f"the drive of {silent} of {n} units does not vary; they stay as they are"] if silent else []
    if shift == "none":
        notes.append("it has no bias and inputs whose mean is almost zero: only the spread was set, not the mean")
    limited = units & ((change.factor <= 1 / limit) | (change.factor >= limit))
    if limited.any():
        notes.append(f"the factor of {int(limited.sum())} units is at its limit of 1/{limit:g} or {limit:g}")
    missed = int((units & ~limited & ((change.spread - wanted).abs() > _MISSED * wanted)).sum())
    if missed:
        notes.append(f"no factor gives {missed} units their spread, and only their mean was set")
    return tuple(notes)
