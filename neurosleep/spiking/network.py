"""SpikingNetwork: populations and projections as a plain, frozen value. It knows nothing of sleep, hardware or data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from neurosleep._checks import as_reals, check_count, check_number
from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.functional import Compare, EngineRule, LIFParams, PlasticityRule, Refractory, Reset, ResetTime
from neurosleep.spiking.geometry import check_geometry

__all__ = ["Population", "PopulationKind", "Projection", "ProjectionKind", "SpikingNetwork"]

PopulationKind = Literal["input", "relay", "lif", "cuba_lif", "li"]
ProjectionKind = Literal["dense", "conv", "pool", "flatten", "identity", "recurrent"]
Parameter = float | Tensor
#: What a population holds a number of, or one for each of its neurons.
PARAMETERS = ("threshold", "decay", "leak", "reset_value", "bias", "amount", "synaptic_decay")


#: Neurons are numbered by int32.
_MOST_NEURONS = 2**31 - 1
#: Steps that a delay may last, and steps times neurons that the delays of a network may make an engine remember: what
#: they take stays below some gigabytes in every engine.
_LONGEST_DELAY, _MOST_REMEMBERED = 100_000, 2**28


def _parameter(population: str, key: str, value: Any, size: int, low: float, high: float) -> Parameter:
    """``value`` as a finite number from ``low`` to ``high``, or as a tensor ``[n]`` of them; else an error."""
    if type(value) is float and low <= value <= high and math.isfinite(value):
        return value
    where = f"Population {population!r}: {key}"
    tensor = as_reals(where, value)
    if tensor.ndim > 1 or (tensor.ndim == 1 and len(tensor) != size):
        raise SettingsError(
            f"{where} has shape {tuple(tensor.shape)}.",
            expected=f"a number, or one for each of the {size} neurons",
        )
    fine = torch.isfinite(tensor) & (tensor >= low) & (tensor <= high)
    if not fine.all():
        bad = tensor.reshape(-1)[~fine.reshape(-1)][0]
        limits = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        raise SettingsError(
            f"{where} is {bad.item()!r}.",
            expected=f"a finite number, {limits}" if low > -math.inf else "a finite number",
        )
    return tensor if tensor.ndim else tensor.item()


def _few(names: Sequence[str]) -> str:
    """Some of the names, as a list for a message."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _check_name(what: str, name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise SettingsError(f"{what} cannot be named {name!r:.60}.", expected="a text that is not empty")


def _truth(where: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise SettingsError(f"{where} is {value!r:.60}.", expected="True or False")
    return bool(value)


@dataclass(frozen=True, eq=False)
class Population:
    """A group of neurons of one kind.

    Every parameter is a number or a tensor ``[n]``; potentials share the unit of the threshold. Parameters of another
    type than float32 and float64 are kept in one of these, which holds them exactly. A unit that rests above its
    threshold (by ``leak``, or by ``bias``) fires by itself.

    Parameters
    ----------
    name, kind, shape:
        ``kind`` is ``input``, ``relay`` (passes on the summed input it receives, a graded value, in the same step;
        recordings show where it is not zero), ``lif``, ``cuba_lif`` (with a synaptic current that decays by
        ``synaptic_decay``) or ``li`` (integrates, never fires; with a synaptic current too where ``synaptic_decay`` is
        not 0); ``shape`` without time and batch.
    threshold, decay, leak, reset_value, bias:
        ``decay`` is the factor per step; ``bias`` is added to the input every step.
    refractory, while_refractory:
        Steps without firing after a spike, a whole number; meanwhile the potential is held or goes on integrating.
    compare, reset, amount:
        ``>=`` or ``>``; reset ``to_value`` or by ``subtract`` of ``amount`` (None: the threshold).
    reset_time:
        With ``subtract``, and no refractoriness: in the ``same`` step, in the ``next`` one, or ``guarded``
        (:class:`~neurosleep.functional.LIFParams`); other libraries' conventions.
    """

    name: str
    kind: PopulationKind
    shape: tuple[int, ...]
    threshold: Parameter = 1.0
    decay: Parameter = 1.0
    leak: Parameter = 0.0
    reset_value: Parameter = 0.0
    bias: Parameter = 0.0
    refractory: int = 0
    compare: Compare = ">="
    reset: Reset = "to_value"
    amount: Parameter | None = None
    while_refractory: Refractory = "hold"
    synaptic_decay: Parameter = 0.0
    reset_time: ResetTime = "same"

    def __post_init__(self) -> None:
        for key, kinds in (
            ("kind", PopulationKind),
            ("compare", Compare),
            ("reset", Reset),
            ("while_refractory", Refractory),
            ("reset_time", ResetTime),
        ):
            if getattr(self, key) not in get_args(kinds):
                raise unknown_name(f"population {key}", str(getattr(self, key)), get_args(kinds))
        _check_name("A population", self.name)
        object.__setattr__(self, "shape", self._checked_shape())
        limits = {"threshold": (0.0, math.inf), "decay": (0.0, 1.0), "synaptic_decay": (0.0, 1.0)}
        for key in PARAMETERS:
            if key == "amount" and self.amount is None:
                continue
            low, high = (0.0, math.inf) if key == "amount" else limits.get(key, (-math.inf, math.inf))
            checked = _parameter(self.name, key, getattr(self, key), self.size, low, high)
            object.__setattr__(self, key, checked)
        steps = check_count(f"Population {self.name!r}: refractory", self.refractory, 0, 2**31 - 1)
        object.__setattr__(self, "refractory", steps)
        if self.reset_time != "same" and (self.reset != "subtract" or self.refractory != 0):
            raise SettingsError(
                f"Population {self.name!r}: reset_time is {self.reset_time!r}, with reset {self.reset!r} and "
                f"{self.refractory!r} refractory steps.",
                expected="reset 'subtract' and no refractory steps, or reset_time 'same'",
                hint="a later reset to a value gives the spike trains of one in the same step",
            )

    def _checked_shape(self) -> tuple[int, ...]:
        """The shape as whole numbers, or an error."""
        where = f"Population {self.name!r} has shape {self.shape!r:.80}."
        expected = f"a tuple of sizes of at least 1, of no more than {_MOST_NEURONS} neurons"
        if not isinstance(self.shape, tuple | list | torch.Size):
            raise SettingsError(where, expected=expected)
        try:
            shape = tuple(check_count("a size", length) for length in self.shape)
        except SettingsError as error:
            raise SettingsError(where, expected=expected) from error
        if not shape or math.prod(shape) > _MOST_NEURONS:
            raise SettingsError(where, expected=expected)
        return shape

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)

    def lif_params(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> LIFParams:
        """The parameters as tensors for :func:`~neurosleep.functional.lif_step`."""

        def tensor(value: Parameter) -> Tensor:
            return torch.as_tensor(value, dtype=dtype, device=device)

        return LIFParams(
            threshold=tensor(self.threshold),
            decay=tensor(self.decay),
            leak=tensor(self.leak),
            reset_value=tensor(self.reset_value),
            amount=tensor(self.threshold if self.amount is None else self.amount),
            refractory=torch.as_tensor(self.refractory, device=device),
            compare=self.compare,
            reset=self.reset,
            while_refractory=self.while_refractory,
            reset_time=self.reset_time,
        )


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from one population to another.

    Parameters
    ----------
    source, target:
        Names of the populations.
    kind:
        ``dense`` and ``recurrent`` carry a weight ``[post, pre]``, ``identity`` and ``flatten`` none. ``conv`` carries
        ``[out, in / groups, kernel...]`` and takes stride, padding, dilation and groups from ``options``. ``pool`` has
        no weight and the options mode (``average``, which counts padded zeros, or ``sum``), kernel, stride (left out:
        the kernel) and padding. Populations are then of shape (channels, length) or (channels, height, width), and
        options other than groups and mode hold one number per axis.
    scale:
        Factor alpha on the summed input.
    delay:
        Steps, a whole number up to 100 000; 0 means the same step.
    plastic:
        Whether a plasticity rule may change the weight through this projection; with ``transpose_of`` it always equals
        ``symmetric_rule``.
    transpose_of:
        Source and target of another dense projection of the network. This one then has no weight of its own: in every
        step it uses the other's, transposed, as the step before left it. For the feedback of symmetric networks, in
        which one weight serves both directions; needs a delay of at least 1.
    symmetric_rule:
        With ``transpose_of``: whether the plasticity rule is applied to the shared weight from this side as well.

    Notes
    -----
    What a symmetric rule reads: at the end of step t, first every projection with a weight of its own is updated, in
    the order in which the network lists them, from the weight that step t-1 left. Then come the projections with a
    symmetric rule, in the order of the list, and each reads the shared weight as the updates before it in this same
    step left it. Its presynaptic side is its own source at t - delay, its postsynaptic side its own target at t. With
    the rule of Sleep Replay Consolidation and a weight W from layer l to l+1: where unit i of layer l fires, W[j, i]
    gains ``inc g(W[j, i])`` if unit j of layer l+1 fired ``delay`` steps ago, and loses ``dec g(W[j, i])`` if not. All
    of it is felt at step t+1.
    """

    source: str
    target: str
    kind: ProjectionKind = "dense"
    weight: Tensor | None = None
    scale: float = 1.0
    delay: int = 0
    plastic: bool = True
    options: tuple[tuple[str, Any], ...] = ()
    transpose_of: tuple[str, str] | None = None
    symmetric_rule: bool = False

    def __post_init__(self) -> None:
        where = f"Projection {self.source!r} -> {self.target!r}"
        if self.kind not in get_args(ProjectionKind):
            raise unknown_name("projection kind", self.kind, get_args(ProjectionKind))
        for end in (self.source, self.target):
            _check_name(f"{where}: a population", end)
        object.__setattr__(self, "scale", check_number(f"{where}: scale", self.scale))
        object.__setattr__(self, "delay", check_count(f"{where}: delay", self.delay, 0, _LONGEST_DELAY))
        for key in ("plastic", "symmetric_rule"):
            object.__setattr__(self, key, _truth(f"{where}: {key}", getattr(self, key)))
        object.__setattr__(self, "options", self._checked_options(where))
        if self.weight is not None:
            weight = as_reals(f"{where}: the weight", self.weight)
            if not torch.isfinite(weight).all():
                raise SettingsError(f"{where}: the weight holds NaN or infinite values.", expected="finite numbers")
            object.__setattr__(self, "weight", weight)
        if self.transpose_of is None:
            if self.symmetric_rule:
                raise SettingsError(
                    f"{where}: a symmetric rule needs a weight that is shared.",
                    expected="transpose_of=(source, target) of the projection whose weight it is",
                )
            return
        if self.kind != "dense" or self.weight is not None:
            raise SettingsError(
                f"{where}: it uses a transposed weight, and has kind {self.kind!r} "
                f"and {'no' if self.weight is None else 'a'} weight of its own.",
                expected="kind 'dense' and weight=None",
            )
        if self.delay < 1:
            raise SettingsError(
                f"{where}: it uses a transposed weight with delay {self.delay!r}.",
                expected="a delay of at least 1 step",
                hint="delay=1 uses the spikes of the step before",
            )
        pair = tuple(self.transpose_of) if isinstance(self.transpose_of, tuple | list) else ()
        if len(pair) != 2 or not all(isinstance(name, str) for name in pair):
            raise SettingsError(
                f"{where}: transpose_of is {self.transpose_of!r:.60}.",
                expected="source and target of the projection whose weight it is",
            )
        object.__setattr__(self, "transpose_of", pair)
        object.__setattr__(self, "plastic", self.symmetric_rule)

    def _checked_options(self, where: str) -> tuple[tuple[str, Any], ...]:
        """The options as pairs of a key and a value, or an error."""
        pairs = self.options if isinstance(self.options, tuple | list) else None
        if pairs is None or not all(
            isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs
        ):
            raise SettingsError(
                f"{where}: options is {self.options!r:.60}.", expected='pairs of a key and a value, (("stride", 2), …)'
            )
        keys = [pair[0] for pair in pairs]
        if len(set(keys)) != len(keys):
            raise SettingsError(f"{where}: options is {self.options!r:.60}.", expected="every key once")
        return tuple((key, value) for key, value in pairs)


@dataclass(frozen=True, eq=False)
class SpikingNetwork:
    """A graph of populations and projections.

    Parameters
    ----------
    populations, projections:
        The graph. Loops need a delay of at least one step. Weights of different types become float64.
    dt:
        Length of a step in seconds.
    discretisation:
        How decays came from time constants: ``exponential`` or ``euler``.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    dt: float = 0.001
    discretisation: Literal["exponential", "euler"] = "exponential"

    def __post_init__(self) -> None:
        for key, kind in (("populations", Population), ("projections", Projection)):
            parts = getattr(self, key)
            if not isinstance(parts, tuple | list) or not all(isinstance(part, kind) for part in parts):
                raise SettingsError(f"{key} is {parts!r:.80}.", expected=f"a tuple of {kind.__name__} objects")
            object.__setattr__(self, key, tuple(parts))
        if not self.populations:
            raise SettingsError("The network has no population.", expected="at least one")
        if len(self._by_name) != len(self.populations):
            names = [population.name for population in self.populations]
            twice = [
                name
                for name, population in zip(names, self.populations, strict=True)
                if self._by_name[name] is not population
            ]
            raise SettingsError(f"Two populations share a name: {_few(twice)}.", expected="names that differ")
        object.__setattr__(self, "dt", check_number("dt", self.dt, above=0))
        if self.discretisation not in ("exponential", "euler"):
            raise unknown_name("discretisation", str(self.discretisation), ("exponential", "euler"))
        self._unite_types()
        for number, projection in enumerate(self.projections):
            for name in (projection.source, projection.target):
                self.population(name)
            if projection.transpose_of is not None:
                self._check_transpose(number)
            elif projection.kind in ("dense", "recurrent"):
                expected = (self.population(projection.target).size, self.population(projection.source).size)
                found = None if projection.weight is None else tuple(projection.weight.shape)
                if found != expected:
                    raise SettingsError(
                        f"Projection {projection.source!r} -> {projection.target!r}: the weight has shape {found}.",
                        expected=f"[post, pre] = {expected}",
                    )
            else:
                check_geometry(projection, self.population(projection.source), self.population(projection.target))
        _ = self.order
        self._check_memory()

    def _unite_types(self) -> None:
        """Make all weights of one type, and refuse numbers that it does not hold."""
        if len({weight.dtype for weight in self.weights}) > 1:
            wide = tuple(
                q if q.weight is None else dataclasses.replace(q, weight=q.weight.double()) for q in self.projections
            )
            object.__setattr__(self, "projections", wide)
            self.__dict__.pop("_weights", None)
        most = torch.finfo(self.dtype).max
        for population in self.populations:
            for key in PARAMETERS:
                value = getattr(population, key)
                if value is not None and float(value.abs().max() if isinstance(value, Tensor) else abs(value)) > most:
                    raise SettingsError(
                        f"Population {population.name!r}: {key} is too large for weights of type {self.dtype}.",
                        expected=f"numbers up to {most:g}",
                        hint="float64 weights",
                    )

    def _check_memory(self) -> None:
        """Refuse delays for which an engine would have to remember too much."""
        longest = max((q.delay for q in self.projections), default=0)
        neurons = sum(p.size for p in self.populations)
        if longest * neurons > _MOST_REMEMBERED:
            raise SettingsError(
                f"A delay of {longest} steps in a network of {neurons} neurons.",
                expected=f"steps times neurons of no more than {_MOST_REMEMBERED}",
                hint="a longer dt makes a delay fewer steps",
            )

    def _check_transpose(self, number: int) -> None:
        """Refuse a projection whose shared weight is missing, ambiguous, itself a transpose, or of another shape."""
        projection = self.projections[number]
        assert projection.transpose_of is not None
        where = f"Projection {projection.source!r} -> {projection.target!r}"
        source, target = projection.transpose_of
        for name in (source, target):
            self.population(name)
        joining = (self.projections[k] for k in self._between.get((source, target), ()))
        found = [q for q in joining if q.kind in ("dense", "recurrent")]
        if len(found) != 1 or found[0].transpose_of is not None or found[0].kind != "dense":
            what = [f"{q.kind}{' transpose' if q.transpose_of else ''}" for q in found]
            raise SettingsError(
                f"{where}: it cannot use the transposed weight of {source!r} -> {target!r}.",
                found=", ".join(what) or "no such projection with a weight",
                expected="exactly one dense projection between these two, with a weight of its own",
            )
        sizes = (self.population(projection.source).size, self.population(projection.target).size)
        shared = (self.population(target).size, self.population(source).size)
        if sizes != shared:
            raise SettingsError(
                f"{where}: the weight of {source!r} -> {target!r}, [post, pre] = {shared}, does not fit transposed.",
                expected=f"a source of {shared[0]} and a target of {shared[1]} neurons",
                found=f"{sizes[0]} and {sizes[1]}",
            )
        if projection.symmetric_rule and not found[0].plastic:
            raise SettingsError(
                f"{where}: its rule is symmetric, and {source!r} -> {target!r}, whose weight it uses, is not plastic.",
                expected="symmetric_rule=False, or a plastic weight",
            )

    def owner(self, number: int) -> int:
        """Number of the projection whose weight projection ``number`` uses: its own, or with ``transpose_of`` that."""
        pair = self.projections[number].transpose_of
        if pair is None:
            return number
        return next(
            k
            for k in self._between[pair]
            if self.projections[k].kind == "dense" and self.projections[k].transpose_of is None
        )

    # A network is looked up by name over and over, in loops over its parts: what is found by a walk over all of them is
    # found once.
    @cached_property
    def _by_name(self) -> dict[str, Population]:
        return {population.name: population for population in self.populations}

    @cached_property
    def _between(self) -> Mapping[tuple[str, str], list[int]]:
        found: dict[tuple[str, str], list[int]] = {}
        for k, projection in enumerate(self.projections):
            found.setdefault((projection.source, projection.target), []).append(k)
        return found

    @cached_property
    def _incoming(self) -> Mapping[str, list[int]]:
        found: dict[str, list[int]] = {}
        for k, projection in enumerate(self.projections):
            found.setdefault(projection.target, []).append(k)
        return found

    @cached_property
    def _weights(self) -> tuple[Tensor, ...]:
        return tuple(projection.weight for projection in self.projections if projection.weight is not None)

    def population(self, name: str) -> Population:
        """The population with this name."""
        found = self._by_name.get(name)
        if found is None:
            raise unknown_name("population", str(name), self._by_name)
        return found

    def incoming(self, name: str) -> list[int]:
        """Numbers of the projections that end in population ``name``."""
        return list(self._incoming.get(name, ()))

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Names in topological order of the projections without delay."""
        waiting = {population.name: 0 for population in self.populations}
        ahead: dict[str, list[str]] = {name: [] for name in waiting}
        for projection in self.projections:
            if projection.delay == 0:
                waiting[projection.target] += 1
                ahead[projection.source].append(projection.target)
        place = {name: k for k, name in enumerate(waiting)}
        order: list[str] = []
        ready = [name for name, count in waiting.items() if count == 0]
        while ready:
            order += ready
            following = []
            for name in ready:
                for target in ahead[name]:
                    waiting[target] -= 1
                    if waiting[target] == 0:
                        following.append(target)
            ready = sorted(following, key=place.__getitem__)
        if len(order) < len(waiting):
            placed = set(order)
            raise SettingsError(
                f"The populations {_few([name for name in waiting if name not in placed])} form a loop without delay.",
                expected="a delay of at least one step on every feedback projection",
            )
        return tuple(order)

    @property
    def inputs(self) -> tuple[Population, ...]:
        """The input populations."""
        return tuple(population for population in self.populations if population.kind == "input")

    @property
    def layers(self) -> tuple[Population, ...]:
        """Everything but the inputs, in topological order."""
        return tuple(self.population(name) for name in self.order if self.population(name).kind != "input")

    @property
    def last(self) -> Population:
        """What a network is read by: the one population that sends nothing to others, else the last in :attr:`order`.

        With delays on all of its projections the order alone does not tell which population comes last.
        """
        sending = {q.source for q in self.projections if q.source != q.target}
        silent = [p for p in self.populations if p.name not in sending]
        return silent[0] if len(silent) == 1 else self.population(self.order[-1])

    @property
    def weights(self) -> list[Tensor]:
        """The weights of all projections that have one, in order."""
        return list(self._weights)

    @property
    def dtype(self) -> torch.dtype:
        """The type of all weights, float32 or float64, in which engines compute."""
        return self._weights[0].dtype if self._weights else torch.float32

    def with_weights(self, weights: Sequence[Tensor]) -> SpikingNetwork:
        """The same graph with other weights, in the order of :attr:`weights`."""
        left = list(weights)
        if len(left) != len(self.weights):
            raise SettingsError(f"{len(left)} weights were given.", expected=f"{len(self.weights)}")
        projections = tuple(
            p if p.weight is None else dataclasses.replace(p, weight=left.pop(0)) for p in self.projections
        )
        return dataclasses.replace(self, projections=projections)

    def to(self, dtype: torch.dtype) -> SpikingNetwork:
        """The same network with weights of another type, float32 or float64."""
        if dtype not in (torch.float32, torch.float64):
            raise UnsupportedError(
                f"A network cannot be computed in {dtype}.",
                expected="torch.float32 or torch.float64",
                hint="networks with weights in half precision are computed in float32",
            )
        return self.with_weights([weight.to(dtype) for weight in self.weights])

    def with_thresholds(self, thresholds: dict[str, float]) -> SpikingNetwork:
        """The same network with other thresholds, by population name."""
        for name in thresholds:
            self.population(name)
        populations = tuple(
            dataclasses.replace(p, threshold=thresholds[p.name]) if p.name in thresholds else p
            for p in self.populations
        )
        return dataclasses.replace(self, populations=populations)

    def check_rule(self, rule: PlasticityRule | EngineRule) -> None:
        """Refuse a rule that cannot change these weights; real numbers, as they are here, refuse none."""

    @property
    def _title(self) -> str:
        return "SpikingNetwork"

    def __str__(self) -> str:
        """One row per population and per projection."""

        def short(value: Parameter) -> str:
            return f"{value:g}" if not isinstance(value, Tensor) or value.ndim == 0 else f"[{len(value)}]"

        rows = [("population", "kind", "shape", "threshold", "decay", "reset", "refractory")]
        for p in self.populations:
            shape = "x".join(map(str, p.shape))
            plain = p.kind in ("input", "relay")
            rows.append(
                (p.name, p.kind, shape, "-", "-", "-", "-")
                if plain
                else (
                    p.name,
                    p.kind,
                    shape,
                    f"{p.compare} {short(p.threshold)}",
                    short(p.decay),
                    p.reset,
                    str(p.refractory),
                )
            )
        rows.append(("projection", "kind", "weight", "scale", "delay", "plastic", ""))
        for q in self.projections:
            size = "-" if q.weight is None else "x".join(map(str, q.weight.shape))
            if q.transpose_of is not None:
                size = "transpose of " + " -> ".join(q.transpose_of)
            rows.append(
                (f"{q.source} -> {q.target}", q.kind, size, f"{q.scale:g}", str(q.delay), str(q.plastic).lower(), "")
            )
        widths = [max(len(row[k]) for row in rows) for k in range(7)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return f"{self._title}, dt = {self.dt:g} s ({self.discretisation})\n" + "\n".join(lines)
