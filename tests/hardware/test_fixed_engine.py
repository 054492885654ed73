"""The integer engine: the vectors, random networks against integers of Python, and what it refuses."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosleep as ns
from neurosleep.errors import ExchangeError, UnsupportedError
from neurosleep.functional import SpikeEvents, SRCRule
from neurosleep.hardware import Arithmetic, MappedNetwork, Register
from neurosleep.hardware.emulation.fixed_engine import FixedSession
from neurosleep.spiking import Dense, Identity, Population, SpikingNetwork, engine_names, get_engine

LOIHI = Arithmetic(
    membrane=Register(24, minimum=-(2**23 - 1)),
    current=Register(24, overflow="wrap"),
    accumulator=Register(22, overflow="wrap"),
)


def one(
    weight: int, threshold: int, d_v: int, d_u: int, *, arithmetic: Arithmetic = LOIHI, delay: int = 0, **more: Any
) -> MappedNetwork:
    """One input, one neuron; ``d_u`` is what the chip takes away in all."""
    neuron = Population(
        "n",
        "cuba_lif",
        (1,),
        threshold=threshold,
        decay=(4096 - d_v) / 4096,
        synaptic_decay=(4096 - d_u) / 4096,
        compare=">",
        **more,
    )
    synapse = Dense("in", "n", torch.tensor([[float(weight)]], dtype=torch.float64), delay=delay)
    return MappedNetwork((Population("in", "input", (1,)), neuron), (synapse,), arithmetic=arithmetic)


def trace(network: MappedNetwork, times: tuple[int, ...], steps: int = 14) -> tuple[list[int], list[int], list[int]]:
    """Currents, potentials and times of spikes."""
    session = get_engine("fixed").start(network)
    assert isinstance(session, FixedSession)
    u, v, spikes = [], [], []
    for t in range(steps):
        now = session.step({"in": torch.tensor([[t in times]])})
        u.append(int(session.currents()["n"]))
        v.append(int(session.membranes()["n"]))
        spikes += [t] if now["n"].any() else []
    return u, v, spikes


# Vector 6.6

CURRENT = [0, 6400, 4800, 10000, 7500, 5625, 4218, 3163, 2372, 1779, 1334, 1000, 750, 562]


def test_trace() -> None:
    u, v, spikes = trace(one(6400, 12800, 410, 1024), (1, 3))
    assert u == CURRENT
    assert v == [0, 6400, 10559, 0, 7500, 12374, 0, 3163, 5218, 6474, 7159, 7442, 7447, 7263]
    assert spikes == [3, 6]


def test_trace_with_delay() -> None:
    u, v, spikes = trace(one(6400, 12800, 410, 1024, delay=2), (1,), 9)
    assert u[:8] == [0, 0, 0, 6400, 4800, 3600, 2700, 2025]
    assert v == [0, 0, 0, 6400, 10559, 0, 2700, 4454, 5526]
    assert spikes == [5]


def test_trace_with_refractoriness() -> None:
    # The chip's register 3 counts the spike's own step.
    u, v, spikes = trace(one(6400, 6400, 410, 1024, refractory=2), (1, 3))
    assert u == CURRENT
    assert v == [0, 6400, 0, 0, 0, 5625, 0, 0, 0, 1779, 2934, 3640, 4025, 4184]
    assert spikes == [2, 6]


def test_a_potential_equal_to_the_threshold_does_not_fire() -> None:
    _, v, spikes = trace(one(6400, 6400, 0, 4096), (1,))
    assert v == [0] + [6400] * 13
    assert spikes == []
    assert trace(one(6464, 6400, 0, 4096), (1,))[2] == [1]


def test_clamped_and_free_potentials() -> None:
    clamped = Arithmetic(Register(24, minimum=0), LOIHI.current, LOIHI.accumulator)
    assert trace(one(-6400, 12800, 410, 1024, arithmetic=clamped), (1, 3))[1] == [0] * 14
    assert min(trace(one(-6400, 12800, 410, 1024), (1, 3), 40)[1]) == -29767


# Random networks


def _trunc(number: int, denominator: int) -> int:
    return number // denominator if number >= 0 else -(-number // denominator)


def _wrap(x: int, bits: int) -> int:
    return (x + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def loihi_by_hand(case: dict[str, Any], spikes: list[list[bool]]) -> tuple[list[Any], list[Any], list[Any]]:
    """Currents, potentials and spikes of all neurons in every step, in integers of Python; input is column 0 on."""
    n, inputs = case["n"], case["inputs"]
    u, v, wait = [0] * n, [0] * n, [0] * n
    fired: list[list[bool]] = []
    us, vs = [], []
    for t, row in enumerate(spikes):
        now = []
        for i in range(n):
            total = 0
            for j in range(inputs):
                at = t - case["in_delay"]
                if at >= 0 and spikes[at][j]:
                    total += case["w_in"][i][j]
            for j in range(n):
                at = t - case["delay"]
                if at >= 0 and fired[at][j]:
                    total += case["w"][i][j]
            u[i] = _wrap(_trunc(u[i] * (4096 - case["d_u"][i]), 4096) + _wrap(total, 22), 24)
            new = _trunc(v[i] * (4096 - case["d_v"][i]), 4096) + u[i] + case["bias"][i]
            new = min(max(new, -(2**23 - 1)), 2**23 - 1)
            if wait[i] > 0:
                wait[i] -= 1
                now.append(False)
                continue
            spike = new > case["threshold"][i]
            v[i] = 0 if spike else new
            wait[i] = case["refractory"] if spike else 0
            now.append(spike)
        fired.append(now)
        us.append(list(u))
        vs.append(list(v))
        assert len(row) == inputs
    return us, vs, fired


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    n, inputs = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    exponent = draw(st.integers(0, 7))
    # Sums then lie anywhere from far below the registers' limits to beyond them.
    weights = (
        st.integers(-128, 127).map(lambda m: 2 * m * 2 ** (6 + exponent)).map(lambda w: max(min(w, 2097088), -2097088))
    )

    def matrix(rows: int, columns: int) -> list[list[int]]:
        return draw(st.lists(st.lists(weights, min_size=columns, max_size=columns), min_size=rows, max_size=rows))

    def each(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=n, max_size=n))

    bits = draw(st.integers(0, 17))
    return {
        "n": n,
        "inputs": inputs,
        "w_in": matrix(n, inputs),
        "w": matrix(n, n),
        "in_delay": draw(st.integers(0, 4)),
        "delay": draw(st.integers(1, 5)),
        "d_u": each(1, 4096),
        "d_v": each(0, 4095),
        "threshold": [64 * m for m in each(0, 2**bits - 1)],
        "bias": [m << e for m, e in zip(each(-4096, 4095), each(0, 7), strict=True)],
        "refractory": draw(st.integers(0, 4)),
        "seed": draw(st.integers(0, 2**31)),
    }


def network_of(case: dict[str, Any]) -> MappedNetwork:
    def tensor(values: Any) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64)

    neurons = Population(
        "n",
        "cuba_lif",
        (case["n"],),
        threshold=tensor(case["threshold"]),
        decay=1 - tensor(case["d_v"]) / 4096,
        synaptic_decay=1 - tensor(case["d_u"]) / 4096,
        bias=tensor(case["bias"]),
        refractory=case["refractory"],
        compare=">",
    )
    return MappedNetwork(
        (Population("in", "input", (case["inputs"],)), neurons),
        (
            Dense("in", "n", tensor(case["w_in"]), delay=case["in_delay"]),
            Dense("n", "n", tensor(case["w"]), delay=case["delay"]),
        ),
        arithmetic=LOIHI,
    )


def assert_as_by_hand(case: dict[str, Any]) -> None:
    steps, generator = 40, torch.Generator().manual_seed(case["seed"])
    spikes = torch.rand(steps, case["inputs"], generator=generator) < 0.4
    us, vs, fired = loihi_by_hand(case, spikes.tolist())
    session = get_engine("fixed").start(network_of(case))
    assert isinstance(session, FixedSession)
    for t in range(steps):
        now = session.step({"in": spikes[t : t + 1]})["n"]
        assert session.currents()["n"][0].tolist() == us[t]
        assert session.membranes()["n"].tolist() == vs[t]
        assert now[0].tolist() == fired[t]


@settings(max_examples=200, deadline=None)
@given(cases())
def test_random_networks_as_by_hand(case: dict[str, Any]) -> None:
    assert_as_by_hand(case)


@pytest.mark.full
@settings(max_examples=1000, deadline=None)
@given(cases())
def test_a_thousand_networks_as_by_hand(case: dict[str, Any]) -> None:
    assert_as_by_hand(case)


# Where engines are


def small(arithmetic: Arithmetic | None = LOIHI, **more: Any) -> MappedNetwork:
    generator = torch.Generator().manual_seed(0)
    sizes = (6, 5, 3)
    populations = [Population("in", "input", (6,))]
    populations += [
        Population(f"l{k}", "lif", (n,), threshold=6400, compare=">", **more) for k, n in enumerate(sizes[1:])
    ]
    projections = [
        Dense(a.name, b.name, 64.0 * torch.randint(-100, 128, (b.size, a.size), generator=generator).double())
        for a, b in itertools.pairwise(populations)
    ]
    return MappedNetwork(tuple(populations), tuple(projections), arithmetic=arithmetic, profile="loihi1")


def spikes_of(steps: int = 300) -> torch.Tensor:
    return torch.rand(steps, 6, generator=torch.Generator().manual_seed(1)) < 0.3


@pytest.mark.parametrize("reset", ["to_value", "subtract"])
def test_without_decay_and_overflow_it_is_the_reference(reset: str) -> None:
    network, record = small(reset=reset, refractory=1), ns.Record(spikes="all")
    found = ns.simulate(network, spikes_of(), engine="fixed", record=record)
    expected = ns.simulate(network, spikes_of(), engine="reference", record=record)
    assert found.counts["l1"].sum() > 0
    for name in ("l0", "l1"):
        assert torch.equal(found.spikes[name].to_dense(), expected.spikes[name].to_dense())


def test_a_batch_is_its_samples_one_by_one() -> None:
    network = small(decay=4000 / 4096)
    trains = torch.rand(100, 4, 6, generator=torch.Generator().manual_seed(2)) < 0.3
    session = get_engine("fixed").start_batch(network, 4)
    assert isinstance(session, FixedSession)
    fired = [session.step({"in": row}) for row in trains]
    for b in range(4):
        single = ns.simulate(network, trains[:, b], engine="fixed")
        for name in ("l0", "l1"):
            assert sum(now[name][b].long() for now in fired).tolist() == single.counts[name].tolist()  # type: ignore[union-attr]
            assert single.counts[name].sum() > 0


def test_images() -> None:
    network, images = small(), torch.rand(7, 6, generator=torch.Generator().manual_seed(2))
    found = ns.simulate(network, images, 100, coding="bernoulli", engine="fixed")
    exact = ns.simulate(network, images, 100, coding="bernoulli", engine="reference")
    assert found.engine == "fixed"
    assert np.array_equal(found.read_out, exact.read_out)
    assert found.read_out[-1].sum() > 0
    with pytest.raises(UnsupportedError, match="graded values"):
        ns.simulate(network, images, 5, coding="constant", engine="fixed")


def test_integrators_and_counted_overflows() -> None:
    network = one(2**20, 2**22, 0, 4096)
    read_out = Population("n", "li", (1,))
    network = MappedNetwork((network.populations[0], read_out), network.projections, arithmetic=LOIHI)
    recording = ns.simulate(network, torch.ones(20, 1, dtype=torch.bool), engine="fixed")
    assert recording.potentials["n"].tolist() == [2**23 - 1]
    session = get_engine("fixed").start(network)
    assert isinstance(session, FixedSession)
    session.run({"in": SpikeEvents.from_dense(torch.ones(20, 1, dtype=torch.bool))})
    # 2^20 eight times is one too many for 23 bits.
    assert session.overflows() == {"n": {"accumulator": 0, "current": 0, "membrane": 13}}


def test_shifted_decays() -> None:
    xylo = Arithmetic(Register(16), Register(16), decay="shift")
    network = one(1000, 30000, 0, 4096, arithmetic=xylo)
    network = MappedNetwork(
        (network.populations[0], Population("n", "cuba_lif", (1,), threshold=30000, decay=15 / 16)),
        network.projections,
        arithmetic=xylo,
    )
    assert trace(network, (0,), 9)[1] == [1000, 938, 880, 825, 774, 726, 681, 639, 600]


def test_floating_point_is_the_reference() -> None:
    network = small(None, decay=0.9)
    found, expected = (ns.simulate(network, spikes_of(), engine=engine) for engine in ("fixed", "reference"))
    assert found.counts["l1"].tolist() == expected.counts["l1"].tolist()


def test_it_is_found_by_name_without_an_import_of_the_hardware() -> None:
    code = (
        "import sys, neurosleep.spiking as s; assert 'fixed' in s.engine_names();"
        "assert 'neurosleep.hardware' not in sys.modules; assert s.get_engine('fixed').name == 'fixed'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
    assert "fixed" in engine_names()


def test_refusals() -> None:
    network = small()
    with pytest.raises(UnsupportedError, match="not mapped") as refused:
        get_engine("fixed").start(network.plain())
    assert "map_to" in str(refused.value)
    assert type(network.plain()) is SpikingNetwork
    with pytest.raises(UnsupportedError, match="plasticity rule"):
        get_engine("fixed").start(network, SRCRule(0.1, 0.1))
    half = network.with_weights([w + 0.5 for w in network.weights])
    with pytest.raises(UnsupportedError, match="'in' -> 'l0': it does not carry integers") as refused:
        get_engine("fixed").start(half)
    assert "'loihi1'" in str(refused.value)
    for more, expected in (
        ({"decay": 0.9}, "decay 0.9 is none"),
        ({"leak": 1.0}, "its leak"),
        ({"bias": 0.5}, "its bias"),
        ({"reset": "subtract", "reset_time": "next"}, "reset_time 'next'"),
    ):
        with pytest.raises(UnsupportedError, match=expected):
            get_engine("fixed").start(small(**more))
    flat = Arithmetic(Register(32))
    with pytest.raises(UnsupportedError, match="no synaptic current"):
        get_engine("fixed").start(one(64, 64, 0, 2048, arithmetic=flat))
    for bias, scale in ((0.5, 1.0), (0.0, 0.5)):
        relayed = MappedNetwork(
            (Population("in", "input", (2,)), Population("r", "relay", (2,), bias=bias)),
            (Identity("in", "r", scale=scale),),
            arithmetic=flat,
        )
        with pytest.raises(UnsupportedError, match="integer"):
            get_engine("fixed").start(relayed)
    # What the other engines refuse does not send anybody to this one.
    with pytest.raises(UnsupportedError) as refused:
        get_engine("event").start(one(64, 64, 0, 2048))
    assert "fixed" not in str(refused.value)


def test_a_file_keeps_the_whole_numbers_and_says_that_it_keeps_no_more(tmp_path: Path) -> None:
    network = small(decay=4000 / 4096)
    with pytest.raises(ExchangeError, match="arithmetic of a chip"):
        ns.save(network, tmp_path / "mapped.safetensors")
    ns.save(network.plain(), tmp_path / "plain.safetensors")
    loaded = ns.load(tmp_path / "plain.safetensors")
    again = MappedNetwork(loaded.populations, loaded.projections, loaded.dt, arithmetic=LOIHI)
    counts = [ns.simulate(n, spikes_of(), engine="fixed").counts["l1"].tolist() for n in (network, again)]
    assert counts[0] == counts[1]
