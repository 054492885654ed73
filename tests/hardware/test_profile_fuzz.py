"""Profiles with any values in their keys: a clear error, or a mapping and spikes in bounded time and memory."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import resource
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

import neurosleep as ns
from neurosleep.errors import NeurosleepError
from neurosleep.functional import SRCRule
from neurosleep.hardware import chip_rule, energy_of
from neurosleep.hardware.profiles.load import profile_folder
from neurosleep.hardware.profiles.schema import KEYS
from neurosleep.spiking import Conv, Dense, Population, SpikingNetwork, get_engine

SHIPPED = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in profile_folder().glob("*.toml")}
# At and beyond every edge that integers, floats and registers have.
NUMBERS = (
    *(
        sign * (2**k + d)
        for k in (0, 1, 3, 7, 8, 12, 15, 16, 23, 30, 31, 32, 52, 53, 63, 64)
        for d in (-1, 0, 1)
        for sign in (1, -1)
    ),
    *(0.0, 1e-300, 1e-15, 0.5, 1e15, 1e300, float("inf"), float("nan"), 10**19, -(10**19), 10**400),
)
ODD: tuple[Any, ...] = (
    True,
    False,
    "",
    "1",
    "unlimited",
    [],
    [1],
    [1, 2],
    ["a"],
    [[1]],
    {},
    {"a": 1},
    "\u202e",
    "x" * 500,
)


def networks() -> list[SpikingNetwork]:
    """Neurons with everything that a chip may be asked for: biases, currents, several resets, loops, a convolution."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    source = Population("in", "input", (6,))
    plain = SpikingNetwork(
        (source, Population("a", "lif", (4,), decay=0.9), Population("b", "lif", (2,), decay=0.9, reset="subtract")),
        (Dense("in", "a", draw(4, 6)), Dense("a", "b", draw(2, 4), delay=2)),
    )
    rich = SpikingNetwork(
        (
            source,
            Population("a", "cuba_lif", (4,), synaptic_decay=0.5, bias=0.1, refractory=2),
            Population("b", "li", (2,)),
        ),
        (
            Dense("in", "a", draw(4, 6)),
            Dense("a", "a", draw(4, 4), delay=1),
            Dense("a", "b", draw(2, 4)),
        ),
    )
    image = SpikingNetwork(
        (Population("in", "input", (1, 6, 6)), Population("a", "lif", (2, 4, 4), reset="subtract")),
        (Conv("in", "a", draw(2, 1, 3, 3), stride=1, padding=0),),
    )
    return [plain, rich, image]


NETWORKS = networks()


def mutated(rng: random.Random) -> dict[str, Any]:
    """A shipped profile with one to three other values, keys left out, or keys of other chips."""
    raw = copy.deepcopy(SHIPPED[rng.choice(sorted(SHIPPED))])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        key = rng.choice([key for key in sorted(KEYS) if key.count(".")])
        there = raw
        for part in key.split(".")[:-1]:
            there = there.setdefault(part, {})
            if not isinstance(there, dict):
                break
        else:
            leaf, stated = key.rpartition(".")[2], KEYS[key]
            way = rng.random()
            if way < 0.1:
                there.pop(leaf, None)
            elif way < 0.2:
                there[leaf] = rng.choice(ODD)
            elif stated.choices and way < 0.8:
                choice = rng.choice(stated.choices)
                there[leaf] = [choice] if stated.type == "strs" else choice
            elif stated.type == "bool" and way < 0.8:
                there[leaf] = rng.random() < 0.5
            elif stated.numeric and stated.type != "ints" and stated.high is not None and way < 0.6:
                # What the schema lets through, mostly at its ends.
                low, high = stated.low or 0, stated.high
                number = rng.choice(
                    (low, high, low + 1, high - 1, rng.uniform(low, high), rng.uniform(low, min(high, 64)))
                )
                there[leaf] = int(number) if stated.type == "int" else float(number)
            else:
                number = rng.choice(NUMBERS)
                there[leaf] = [number] * rng.randint(1, 12) if stated.type == "ints" else number
            if "unpublished" in raw and rng.random() < 0.7:
                raw["unpublished"] = [name for name in raw["unpublished"] if name != key]
    return raw


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


def tried(profile: Any) -> int:
    """Map and run every network, and sleep one of them; how many of these could be done."""
    done = 0
    for network in NETWORKS:
        inputs = torch.rand(10, network.inputs[0].size, generator=torch.Generator().manual_seed(1)) < 0.4
        for strict in (True, False):
            with contextlib.suppress(NeurosleepError):
                mapped = ns.map_to(network, profile, strict=strict, allow_split=not strict, steps=10)
                report = mapped.report
                recording = ns.simulate(mapped, inputs, engine="fixed", record=ns.Record(spikes="all"))
                json.dumps(report.to_json(), allow_nan=False)
                energy_of(mapped, recording, profile)
                done += 1
                rule = chip_rule(profile, SRCRule(0.05, 0.01))
                session = get_engine("fixed").start(mapped, rule)
                session.run({"in": ns.SpikeEvents.from_dense(inputs)})
    return done


def fuzz(path: Path, seeds: range) -> tuple[int, int]:
    """Profiles that were loaded, and networks that were mapped to them."""
    loaded = mapped = 0
    for seed in seeds:
        raw = mutated(random.Random(seed))
        file = path / f"{raw['profile'].get('id') if isinstance(raw.get('profile'), dict) else 'x'}.toml"
        file = file if len(file.name) < 100 and "/" not in file.name[:-5] else path / "x.toml"
        file.write_text("".join(f"{key} = {inline(value)}\n" for key, value in raw.items()), encoding="utf-8")
        start = time.process_time()
        try:
            with contextlib.suppress(NeurosleepError):
                profile = ns.load_profile(file)
                loaded += 1
                mapped += tried(profile)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
        assert time.process_time() - start < 10, f"seed {seed}"
        file.unlink()
    return loaded, mapped


def test_no_value_of_a_profile_is_a_crash(tmp_path: Path) -> None:
    loaded, mapped = fuzz(tmp_path, range(100))
    assert loaded > 20 and mapped > 40


@pytest.mark.full
def test_no_value_of_three_thousand_profiles_is_a_crash(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded, mapped = fuzz(tmp_path, range(100, 3100))
    assert loaded > 600 and mapped > 1200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2 << 20  # KiB
