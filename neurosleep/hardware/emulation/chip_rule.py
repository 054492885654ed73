r"""The plasticity of sleep in the form, and in the integer arithmetic, of a chip.

When a neuron fires, each of its weights moves by an amount that depends on two integers only: the mantissa that is
stored, and the trace of the input (or whether it fired). All that a chip does with them, products, shifts, saturation,
the weight factor, is therefore a table, and what is left to do in a step is to look up, to round, and to store.

Loihi's engine adds products to a weight that is shifted left by seven bits. The rule of Sleep Replay Consolidation is
two of them, with the postsynaptic spike :math:`y_0` as the dependency of both and the trace :math:`x_1` of the input,
whose impulse is I:

.. math::  \Delta w = \frac{inc + dec}{I}\, y_0\, x_1 - dec\; y_0

times :math:`1 - sgn(w)` where the rule has its steep factor, which that is the limit of. A coefficient is a mantissa of
four bits times a power of two, so that inc and dec are what lies nearest. The trace must be gone in the next step for
the rule to be the same; what is left of it makes "in the same step" a short window.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep._shown import brief
from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.functional import SRCRule, check_seed, weight_factor
from neurosleep.hardware.arithmetic.rounding import ROUNDINGS, Rounding, round_values
from neurosleep.hardware.emulation.counter_random import key_at, key_of, uniforms
from neurosleep.hardware.emulation.loihi_learning import accumulate, learning_product
from neurosleep.hardware.mapping.mapped import MappedSynapses
from neurosleep.hardware.profiles.load import load_profile
from neurosleep.hardware.profiles.profile import HardwareProfile

__all__ = ["ChipRule", "ChipTerm", "SynapseRule", "chip_rule"]

_TRACE_MAX, _TRACE_BITS = 127, 7
# Products of a trace and a sign keep all their bits: 7 + 2 + 4 are fewer than the accumulator's 15.
_SIGN_BITS, _CONSTANT_BITS = 2, 1
# A grid with more mantissas than this would make tables that no longer fit a processor's cache.
_MOST_LEVELS = 1 << 17

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChipTerm:
    """A coefficient as a learning engine has it: ``mantissa * 2 ** exponent``, and the impulse of the trace with it.

    See Also
    --------
    ChipRule : the rule that it is part of

    Examples
    --------
    >>> from neurosleep.hardware import ChipTerm
    >>> ChipTerm(mantissa=3, exponent=-2).value
    0.75
    """

    mantissa: int
    exponent: int
    impulse: int = 1

    @property
    def value(self) -> float:
        """The coefficient times the impulse, in units of a mantissa of the weight."""
        return self.mantissa * 2.0**self.exponent * self.impulse


@dataclass(frozen=True)
class ChipRule:
    """A rule for networks that :func:`~neurosleep.map_to` made, in the engine ``fixed``; :func:`chip_rule` makes it.

    Attributes
    ----------
    rule:
        The rule that it expresses, in units of the network's weights.
    profile:
        The chip.
    form:
        ``sum_of_products`` (Loihi), or ``programmable``: any function, computed in real numbers and rounded once.
    rounding:
        How a changed weight becomes an integer again.
    seed, task:
        Key of the random numbers of stochastic rounding.
    trace_decay:
        What is left of a trace after a step (``sum_of_products``).

    See Also
    --------
    chip_rule : makes it
    FixedEngine : steps it

    Examples
    --------
    >>> from neurosleep import SRCRule
    >>> from neurosleep.hardware import chip_rule
    >>> rule = chip_rule("loihi1", SRCRule(inc=0.01, dec=0.001))
    >>> rule.form, rule.rounding
    ('sum_of_products', 'stochastic')
    """

    rule: SRCRule
    profile: str
    form: str
    rounding: Rounding
    seed: int = 0
    task: int = 0
    trace_decay: float = 0.0
    exponents: tuple[int, int] = (-7, 9)
    name: ClassVar[str] = "chip"
    engine: ClassVar[str] = "fixed"

    __repr__ = brief

    def on(self, synapses: MappedSynapses, number: int = 0) -> SynapseRule:
        """The rule of one projection, whose ``number`` its random numbers depend on."""
        return SynapseRule.make(self, synapses, number)


def chip_rule(
    profile: HardwareProfile | str,
    rule: SRCRule,
    *,
    rounding: Rounding | None = None,
    seed: int = 0,
    task: int = 0,
    trace_decay: float = 0.0,
) -> ChipRule | SRCRule:
    """The rule of Sleep Replay Consolidation as the chip's learning engine expresses it.

    Parameters
    ----------
    profile:
        A loaded profile, or what :func:`~neurosleep.load_profile` takes.
    rule:
        The rule, with ``inc`` and ``dec`` in units of the weights of the network that is mapped.
    rounding:
        How a changed weight is rounded; None: as the profile's learning engine does. ``nearest_even`` shows the cliff:
        a step below half of the smallest change never lands.
    seed, task:
        Key of the random numbers of stochastic rounding, as of the drive of :func:`~neurosleep.sleep`.
    trace_decay:
        What is left of a presynaptic trace after a step, from 0 to below 1, where the engine has traces: 0 is a time
        constant far below a step; how short Loihi's may be is not published.

    Returns
    -------
    ChipRule
        For ``sleep(mapped, rule=..., engine="fixed")``. The rule itself if the profile computes in floating point.

    Raises
    ------
    UnsupportedError
        If the chip has no learning engine that could do it, or no integer arithmetic to emulate a sleep in: it
        then takes place off chip, before the mapping.

    See Also
    --------
    neurosleep.sleep : which takes it
    sleep_parts : what else of a sleep the chip does

    Examples
    --------
    >>> from neurosleep import SRCRule
    >>> from neurosleep.hardware import chip_rule
    >>> chip_rule("loihi1", SRCRule(inc=0.01, dec=0.001), rounding="stochastic").name
    'chip'
    """
    if isinstance(profile, str):
        profile = load_profile(profile)
    if not isinstance(rule, SRCRule):
        raise UnsupportedError(
            f"The rule {getattr(rule, 'name', rule)!r} has no form for a chip here.",
            expected="a SRCRule",
            hint="sleep off chip: neurosleep.sleep(network, ...), then neurosleep.map_to(result.network, profile)",
        )
    if rounding is not None and rounding not in ROUNDINGS:
        raise unknown_name("rounding", str(rounding), ROUNDINGS)
    if not 0 <= trace_decay < 1:
        raise SettingsError(f"The trace decay is {trace_decay!r}.", expected="from 0 to below 1")
    check_seed(seed)
    if profile.floating:
        return rule
    learning = profile.learning
    form = learning.class_
    off = "sleep off chip: neurosleep.sleep(network, ...), then neurosleep.map_to(result.network, profile)"
    if form not in ("sum_of_products", "programmable"):
        what = {
            "none": "changes no weights",
            "fixed_rule": "has one rule of its own",
            "last_layer": "changes the weights of its last layer only",
        }.get(str(form), f"has a learning engine of class {form!r}")
        raise UnsupportedError(
            f"The sleep's rule cannot run on {profile.id!r}, which {what}.",
            expected="learning.class sum_of_products or programmable",
            hint=off,
        )
    if profile.real_potentials:
        raise UnsupportedError(
            f"The sleep's rule cannot run on {profile.id!r} here: its potentials are analogue or of unpublished width.",
            expected="a chip with integer arithmetic, whose sleep the engine 'fixed' can step",
            hint=off,
        )
    if form == "sum_of_products":
        if rule.factor == "logistic":
            raise UnsupportedError(
                f"Sums of products, as {profile.id!r} has them, hold no logistic weight factor.",
                expected="factor 'steep' (as 1 - sgn(w), its limit) or 'constant'",
                hint=off,
            )
        if rule.factor == "steep" and not learning.weight_sign_factor:
            raise UnsupportedError(
                f"The learning engine of {profile.id!r} has no factor sgn(w), which the steep weight factor becomes.",
                expected="factor 'constant'",
                hint=off,
            )
    chosen = rounding or learning.update_rounding
    if chosen not in ROUNDINGS:
        raise UnsupportedError(
            f"The profile {profile.id!r} does not say how a changed weight is rounded.",
            found=f"learning.update_rounding {chosen or 'unpublished'}",
            expected="rounding='stochastic', or one of: " + ", ".join(ROUNDINGS),
        )
    low, high = learning.scale_exponent_min, learning.scale_exponent_max
    return ChipRule(
        rule,
        profile.id,
        form,
        cast(Rounding, chosen),
        seed,
        task,
        trace_decay if form == "sum_of_products" else 0.0,
        (-7 if low is None else low, 9 if high is None else high),
    )


def _nearest_term(wanted: float, exponents: tuple[int, int], impulses: tuple[int, ...] = (1,)) -> ChipTerm:
    """The coefficient nearest to ``wanted`` (in units of a mantissa); of equally near ones that with most trace."""
    terms = (
        ChipTerm(m, e, i) for m, e, i in itertools.product(range(8), range(exponents[0], exponents[1] + 1), impulses)
    )
    return min(terms, key=lambda term: (round(abs(term.value - wanted), 12), -term.impulse, term.mantissa))


@dataclass(frozen=True, eq=False)
class SynapseRule:
    """A chip's rule on the synapses of one projection.

    Attributes
    ----------
    synapses:
        What the integers stand for.
    low:
        int64 ``[traces, levels]``: by the trace of the input and the level of a weight (0 is the grid's lowest), the
        level that it gets when its neuron fires, rounded down (or to the nearest).
    part:
        float64 of the same shape: the chance that it gets one level more.
    impulse, trace_decay:
        Of the trace: what a spike adds, up to 127, and what a step leaves of it. An input that has no trace but fires
        or not has an impulse of 1 and no decay.
    key, trace_key:
        Of the random numbers that weights, and traces, draw.
    terms:
        Loihi's coefficients of x1 and of the constant, where the rule is a sum of products.
    """

    synapses: MappedSynapses
    low: npt.NDArray[np.int64]
    part: _Array
    impulse: int
    trace_decay: float
    key: int
    trace_key: int
    terms: tuple[ChipTerm, ChipTerm] | None = None
    name: ClassVar[str] = "chip"

    @classmethod
    def make(cls, spec: ChipRule, synapses: MappedSynapses, number: int) -> SynapseRule:
        """Tables of ``spec`` for these synapses."""
        grid = synapses.grid
        if synapses.alpha == 0 or (synapses.alpha < 0 and spec.form == "sum_of_products"):
            raise UnsupportedError(
                f"The scale of a plastic projection is {synapses.alpha:g}.",
                found="weights that reach no neuron" if synapses.alpha == 0 else "weights whose sign the chip turns",
                expected="a scale above 0",
                hint="make the projection plastic=False, or take the sign into its weights",
            )
        levels = (grid.high - grid.low) // grid.step + 1
        if levels > _MOST_LEVELS:
            raise UnsupportedError(
                f"Weights of {grid.bits} bits have {levels} levels.",
                expected=f"at most {_MOST_LEVELS} for a rule by table",
                hint="sleep off chip: neurosleep.sleep(network, ...), then neurosleep.map_to(result.network, profile)",
            )
        mantissas = grid.low + grid.step * np.arange(levels)
        terms = None
        impulse = 1
        if spec.form == "sum_of_products":
            terms = cls._terms(spec, synapses)
            impulse = terms[0].impulse
            target = cls._sums(spec, terms, mantissas)
        else:
            target = cls._functions(spec.rule, synapses, mantissas)
        # In steps of the grid from 0, so that halves go to the even mantissa and not to the even level.
        target, first = target / grid.step, grid.low // grid.step
        if spec.rounding == "stochastic":
            low = np.floor(target)
            part = target - low
        else:
            low = round_values(torch.from_numpy(target), spec.rounding).numpy()
            part = np.zeros_like(target)
        low = low - first
        # Beyond the grid's ends a weight stays at the end.
        part[(low < 0) | (low >= levels - 1)] = 0.0
        low = low.clip(0, levels - 1).astype(np.int64)
        key, trace_key = (key_of(spec.seed, "rule", spec.task, number, which) for which in (0, 1))
        return cls(synapses, low, part, impulse, spec.trace_decay, key, trace_key, terms)

    @staticmethod
    def _terms(spec: ChipRule, synapses: MappedSynapses) -> tuple[ChipTerm, ChipTerm]:
        """Coefficients for inc + dec and for dec, in units of a mantissa."""
        per_unit = synapses.scale * synapses.alpha / synapses.unit
        down = _nearest_term(spec.rule.dec * per_unit, spec.exponents)
        # With the loss that there is, so that the sum of both is inc as near as can be.
        wanted_up = spec.rule.inc * per_unit + down.value
        up = _nearest_term(wanted_up, spec.exponents, tuple(range(64, _TRACE_MAX + 1)))
        if abs(up.value - wanted_up) > 0.01 * wanted_up:
            # Small steps need small impulses too; they are what a decaying trace is coarser with.
            up = _nearest_term(wanted_up, spec.exponents, tuple(range(1, _TRACE_MAX + 1)))
        for name, wanted, got in (("inc", spec.rule.inc, up.value - down.value), ("dec", spec.rule.dec, down.value)):
            if 0 < wanted * per_unit < 1 and not 0.5 <= got / (wanted * per_unit) <= 2:
                raise UnsupportedError(
                    f"The learning engine of {spec.profile!r} has no coefficient near {name} {wanted:g}.",
                    found=f"{got / per_unit:.3g} as the nearest",
                    expected=f"multiples of {2.0 ** spec.exponents[0] / per_unit:.3g}, within a factor of 2",
                    hint=f"a larger {name}, or less headroom, which makes weights finer",
                )
        return up, down

    @staticmethod
    def _sums(spec: ChipRule, terms: tuple[ChipTerm, ChipTerm], mantissas: npt.NDArray[np.int64]) -> _Array:
        """Mantissas after the products of each trace, before they are rounded: ``[traces, levels]``."""
        up, down = terms
        sums = np.empty((_TRACE_MAX + 1, len(mantissas)))
        for x, sign in itertools.product(range(_TRACE_MAX + 1), (-1, 0, 1)):
            # Losses first and the gain last: the accumulator saturates after each, and a frozen weight must come back.
            down_products = [learning_product([1], [_CONSTANT_BITS], -down.mantissa, down.exponent)]
            up_products = [learning_product([x], [_TRACE_BITS], up.mantissa, up.exponent)]
            if spec.rule.factor == "steep":
                widths = [_CONSTANT_BITS, _SIGN_BITS], [_TRACE_BITS, _SIGN_BITS]
                down_products.append(learning_product([1, sign], widths[0], down.mantissa, down.exponent))
                up_products.insert(0, learning_product([x, sign], widths[1], -up.mantissa, up.exponent))
            products = down_products + up_products
            those = np.sign(mantissas) == sign
            sums[x, those] = accumulate(torch.from_numpy(mantissas[those]), products).numpy() / 128
        return sums

    @staticmethod
    def _functions(rule: SRCRule, synapses: MappedSynapses, mantissas: npt.NDArray[np.int64]) -> _Array:
        """Mantissas after the rule's own function, before they are rounded: ``[silent or fired, levels]``."""
        per_unit = synapses.scale * synapses.alpha / synapses.unit
        weights = synapses.weights(torch.from_numpy(mantissas * float(synapses.unit)))
        g = weight_factor(weights, rule.factor, rule.width).numpy()
        return np.stack([mantissas - rule.dec * per_unit * g, mantissas + rule.inc * per_unit * g])

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Traces of the inputs ``[pre]``, and the number of the step."""
        return torch.zeros(weight.shape[1], dtype=torch.int64), torch.zeros((), dtype=torch.int64)

    def next_trace(self, x: Tensor, pre: Tensor, step: int) -> Tensor:
        """Traces ``[pre]`` after one step more, with its spikes ``pre``."""
        if self.trace_decay:
            kept = x.to(torch.float64) * self.trace_decay
            low = torch.floor(kept)
            drawn = torch.from_numpy(uniforms(key_at(self.trace_key, step), np.arange(len(x))))
            x = (low + (drawn < kept - low)).to(torch.int64)
        else:
            x = torch.zeros_like(x)
        return (x + self.impulse * pre.to(torch.int64)).clamp_max(len(self.low) - 1)

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change the integers ``weight`` ``[post, pre]`` in place after a step with these spikes."""
        x, count = traces
        step = int(count)
        x = self.next_trace(x, pre.cpu(), step)
        rows = post.nonzero().squeeze(1)
        if len(rows):
            grid, unit = self.synapses.grid, self.synapses.unit
            levels = ((weight[rows] / unit - grid.low) / grid.step).to(torch.int64).cpu().numpy()
            trace = np.broadcast_to(x.numpy(), levels.shape)
            low, part = self.low[trace, levels], self.part[trace, levels]
            places = rows.cpu().numpy()[:, None] * weight.shape[1] + np.arange(weight.shape[1])
            new = low + (uniforms(key_at(self.key, step), places) < part)
            weight[rows] = torch.from_numpy((new * grid.step + grid.low) * float(unit)).to(weight)
        return x, count + 1
