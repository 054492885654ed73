"""The shipped profiles: they load, their classes are the schema's, and every figure names its source."""

from __future__ import annotations

import pickle
from dataclasses import fields

import pytest

import neurosleep as ns
from neurosleep.hardware import profile_names
from neurosleep.hardware.profiles import profile as _profile
from neurosleep.hardware.profiles.schema import KEYS


@pytest.mark.parametrize("name", profile_names())
def test_every_figure_of_a_shipped_profile_names_its_source(name: str) -> None:
    profile = ns.load_profile(name)
    assert profile.id == name
    assert profile.figures()
    assert [figure.key for figure in profile.figures() if figure.source is None] == []
    assert pickle.loads(pickle.dumps(profile)) == profile


def test_the_classes_have_the_keys_of_the_schema_and_no_others() -> None:
    tables = {
        **_profile._PARTS,
        "capacity.limit_kind": _profile.LimitKinds,
        "capacity.packing": _profile.Packing,
        "energy.fitted": _profile.Fitted,
    }
    keys = {
        f"{table}.{'class' if field.name == 'class_' else field.name}": str(field.type)
        for table, kind in tables.items()
        for field in fields(kind)
        if field.name not in ("limit_kind", "packing", "fitted")
    }
    assert set(keys) == {key.name for key in KEYS.values() if key.table}
    names = {"ints": "tuple[int, ...]", "strs": "tuple[str, ...]"}
    for name, annotation in keys.items():
        wanted = "Limit" if KEYS[name].unlimited else names.get(KEYS[name].type, KEYS[name].type)
        assert annotation.removesuffix(" | None") == wanted, name


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
