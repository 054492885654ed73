"""The JSON schema for editors accepts every shipped profile and refuses what validation refuses."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from neurosleep.hardware import json_schema, profile_names
from neurosleep.hardware.profiles.load import profile_folder

TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
}
# What draft 2020-12 says of each word that our schema uses; a word that is not here fails the test.
WORDS: dict[str, Callable[[Any, Any, dict[str, Any]], bool]] = {
    "$schema": lambda value, given, schema: True,
    "title": lambda value, given, schema: True,
    "description": lambda value, given, schema: True,
    "then": lambda value, given, schema: True,
    "type": lambda value, given, schema: TYPES[given](value),
    "enum": lambda value, given, schema: any(type(value) is type(one) and value == one for one in given),
    "const": lambda value, given, schema: type(value) is type(given) and value == given,
    "minimum": lambda value, given, schema: not TYPES["number"](value) or value >= given,
    "maximum": lambda value, given, schema: not TYPES["number"](value) or value <= given,
    "exclusiveMinimum": lambda value, given, schema: not TYPES["number"](value) or value > given,
    "pattern": lambda value, given, schema: not isinstance(value, str) or re.search(given, value) is not None,
    "minLength": lambda value, given, schema: not isinstance(value, str) or len(value) >= given,
    "minItems": lambda value, given, schema: not isinstance(value, list) or len(value) >= given,
    "uniqueItems": lambda value, given, schema: (
        not (given and isinstance(value, list)) or len(set(value)) == len(value)
    ),
    "items": lambda value, given, schema: not isinstance(value, list) or all(valid(one, given) for one in value),
    "contains": lambda value, given, schema: not isinstance(value, list) or any(valid(one, given) for one in value),
    "required": lambda value, given, schema: not isinstance(value, dict) or set(given) <= set(value),
    "properties": lambda value, given, schema: (
        not isinstance(value, dict) or all(valid(value[name], given[name]) for name in given if name in value)
    ),
    "additionalProperties": lambda value, given, schema: (
        not isinstance(value, dict)
        or all(given is not False and valid(value[k], given) for k in value if k not in schema.get("properties", {}))
    ),
    "allOf": lambda value, given, schema: all(valid(value, one) for one in given),
    "anyOf": lambda value, given, schema: any(valid(value, one) for one in given),
    "not": lambda value, given, schema: not valid(value, given),
    "if": lambda value, given, schema: not valid(value, given) or valid(value, schema["then"]),
}


def valid(value: Any, schema: dict[str, Any]) -> bool:
    return all(WORDS[word](value, given, schema) for word, given in schema.items())


def shipped(name: str) -> dict[str, Any]:
    return tomllib.loads((profile_folder() / f"{name}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", profile_names())
def test_it_accepts_every_shipped_profile(name: str) -> None:
    assert valid(shipped(name), json_schema())


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "version": lambda raw: raw.update(schema_version=2),
    "not spiking": lambda raw: raw["profile"].update(spiking=False),
    "unknown key": lambda raw: raw["weights"].update(bitz=8),
    "unknown table": lambda raw: raw.update(weigths={}),
    "type": lambda raw: raw["weights"].update(bits="8"),
    "range": lambda raw: raw["weights"].update(bits=40),
    "choice": lambda raw: raw["weights"].update(overflow="clip"),
    "zero energy": lambda raw: raw["energy"].update(hop_pj=0),
    "required": lambda raw: raw["membrane"].pop("bits"),
    "required table": lambda raw: raw.pop("decay"),
    "required by condition": lambda raw: raw["decay"].pop("denominator"),
    "required unless": lambda raw: raw["time"].pop("step_s"),
    "one of two": lambda raw: raw["capacity"].pop("synapse_memory_bits_per_core"),
    "only analog": lambda raw: raw.update(mismatch={"sd_relative": 0.1, "sd_source": "onm"}),
    "limit kind of nothing": lambda raw: raw["capacity"]["limit_kind"].update(fan_in_max="budget"),
    "unknown unpublished": lambda raw: raw["unpublished"].append("weights.bitz"),
    "grade": lambda raw: raw["sources"]["onm"].update(grade="hearsay"),
    "source without year": lambda raw: raw["sources"]["onm"].pop("year"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_refuses_what_validation_refuses(change: str) -> None:
    raw = copy.deepcopy(shipped("loihi1"))
    CHANGES[change](raw)
    assert not valid(raw, json_schema())


def test_what_is_listed_as_unpublished_may_be_missing() -> None:
    raw = shipped("loihi1")
    del raw["membrane"]["bits"], raw["decay"]["denominator"]
    raw["unpublished"] += ["membrane.bits", "decay.denominator"]
    assert valid(raw, json_schema())


def test_it_is_json() -> None:
    assert json.loads(json.dumps(json_schema(), allow_nan=False)) == json_schema()
