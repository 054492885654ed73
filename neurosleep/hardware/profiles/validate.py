"""All findings about a profile's file at once: its keys against the schema, then the rules between keys."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from neurosleep.hardware.findings import Finding, kind_of, printable, shown
from neurosleep.hardware.profiles.key import EXACT_BITS, FAR, UNLIMITED, Key, When
from neurosleep.hardware.profiles.schema import KEYS, LIMITED, SCHEMA_VERSION, TABLES
from neurosleep.hardware.profiles.sources import Sources, read_sources, text_problem

__all__ = ["validate"]

# Beyond so many unknown keys no nearest one is looked up: that takes milliseconds each.
_MOST_SUGGESTIONS = 40
_KINDS = {"int": "int", "str": "str", "bool": "bool", "ints": "int", "strs": "str"}


class _File:
    """One file under validation: its values by dotted key, and the findings so far."""

    def __init__(self, raw: Mapping[str, Any], file: str) -> None:
        self.file = file
        self.findings: list[Finding] = []
        self.values: dict[str, Any] = {}  # right type and range
        self.present: set[str] = set()
        self.no_tables: set[str] = set()
        self.unpublished: tuple[str, ...] = ()
        self._suggestions = 0
        self._walk(raw, "")

    def add(
        self, code: str, key: str, message: str, got: str | None = None, expected: str | None = None, **more: Any
    ) -> None:
        self.findings.append(Finding(code, self.file, key, message, got, expected, **more))

    def holds(self, condition: When) -> bool:
        if not condition.values:
            return condition.key in self.present
        value = self.values.get(condition.key)
        return any(type(value) is type(wanted) and value == wanted for wanted in condition.values)

    def _walk(self, raw: Mapping[str, Any], prefix: str) -> None:
        for name, value in raw.items():
            key = f"{prefix}{name}"
            if key == "sources":
                continue
            if "." in name or (key not in KEYS and key not in TABLES):
                self._unknown(prefix, name)
            elif key in TABLES:
                if isinstance(value, dict):
                    self._walk(value, f"{key}.")
                else:
                    self.no_tables.add(key)
                    self.add("HP006", key, f"expected table, got {kind_of(value)}", shown(value), "table")
            else:
                self.present.add(key)
                if (problem := _problem(KEYS[key], value)) is None:
                    self.values[key] = value
                else:
                    self.add(problem[0], key, problem[1], shown(value), problem[2])

    def _unknown(self, prefix: str, name: str) -> None:
        key = prefix + printable(name)
        self._suggestions += 1
        if self._suggestions > _MOST_SUGGESTIONS:
            self.add("HP003", key, "unknown key")
            return
        near = difflib.get_close_matches(key, [*KEYS, *TABLES], n=1, cutoff=0.0)[0]
        self.add("HP003", key, f"unknown key; did you mean {near!r}?")


def validate(raw: Mapping[str, Any], file: str, *, stem: str | None = None) -> tuple[list[Finding], Sources]:
    """Every finding about the parsed file, errors before warnings, and its sources.

    A file of another schema version, or about something that does not spike, has that one finding: its other keys
    cannot be judged.
    """
    version = raw.get("schema_version")
    if type(version) is int and version != SCHEMA_VERSION:
        text = f"schema_version {shown(version)} is not supported by this release (supports {SCHEMA_VERSION})"
        return [Finding("HP002", file, "schema_version", text)], Sources()
    profile = raw.get("profile")
    if isinstance(profile, dict) and profile.get("spiking") is False:
        name = profile.get("id") if isinstance(profile.get("id"), str) else stem or file
        text = f"{printable(str(name))!r} is not a spiking target; there is nothing to map"
        return [Finding("HP030", file, "profile.spiking", text)], Sources()
    checked = _File(raw, file)
    _check_unpublished(checked)
    for key in KEYS.values():
        _check_presence(checked, key)
    sources = read_sources(raw.get("sources"), file)
    for rule in (
        _check_order,
        _check_grid,
        _check_threshold,
        _check_arithmetic,
        _check_cores,
        _check_energy,
        _check_limits,
    ):
        rule(checked)
    _check_sources(checked, sources)
    if stem is not None and checked.values.get("profile.id", stem) != stem:
        text = f"id {checked.values['profile.id']!r} differs from the file's name {printable(stem)!r}"
        checked.add("HP019", "profile.id", text)
    findings = [*checked.findings, *sources.findings]
    return sorted(findings, key=lambda finding: finding.level == "warning"), sources


# --- one key ----------------------------------------------------------------------------------------------------------


def _problem(key: Key, value: Any) -> tuple[str, str, str] | None:
    """Code, message and what was expected, where a value is not one that the key may have."""
    if key.unlimited and value == UNLIMITED:
        return None
    wanted = _wanted(key)
    if key.type in ("ints", "strs"):
        return _array_problem(key, value, wanted)
    if not _has_type(key.type, value):
        return "HP006", f"expected {wanted}, got {kind_of(value)}", wanted
    return _value_problem(key, value)


def _wanted(key: Key) -> str:
    name = "array of " + _KINDS[key.type] if key.type in ("ints", "strs") else key.type
    return f'{name} or "{UNLIMITED}"' if key.unlimited else name


def _has_type(name: str, value: Any) -> bool:
    if name == "float":  # an integer will do, if it is one that a float can be
        if type(value) is int:
            return value.bit_length() <= 53
        return type(value) is float and math.isfinite(value)
    return kind_of(value) == _KINDS[name]


def _array_problem(key: Key, value: Any, wanted: str) -> tuple[str, str, str] | None:
    if not isinstance(value, list):
        return "HP006", f"expected {wanted}, got {kind_of(value)}", wanted
    for member in value:
        if not _has_type(_KINDS[key.type], member):
            return "HP006", f"expected {wanted}, got {kind_of(member)} in it", wanted
    if not value and key.name != "unpublished":
        return "HP007", "expected one member or more, got []", "one member or more"
    for member in value:
        if (problem := _value_problem(key, member)) is not None:
            return problem
    if key.type == "strs" and len(set(value)) < len(value):
        return "HP007", f"expected different members, got {shown(value)}", "different members"
    return None


def _value_problem(key: Key, value: Any) -> tuple[str, str, str] | None:
    if isinstance(value, str) and (problem := text_problem(value)) is not None:
        return problem
    if key.choices and value not in key.choices:
        choices = "one of " + ", ".join(key.choices)
        return "HP008", f"expected {choices}, got {shown(value)}", choices
    if key.pattern is not None and re.fullmatch(key.pattern, value.strip()) is None:
        return "HP007", f"expected {key.pattern}, got {shown(value)}", key.pattern
    if key.above_zero and value <= 0:
        if key.table in ("energy", "energy.fitted"):
            return "HP017", "must be > 0; omit and list as unpublished if unknown", key.range
        return "HP007", f"expected {key.range}, got {shown(value)}", key.range
    if (key.low is not None and value < key.low) or (key.high is not None and value > key.high):
        # A bound that no chip comes near is named only where it is what was exceeded.
        wanted = key.bounds if abs(value) >= FAR or key.above_zero else key.range
        return "HP007", f"expected {wanted}, got {shown(value)}", wanted
    return None


# --- present and absent -----------------------------------------------------------------------------------------------


def _check_unpublished(checked: _File) -> None:
    names = checked.values.get("unpublished", [])
    checked.unpublished = tuple(names)
    for name in names:
        if name not in KEYS:
            near = difflib.get_close_matches(name[:80], KEYS, n=1, cutoff=0.0)[0]
            checked.add("HP003", "unpublished", f"unknown key {shown(name)}; did you mean {near!r}?")
        elif name in checked.present:
            checked.add("HP005", name, "listed as unpublished but has a value")


def _check_presence(checked: _File, key: Key) -> None:
    if any(key.table == table or key.table.startswith(f"{table}.") for table in checked.no_tables):
        return
    if key.name in checked.present:
        if key.only is not None and not checked.holds(key.only):
            checked.add("HP013", key.name, "only " + _where(key.only))
        elif key.absent_if is not None and checked.holds(key.absent_if):
            checked.add("HP013", key.name, "not " + _where(key.absent_if))
        return
    required = (key.required or key.when) and all(map(checked.holds, key.when))
    if not required or any(map(checked.holds, key.unless)):
        return
    wanted = " ".join(part for part in (_wanted(key), key.range) if part)
    if key.table in ("", "profile"):  # what the file is cannot be unpublished
        checked.add("HP004", key.name, "required; add it", "nothing", wanted)
    elif key.name in checked.unpublished:
        return
    elif key.when:
        others = "".join(f" unless {condition}" for condition in key.unless)
        text = "required when " + " and ".join(map(str, key.when)) + others
        checked.add("HP012", key.name, text, "nothing", wanted)
    elif key.name != "capacity.synapses_per_core":  # its alternative is the one that is named
        checked.add("HP004", key.name, "required; add it or list it in 'unpublished'", "nothing", wanted)


def _where(condition: When) -> str:
    if not condition.values:
        return f"where {condition}"
    leaf = condition.key.rpartition(".")[2]
    return "for " + str(When(leaf, condition.values))


# --- between keys -----------------------------------------------------------------------------------------------------

_ORDERED = (
    ("weights.mantissa_min", "weights.mantissa_max"),
    ("weights.exponent_min", "weights.exponent_max"),
    ("membrane.clamp_min", "membrane.clamp_max"),
    ("decay.min", "decay.max"),
    ("reset.refractory_steps_min", "reset.refractory_steps_max"),
    ("delay.min_steps", "delay.max_steps"),
    ("learning.scale_exponent_min", "learning.scale_exponent_max"),
    ("noise.exponent_min", "noise.exponent_max"),
)


def _check_order(checked: _File) -> None:
    for least, most in _ORDERED:
        low, high = checked.values.get(least), checked.values.get(most)
        if type(low) is int and type(high) is int and low > high:
            names = [KEYS[key].leaf for key in (least, most)]
            checked.add("HP009", least, f"{names[0]} {shown(low)} > {names[1]} {shown(high)}")
    modes, default = checked.values.get("reset.modes"), checked.values.get("reset.default")
    if modes is not None and default is not None and default not in modes:
        checked.add("HP009", "reset.default", f"default {default!r} is not one of modes {shown(modes)}")


def _check_grid(checked: _File) -> None:
    names = ("bits", "mantissa_min", "mantissa_max", "mantissa_step")
    bits, low, high, step = (checked.values.get(f"weights.{name}") for name in names)
    if low is None or high is None or step is None or low > high:
        return
    for name, end in (("mantissa_min", low), ("mantissa_max", high)):
        if end % step:
            checked.add("HP010", f"weights.{name}", f"{name} {shown(end)} is not a multiple of step {shown(step)}")
            return
    if bits is None:
        return
    levels = (high - low) // step + 1
    most = 2**bits + (low == -high)
    if levels > most:
        text = f"{shown(levels)} levels do not fit {bits} bits with step {step}"
        checked.add("HP010", "weights.bits", text, f"{shown(levels)} levels", f"at most {most}")


def _check_threshold(checked: _File) -> None:
    mantissa, shift = (checked.values.get(f"threshold.{name}") for name in ("mantissa_bits", "shift_bits"))
    membrane, signed = (checked.values.get(f"membrane.{name}") for name in ("bits", "signed"))
    if mantissa == 1 and checked.values.get("threshold.signed"):
        checked.add("HP020", "threshold.mantissa_bits", "a sign alone is no threshold", "1", "2 or more, or unsigned")
    if mantissa is None or shift is None or membrane is None or signed is None:
        return
    largest = mantissa - bool(checked.values.get("threshold.signed", False)) + shift
    room = membrane - signed
    if largest > room:
        text = f"largest threshold 2^{largest} exceeds membrane range"
        checked.add("HP011", "threshold.mantissa_bits", text, f"{largest} bits", f"at most {room} bits")


def _check_arithmetic(checked: _File) -> None:
    """Decays by an integer over another: a power of two, which keeps no more than all, in 53 bits."""
    denominator = checked.values.get("decay.denominator")
    if denominator is None:
        return
    if denominator & (denominator - 1):
        text = f"expected a power of two, got {shown(denominator)}"
        checked.add("HP020", "decay.denominator", text, shown(denominator), "a power of two")
        return
    offsets = [checked.values.get(f"decay.{name}_offset", 0) for name in ("current", "voltage")]
    low, high = checked.values.get("decay.min", 0), checked.values.get("decay.max", 0)
    if low + min(offsets) < 0 or high + max(offsets) > denominator:
        span = f"{shown(low + min(offsets))}..{shown(high + max(offsets))}"
        text = f"registers and offsets make a loss of {span} of {shown(denominator)}"
        checked.add("HP020", "decay.max", text, span, f"0..{shown(denominator)}")
    widths = [checked.values[key] for key in ("membrane.bits", "current.bits") if key in checked.values]
    bits = max(widths, default=0) + denominator.bit_length() - 1
    if bits > EXACT_BITS:
        text = f"a product of a state and a decay has {bits} bits"
        checked.add("HP020", "decay.denominator", text, f"{bits} bits", f"at most {EXACT_BITS} bits")


def _check_cores(checked: _File) -> None:
    """Tables of cores: one entry for each core, in all of them."""
    lists = [f"capacity.packing.{name}_words_per_core" for name in ("kernel", "neuron")]
    cores = checked.values.get("capacity.cores_per_chip")
    sizes = {key: len(checked.values[key]) for key in lists if key in checked.values}
    wanted = cores if isinstance(cores, int) else max(sizes.values(), default=0)
    for key, size in sizes.items():
        if size != wanted:
            text = f"expected an entry for each of {shown(wanted)} cores, got {size}"
            checked.add("HP020", key, text, f"{size} entries", f"{shown(wanted)} entries")


def _check_energy(checked: _File) -> None:
    figures = [key.name for key in KEYS.values() if key.table == "energy" and key.numeric]
    given = [name for name in figures if name in checked.present]
    if checked.values.get("energy.status") == "unpublished":
        for name in given:
            if name not in checked.unpublished:
                checked.add("HP005", name, "listed as unpublished but has a value", expected="another energy.status")
    if not given or "energy.basis" in checked.unpublished:
        return
    if "energy.basis" not in checked.present:
        checked.add("HP016", "energy.basis", "state energy.basis", "nothing", _choices("energy.basis"))
    elif checked.values.get("energy.basis") == "pre_silicon" and not checked.values.get("energy.note", "").strip():
        checked.add("HP016", "energy.note", "state energy.note: the basis is pre_silicon", "nothing", "str")


def _choices(key: str) -> str:
    return "one of " + ", ".join(KEYS[key].choices)


def _check_limits(checked: _File) -> None:
    for leaf in LIMITED:
        limit, kind = f"capacity.{leaf}", f"capacity.limit_kind.{leaf}"
        stated = limit in checked.present and checked.values.get(limit) != UNLIMITED
        if stated and kind not in checked.present and "capacity.limit_kind" not in checked.no_tables:
            checked.add("HP018", kind, "state whether structural, budget or deadline", "nothing", _choices(kind))


# --- sources ----------------------------------------------------------------------------------------------------------


def _check_sources(checked: _File, sources: Sources) -> None:
    known = {*sources.defined, *sources.spoilt}
    for place, name in _named_sources(checked, sources):
        if name not in known:
            text = f"source {shown(name)} has no [sources.{printable(name)}]"
            checked.add("HP014", place, text, expected=_known(known))
    without: dict[str, list[str]] = {}
    for key in KEYS.values():
        if key.fact and key.name in checked.present:
            _check_source(checked, sources, key, without)
    for table, leaves in without.items():
        checked.add("HP015", table, f"figures name no source: {', '.join(leaves)}", level="warning")


def _check_source(checked: _File, sources: Sources, key: Key, without: dict[str, list[str]]) -> None:
    tables = (key.table, key.table.partition(".")[0])  # a table within another has its source
    places = [checked.values.get(f"{table}.source") for table in tables]
    name = sources.figures.get(key.name) or places[0] or places[1]
    if name is None and key.numeric:
        without.setdefault(key.table, []).append(key.leaf)
    elif name in sources.defined and sources.defined[name].grade == "recalled":
        checked.add("HP015", key.name, "figure is recalled, not verified", level="warning")


def _named_sources(checked: _File, sources: Sources) -> Iterator[tuple[str, str]]:
    for key, value in checked.values.items():
        if KEYS[key].leaf in ("source", "sd_source"):
            yield key, value
    for key, value in sources.figures.items():
        yield f"sources.{key}", value


def _known(names: set[str]) -> str:
    return "one of " + ", ".join(printable(name) for name in sorted(names)[:20]) if names else "a table of that name"
