"""The shipped profiles: they load, their classes are the schema's, and every figure names its source."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import fields

import pytest

import neurosleep as ns
from neurosleep.hardware import HardwareProfile, json_schema, profile_names
from neurosleep.hardware.profiles.schema import KEYS, TABLES
from neurosleep.hardware.profiles.tables import PARTS, Fitted, LimitKinds, Packing

WEIGHT_TRAITS = "sign_of_source values_of_target rows_of_a_sign groups_of_a_sign clustered point_of_group"
TABLE_CLASSES = (*PARTS.values(), Fitted, LimitKinds, Packing)
# Of the values of each profile, and of the JSON schema, as they were when a key was declared in two places.
SCHEMA = "814177ae4495cbe2"
VALUES = {
    "brainscales2": "8a18a5b89c4cb0d6",
    "dynapse2": "2ac4872560351946",
    "generic_int8": "812b86a21219c086",
    "ideal": "8267bbfa4d0fde64",
    "loihi1": "d776cbbe231d971a",
    "loihi2": "b17b3ce25075ddd2",
    "odin": "12a7a71efbb8ef4e",
    "speck2f": "33b3eaf569a22d9a",
    "spinnaker1": "41841f01046d377b",
    "spinnaker2": "eb816dc5b6b666f5",
    "tianjic": "05320ad5f9fc2901",
    "truenorth": "7fcd60dc7e389c1f",
    "xylo_a2": "3d186d3e5cdeef32",
}


@pytest.mark.parametrize("name", profile_names())
def test_every_figure_of_a_shipped_profile_names_its_source(name: str) -> None:
    profile = ns.load_profile(name)
    assert profile.id == name
    assert profile.figures()
    assert [figure.key for figure in profile.figures() if figure.source is None] == []
    assert pickle.loads(pickle.dumps(profile)) == profile


TRAITS = {
    "brainscales2": {"rows_of_a_sign", "real_potentials"},
    "dynapse2": {"clustered", "real_potentials"},
    "ideal": {"floating", "real_potentials"},
    "loihi1": {"groups_of_a_sign"},
    "loihi2": {"groups_of_a_sign"},
    "odin": {"sign_of_source", "constant"},
    "spinnaker1": {"point_of_group"},
    "spinnaker2": {"real_potentials"},
    "tianjic": {"real_potentials"},
    "truenorth": {"values_of_target", "clustered", "constant"},
}


@pytest.mark.parametrize("name", profile_names())
def test_what_a_chip_is(name: str) -> None:
    """Mapping and placement ask for these, and for no string of a profile that stands for them."""
    profile = ns.load_profile(name)
    parts = (profile, "floating real_potentials"), (profile.decay, "constant"), (profile.weights, WEIGHT_TRAITS)
    traits = {trait for part, words in parts for trait in words.split() if getattr(part, trait)}
    assert traits == TRAITS.get(name, set())


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", profile_names())
def test_values_of_a_shipped_profile_are_those_of_schema_version_1(name: str) -> None:
    """A figure that is changed on purpose is changed here too."""
    profile = ns.load_profile(name)
    assert digest({key: value for key in KEYS if (value := profile.get(key)) is not None}) == VALUES[name]


def test_the_schema_is_that_of_version_1() -> None:
    assert digest(json_schema()) == SCHEMA
    assert set(PARTS) == {part.name for part in fields(HardwareProfile)} & {table.partition(".")[0] for table in TABLES}
    assert set(VALUES) == set(profile_names())


def test_every_field_of_a_table_is_a_key_with_its_type() -> None:
    """A key is declared once, and a loaded value has the type that its annotation says."""
    assert len(KEYS) == 2 + sum("key" in part.metadata for kind in TABLE_CLASSES for part in fields(kind))
    types = {"int": int, "float": float, "str": str, "bool": bool, "ints": tuple, "strs": tuple}
    for profile in map(ns.load_profile, profile_names()):
        for key in KEYS.values():
            value = profile.get(key.name)
            assert value is None or type(value) is types[key.type] or (key.unlimited and value == "unlimited"), key.name


def test_loihi_by_its_figures() -> None:
    profile = ns.load_profile("loihi1")
    assert (profile.weights.signed_min, profile.weights.signed_max, profile.weights.mantissa_step) == (-256, 254, 2)
    assert profile.capacity.synapse_memory_bits_per_core == 128 * 1024 * 8
    assert profile.learning.class_ == "sum_of_products"
    assert profile.energy.synop_pj == 23.6
    assert profile.energy.static_mw is None
    source = profile.source_of("energy.update_inactive_pj")
    assert source is not None and source.grade == "recalled"
    assert [str(finding) for finding in profile.findings] == [
        "loihi1.toml:energy.update_inactive_pj: HP015 figure is recalled, not verified"
    ]
