"""A loaded hardware profile: the tables of its file as frozen values, and where each figure comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from neurosleep._shown import short_line
from neurosleep.hardware.findings import Finding
from neurosleep.hardware.profiles.schema import KEYS, leaf
from neurosleep.hardware.profiles.tables import (
    PARTS,
    Bias,
    Capacity,
    Current,
    Decay,
    Delay,
    Energy,
    Identity,
    Learning,
    Membrane,
    Mismatch,
    Noise,
    Process,
    Reset,
    Spike,
    Table,
    Threshold,
    Throughput,
    Time,
    Weights,
)

__all__ = ["Energy", "Figure", "HardwareProfile", "Source", "Weights", "build_profile"]


@dataclass(frozen=True)
class Source:
    """Where figures come from; ``grade`` is code, primary, secondary, recalled (not verified) or project (ours).

    See Also
    --------
    Figure : what comes from it

    Examples
    --------
    >>> from neurosleep import load_profile
    >>> profile = load_profile("loihi1")
    >>> profile.source_of("weights.bits").grade
    'code'
    """

    name: str
    citation: str
    year: int | None
    grade: str


@dataclass(frozen=True)
class Figure:
    """One stated value with its source (None where the file names none).

    See Also
    --------
    HardwareProfile : whose ``figures`` they are
    Source : where they come from

    Examples
    --------
    >>> from neurosleep import load_profile
    >>> figure = load_profile("loihi1").figures()[0]
    >>> figure.key
    'weights.bits'
    """

    key: str
    value: Any
    source: Source | None


@dataclass(frozen=True, kw_only=True)
class HardwareProfile:
    """What a chip can hold and do, as its file states it; :func:`~neurosleep.hardware.load_profile` makes it.

    The fields are the file's tables. ``current``, ``process``, ``mismatch`` and ``throughput`` are None where the file
    has no such table. ``findings`` are warnings of the validation, ``file`` is where it was read from.

    See Also
    --------
    load_profile : reads one
    neurosleep.map_to : puts a network on it

    Examples
    --------
    >>> import neurosleep as ns
    >>> profile = ns.load_profile("loihi1")
    >>> profile.weights.bits, profile.floating
    (8, False)
    """

    schema_version: int
    unpublished: tuple[str, ...]
    profile: Identity
    sources: Mapping[str, Source]
    figure_sources: Mapping[str, str]
    weights: Weights
    threshold: Threshold
    membrane: Membrane
    decay: Decay
    bias: Bias
    reset: Reset
    time: Time
    delay: Delay
    capacity: Capacity
    learning: Learning
    noise: Noise
    spike: Spike
    energy: Energy
    current: Current | None = None
    process: Process | None = None
    mismatch: Mismatch | None = None
    throughput: Throughput | None = None
    findings: tuple[Finding, ...] = ()
    file: str = ""

    def __repr__(self) -> str:
        what = f"{self.id!r} ({self.name}), {self.kind}"
        findings = f", {len(self.findings)} findings" if self.findings else ""
        return short_line(f"<HardwareProfile: {what}, {len(self.unpublished)} figures unpublished{findings}>")

    @property
    def id(self) -> str:
        """The profile's short name."""
        return self.profile.id

    @property
    def name(self) -> str:
        """The chip's name."""
        return self.profile.name

    @property
    def kind(self) -> str:
        """Digital, analog, software or neutral."""
        return self.profile.kind

    @property
    def floating(self) -> bool:
        """Whether the profile computes in floating point throughout."""
        return self.weights.sign_scheme == "float" and self.decay.kind == "float"

    @property
    def real_potentials(self) -> bool:
        """Whether potentials are real numbers: the chip is analogue, or publishes no width of them."""
        return self.membrane.bits is None

    def get(self, key: str) -> Any:
        """The value of a dotted key of the schema, such as ``"weights.bits"``; None where it is not stated.

        Raises
        ------
        KeyError
            If the schema has no such key.
        """
        if key not in KEYS:
            raise KeyError(key)
        value: Any = self
        for part in key.split("."):
            value = getattr(value, "class_" if part == "class" else part, None)
        return value

    def source_of(self, key: str) -> Source | None:
        """The source of one dotted key: its own under ``[sources]``, else its table's or the outer table's."""
        table = KEYS[key].table
        tables = (table, table.partition(".")[0]) if table else ()
        names = [self.figure_sources.get(key), *(self.get(f"{name}.source") for name in tables)]
        return next((self.sources[name] for name in names if name is not None), None)

    def notes(self) -> dict[str, str]:
        """What readers should know, by table."""
        keys = [key for key in KEYS.values() if key.leaf == "note"]
        return {key.table: note for key in keys if (note := self.get(key.name)) is not None}

    def figures(self) -> tuple[Figure, ...]:
        """Every stated value but names and notes, in the order of the schema, with its source."""
        return self._figures

    @cached_property
    def _figures(self) -> tuple[Figure, ...]:
        # Once: an energy asks for them, and there is one for each image.
        return tuple(
            Figure(key.name, value, self.source_of(key.name))
            for key in KEYS.values()
            if key.fact and (value := self.get(key.name)) is not None
        )


def _build(kind: type[Table], raw: Mapping[str, Any]) -> Any:
    """A table of a validated file as its class."""
    values: dict[str, Any] = {}
    for part in fields(kind):
        value = raw.get(leaf(part.name))
        if isinstance(value, dict):
            value = _build(part.metadata["table"], value)
        elif isinstance(value, list):
            value = tuple(value)
        elif isinstance(value, int) and "float" in str(part.type):
            value = float(value)
        if value is not None:
            values[part.name] = value
    return kind(**values)


_OPTIONAL = [part.name for part in fields(HardwareProfile) if part.default is None]


def build_profile(
    raw: Mapping[str, Any],
    sources: Mapping[str, Source],
    figure_sources: Mapping[str, str],
    findings: tuple[Finding, ...],
    file: str,
) -> HardwareProfile:
    """The profile of a file that validation found right."""
    parts: dict[str, Any] = {
        name: None if name in _OPTIONAL and name not in raw else _build(kind, raw.get(name, {}))
        for name, kind in PARTS.items()
    }
    return HardwareProfile(
        schema_version=raw["schema_version"],
        unpublished=tuple(raw.get("unpublished", ())),
        sources=dict(sources),
        figure_sources=dict(figure_sources),
        findings=findings,
        file=file,
        **parts,
    )
