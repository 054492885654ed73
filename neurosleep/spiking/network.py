"""SpikingNetwork: populations and projections as a plain, frozen value. It knows nothing of sleep, hardware or data."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from neurosleep._checks import check_number
from neurosleep._shown import html_table, named, short_line
from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.functional import EngineRule, PlasticityRule
from neurosleep.spiking.geometry import check_geometry
from neurosleep.spiking.parts import PARAMETERS, Parameter, Population
from neurosleep.spiking.projections import Dense, Projection, Transposed, Weighted

__all__ = ["SpikingNetwork"]

#: Steps times neurons that the delays of a network may make an engine remember: what they take stays below some
#: gigabytes in every engine.
_MOST_REMEMBERED = 2**28


def _few(names: Sequence[str]) -> str:
    """Some of the names, as a list for a message."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


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

    See Also
    --------
    neurosleep.convert : makes one from an awake network
    neurosleep.simulate, neurosleep.sleep : run it
    neurosleep.save : stores it

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> network = ns.convert(torch.nn.Sequential(torch.nn.Linear(4, 2)), torch.rand(20, 4))
    >>> [population.name for population in network.populations], network.weights[0].shape
    (['input', 'output'], torch.Size([2, 4]))
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    dt: float = 0.001
    discretisation: Literal["exponential", "euler"] = "exponential"
    #: Whether its numbers are real ones, which may be scaled and which a file keeps.
    real_valued: ClassVar[bool] = True

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
        for projection in self.projections:
            for name in (projection.source, projection.target):
                self.population(name)
            if isinstance(projection, Transposed):
                self._check_transpose(projection)
            check_geometry(projection, self.population(projection.source), self.population(projection.target))
        _ = self.order
        self._check_memory()

    def _unite_types(self) -> None:
        """Make all weights of one type, and refuse numbers that it does not hold."""
        if len({weight.dtype for weight in self.weights}) > 1:
            wide = tuple(
                dataclasses.replace(q, weight=q.weight.double()) if isinstance(q, Weighted) else q
                for q in self.projections
            )
            object.__setattr__(self, "projections", wide)
            self.__dict__.pop("weighted", None)
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

    def _check_transpose(self, projection: Transposed) -> None:
        """Refuse a projection whose shared weight is missing, ambiguous, itself a transpose, or of another shape."""
        where = f"Projection {projection.source!r} -> {projection.target!r}"
        source, target = projection.of
        for name in (source, target):
            self.population(name)
        joining = [self.projections[k] for k in self._between.get((source, target), ())]
        matrices = [q for q in joining if isinstance(q, Dense | Transposed)]
        if len(matrices) != 1 or isinstance(matrices[0], Transposed) or source == target:
            what = [f"{q.kind}{' transpose' if isinstance(q, Transposed) else ''}" for q in matrices]
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
        if projection.symmetric_rule and not matrices[0].plastic:
            raise SettingsError(
                f"{where}: its rule is symmetric, and {source!r} -> {target!r}, whose weight it uses, is not plastic.",
                expected="symmetric_rule=False, or a plastic weight",
            )

    def owner(self, number: int) -> int:
        """Number of the projection whose weight projection ``number`` uses: its own, or the one that it transposes."""
        projection = self.projections[number]
        if not isinstance(projection, Transposed):
            return number
        return next(k for k in self._between[projection.of] if isinstance(self.projections[k], Dense))

    def matrix(self, projection: Dense | Transposed) -> Tensor:
        """The weight ``[post, pre]`` that ``projection`` computes with: its own, or another's transposed."""
        if isinstance(projection, Dense):
            return projection.weight
        shared = (self.projections[k] for k in self._between[projection.of])
        return next(q.weight.T for q in shared if isinstance(q, Dense))

    # A network is looked up by name over and over, in loops over its parts: what is found by a walk over all of them is
    # found once.
    @cached_property
    def _by_name(self) -> dict[str, Population]:
        return {population.name: population for population in self.populations}

    @cached_property
    def _between(self) -> Mapping[tuple[str, str], list[int]]:
        numbers: dict[tuple[str, str], list[int]] = {}
        for k, projection in enumerate(self.projections):
            numbers.setdefault((projection.source, projection.target), []).append(k)
        return numbers

    @cached_property
    def _incoming(self) -> Mapping[str, list[int]]:
        numbers: dict[str, list[int]] = {}
        for k, projection in enumerate(self.projections):
            numbers.setdefault(projection.target, []).append(k)
        return numbers

    def population(self, name: str) -> Population:
        """The population with this name."""
        match = self._by_name.get(name)
        if match is None:
            raise unknown_name("population", str(name), self._by_name)
        return match

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

    @cached_property
    def weighted(self) -> tuple[Weighted, ...]:
        """The projections that have a weight of their own, in the order of :attr:`weights`."""
        return tuple(q for q in self.projections if isinstance(q, Weighted))

    @property
    def weights(self) -> list[Tensor]:
        """The weights of all projections that have one, in order."""
        return [q.weight for q in self.weighted]

    @property
    def dtype(self) -> torch.dtype:
        """The type of all weights, float32 or float64, in which engines compute."""
        return self.weighted[0].weight.dtype if self.weighted else torch.float32

    def with_weights(self, weights: Sequence[Tensor]) -> Self:
        """The same graph with other weights, in the order of :attr:`weights`."""
        left = list(weights)
        if len(left) != len(self.weights):
            raise SettingsError(f"{len(left)} weights were given.", expected=f"{len(self.weights)}")
        projections = tuple(
            dataclasses.replace(q, weight=left.pop(0)) if isinstance(q, Weighted) else q for q in self.projections
        )
        return dataclasses.replace(self, projections=projections)

    def to(self, dtype: torch.dtype) -> Self:
        """The same network with weights of another type, float32 or float64."""
        if dtype not in (torch.float32, torch.float64):
            raise UnsupportedError(
                f"A network cannot be computed in {dtype}.",
                expected="torch.float32 or torch.float64",
                hint="networks with weights in half precision are computed in float32",
            )
        return self.with_weights([weight.to(dtype) for weight in self.weights])

    def with_thresholds(self, thresholds: dict[str, float]) -> Self:
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
        return type(self).__name__

    def __repr__(self) -> str:
        sizes = [f"{p.name} {p.size}" for p in (self.population(name) for name in self.order)]
        weights = sum(weight.numel() for weight in self.weights)
        what = f"{named(sizes, ' -> ')}; {len(self.projections)} projections, {weights} weights, dt {self.dt:g} s"
        return short_line(f"<{self._title}: {what}>")

    def _repr_html_(self) -> str:
        """A table of the populations and one of the projections."""
        rows = self._table()
        split = 1 + len(self.populations)
        tables = [[dict(zip(part[0], row, strict=True)) for row in part[1:]] for part in (rows[:split], rows[split:])]
        title = f"<p>{html.escape(self._title)}, dt = {self.dt:g} s ({self.discretisation})</p>"
        return title + "".join(html_table(table) for table in tables)

    def __str__(self) -> str:
        """One row per population and per projection."""
        rows = self._table()
        widths = [max(len(row[k]) for row in rows) for k in range(7)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return f"{self._title}, dt = {self.dt:g} s ({self.discretisation})\n" + "\n".join(lines)

    def _table(self) -> list[tuple[str, ...]]:
        """Names of columns and rows: of the populations, then of the projections."""

        def short(value: Parameter) -> str:
            return f"{value:g}" if not isinstance(value, Tensor) or value.ndim == 0 else f"[{len(value)}]"

        rows: list[tuple[str, ...]] = [("population", "kind", "shape", "threshold", "decay", "reset", "refractory")]
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
            size = "x".join(map(str, q.weight.shape)) if isinstance(q, Weighted) else "-"
            if isinstance(q, Transposed):
                size = "transpose of " + " -> ".join(q.of)
            rows.append(
                (f"{q.source} -> {q.target}", q.kind, size, f"{q.scale:g}", str(q.delay), str(q.plastic).lower(), "")
            )
        return rows
