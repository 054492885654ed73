"""The schema of profiles as a JSON schema, which editors complete and check TOML files with."""

from __future__ import annotations

from typing import Any

from neurosleep.hardware.profiles.key import UNLIMITED, Key, When
from neurosleep.hardware.profiles.schema import GRADES, KEYS, SCHEMA_VERSION, TABLES

__all__ = ["json_schema"]

_TYPES = {"int": "integer", "float": "number", "str": "string", "bool": "boolean", "ints": "integer", "strs": "string"}


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a profile's file, made from the table that validation uses.

    It knows every key with its type, range, choices and conditions. What compares two keys (HP005, HP009 to HP011,
    HP014, HP016, HP018) is left to :func:`~neurosleep.hardware.load_profile`.

    See Also
    --------
    load_profile : validates a file by it

    Examples
    --------
    >>> from neurosleep.hardware import json_schema
    >>> json_schema()["$schema"]
    'https://json-schema.org/draft/2020-12/schema'
    """
    schema = _object("")
    schema["properties"]["schema_version"]["const"] = SCHEMA_VERSION
    schema["properties"]["unpublished"]["items"] = {"enum": list(KEYS)}
    schema["properties"]["profile"]["properties"]["spiking"]["const"] = True
    schema["properties"]["sources"] = _sources()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Hardware profile of neurosleep",
        **schema,
        "allOf": [condition for key in KEYS.values() for condition in _conditions(key)],
    }


def _object(table: str) -> dict[str, Any]:
    inner = [name for name in TABLES if name.rpartition(".")[0] == table]
    properties = {key.leaf: _value(key) for key in KEYS.values() if key.table == table}
    properties |= {name.rpartition(".")[2]: _object(name) for name in inner}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _value(key: Key) -> dict[str, Any]:
    single: dict[str, Any] = {"type": _TYPES[key.type]}
    if key.choices:
        single["enum"] = list(key.choices)
    if key.pattern is not None:
        single["pattern"] = f"^(?:{key.pattern})$"
    if key.low is not None and not key.above_zero:
        single["minimum"] = key.low
    if key.above_zero:
        single["exclusiveMinimum"] = 0
    if key.high is not None:
        single["maximum"] = key.high
    if key.type in ("ints", "strs"):
        least = 0 if key.name == "unpublished" else 1
        single = {"type": "array", "items": single, "minItems": least, "uniqueItems": key.type == "strs"}
    value = {"anyOf": [single, {"const": UNLIMITED}]} if key.unlimited else single
    return {"description": key.meaning, **value}


def _sources() -> dict[str, Any]:
    parts = {
        "citation": {"type": "string", "minLength": 1},
        "year": {"type": "integer", "minimum": 1900, "maximum": 2100},
        "grade": {"enum": list(GRADES)},
    }
    source = {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False}
    named: dict[str, Any] = {"type": "string"}
    # Figures of one table, whose keys may be written as tables themselves: sources.weights.bits = "NAME".
    figures = {"type": "object", "additionalProperties": {"anyOf": [named, {"type": "object"}]}}
    tables = dict.fromkeys((name for name in TABLES if "." not in name), figures)
    return {"type": "object", "properties": tables, "additionalProperties": {"anyOf": [source, named]}}


def _conditions(key: Key) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = []
    if key.required or key.when:
        found = [_present(key.name), *map(_holds, key.unless)]
        if key.table not in ("", "profile"):
            found.append(_unpublished(key.name))
        if key.name == "capacity.synapses_per_core":  # listing its alternative will do
            found.append(_unpublished("capacity.synapse_memory_bits_per_core"))
        conditions.append(_when(key.when, {"anyOf": found}))
    if key.only is not None:
        conditions.append({"if": _present(key.name), "then": _holds(key.only)})
    if key.absent_if is not None:
        conditions.append({"if": _holds(key.absent_if), "then": {"not": _present(key.name)}})
    return conditions


def _when(conditions: tuple[When, ...], then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"allOf": [_holds(c) for c in conditions]}, "then": then} if conditions else then


def _holds(condition: When) -> dict[str, Any]:
    return _present(condition.key, {"enum": list(condition.values)} if condition.values else None)


def _present(name: str, value: dict[str, Any] | None = None) -> dict[str, Any]:
    """The file has the dotted key, with that value if one is given."""
    schema = value
    for part in reversed(name.split(".")):
        inner = {} if schema is None else {"properties": {part: schema}}
        schema = {"type": "object", **inner, "required": [part]}
    assert schema is not None
    return schema


def _unpublished(name: str) -> dict[str, Any]:
    return _present("unpublished", {"type": "array", "contains": {"const": name}})
