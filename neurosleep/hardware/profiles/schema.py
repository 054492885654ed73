"""The schema of ``hardware_profiles/*.toml`` as one table: every key with its type, range, choices and condition.

Validation, the JSON schema for editors and the table of keys in docs/profiles.md are all made from :data:`KEYS`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

__all__ = [
    "CODES",
    "EXACT_BITS",
    "FAR",
    "GRADES",
    "KEYS",
    "LIMITED",
    "SCHEMA_VERSION",
    "TABLES",
    "UNLIMITED",
    "Key",
    "When",
]

SCHEMA_VERSION = 1
UNLIMITED: Final = "unlimited"
GRADES = ("code", "primary", "secondary", "recalled", "project")

# What each code is about.
CODES = {
    "HP001": "the file cannot be read as TOML",
    "HP002": "schema_version that this release does not know",
    "HP003": "unknown key",
    "HP004": "required key missing and not listed as unpublished",
    "HP005": "listed as unpublished but has a value",
    "HP006": "wrong type",
    "HP007": "out of range",
    "HP008": "not one of the choices",
    "HP009": "minimum above maximum, or default not among the modes",
    "HP010": "integer grid of the weights inconsistent",
    "HP011": "thresholds beyond the range of the membrane",
    "HP012": "required by another key's value",
    "HP013": "ruled out by another key's value",
    "HP014": "source that is not defined",
    "HP015": "source without citation or grade; figures that are recalled or name no source (warnings)",
    "HP016": "energy without a basis",
    "HP017": "energy that is not above zero",
    "HP018": "limit without its kind",
    "HP019": "id differs from the file's name (a shipped profile's id: warning)",
    "HP020": "arithmetic that whole numbers of 53 bits cannot do, or tables of cores that differ",
    "HP030": "not a spiking target",
}


@dataclass(frozen=True)
class When:
    """A condition on another key: it has one of ``values``, or any value at all where none are named."""

    key: str
    values: tuple[Any, ...] = ()

    def __str__(self) -> str:
        if not self.values:
            return f"{self.key} is given"
        words = [str(value).lower() if isinstance(value, bool) else repr(value) for value in self.values]
        return f"{self.key} = {' or '.join(words)}"


@dataclass(frozen=True)
class Key:
    """One key of the schema.

    Parameters
    ----------
    name:
        Dotted key.
    type:
        ``int``, ``float`` (a whole number will do), ``str``, ``bool``, ``ints`` or ``strs`` (arrays, not empty).
    meaning:
        What it says, with the unit where the name does not carry it.
    low, high:
        Range of a number, or of each member of an array, ends included.
    above_zero:
        The number is greater than 0 (HP017).
    choices:
        Legal strings; empty for any.
    pattern:
        Regular expression of the whole string.
    unlimited:
        The string ``"unlimited"`` is legal as well.
    required, when, unless:
        Required always, or if all of ``when`` hold; never if one of ``unless`` holds.
    only:
        May be given only if this holds (HP013).
    absent_if:
        May not be given if this holds (HP013).
    """

    name: str
    type: str
    meaning: str
    low: float | None = None
    high: float | None = None
    above_zero: bool = False
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    unlimited: bool = False
    required: bool = False
    when: tuple[When, ...] = ()
    unless: tuple[When, ...] = ()
    only: When | None = None
    absent_if: When | None = None

    @property
    def table(self) -> str:
        """The table that the key stands in, dotted; empty for the file itself."""
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """The key's name within its table."""
        return self.name.rpartition(".")[2]

    @property
    def numeric(self) -> bool:
        """Whether the value is a figure: a number, or several."""
        return self.type in ("int", "float", "ints")

    @property
    def fact(self) -> bool:
        """Whether the value is a fact that has a source, rather than a name, a note or how to read a limit."""
        return self.table not in ("", "profile", "capacity.limit_kind") and self.leaf not in ("source", "note")

    @property
    def range(self) -> str:
        """The range as messages write it, without bounds that no chip comes near; empty if none is left."""
        if self.above_zero:
            return "> 0"
        near = [None if x is None or abs(x) >= FAR else x for x in (self.low, self.high)]
        return _between(near[0], near[1])

    @property
    def bounds(self) -> str:
        """Least and greatest value."""
        return _between(self.low, self.high)


def _between(low: float | None, high: float | None) -> str:
    least, most = ("" if x is None else str(x) if isinstance(x, int) else f"{x:g}" for x in (low, high))
    return f"{least}..{most}" if least and most else f">= {least}" if least else f"<= {most}" if most else ""


_FLOAT = When("weights.sign_scheme", ("float",))
_INTEGER_DECAY = When("decay.kind", ("multiplicative_integer",))
_SUM_OF_PRODUCTS = When("learning.class", ("sum_of_products",))
_ANALOG = When("profile.kind", ("analog",))
_ROUNDING = ("nearest_even", "nearest_away", "floor", "toward_zero", "stochastic", "cluster")
_SIGNS = ("twos_complement", "group_mode", "pre_neuron", "split_rows", "receptor", "axon_table", "float")
_RESETS = ("to_zero", "subtract_threshold", "to_value", "none", "saturate")
_LIMIT_KINDS = ("structural", "budget", "deadline")

# Limits whose kind has to be stated; that of cores_per_chip may be (chips can be joined unless it is structural).
LIMITED = {
    "neurons_per_core": "neurons on one core; the largest core where they differ",
    "synapse_memory_bits_per_core": "memory for synapses of one core",
    "synapses_per_core": "synapses of one core",
    "fan_in_max": "synapses onto one neuron",
    "fan_out_max": "targets (cores, layers or neurons, as the note says) of one neuron",
    "in_axons_per_core_max": "input axons of one core",
    "out_axons_per_core_max": "output axons of one core",
}
_ONE_OF_MEMORY = {
    "synapse_memory_bits_per_core": When("capacity.synapses_per_core"),
    "synapses_per_core": When("capacity.synapse_memory_bits_per_core"),
}


# Every number has bounds: no chip comes near these, and what is computed with them stays exact, and bounded in time.
FAR = 2**30
_MOST_COUNT = 10**15
_MOST_MANTISSA = 2**31
_MOST_STEPS = 1023
_LEAST_FLOAT, _MOST_FLOAT = 1e-15, 1e15
#: What float64, in which whole numbers are kept, holds exactly.
EXACT_BITS = 53


def _int(name: str, meaning: str, low: int = 0, high: int = _MOST_COUNT, **more: Any) -> Key:
    return Key(name, "int", meaning, low=low, high=high, **more)


def _bits(name: str, meaning: str, low: int = 1, high: int = 64, **more: Any) -> Key:
    return _int(name, meaning, low, high, **more)


def _choice(name: str, meaning: str, choices: tuple[str, ...], **more: Any) -> Key:
    return Key(name, "str", meaning, choices=choices, **more)


def _capacity() -> list[Key]:
    keys = [
        _int(
            f"capacity.{leaf}",
            meaning,
            1,
            unlimited=True,
            required=leaf == "neurons_per_core" or leaf in _ONE_OF_MEMORY,
            unless=(_ONE_OF_MEMORY[leaf],) if leaf in _ONE_OF_MEMORY else (),
        )
        for leaf, meaning in LIMITED.items()
    ]
    kinds = [
        _choice(
            f"capacity.limit_kind.{leaf}",
            f"what it means to exceed capacity.{leaf}",
            _LIMIT_KINDS,
            only=When(f"capacity.{leaf}"),
        )
        for leaf in ("cores_per_chip", *LIMITED)
    ]
    return [
        _int("capacity.cores_per_chip", "cores that hold neurons", 1, required=True, unlimited=True),
        *keys,
        *kinds,
    ]


def _packing() -> list[Key]:
    models = ("loihi", "crossbar", "cam", "kernel", "row_table", "unlimited")

    def of(*names: str) -> dict[str, Any]:
        return {"when": (When("capacity.packing.model", names),)}

    p = "capacity.packing."
    words: dict[str, Any] = {"low": 1, "high": _MOST_COUNT}
    return [
        _choice(p + "model", "how cores are counted", models, required=True),
        Key(p + "estimated", "bool", "the constants of the model are planning figures"),
        _bits(p + "word_bits", "word of the synapse memory", **of("loihi")),
        _int(p + "group_size", "synapses that share one head", 1, **of("loihi")),
        _int(p + "overhead_bits", "head of a group of synapses", 0, **of("loihi")),
        _int(p + "entries_per_neuron", "entries of a neuron's address memory", 1, **of("cam")),
        Key(p + "neuron_words_per_core", "ints", "neuron memory of each core in words", **words, **of("kernel")),
        Key(p + "kernel_words_per_core", "ints", "kernel memory of each core in words", **words, **of("kernel")),
        _int(p + "bias_words_per_core", "bias memory of a core in words", 1),
        _int(p + "input_size_max", "width and height of a layer's input", 1),
        _int(p + "output_size_max", "width and height of a layer's output", 1),
        _int(p + "channels_max", "channels of a layer's input", 1),
        _int(p + "kernel_size_max", "width and height of a kernel", 1),
        _int(p + "padding_max", "padding", 0),
        Key(p + "strides", "ints", "strides there are", **words),
        Key(p + "pools", "ints", "pooling sizes there are", **words),
        Key(p + "recurrent", "bool", "a layer may feed itself or an earlier one"),
        _int(p + "hidden_neurons_max", "neurons that are no output", 1),
        _int(p + "output_neurons_max", "output neurons", 1),
        _int(p + "bytes_per_synapse", "a synapse in a row of the table", 1, **of("row_table")),
        _int(p + "memory_bytes_per_chip", "memory for rows that a chip's cores share", 1),
        _int(p + "synaptic_events_per_s_per_core", "synaptic events a core keeps up with (deadline)", 1),
        _int(p + "router_entries_per_chip", "entries of a chip's routing table", 1),
    ]


def _learning() -> list[Key]:
    of: dict[str, Any] = {"when": (_SUM_OF_PRODUCTS,)}
    return [
        _choice(
            "learning.class",
            "what plasticity the chip itself has",
            ("none", "last_layer", "fixed_rule", "sum_of_products", "programmable"),
            required=True,
        ),
        Key("learning.dependencies", "strs", "events that start an update (x0 pre, y0 post, u epoch)", **of),
        Key("learning.traces", "strs", "traces there are", **of),
        _bits("learning.trace_bits", "a trace", **of),
        _bits("learning.tag_bits", "the tag of a synapse", **of),
        _bits("learning.accumulator_bits", "the weight during an update, sign included", **of),
        _bits("learning.scale_mantissa_bits", "mantissa of a product's factor, sign included", **of),
        _int("learning.scale_exponent_min", "least exponent of a product's factor", -64, 64, **of),
        _int("learning.scale_exponent_max", "greatest exponent of a product's factor", -64, 64, **of),
        _choice(
            "learning.update_rounding",
            "how an update becomes a stored weight",
            ("stochastic", "nearest_even", "unit_step"),
            when=(When("learning.class", ("sum_of_products", "fixed_rule")),),
        ),
        Key("learning.weight_sign_factor", "bool", "sgn(w) may be a factor"),
        _int("learning.epoch_steps_max", "steps between two updates at most", 1),
    ]


def _energy() -> list[Key]:
    def joules(leaf: str, meaning: str) -> Key:
        return Key(f"energy.{leaf}", "float", meaning, above_zero=True)

    return [
        _choice("energy.status", "whether figures are public", ("published", "unpublished", "project"), required=True),
        joules("synop_pj", "one synaptic operation"),
        joules("update_active_pj", "one update of a neuron that receives input"),
        joules("update_inactive_pj", "one update of any other neuron"),
        joules("spike_pj", "one emitted spike"),
        joules("hop_pj", "one spike over one hop between cores"),
        joules("learn_update_pj", "one update of a plastic synapse"),
        joules("static_mw", "power of a chip without activity"),
        Key("energy.hops_per_synop", "float", "hops that each synaptic operation counts with, if any", above_zero=True),
        joules("core_mw", "power of a core that is in use, besides static_mw"),
        joules("operating_point_pj", "the whole chip's power over its synaptic operations a second, at one rate"),
        # Required with any coefficient, by a rule of its own (HP016).
        _choice("energy.basis", "where figures come from", ("silicon", "pre_silicon", "fitted_simulator", "estimate")),
        Key(
            "energy.synop_includes_static",
            "bool",
            "synop_pj contains a share of the static power",
            when=(When("energy.synop_pj"),),
        ),
        joules("fitted.synop_pj", "one synaptic operation, of a simulator fitted to silicon"),
        joules("fitted.access_pj", "one look at a neuron, in every step"),
        joules("fitted.update_pj", "one update of a neuron that receives input, besides"),
        joules("fitted.spike_pj", "one emitted spike"),
        joules("fitted.message_pj", "one message of a spike to a core"),
    ]


def _tables() -> list[Key]:
    return [
        Key("profile.id", "str", "the file's name without .toml", pattern="[a-z0-9_]+", required=True),
        Key("profile.name", "str", "name of the chip", pattern=".+", required=True),
        Key("profile.vendor", "str", "who makes it", pattern=".+", required=True),
        _choice("profile.kind", "what it is", ("digital", "analog", "software", "neutral"), required=True),
        Key("profile.spiking", "bool", "it runs spiking neurons", required=True),
        _bits(
            "weights.bits",
            "stored width, the sign included where it is stored",
            1,
            32,
            required=True,
            unless=(_FLOAT,),
            absent_if=_FLOAT,
        ),
        _choice("weights.sign_scheme", "how a sign is represented", _SIGNS, required=True),
        _int(
            "weights.mantissa_min",
            "least stored integer (of the magnitude where the sign is kept elsewhere)",
            low=-_MOST_MANTISSA,
            high=0,
            required=True,
            unless=(_FLOAT,),
            absent_if=_FLOAT,
        ),
        _int(
            "weights.mantissa_max",
            "greatest stored integer",
            0,
            _MOST_MANTISSA,
            required=True,
            unless=(_FLOAT,),
            absent_if=_FLOAT,
        ),
        _int(
            "weights.mantissa_step",
            "step of the grid",
            1,
            _MOST_MANTISSA,
            required=True,
            unless=(_FLOAT,),
            absent_if=_FLOAT,
        ),
        _int("weights.exponent_min", "least shared power of two", -64, 64),
        _int("weights.exponent_max", "greatest shared power of two", -64, 64),
        _int("weights.base_shift_bits", "left shift that is always applied", 0, 31),
        _choice(
            "weights.scale_scope",
            "what shares one scale",
            ("network", "layer", "core", "target_neuron", "synapse_group"),
            required=True,
            unless=(_FLOAT,),
        ),
        _choice("weights.rounding", "from float to the grid", _ROUNDING, required=True, unless=(_FLOAT,)),
        _choice(
            "weights.truncation",
            "how bits are dropped when fewer are stored",
            _ROUNDING,
            when=(When("weights.sign_scheme", ("group_mode",)),),
        ),
        _choice("weights.overflow", "beyond the grid", ("saturate", "wrap", "error"), required=True, unless=(_FLOAT,)),
        _int("weights.distinct_magnitudes_per_neuron", "different magnitudes onto one neuron", 1),
        _bits(
            "threshold.mantissa_bits",
            "width of a threshold, the sign included if it is signed",
            high=EXACT_BITS,
            required=True,
            unless=(_FLOAT,),
        ),
        _int("threshold.shift_bits", "left shift that is always applied", 0, 31, required=True, unless=(_FLOAT,)),
        Key("threshold.signed", "bool", "the mantissa has a sign bit; without it, it has none"),
        _choice("threshold.compare", "a spike if v compare threshold", (">", ">="), required=True),
        _bits(
            "membrane.bits",
            "width of v, sign included",
            low=2,
            high=EXACT_BITS,
            required=True,
            unless=(_FLOAT,),
            absent_if=_FLOAT,
        ),
        Key("membrane.signed", "bool", "v may be negative", required=True, unless=(_FLOAT,)),
        _choice("membrane.overflow", "v beyond its range", ("saturate", "wrap"), required=True, unless=(_FLOAT,)),
        _int("membrane.clamp_min", "v is kept at or above it", -(2**52), 2**52),
        _int("membrane.clamp_max", "v is kept at or below it", -(2**52), 2**52),
        _bits("current.bits", "width of the synaptic current, sign included", 2, high=EXACT_BITS),
        _choice("current.overflow", "current beyond its range", ("saturate", "wrap")),
        _bits("current.accumulator_bits", "width of a step's summed input, sign included", 2, high=EXACT_BITS),
        _choice(
            "decay.kind",
            "how v decays",
            ("multiplicative_integer", "power_of_two", "subtractive", "analog", "float", "none"),
            required=True,
        ),
        _int(
            "decay.denominator", "v loses v * d / denominator a step, a power of two", 1, 2**30, when=(_INTEGER_DECAY,)
        ),
        _int("decay.min", "least register value", -(2**30), 2**30, when=(_INTEGER_DECAY,)),
        _int("decay.max", "greatest register value", -(2**30), 2**30, when=(_INTEGER_DECAY,)),
        _int("decay.current_offset", "added to the register of the current", -(2**30), 2**30),
        _int("decay.voltage_offset", "added to the register of v", -(2**30), 2**30),
        _choice("decay.rounding", "rounding of the decayed value", ("toward_zero", "floor"), when=(_INTEGER_DECAY,)),
        Key("bias.supported", "bool", "neurons have a bias", required=True),
        _bits(
            "bias.mantissa_bits",
            "width, sign included",
            high=EXACT_BITS,
            when=(When("bias.supported", (True,)),),
            unless=(_FLOAT,),
        ),
        _int(
            "bias.exponent_bits",
            "width of the exponent",
            0,
            5,
            when=(When("bias.supported", (True,)),),
            unless=(_FLOAT,),
        ),
        Key("reset.modes", "strs", "resets there are", choices=_RESETS, required=True),
        _choice("reset.default", "the usual one", _RESETS, required=True),
        Key("reset.amount_free", "bool", "what a spike subtracts is a number of its own, not the threshold"),
        _int("reset.refractory_steps_min", "fewest refractory steps", 0),
        _int("reset.refractory_steps_max", "most refractory steps", 0),
        _choice("time.kind", "what time is", ("discrete", "event", "continuous"), required=True),
        Key(
            "time.step_s",
            "float",
            "length of a step",
            low=0,
            above_zero=True,
            when=(When("time.kind", ("discrete",)),),
            unless=(When("time.step_free", (True,)),),
        ),
        Key("time.step_free", "bool", "steps have no fixed length"),
        Key("time.speedup", "float", "times faster than biology", above_zero=True),
        _int("delay.min_steps", "least synaptic delay", 0, _MOST_STEPS, required=True),
        _int("delay.max_steps", "greatest synaptic delay", 0, required=True, unlimited=True),
        _int(
            "delay.latency_steps",
            "steps from a neuron's spike to its arrival with delay 0 (left out: none)",
            0,
            _MOST_STEPS,
        ),
        *_capacity(),
        *_packing(),
        *_learning(),
        Key("noise.on_chip", "bool", "the chip itself makes noise", required=True),
        _choice(
            "noise.kind",
            "uniform integers, stochastic neuron parameters, Poisson generators, or a program",
            ("uniform", "stochastic_parameters", "poisson", "programmable"),
            when=(When("noise.on_chip", (True,)),),
        ),
        _bits("noise.bits", "width of a random number", when=(When("noise.kind", ("uniform",)),)),
        _int("noise.exponent_min", "least power of two", -64, 64, when=(When("noise.kind", ("uniform",)),)),
        _int("noise.exponent_max", "greatest power of two", -64, 64, when=(When("noise.kind", ("uniform",)),)),
        _int("spike.payload_bits", "0 for binary spikes", 0, 64, required=True),
        *_energy(),
        Key("process.node", "str", "process", pattern=".+"),
        Key("process.die_mm2", "float", "area of the die", above_zero=True),
        Key(
            "mismatch.sd_relative",
            "float",
            "standard deviation of a parameter over its value",
            low=0,
            high=1,
            when=(_ANALOG,),
        ),
        Key("mismatch.sd_source", "str", "source of sd_relative", pattern=".+", when=(_ANALOG,)),
        Key("throughput.clock_hz", "float", "clock", above_zero=True),
        Key("throughput.synops_per_s", "float", "synaptic operations of a chip", above_zero=True),
        Key("throughput.synops_per_s_per_core", "float", "synaptic operations of a core", above_zero=True),
        Key("throughput.instructions_per_s", "float", "instructions of a chip", above_zero=True),
        Key("throughput.hop_latency_ns", "float", "one hop between cores", above_zero=True),
        Key("throughput.step_floor_s", "float", "shortest step", above_zero=True),
        _int("throughput.cycles_per_spike", "clock cycles of one spike event", 1),
        Key("throughput.cycles_per_input_synop", "float", "clock cycles of an input's synaptic event", above_zero=True),
        Key("throughput.cycles_per_synop", "float", "of one between neurons", above_zero=True),
        Key("throughput.cycles_per_output_synop", "float", "of one onto an output neuron", above_zero=True),
        Key("throughput.cycles_per_update", "float", "of one neuron's update", above_zero=True),
    ]


def _with_sources(keys: list[Key]) -> dict[str, Key]:
    """Every table may name a source and hold a note; keys of [mismatch] are for analogue chips only."""
    tables = list(dict.fromkeys(key.table for key in keys))
    common = [
        key
        for table in tables
        for key in (
            Key(f"{table}.source", "str", "source of the table's figures, a name in [sources]"),
            Key(f"{table}.note", "str", "what a reader should know"),
        )
    ]
    top = [
        Key("schema_version", "int", "version of this schema", required=True),
        Key("unpublished", "strs", "dotted keys of what is not public"),
    ]
    every = sorted([*keys, *common], key=lambda key: tables.index(key.table))
    every = [replace(key, low=_LEAST_FLOAT, high=_MOST_FLOAT) if key.above_zero else key for key in every]
    return {key.name: replace(key, only=_ANALOG) if key.table == "mismatch" else key for key in [*top, *every]}


# Every key but those under [sources], by dotted name, table by table.
KEYS: dict[str, Key] = _with_sources(_tables())
TABLES: tuple[str, ...] = tuple(dict.fromkeys(key.table for key in KEYS.values() if key.table))
