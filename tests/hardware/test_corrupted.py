"""Corrupted profiles: whatever is done to one key of a shipped file is found, and no damage to its text is a crash."""

from __future__ import annotations

import copy
import json
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosleep as ns
from neurosleep.errors import HardwareProfileError
from neurosleep.hardware import Finding, profile_names
from neurosleep.hardware.profiles.key import Key
from neurosleep.hardware.profiles.load import profile_folder
from neurosleep.hardware.profiles.schema import KEYS

SHIPPED = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in profile_folder().glob("*.toml")}
WRONG: dict[str, list[Any]] = {
    "int": ["1", 1.5, True, [1], {"a": 1}],
    "float": ["1", False, [1.0], float("nan"), float("inf"), {"a": 1}],
    "str": [1, 1.5, True, ["a"], {"a": "b"}],
    "bool": [0, 1, "true", [True]],
    "ints": [1, ["1"], [1.5], [True], "1"],
    "strs": ["a", [1], [["a"]], 1],
}


def leaves(raw: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys of a file, in the schema's sense."""
    names: list[str] = []
    for name, value in raw.items():
        if prefix + name == "sources":
            continue
        names += leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]
    return names


def table_of(raw: dict[str, Any], key: str) -> dict[str, Any]:
    for part in key.split(".")[:-1]:
        raw = raw[part]
    return raw


def outside(key: Key) -> list[Any]:
    """Values of the right type that the key may not have."""
    values: list[Any] = []
    if key.choices or key.pattern == "[a-z0-9_]+":
        values.append("No Such Thing")
    if key.pattern == ".+":
        values.append("")
    if key.above_zero:
        values += [0, -1, -0.5]
    elif key.low is not None:
        values.append(int(key.low) - 1)
    if key.high is not None:
        values.append(int(key.high) + 1)
    if key.name == "unpublished":  # nothing in it is right, too
        return []
    if key.type in ("ints", "strs"):
        return [[], *([value] for value in values if key.type == "ints" or isinstance(value, str))]
    if key.type == "int":
        return [value for value in values if isinstance(value, int)]
    return values


def toml(raw: dict[str, Any]) -> str:
    """The file's text, tables inline."""
    return "".join(f"{key} = {inline(value)}\n" for key, value in raw.items())


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return repr(value) if type(value) in (int, float) else json.dumps(value)


def load(folder: Path, name: str, raw: dict[str, Any]) -> tuple[Finding, ...]:
    """The findings about a file with this content; those of one that is refused hold an error."""
    path = folder / f"{name}.toml"
    path.write_text(toml(raw), encoding="utf-8")
    try:
        return ns.load_profile(path).findings
    except HardwareProfileError as error:
        assert any(finding.level == "error" for finding in error.findings)
        assert all(str(finding) and finding.file == str(path) for finding in error.findings)
        return error.findings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profiles")


def choose(data: st.DataObject) -> tuple[str, dict[str, Any], str]:
    name = data.draw(st.sampled_from(sorted(SHIPPED)))
    return name, copy.deepcopy(SHIPPED[name]), data.draw(st.sampled_from(leaves(SHIPPED[name])))


def check_wrong(findings: tuple[Finding, ...], key: str, codes: set[str]) -> None:
    found = [finding for finding in findings if finding.level == "error" and finding.key.startswith(key)]
    assert {finding.code for finding in found} & codes, [str(finding) for finding in findings]


def corrupt(data: st.DataObject, folder: Path) -> None:
    name, raw, key = choose(data)
    table, leaf = table_of(raw, key), key.rpartition(".")[2]
    how = data.draw(st.sampled_from(["removed", "type", "range", "unknown"]))
    if how == "removed":
        del table[leaf]
        findings = load(folder, name, raw)
        required = KEYS[key].required or KEYS[key].when
        if required and key not in ("capacity.synapses_per_core",) and not _waived(raw, KEYS[key]):
            check_wrong(findings, key, {"HP004", "HP012", "HP016"})
        elif not any(finding.level == "error" for finding in findings):
            assert ns.load_profile(folder / f"{name}.toml").get(key) in (None, ())
    elif how == "type":
        table[leaf] = data.draw(st.sampled_from(WRONG[KEYS[key].type]))
        check_wrong(load(folder, name, raw), key, {"HP006"})
    elif how == "range" and (values := outside(KEYS[key])):
        table[leaf] = data.draw(st.sampled_from(values))
        check_wrong(load(folder, name, raw), key, {"HP002", "HP007", "HP008", "HP017"})
    elif how == "unknown":
        table[leaf + "x"] = table.pop(leaf) if data.draw(st.booleans()) else 1
        check_wrong(load(folder, name, raw), key + "x", {"HP003"})


def _waived(raw: dict[str, Any], key: Key) -> bool:
    """Whether another key's value takes the requirement away (a removed neighbour is not one)."""
    if raw.get("weights", {}).get("sign_scheme") == "float" and any(c.key == "weights.sign_scheme" for c in key.unless):
        return True
    if key.name == "time.step_s":
        return bool(raw["time"].get("step_free")) or raw["time"]["kind"] != "discrete"
    for condition in key.when:
        value = table_of(raw, condition.key).get(condition.key.rpartition(".")[2])
        if value is None or (condition.values and value not in condition.values):
            return True
    return False


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_one_corrupted_key_is_found(folder: Path, data: st.DataObject) -> None:
    corrupt(data, folder)


@pytest.mark.full
@given(data=st.data())
@settings(max_examples=10_000, deadline=None)
def test_one_corrupted_key_is_found_ten_thousand_times(folder: Path, data: st.DataObject) -> None:
    corrupt(data, folder)


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Bytes changed, cut out, or copied elsewhere."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(changed))
        match rng.randrange(4):
            case 0:
                changed[start] = rng.randrange(256)
            case 1:
                changed[start] = rng.choice(b'[]{}="\\\n.#0-')
            case 2:
                del changed[start : start + rng.randint(1, 50)]
            case 3:
                end = rng.randrange(len(changed))
                changed[start:start] = changed[end : end + rng.randint(1, 200)]
    return bytes(changed)


def damage(folder: Path, number: int) -> None:
    for seed in range(number):
        rng = random.Random(seed)
        name = rng.choice(profile_names())
        path = folder / f"{name}.toml"
        path.write_bytes(damaged(rng, (profile_folder() / path.name).read_bytes()))
        try:
            ns.load_profile(path)
        except HardwareProfileError as error:
            assert error.findings, seed
            assert all(str(finding).isprintable() for finding in error.findings), seed


def test_a_damaged_file_is_a_profile_or_a_clear_error(folder: Path) -> None:
    damage(folder, 300)


@pytest.mark.full
def test_ten_thousand_damaged_files_are_profiles_or_clear_errors(folder: Path) -> None:
    damage(folder, 10_000)
