"""A loaded hardware profile: frozen values, one class for each table of the file, one field for each of its keys.

A field is None where the file does not state it: an optional key, or one that is listed in ``unpublished``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

from neurosleep.hardware.findings import Finding
from neurosleep.hardware.profiles.schema import KEYS

__all__ = [
    "Bias",
    "Capacity",
    "Current",
    "Decay",
    "Delay",
    "Energy",
    "Figure",
    "Fitted",
    "HardwareProfile",
    "Identity",
    "Learning",
    "Limit",
    "LimitKinds",
    "Membrane",
    "Mismatch",
    "Noise",
    "Packing",
    "Process",
    "Reset",
    "Source",
    "Spike",
    "Threshold",
    "Throughput",
    "Time",
    "Weights",
]

Limit = int | Literal["unlimited"]


@dataclass(frozen=True)
class Source:
    """Where figures come from; ``grade`` is code, primary, secondary, recalled (not verified) or project (ours)."""

    name: str
    citation: str
    year: int | None
    grade: str


@dataclass(frozen=True)
class Figure:
    """One stated value with its source (None where the file names none)."""

    key: str
    value: Any
    source: Source | None


@dataclass(frozen=True, kw_only=True)
class _Table:
    source: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Identity(_Table):
    """``[profile]``: what the file is about."""

    id: str
    name: str
    vendor: str
    kind: str
    spiking: bool


@dataclass(frozen=True, kw_only=True)
class Weights(_Table):
    """``[weights]``: the integer grid of stored weights, and how a float comes onto it.

    Where the sign is kept elsewhere (``sign_scheme`` pre_neuron, split_rows or receptor) the grid is that of the
    magnitude; :attr:`signed_min` and :attr:`signed_max` are the range of the signed weight.
    """

    bits: int | None = None
    sign_scheme: str | None = None
    mantissa_min: int | None = None
    mantissa_max: int | None = None
    mantissa_step: int | None = None
    exponent_min: int | None = None
    exponent_max: int | None = None
    base_shift_bits: int | None = None
    scale_scope: str | None = None
    rounding: str | None = None
    truncation: str | None = None
    overflow: str | None = None
    distinct_magnitudes_per_neuron: int | None = None

    @property
    def signed_min(self) -> int | None:
        """Least signed weight on the grid, None where it is not known or there is no grid."""
        if self.sign_scheme in ("pre_neuron", "split_rows", "receptor") and self.mantissa_max is not None:
            return -self.mantissa_max
        return self.mantissa_min

    @property
    def signed_max(self) -> int | None:
        """Greatest signed weight on the grid, None where it is not known or there is no grid."""
        return self.mantissa_max


@dataclass(frozen=True, kw_only=True)
class Threshold(_Table):
    """``[threshold]``: ``mantissa << shift_bits``, and the comparison that makes a spike."""

    mantissa_bits: int | None = None
    shift_bits: int | None = None
    signed: bool | None = None
    compare: str | None = None


@dataclass(frozen=True, kw_only=True)
class Membrane(_Table):
    """``[membrane]``: the potential v."""

    bits: int | None = None
    signed: bool | None = None
    overflow: str | None = None
    clamp_min: int | None = None
    clamp_max: int | None = None


@dataclass(frozen=True, kw_only=True)
class Current(_Table):
    """``[current]``: the synaptic current, and the sum of one step's input."""

    bits: int | None = None
    overflow: str | None = None
    accumulator_bits: int | None = None


@dataclass(frozen=True, kw_only=True)
class Decay(_Table):
    """``[decay]``: how current and potential decay; ``min`` and ``max`` are those of the register."""

    kind: str | None = None
    denominator: int | None = None
    min: int | None = None
    max: int | None = None
    current_offset: int | None = None
    voltage_offset: int | None = None
    rounding: str | None = None


@dataclass(frozen=True, kw_only=True)
class Bias(_Table):
    """``[bias]``: ``mantissa << exponent``."""

    supported: bool | None = None
    mantissa_bits: int | None = None
    exponent_bits: int | None = None


@dataclass(frozen=True, kw_only=True)
class Reset(_Table):
    """``[reset]``: what happens after a spike."""

    modes: tuple[str, ...] | None = None
    default: str | None = None
    amount_free: bool | None = None
    refractory_steps_min: int | None = None
    refractory_steps_max: int | None = None


@dataclass(frozen=True, kw_only=True)
class Time(_Table):
    """``[time]``: steps, events or continuous time."""

    kind: str | None = None
    step_s: float | None = None
    step_free: bool | None = None
    speedup: float | None = None


@dataclass(frozen=True, kw_only=True)
class Delay(_Table):
    """``[delay]``: synaptic delays."""

    min_steps: int | None = None
    max_steps: Limit | None = None
    latency_steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class LimitKinds(_Table):
    """``[capacity.limit_kind]``: structural (refuse), budget (refuse when the sum exceeds) or deadline (warn)."""

    cores_per_chip: str | None = None
    neurons_per_core: str | None = None
    synapse_memory_bits_per_core: str | None = None
    synapses_per_core: str | None = None
    fan_in_max: str | None = None
    fan_out_max: str | None = None
    in_axons_per_core_max: str | None = None
    out_axons_per_core_max: str | None = None


@dataclass(frozen=True, kw_only=True)
class Packing(_Table):
    """``[capacity.packing]``: the model by which cores are counted, and its constants."""

    model: str | None = None
    estimated: bool | None = None
    word_bits: int | None = None
    group_size: int | None = None
    overhead_bits: int | None = None
    entries_per_neuron: int | None = None
    neuron_words_per_core: tuple[int, ...] | None = None
    kernel_words_per_core: tuple[int, ...] | None = None
    bias_words_per_core: int | None = None
    input_size_max: int | None = None
    output_size_max: int | None = None
    channels_max: int | None = None
    kernel_size_max: int | None = None
    padding_max: int | None = None
    strides: tuple[int, ...] | None = None
    pools: tuple[int, ...] | None = None
    recurrent: bool | None = None
    hidden_neurons_max: int | None = None
    output_neurons_max: int | None = None
    bytes_per_synapse: int | None = None
    memory_bytes_per_chip: int | None = None
    synaptic_events_per_s_per_core: int | None = None
    router_entries_per_chip: int | None = None


@dataclass(frozen=True, kw_only=True)
class Capacity(_Table):
    """``[capacity]``: what fits. A limit is a number, ``"unlimited"``, or None where it is not known."""

    cores_per_chip: Limit | None = None
    neurons_per_core: Limit | None = None
    synapse_memory_bits_per_core: Limit | None = None
    synapses_per_core: Limit | None = None
    fan_in_max: Limit | None = None
    fan_out_max: Limit | None = None
    in_axons_per_core_max: Limit | None = None
    out_axons_per_core_max: Limit | None = None
    limit_kind: LimitKinds = field(default_factory=LimitKinds)
    packing: Packing = field(default_factory=Packing)


@dataclass(frozen=True, kw_only=True)
class Learning(_Table):
    """``[learning]``: the chip's own plasticity. ``class_`` is the file's ``class``."""

    class_: str | None = None
    dependencies: tuple[str, ...] | None = None
    traces: tuple[str, ...] | None = None
    trace_bits: int | None = None
    tag_bits: int | None = None
    accumulator_bits: int | None = None
    scale_mantissa_bits: int | None = None
    scale_exponent_min: int | None = None
    scale_exponent_max: int | None = None
    update_rounding: str | None = None
    weight_sign_factor: bool | None = None
    epoch_steps_max: int | None = None


@dataclass(frozen=True, kw_only=True)
class Noise(_Table):
    """``[noise]``: noise that the chip itself makes."""

    on_chip: bool | None = None
    kind: str | None = None
    bits: int | None = None
    exponent_min: int | None = None
    exponent_max: int | None = None


@dataclass(frozen=True, kw_only=True)
class Spike(_Table):
    """``[spike]``: what a spike carries."""

    payload_bits: int | None = None


@dataclass(frozen=True, kw_only=True)
class Fitted(_Table):
    """``[energy.fitted]``: coefficients of a simulator that was fitted to silicon, beside the chip's own."""

    synop_pj: float | None = None
    access_pj: float | None = None
    update_pj: float | None = None
    spike_pj: float | None = None
    message_pj: float | None = None


@dataclass(frozen=True, kw_only=True)
class Energy(_Table):
    """``[energy]``: coefficients; one that is None is not estimated, never zero."""

    status: str | None = None
    synop_pj: float | None = None
    update_active_pj: float | None = None
    update_inactive_pj: float | None = None
    spike_pj: float | None = None
    hop_pj: float | None = None
    learn_update_pj: float | None = None
    static_mw: float | None = None
    hops_per_synop: float | None = None
    core_mw: float | None = None
    operating_point_pj: float | None = None
    basis: str | None = None
    synop_includes_static: bool | None = None
    fitted: Fitted = field(default_factory=Fitted)


@dataclass(frozen=True, kw_only=True)
class Process(_Table):
    """``[process]``: how the chip is made."""

    node: str | None = None
    die_mm2: float | None = None


@dataclass(frozen=True, kw_only=True)
class Mismatch(_Table):
    """``[mismatch]``: how far an analogue chip's parameters lie from what was set."""

    sd_relative: float | None = None
    sd_source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Throughput(_Table):
    """``[throughput]``: for information."""

    clock_hz: float | None = None
    synops_per_s: float | None = None
    synops_per_s_per_core: float | None = None
    instructions_per_s: float | None = None
    hop_latency_ns: float | None = None
    step_floor_s: float | None = None
    cycles_per_spike: int | None = None
    cycles_per_input_synop: float | None = None
    cycles_per_synop: float | None = None
    cycles_per_output_synop: float | None = None
    cycles_per_update: float | None = None


@dataclass(frozen=True, kw_only=True)
class HardwareProfile:
    """What a chip can hold and do, as its file states it; :func:`~neurosleep.hardware.load_profile` makes it.

    The fields are the file's tables. ``current``, ``process``, ``mismatch`` and ``throughput`` are None where the file
    has no such table. ``findings`` are warnings of the validation, ``file`` is where it was read from.
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


def _build(kind: type, raw: Mapping[str, Any]) -> Any:
    """A table of a validated file as its class."""
    values: dict[str, Any] = {}
    for part in fields(kind):
        value = raw.get("class" if part.name == "class_" else part.name)
        if isinstance(value, dict):
            value = _build(_NESTED[part.name], value)
        elif isinstance(value, list):
            value = tuple(value)
        elif isinstance(value, int) and "float" in str(part.type):
            value = float(value)
        if value is not None:
            values[part.name] = value
    return kind(**values)


_NESTED: dict[str, type] = {"limit_kind": LimitKinds, "packing": Packing, "fitted": Fitted}
_PARTS: dict[str, type] = {
    "profile": Identity,
    "weights": Weights,
    "threshold": Threshold,
    "membrane": Membrane,
    "decay": Decay,
    "bias": Bias,
    "reset": Reset,
    "time": Time,
    "delay": Delay,
    "capacity": Capacity,
    "learning": Learning,
    "noise": Noise,
    "spike": Spike,
    "energy": Energy,
    "current": Current,
    "process": Process,
    "mismatch": Mismatch,
    "throughput": Throughput,
}
_OPTIONAL_PARTS = ("current", "process", "mismatch", "throughput")


def build_profile(
    raw: Mapping[str, Any],
    sources: Mapping[str, Source],
    figure_sources: Mapping[str, str],
    findings: tuple[Finding, ...],
    file: str,
) -> HardwareProfile:
    """The profile of a file that validation found right."""
    parts: dict[str, Any] = {
        name: None if name in _OPTIONAL_PARTS and name not in raw else _build(kind, raw.get(name, {}))
        for name, kind in _PARTS.items()
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
