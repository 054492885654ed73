r"""Homeostasis of the drive: every unit's summed input gets the mean and the spread that are usual in its layer.

After a task the units of old classes are driven far below the others. A unit that keeps the mean and the standard
deviation of its own drive at set points while the network fires spontaneously undoes most of that, without a label or
a stored example: intrinsic excitability regulates the mean, synaptic scaling the spread.

With a drive d = u + q of a unit, u from the weights that may change and q from elsewhere (zero but for residual sums),
its mean mu and its spread sigma, and targets T and S:

.. math::
    W \leftarrow r W, \qquad b \leftarrow r b + T - (r \langle u \rangle + \langle q \rangle),
    \qquad r \ge 0: \; \mathrm{Var}(r u + q) = S^2

which is r = S / sigma where q is zero. Without a bias the mean is moved by the weights, along the mean input h:

.. math::  W \leftarrow W - (\mu' - T)\, h / |h|^2

which changes the spread a little. Setting both in turn, again and again, ends where the mean is T and the spread S;
that point is computed at once, with u - g <u> / |h|^2 in the place of u, where g is what arrives along h.

References: Turrigiano (2008), doi:10.1016/j.cell.2008.10.008; Cannon & Miller (2017), doi:10.1186/s13408-017-0043-7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor

from neurosleep._checks import check_count, check_number
from neurosleep._shown import brief
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional.drive_moments import DriveMoments

__all__ = [
    "MEAN_BY",
    "TARGETS",
    "Homeostasis",
    "HomeostaticChange",
    "MeanBy",
    "SetPoint",
    "Shift",
    "Target",
    "driven_units",
    "has_mean",
    "homeostatic_change",
    "homeostatic_rows",
    "layer_set_point",
    "spread_factor",
]

Target = Literal["layer", "set-points"]
TARGETS: tuple[str, ...] = get_args(Target)
MeanBy = Literal["bias", "weights"]
MEAN_BY: tuple[str, ...] = get_args(MeanBy)
#: What moves the mean of a unit: its bias, its weights along the mean input, or nothing.
Shift: TypeAlias = Literal["bias", "weights", "none"]

# A drive varies if its spread is more than this share of its size: less is rounding.
_SILENT = 1e-6
# The mean input moves the mean of a unit only where its mean square is more than this share of that of the inputs.
_MEAN_FREE = 1e-6


@dataclass(frozen=True)
class Homeostasis:
    """Specification of the rule.

    Parameters
    ----------
    target:
        ``"layer"``: mean and spread that units of a layer have on average now. ``"set-points"``: those of the first
        sleep, kept from then on; of equilibrium networks, whose outputs are clipped, those of the hidden layers.
    classes:
        The classes seen so far, of the output layer: only their units are averaged and changed. None: all.
    damping:
        Share of the way to the target, above 0, at most 1.
    layers:
        Names of the layers that change. None: all that can.
    limit:
        Weights of a unit are multiplied by ``1 / limit`` to ``limit`` in one sleep; above 1.
    mean_by:
        What moves the mean of a unit that has a bias: the ``"bias"``, or its ``"weights"``, along the mean input, as in
        a layer without biases; the bias is then scaled as the weights are. Where a normalisation follows it is the
        bias of that, and so it is where inputs have no mean to move along.
        Weights bring more back in most networks; biases reach every target, also in layers of few inputs, and suit
        networks trained with Adam at a slow rate.
    floor:
        Least mean of a hidden layer, in spreads below 0. Where units are driven below 0 on average, as those of
        standardised inputs may be after a task, the usual mean would silence the whole layer, and what it is to tell
        the next. At least 0; a large number is none.
    downscale:
        What the averages of a layer are multiplied with to make its target, above 0, at most 1: synapses get weaker in
        sleep, as the hypothesis of synaptic homeostasis has it. Units that do not regulate themselves, those of classes
        never seen, are scaled by it alone. Each layer is measured behind those below, which send less already: without
        biases the activity of layer k is ``downscale ** k`` of what it would be, and so is the firing rate at given
        thresholds, while the answers of a ReLU network stay. Biases count more behind layers that send less, and then
        some answers differ. Set points of a first sleep hold the product, and are not scaled again; a layer's averages
        are in every sleep.

    Notes
    -----
    Downscaling is no means against forgetting: all classes lose alike. It makes a spiking network cheaper, and what is
    learnt next weigh more. In networks 784-200-200-10 with biases that had learnt the small MNIST in two tasks, 1 to
    2 % of the answers were others after sleep at 0.9, 6 % at 0.7, 15 % at 0.5; without biases none. After each of five
    tasks it costs: ``demo/classifier`` ended at 68.5 % without it, 67.0 % at 0.95, 65.8 % at 0.9, 61.6 % at 0.8 (mean
    of three seeds).

    See Also
    --------
    neurosleep.replay.regulate : which applies it in rates

    Examples
    --------
    >>> Homeostasis(classes=(1, 0, 1))
    Homeostasis(classes=(0, 1))

    References
    ----------
    Of downscaling: Tononi & Cirelli (2014), doi:10.1016/j.neuron.2013.12.025.
    """

    target: Target = "layer"
    classes: tuple[int, ...] | None = None
    damping: float = 1.0
    layers: tuple[str, ...] | None = None
    limit: float = 10.0
    mean_by: MeanBy = "weights"
    floor: float = 1.0
    downscale: float = 1.0
    name: ClassVar[str] = "homeostasis"

    __repr__ = brief

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise unknown_name("target of homeostasis", str(self.target), TARGETS)
        if self.mean_by not in MEAN_BY:
            raise unknown_name("way to move the mean", str(self.mean_by), MEAN_BY)
        object.__setattr__(self, "damping", check_number("The damping of homeostasis", self.damping, most=1, above=0))
        object.__setattr__(self, "limit", check_number("The limit of homeostasis", self.limit, above=1))
        object.__setattr__(self, "floor", check_number("The floor of homeostasis", self.floor, 0))
        object.__setattr__(
            self, "downscale", check_number("The downscale of homeostasis", self.downscale, most=1, above=0)
        )
        if self.classes is not None:
            if isinstance(self.classes, str | int) or not len(self.classes):
                raise SettingsError(
                    f"The classes seen are {self.classes!r:.60}.", expected="at least one class, or None for all"
                )
            classes = {check_count("A class seen", label, 0) for label in self.classes}
            object.__setattr__(self, "classes", tuple(sorted(classes)))
        if self.layers is not None:
            if isinstance(self.layers, str) or not len(self.layers):
                raise SettingsError(
                    f"The layers of homeostasis are {self.layers!r:.60}.", expected="names of layers, or None for all"
                )
            object.__setattr__(self, "layers", tuple(str(name) for name in self.layers))


class SetPoint(NamedTuple):
    """The mean and the spread that the units of a layer are to have.

    See Also
    --------
    layer_set_point : the averages of a layer

    Examples
    --------
    >>> SetPoint(mean=-0.5, spread=1.5)
    SetPoint(mean=-0.5, spread=1.5)
    """

    mean: float
    spread: float


class HomeostaticChange(NamedTuple):
    """What becomes of each unit of a layer.

    factor: of its weights ``[n]``; offset: what is added to the mean of its drive ``[n]``, after that; mean, spread: of
    its drive afterwards ``[n]``.

    See Also
    --------
    homeostatic_change : which makes it
    homeostatic_rows : the weights that it makes

    Examples
    --------
    >>> moments = DriveMoments.of(torch.tensor([[0.0], [2.0]]))
    >>> change = homeostatic_change(moments, SetPoint(5.0, 3.0), torch.tensor([True]), shift="bias")
    >>> change.factor, change.offset
    (tensor([3.], dtype=torch.float64), tensor([2.], dtype=torch.float64))
    """

    factor: Tensor
    offset: Tensor
    mean: Tensor
    spread: Tensor


def has_mean(power: Tensor, mean_square: Tensor | float, draws: int) -> bool:
    """Whether inputs have a mean to move drives along: mean square of their mean, and of themselves, over ``draws``.

    Less than ten times what chance makes of inputs without one is none.

    See Also
    --------
    homeostatic_change : what moves drives

    Examples
    --------
    >>> has_mean(torch.tensor([0.2]), 0.5, draws=2000), has_mean(torch.tensor([0.0005]), 1.0, draws=2000)
    (True, False)
    """
    return bool((power > max(_MEAN_FREE, 10 / draws) * mean_square).all())


def driven_units(mean: Tensor, spread: Tensor) -> Tensor:
    """Which units have a drive that varies, boolean ``[n]``.

    See Also
    --------
    layer_set_point : the averages over them

    Examples
    --------
    >>> driven_units(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
    tensor([ True, False])
    """
    size = torch.maximum(mean.abs(), spread.max()) if len(spread) else spread
    return spread > _SILENT * size


def layer_set_point(mean: Tensor, spread: Tensor, units: Tensor) -> SetPoint:
    """The averages over those ``units`` (boolean ``[n]``) of mean and spread ``[n]``; at least one is needed.

    See Also
    --------
    driven_units : which units to average over

    Examples
    --------
    >>> layer_set_point(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 1.5]), torch.tensor([True, True]))
    SetPoint(mean=2.0, spread=1.0)
    """
    return SetPoint(float(mean[units].mean()), float(spread[units].mean()))


def spread_factor(variance: Tensor, covariance: Tensor, rest: Tensor, spread: Tensor) -> Tensor:
    """The factor a >= 0 nearest 1 with ``Var(a u + q) = spread ** 2``, and 1 where there is none; all ``[n]``.

    ``variance`` is that of u, ``covariance`` that of u and q, ``rest`` the variance of q.

    See Also
    --------
    homeostatic_change : which uses it

    Examples
    --------
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> spread_factor(4 * one, 0 * one, 0 * one, one)
    tensor([0.5000], dtype=torch.float64)
    """
    root = covariance.square() - variance * (rest - spread.square())
    both = torch.stack([-covariance + root.sqrt(), -covariance - root.sqrt()]) / variance
    possible = torch.isfinite(both) & (both >= 0)
    away = torch.where(possible, (both - 1).abs(), torch.inf)
    nearest = both.gather(0, away.argmin(0, keepdim=True))[0]
    return torch.where(possible.any(0), nearest, torch.ones_like(nearest))


def homeostatic_change(
    moments: DriveMoments,
    target: SetPoint,
    units: Tensor,
    *,
    shift: Shift,
    damping: float = 1.0,
    limit: float = 10.0,
    others: float = 1.0,
) -> HomeostaticChange:
    """What gives every one of ``units`` (boolean ``[n]``) the mean and the spread ``target``.

    The weights of all other units are multiplied by ``others``.

    Where a factor would leave ``1 / limit`` to ``limit``, or no factor gives the spread, mean and spread afterwards say
    what was reached.

    See Also
    --------
    homeostatic_rows : the weights that the change makes

    Examples
    --------
    >>> moments = DriveMoments.of(torch.tensor([[0.0, 1.0], [2.0, 5.0]]))
    >>> change = homeostatic_change(moments, SetPoint(2.0, 1.5), torch.tensor([True, True]), shift="bias")
    >>> change.mean, change.spread
    (tensor([2., 2.], dtype=torch.float64), tensor([1.5000, 1.5000], dtype=torch.float64))
    """
    mean, spread = moments.now
    mean_target = mean + damping * (target.mean - mean)
    spread_target = spread + damping * (target.spread - spread)
    size = moments.mean[1]
    # What one unit of the factor and what nothing of it makes of g, where g keeps the mean at its target.
    per_factor = -moments.mean[0] / size if shift == "weights" else torch.zeros_like(mean)
    without = (mean_target - moments.mean[2]) / size if shift == "weights" else torch.zeros_like(mean)
    c = moments.products / moments.count
    own = c[0, 0] + 2 * per_factor * c[0, 1] + per_factor.square() * c[1, 1]
    covariance = c[0, 2] + without * c[0, 1] + per_factor * (c[1, 2] + without * c[1, 1])
    rest = c[2, 2] + 2 * without * c[1, 2] + without.square() * c[1, 1]
    wanted = spread_factor(own, covariance, rest, spread_target).clamp(1 / limit, limit)
    factor = torch.where(units, wanted, others)
    along = torch.where(units, per_factor * factor + without, 0.0)
    after, spread_after = moments.combined(factor, along)
    offset = along * size
    if shift == "bias":
        offset = torch.where(units, mean_target - after, 0.0)
        after = after + offset
    return HomeostaticChange(factor, offset, after, spread_after)


def homeostatic_rows(weight: Tensor, change: HomeostaticChange, mean_input: Tensor | None = None) -> Tensor:
    """New weights ``[n, ...]`` of a layer.

    ``mean_input`` is given where the weights move the mean: the mean of what each row of weights is multiplied with, of
    the shape of ``weight`` or ``[1, ...]``.

    See Also
    --------
    homeostatic_change : which makes the change

    Examples
    --------
    >>> one = torch.ones(1)
    >>> homeostatic_rows(torch.tensor([[1.0, 2.0]]), HomeostaticChange(3 * one, 0 * one, one, one))
    tensor([[3., 6.]])
    """
    shape = (-1,) + (1,) * (weight.ndim - 1)
    rows = weight * change.factor.to(weight.dtype).view(shape)
    if mean_input is None:
        return rows
    power = mean_input.double().flatten(1).square().sum(1)
    share = torch.where(change.offset == 0, 0.0, change.offset / power)
    return rows + share.to(weight.dtype).view(shape) * mean_input
