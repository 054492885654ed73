"""The tables of a profile's file, one class for each and one field for each key: its type, meaning, range, conditions.

A field is None where the file does not state it: an optional key, or one that is listed in ``unpublished``.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import Any, ClassVar, Literal

from neurosleep.hardware.profiles.key import EXACT_BITS, MOST_COUNT, When, choice, positive, stated, whole, width

__all__ = ["PARTS", "Limit", "Table"]

Limit = int | Literal["unlimited"]

_FLOAT = When("weights.sign_scheme", ("float",))
_ANALOG = When("profile.kind", ("analog",))
_ROUNDING = ("nearest_even", "nearest_away", "floor", "toward_zero", "stochastic", "cluster")
_RESETS = ("to_zero", "subtract_threshold", "to_value", "none", "saturate")

_MOST_MANTISSA = 2**31
_MOST_STEPS = 1023
_MOST_POTENTIAL = 2**52
_MOST_DECAY = 2**30
_WORDS: dict[str, Any] = {"low": 1, "high": MOST_COUNT}
# What every chip but one of floating point has to state, and what such a one may not.
_NEEDED: dict[str, Any] = {"required": True, "unless": (_FLOAT,)}
_INTEGER: dict[str, Any] = {**_NEEDED, "absent_if": _FLOAT}
# What one value of another key needs.
_DISCRETE: dict[str, Any] = {"when": (When("time.kind", ("discrete",)),), "unless": (When("time.step_free", (True,)),)}
_BIASED: dict[str, Any] = {"when": (When("bias.supported", (True,)),), "unless": (_FLOAT,)}
_SUMS: dict[str, Any] = {"when": (When("learning.class", ("sum_of_products",)),)}
_UNIFORM: dict[str, Any] = {"when": (When("noise.kind", ("uniform",)),)}
_FRACTIONS: dict[str, Any] = {"when": (When("decay.kind", ("multiplicative_integer",)),)}


def _packed(model: str) -> dict[str, Any]:
    return {"when": (When("capacity.packing.model", (model,)),)}


def _nested(kind: type[Table]) -> Any:
    return field(default_factory=kind, metadata={"table": kind})


@dataclass(frozen=True, kw_only=True)
class Table:
    """What every table may have."""

    #: A condition under which the table's keys may be given at all.
    only: ClassVar[When | None] = None

    source: str | None = stated("source of the table's figures, a name in [sources]")
    note: str | None = stated("what a reader should know")


@dataclass(frozen=True, kw_only=True)
class Identity(Table):
    """``[profile]``: what the file is about."""

    id: str = stated("the file's name without .toml", pattern="[a-z0-9_]+", required=True, default=MISSING)
    name: str = stated("name of the chip", pattern=".+", required=True, default=MISSING)
    vendor: str = stated("who makes it", pattern=".+", required=True, default=MISSING)
    kind: str = choice("what it is", "digital", "analog", "software", "neutral", required=True, default=MISSING)
    spiking: bool = stated("it runs spiking neurons", required=True, default=MISSING)


@dataclass(frozen=True, kw_only=True)
class Weights(Table):
    """``[weights]``: the integer grid of stored weights, and how a float comes onto it.

    Where the sign is kept elsewhere (``sign_scheme`` pre_neuron, split_rows or receptor) the grid is that of the
    magnitude; :attr:`signed_min` and :attr:`signed_max` are the range of the signed weight.
    """

    bits: int | None = width("stored width, the sign included where it is stored", 1, 32, **_INTEGER)
    sign_scheme: str | None = choice(
        "how a sign is represented",
        *("twos_complement", "group_mode", "pre_neuron", "split_rows", "receptor", "axon_table", "float"),
        required=True,
    )
    mantissa_min: int | None = whole(
        "least stored integer (of the magnitude where the sign is kept elsewhere)", -_MOST_MANTISSA, 0, **_INTEGER
    )
    mantissa_max: int | None = whole("greatest stored integer", 0, _MOST_MANTISSA, **_INTEGER)
    mantissa_step: int | None = whole("step of the grid", 1, _MOST_MANTISSA, **_INTEGER)
    exponent_min: int | None = whole("least shared power of two", -64, 64)
    exponent_max: int | None = whole("greatest shared power of two", -64, 64)
    base_shift_bits: int | None = whole("left shift that is always applied", 0, 31)
    scale_scope: str | None = choice(
        "what shares one scale", "network", "layer", "core", "target_neuron", "synapse_group", **_NEEDED
    )
    rounding: str | None = choice("from float to the grid", *_ROUNDING, **_NEEDED)
    truncation: str | None = choice(
        "how bits are dropped when fewer are stored", *_ROUNDING, when=(When("weights.sign_scheme", ("group_mode",)),)
    )
    overflow: str | None = choice("beyond the grid", "saturate", "wrap", "error", **_NEEDED)
    distinct_magnitudes_per_neuron: int | None = whole("different magnitudes onto one neuron", 1)

    @property
    def sign_of_source(self) -> bool:
        """Whether all that one neuron sends has one sign."""
        return self.sign_scheme == "pre_neuron"

    @property
    def values_of_target(self) -> bool:
        """Whether a neuron has a few values of its own, one of which the type of an axon picks."""
        return self.sign_scheme == "axon_table"

    @property
    def rows_of_a_sign(self) -> bool:
        """Whether a signed weight takes two synapses, in an exciting and in an inhibiting row."""
        return self.sign_scheme == "split_rows"

    @property
    def groups_of_a_sign(self) -> bool:
        """Whether a group of synapses of one sign stores no bit for it."""
        return self.sign_scheme == "group_mode"

    @property
    def clustered(self) -> bool:
        """Whether weights take a few values that are fitted to them, those of a neuron or of a core."""
        return self.rounding == "cluster"

    @property
    def point_of_group(self) -> bool:
        """Whether weights are fixed-point numbers whose point is that of their group of synapses."""
        return self.sign_scheme == "receptor" and self.scale_scope == "synapse_group" and self.bits == 16

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
class Threshold(Table):
    """``[threshold]``: ``mantissa << shift_bits``, and the comparison that makes a spike."""

    mantissa_bits: int | None = width(
        "width of a threshold, the sign included if it is signed", high=EXACT_BITS, **_NEEDED
    )
    shift_bits: int | None = whole("left shift that is always applied", 0, 31, **_NEEDED)
    signed: bool | None = stated("the mantissa has a sign bit; without it, it has none")
    compare: str | None = choice("a spike if v compare threshold", ">", ">=", required=True)


@dataclass(frozen=True, kw_only=True)
class Membrane(Table):
    """``[membrane]``: the potential v."""

    bits: int | None = width("width of v, sign included", 2, EXACT_BITS, **_INTEGER)
    signed: bool | None = stated("v may be negative", **_NEEDED)
    overflow: str | None = choice("v beyond its range", "saturate", "wrap", **_NEEDED)
    clamp_min: int | None = whole("v is kept at or above it", -_MOST_POTENTIAL, _MOST_POTENTIAL)
    clamp_max: int | None = whole("v is kept at or below it", -_MOST_POTENTIAL, _MOST_POTENTIAL)


@dataclass(frozen=True, kw_only=True)
class Current(Table):
    """``[current]``: the synaptic current, and the sum of one step's input."""

    bits: int | None = width("width of the synaptic current, sign included", 2, EXACT_BITS)
    overflow: str | None = choice("current beyond its range", "saturate", "wrap")
    accumulator_bits: int | None = width("width of a step's summed input, sign included", 2, EXACT_BITS)


@dataclass(frozen=True, kw_only=True)
class Decay(Table):
    """``[decay]``: how current and potential decay; ``min`` and ``max`` are those of the register."""

    kind: str | None = choice(
        "how v decays",
        *("multiplicative_integer", "power_of_two", "subtractive", "analog", "float", "none"),
        required=True,
    )
    denominator: int | None = whole("v loses v * d / denominator a step, a power of two", 1, _MOST_DECAY, **_FRACTIONS)
    min: int | None = whole("least register value", -_MOST_DECAY, _MOST_DECAY, **_FRACTIONS)
    max: int | None = whole("greatest register value", -_MOST_DECAY, _MOST_DECAY, **_FRACTIONS)
    current_offset: int | None = whole("added to the register of the current", -_MOST_DECAY, _MOST_DECAY)
    voltage_offset: int | None = whole("added to the register of v", -_MOST_DECAY, _MOST_DECAY)
    rounding: str | None = choice("rounding of the decayed value", "toward_zero", "floor", **_FRACTIONS)

    @property
    def constant(self) -> bool:
        """Whether a step takes a constant away, toward 0."""
        return self.kind == "subtractive"


@dataclass(frozen=True, kw_only=True)
class Bias(Table):
    """``[bias]``: ``mantissa << exponent``."""

    supported: bool | None = stated("neurons have a bias", required=True)
    mantissa_bits: int | None = width("width, sign included", high=EXACT_BITS, **_BIASED)
    exponent_bits: int | None = whole("width of the exponent", 0, 5, **_BIASED)


@dataclass(frozen=True, kw_only=True)
class Reset(Table):
    """``[reset]``: what happens after a spike."""

    modes: tuple[str, ...] | None = choice("resets there are", *_RESETS, required=True)
    default: str | None = choice("the usual one", *_RESETS, required=True)
    amount_free: bool | None = stated("what a spike subtracts is a number of its own, not the threshold")
    refractory_steps_min: int | None = whole("fewest refractory steps")
    refractory_steps_max: int | None = whole("most refractory steps")


@dataclass(frozen=True, kw_only=True)
class Time(Table):
    """``[time]``: steps, events or continuous time."""

    kind: str | None = choice("what time is", "discrete", "event", "continuous", required=True)
    step_s: float | None = positive("length of a step", **_DISCRETE)
    step_free: bool | None = stated("steps have no fixed length")
    speedup: float | None = positive("times faster than biology")


@dataclass(frozen=True, kw_only=True)
class Delay(Table):
    """``[delay]``: synaptic delays."""

    min_steps: int | None = whole("least synaptic delay", 0, _MOST_STEPS, required=True)
    max_steps: Limit | None = whole("greatest synaptic delay", required=True)
    latency_steps: int | None = whole(
        "steps from a neuron's spike to its arrival with delay 0 (left out: none)", 0, _MOST_STEPS
    )


def _limit_kind(limit: str) -> Any:
    key = f"capacity.{limit}"
    return choice(f"what it means to exceed {key}", "structural", "budget", "deadline", only=When(key))


@dataclass(frozen=True, kw_only=True)
class LimitKinds(Table):
    """``[capacity.limit_kind]``: structural (refuse), budget (refuse when the sum exceeds) or deadline (warn)."""

    cores_per_chip: str | None = _limit_kind("cores_per_chip")
    neurons_per_core: str | None = _limit_kind("neurons_per_core")
    synapse_memory_bits_per_core: str | None = _limit_kind("synapse_memory_bits_per_core")
    synapses_per_core: str | None = _limit_kind("synapses_per_core")
    fan_in_max: str | None = _limit_kind("fan_in_max")
    fan_out_max: str | None = _limit_kind("fan_out_max")
    in_axons_per_core_max: str | None = _limit_kind("in_axons_per_core_max")
    out_axons_per_core_max: str | None = _limit_kind("out_axons_per_core_max")


@dataclass(frozen=True, kw_only=True)
class Packing(Table):
    """``[capacity.packing]``: the model by which cores are counted, and its constants."""

    model: str | None = choice(
        "how cores are counted", "loihi", "crossbar", "cam", "kernel", "row_table", "unlimited", required=True
    )
    estimated: bool | None = stated("the constants of the model are planning figures")
    word_bits: int | None = width("word of the synapse memory", **_packed("loihi"))
    group_size: int | None = whole("synapses that share one head", 1, **_packed("loihi"))
    overhead_bits: int | None = whole("head of a group of synapses", **_packed("loihi"))
    entries_per_neuron: int | None = whole("entries of a neuron's address memory", 1, **_packed("cam"))
    neuron_words_per_core: tuple[int, ...] | None = stated(
        "neuron memory of each core in words", **_WORDS, **_packed("kernel")
    )
    kernel_words_per_core: tuple[int, ...] | None = stated(
        "kernel memory of each core in words", **_WORDS, **_packed("kernel")
    )
    bias_words_per_core: int | None = whole("bias memory of a core in words", 1)
    input_size_max: int | None = whole("width and height of a layer's input", 1)
    output_size_max: int | None = whole("width and height of a layer's output", 1)
    channels_max: int | None = whole("channels of a layer's input", 1)
    kernel_size_max: int | None = whole("width and height of a kernel", 1)
    padding_max: int | None = whole("padding")
    strides: tuple[int, ...] | None = stated("strides there are", **_WORDS)
    pools: tuple[int, ...] | None = stated("pooling sizes there are", **_WORDS)
    recurrent: bool | None = stated("a layer may feed itself or an earlier one")
    hidden_neurons_max: int | None = whole("neurons that are no output", 1)
    output_neurons_max: int | None = whole("output neurons", 1)
    bytes_per_synapse: int | None = whole("a synapse in a row of the table", 1, **_packed("row_table"))
    memory_bytes_per_chip: int | None = whole("memory for rows that a chip's cores share", 1)
    synaptic_events_per_s_per_core: int | None = whole("synaptic events a core keeps up with (deadline)", 1)
    router_entries_per_chip: int | None = whole("entries of a chip's routing table", 1)


@dataclass(frozen=True, kw_only=True)
class Capacity(Table):
    """``[capacity]``: what fits. A limit is a number, ``"unlimited"``, or None where it is not known."""

    cores_per_chip: Limit | None = whole("cores that hold neurons", 1, required=True)
    neurons_per_core: Limit | None = whole("neurons on one core; the largest core where they differ", 1, required=True)
    # Of the two that follow, one will do.
    synapse_memory_bits_per_core: Limit | None = whole(
        "memory for synapses of one core", 1, required=True, unless=(When("capacity.synapses_per_core"),)
    )
    synapses_per_core: Limit | None = whole(
        "synapses of one core", 1, required=True, unless=(When("capacity.synapse_memory_bits_per_core"),)
    )
    fan_in_max: Limit | None = whole("synapses onto one neuron", 1)
    fan_out_max: Limit | None = whole("targets (cores, layers or neurons, as the note says) of one neuron", 1)
    in_axons_per_core_max: Limit | None = whole("input axons of one core", 1)
    out_axons_per_core_max: Limit | None = whole("output axons of one core", 1)
    limit_kind: LimitKinds = _nested(LimitKinds)
    packing: Packing = _nested(Packing)


@dataclass(frozen=True, kw_only=True)
class Learning(Table):
    """``[learning]``: the chip's own plasticity. ``class_`` is the file's ``class``."""

    class_: str | None = choice(
        "what plasticity the chip itself has",
        *("none", "last_layer", "fixed_rule", "sum_of_products", "programmable"),
        required=True,
    )
    dependencies: tuple[str, ...] | None = stated("events that start an update (x0 pre, y0 post, u epoch)", **_SUMS)
    traces: tuple[str, ...] | None = stated("traces there are", **_SUMS)
    trace_bits: int | None = width("a trace", **_SUMS)
    tag_bits: int | None = width("the tag of a synapse", **_SUMS)
    accumulator_bits: int | None = width("the weight during an update, sign included", **_SUMS)
    scale_mantissa_bits: int | None = width("mantissa of a product's factor, sign included", **_SUMS)
    scale_exponent_min: int | None = whole("least exponent of a product's factor", -64, 64, **_SUMS)
    scale_exponent_max: int | None = whole("greatest exponent of a product's factor", -64, 64, **_SUMS)
    update_rounding: str | None = choice(
        "how an update becomes a stored weight",
        *("stochastic", "nearest_even", "unit_step"),
        when=(When("learning.class", ("sum_of_products", "fixed_rule")),),
    )
    weight_sign_factor: bool | None = stated("sgn(w) may be a factor")
    epoch_steps_max: int | None = whole("steps between two updates at most", 1)


@dataclass(frozen=True, kw_only=True)
class Noise(Table):
    """``[noise]``: noise that the chip itself makes."""

    on_chip: bool | None = stated("the chip itself makes noise", required=True)
    kind: str | None = choice(
        "uniform integers, stochastic neuron parameters, Poisson generators, or a program",
        *("uniform", "stochastic_parameters", "poisson", "programmable"),
        when=(When("noise.on_chip", (True,)),),
    )
    bits: int | None = width("width of a random number", **_UNIFORM)
    exponent_min: int | None = whole("least power of two", -64, 64, **_UNIFORM)
    exponent_max: int | None = whole("greatest power of two", -64, 64, **_UNIFORM)


@dataclass(frozen=True, kw_only=True)
class Spike(Table):
    """``[spike]``: what a spike carries."""

    payload_bits: int | None = whole("0 for binary spikes", 0, 64, required=True)


@dataclass(frozen=True, kw_only=True)
class Fitted(Table):
    """``[energy.fitted]``: coefficients of a simulator that was fitted to silicon, beside the chip's own."""

    synop_pj: float | None = positive("one synaptic operation, of a simulator fitted to silicon")
    access_pj: float | None = positive("one look at a neuron, in every step")
    update_pj: float | None = positive("one update of a neuron that receives input, besides")
    spike_pj: float | None = positive("one emitted spike")
    message_pj: float | None = positive("one message of a spike to a core")


@dataclass(frozen=True, kw_only=True)
class Energy(Table):
    """``[energy]``: coefficients; one that is None is not estimated, never zero."""

    status: str | None = choice("whether figures are public", "published", "unpublished", "project", required=True)
    synop_pj: float | None = positive("one synaptic operation")
    update_active_pj: float | None = positive("one update of a neuron that receives input")
    update_inactive_pj: float | None = positive("one update of any other neuron")
    spike_pj: float | None = positive("one emitted spike")
    hop_pj: float | None = positive("one spike over one hop between cores")
    learn_update_pj: float | None = positive("one update of a plastic synapse")
    static_mw: float | None = positive("power of a chip without activity")
    hops_per_synop: float | None = positive("hops that each synaptic operation counts with, if any")
    core_mw: float | None = positive("power of a core that is in use, besides static_mw")
    operating_point_pj: float | None = positive(
        "the whole chip's power over its synaptic operations a second, at one rate"
    )
    # Required with any coefficient, by a rule of its own (HP016).
    basis: str | None = choice("where figures come from", "silicon", "pre_silicon", "fitted_simulator", "estimate")
    synop_includes_static: bool | None = stated(
        "synop_pj contains a share of the static power", when=(When("energy.synop_pj"),)
    )
    fitted: Fitted = _nested(Fitted)


@dataclass(frozen=True, kw_only=True)
class Process(Table):
    """``[process]``: how the chip is made."""

    node: str | None = stated("process", pattern=".+")
    die_mm2: float | None = positive("area of the die")


@dataclass(frozen=True, kw_only=True)
class Mismatch(Table):
    """``[mismatch]``: how far an analogue chip's parameters lie from what was set."""

    only: ClassVar[When | None] = _ANALOG

    sd_relative: float | None = stated("standard deviation of a parameter over its value", 0, 1, when=(_ANALOG,))
    sd_source: str | None = stated("source of sd_relative", pattern=".+", when=(_ANALOG,))


@dataclass(frozen=True, kw_only=True)
class Throughput(Table):
    """``[throughput]``: for information."""

    clock_hz: float | None = positive("clock")
    synops_per_s: float | None = positive("synaptic operations of a chip")
    synops_per_s_per_core: float | None = positive("synaptic operations of a core")
    instructions_per_s: float | None = positive("instructions of a chip")
    hop_latency_ns: float | None = positive("one hop between cores")
    step_floor_s: float | None = positive("shortest step")
    cycles_per_spike: int | None = whole("clock cycles of one spike event", 1)
    cycles_per_input_synop: float | None = positive("clock cycles of an input's synaptic event")
    cycles_per_synop: float | None = positive("of one between neurons")
    cycles_per_output_synop: float | None = positive("of one onto an output neuron")
    cycles_per_update: float | None = positive("of one neuron's update")


#: The tables of a file, in its order.
PARTS: dict[str, type[Table]] = {
    "profile": Identity,
    "weights": Weights,
    "threshold": Threshold,
    "membrane": Membrane,
    "current": Current,
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
    "process": Process,
    "mismatch": Mismatch,
    "throughput": Throughput,
}
