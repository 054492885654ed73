"""The reference vectors, each exact: what the chips' public tools and emulators give for the same input."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from neurosleep.errors import SettingsError
from neurosleep.hardware import Activity, estimate_energy, load_profile
from neurosleep.hardware.arithmetic.arithmetic import decay_by_shift
from neurosleep.hardware.arithmetic.registers import Register, wrap
from neurosleep.hardware.emulation.loihi_learning import accumulate, learning_product
from neurosleep.hardware.mapping.brainscales import split_rows
from neurosleep.hardware.mapping.spinnaker_shift import quantise_spinnaker, ring_buffer_shift
from neurosleep.hardware.placement.kernel_cores import kernel_words
from neurosleep.hardware.placement.loihi_cores import axon_bits
from oracles.loihi import (
    bias_mantissa,
    decay_by_integer,
    decay_integer,
    decay_trace,
    discretise_block,
    effective_weights,
    plan_dense,
    quantise_weights,
    round_weight,
    slayer_weights,
    threshold_mantissa,
    truncate_weights,
)
from oracles.odin import odin_event, odin_leak, quantise_odin, sdsp_update
from oracles.speck import quantise_speck
from oracles.spinnaker import largest_weight
from oracles.truenorth import truenorth_tick
from oracles.xylo import quantise_xylo, shift_of_time_constant

# Inputs by neurons in the vectors; [post, pre] here.
W = torch.tensor([[0.5, -0.25], [0.1, 0.9], [-1.0, 0.003]], dtype=torch.float64).T
TAUS: dict[str, Any] = {"tau_synapse": 0.005, "tau_membrane": 0.02, "dt": 0.001}


def whole(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# 6.1


def test_loihi_block() -> None:
    block = discretise_block(W, **TAUS, tau_refractory=0.002)
    assert (block.decay_current, block.decay_membrane, block.refractory) == (741, 200, 3)
    assert (block.weight_exponent, block.weight_scale) == (0, 255)
    assert round(block.state_scale, 2) == 1844905.79
    assert block.threshold == 1844928 == 28827 * 64
    assert block.mantissas.T.tolist() == [[128, -64], [26, 230], [-254, 0]]
    assert block.effective.T.tolist() == [[8192, -4096], [1664, 14720], [-16256, 0]]


def test_loihi_bias() -> None:
    block = discretise_block(W, **TAUS, bias=0.3)
    assert block.bias == 27024 == 3378 * 2**3
    assert bias_mantissa(27024) == (3378, 3)


# 6.2


def test_loihi_small_weights_lose_bits() -> None:
    block = discretise_block(W * 0.01, **TAUS)
    assert block.weight_exponent == -5
    assert block.threshold == 5765312 == 90083 * 64
    assert block.mantissas.T.tolist() == [[128, -64], [32, 224], [-256, 0]]


# 6.3


def test_loihi_without_leak_and_filter() -> None:
    block = discretise_block(W, tau_synapse=0, tau_membrane=float("inf"), dt=0.001)
    assert (block.decay_current, block.decay_membrane) == (4094, 0)
    assert block.threshold == 16320 == 255 * 64
    assert torch.equal(block.mantissas, discretise_block(W, **TAUS).mantissas)


# 6.4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (0, 0, 0, 4, 38, -38, 128, 254, -254)),
        ({"mixed": False}, (0, 1, -1, 3, 37, -38, 128, 255, -255)),
        ({"bits": 4}, (0, 0, 0, 0, 32, -32, 128, 224, -224)),
        ({"exponent": -3}, (0, 0, 0, 0, 40, -40, 128, 248, -256)),
    ],
)
def test_loihi_weights_alone(options: dict[str, Any], expected: tuple[int, ...]) -> None:
    given = whole(0, 1, -1, 3, 37.4, -37.6, 127.5, 255, -255)
    assert quantise_weights(given, **options).tolist() == list(expected)


# 6.5


@pytest.mark.parametrize(
    ("value", "offset", "expected"),
    [
        (1000, 0, 900),
        (-1000, 0, -900),
        (1, 0, 0),
        (-1, 0, 0),
        (2097152, 0, 1887744),
        (4095, 0, 3686),
        (12345, 0, 11112),
        (1000, 1, 899),
        (-1000, 1, -899),
        (2097152, 1, 1887232),
    ],
)
def test_loihi_decay(value: int, offset: int, expected: int) -> None:
    assert decay_by_integer(whole(value), 409, offset=offset).item() == expected


@pytest.mark.parametrize(("tau", "membrane", "current"), [(0.005, 742, 741), (0.01, 390, 389), (0.02, 200, 199)])
def test_loihi_decay_integers(tau: float, membrane: int, current: int) -> None:
    assert decay_integer(tau, 0.001) == membrane
    assert decay_integer(tau, 0.001, offset=1) == current


def test_loihi_overflow() -> None:
    given = whole(8388607, 8388608, 8388613, -8388609)
    assert wrap(given, 24).tolist() == [8388607, -8388608, -8388603, 8388607]
    assert wrap(whole(2097152, -2097153), 22).tolist() == [-2097152, 2097151]


def test_loihi_threshold_and_bias_mantissas() -> None:
    assert [threshold_mantissa(value) for value in (64000, 64031, 64033)] == [1000, 1000, 1001]
    expected = {4095: (4095, 0), 4096: (2048, 1), 10000: (2500, 2), 524160: (4095, 7)}
    assert {value: bias_mantissa(value) for value in expected} == expected


# 6.6 needs the engine: tests/hardware/test_fixed_engine.py

# 6.7


@pytest.mark.parametrize(
    ("value", "lava", "brian2", "slayer"),
    [
        (101, 100, 100, 100),
        (-101, -102, -100, -100),
        (1, 0, 0, 0),
        (-1, -2, 0, 0),
        (255, 254, 254, 254),
        (-255, -256, -254, -256),
    ],
)
def test_loihi_truncations(value: int, lava: int, brian2: int, slayer: int) -> None:
    assert truncate_weights(whole(value), truncation="floor").item() == lava
    assert truncate_weights(whole(value), truncation="toward_zero").item() == brian2
    assert truncate_weights(whole(value), truncation="nearest_even").item() == slayer


def test_loihi_truncation_to_four_bits() -> None:
    given = whole(101, -101)
    assert truncate_weights(given, bits=4, truncation="floor").tolist() == [96, -128]
    assert truncate_weights(given, bits=4, truncation="toward_zero").tolist() == [96, -96]


def test_slayer() -> None:
    given = whole(0.5, -0.25, 0.1, 0.9, -1, 0.003, 4.2, -4.2, 1 / 64, 1.5 / 64)
    assert slayer_weights(given).tolist() == [32, -16, 6, 58, -64, 0, 254, -256, 0, 2]
    assert int(1.25 * 64) == 80
    assert [round(4096 * d) for d in (0.1, 0.05)] == [410, 205]


def test_loihi_weight_exponents() -> None:
    assert effective_weights(whole(100), -3).item() == 768
    assert effective_weights(whole(254), 2).item() == 65024


# 6.8


@pytest.mark.parametrize(
    ("factors", "widths", "mantissa", "exponent", "product", "weight"),
    [
        ((16,), (7,), 1, -1, 1024, 48),
        ((64,), (7,), 1, -6, 128, 41),
        ((64,), (7,), -1, -6, -128, 39),
        ((), (), -1, 0, -128, 39),
        ((64, 32), (7, 7), 1, -7, 256, 42),
        ((16, 16), (7, 7), 2, 0, 8192, 104),
        ((127,), (7,), 7, 8, 32767, 255),
    ],
)
def test_loihi_learning(
    factors: tuple[int, ...], widths: tuple[int, ...], mantissa: int, exponent: int, product: int, weight: int
) -> None:
    found = learning_product(factors, widths, mantissa, exponent)
    assert found == product
    assert round_weight(accumulate(whole(40), [found]), None).item() == weight


def test_loihi_learning_rounds_stochastically() -> None:
    n, generator = 100_000, torch.Generator().manual_seed(0)
    weights = round_weight(torch.full((n,), 5184.0), generator)
    assert set(weights.tolist()) == {40, 41}
    assert abs(float((weights == 41).double().mean()) - 0.5) < 3 * (0.25 / n) ** 0.5
    assert round_weight(whole(5184), None).item() == 40
    traces = decay_trace(torch.full((n,), 127.0), 10, generator)
    assert set(traces.tolist()) == {114, 115}
    p = 127 * 2.718281828459045**-0.1 - 114
    assert round(p, 3) == 0.914
    assert abs(float((traces == 115).double().mean()) - p) < 3 * (p * (1 - p) / n) ** 0.5


# 6.9


def test_loihi_cores() -> None:
    expected = {10: 128, 63: 576, 64: 576, 100: 896, 256: 2304, 1024: 9216}
    assert {n: axon_bits(n, 8) for n in expected} == expected
    plans = [plan_dense(*sizes, 8) for sizes in ((1200, 784), (1200, 1200), (10, 1200))]
    assert [(p.neurons_per_core, p.bits, p.cores) for p in plans if p is not None] == [
        (142, 1_003_520, 9),
        (94, 998_400, 13),
        (10, 153_600, 1),
    ]
    full, over = plan_dense(1024, 113, 8), plan_dense(1024, 114, 8)
    assert full is not None and over is not None
    assert (full.cores, over.cores) == (1, 2)


# 6.10


def test_xylo() -> None:
    found = quantise_xylo(W, 1.0)
    assert found.weights.T.tolist() == [[64, -32], [13, 114], [-127, 0]]
    assert found.threshold.item() == 127
    assert [shift_of_time_constant(tau, 0.001) for tau in (0.002, 0.016, 0.02, 0.025)] == [1, 4, 4, 5]
    with pytest.raises(SettingsError, match="longer than a step"):
        shift_of_time_constant(0.001, 0.001)


def test_xylo_rounds_twice() -> None:
    found = quantise_xylo(whole(0.01, -0.005), 5.0)
    assert found.weights.tolist() == [66, -33]
    assert found.threshold.item() == 32767


def test_xylo_decay() -> None:
    def series(start: int, steps: int) -> list[float]:
        values = [whole(start)]
        for _ in range(steps):
            values.append(decay_by_shift(values[-1], 4))
        return [v.item() for v in values]

    assert series(1000, 8) == [1000, 938, 880, 825, 774, 726, 681, 639, 600]
    assert series(20, 8) == list(range(20, 11, -1))


# 6.11


def test_speck() -> None:
    found = quantise_speck(W, 1.0, -1.0)
    assert found.scale == 128
    assert found.weights.T.tolist() == [[64, -32], [13, 115], [-128, 0]]
    assert (found.threshold.item(), found.minimum.item()) == (128, -128)
    # What the chip's tool makes of a missing lower bound.
    trap = quantise_speck(W, 1.0, -32768.0)
    assert trap.scale == 1
    assert trap.weights.T.tolist() == [[0, 0], [0, 1], [-1, 0]]
    with pytest.raises(SettingsError, match="no lower bound"):
        quantise_speck(W, 1.0, None)


def test_speck_kernel_words() -> None:
    assert kernel_words(16, 32, (3, 3)) == 8192
    assert kernel_words(784, 128, (1, 1)) == 100352
    assert kernel_words(20, 32, (5, 5)) == 20 * 2 ** (5 + 5)


# 6.12


def test_brainscales() -> None:
    exciting, inhibiting = split_rows(whole(0.5, -0.25, 0.9, -1, 0.003, 1.5, 1.6), 40)
    assert exciting.tolist() == [20, 0, 36, 0, 0, 60, 63]
    assert inhibiting.tolist() == [0, 10, 0, 40, 0, 0, 0]


# 6.13


def test_odin() -> None:
    v, found, spikes = 0, [], []
    for event in (7, 7, "L", -3, 5, 7, 7, -7, "L"):
        v, spiked = (odin_leak(v, 2), False) if isinstance(event, str) else odin_event(v, event, 20)
        found.append(v)
        spikes.append(spiked)
    assert found == [7, 14, 12, 9, 14, 0, 7, 0, 0]
    assert [k for k, spiked in enumerate(spikes) if spiked] == [5]


def test_odin_clamps_at_its_highest_threshold() -> None:
    v, found = 0, []
    for _ in range(37):
        v, spiked = odin_event(v, 7, 255)
        found.append((v, spiked))
    assert found[34:] == [(245, False), (252, False), (0, True)]
    assert not any(spiked for _, spiked in found[:36])


@pytest.mark.parametrize(
    ("weight", "v", "calcium", "expected"),
    [(3, 12, 3, 4), (3, 8, 3, 2), (3, 12, 5, 4), (3, 8, 5, 3), (7, 12, 3, 7), (0, 8, 0, 0), (0, 8, 2, 0)],
)
def test_odin_plasticity(weight: int, v: int, calcium: int, expected: int) -> None:
    assert sdsp_update(weight, v, calcium, membrane=10, calcium_levels=(1, 4, 6)) == expected


def test_odin_weights_have_the_sign_of_their_source() -> None:
    magnitudes, signs = quantise_odin(torch.tensor([[0.5, -1.0], [0.2, -0.3]]))
    assert magnitudes.tolist() == [[4, 7], [1, 2]]
    assert signs.tolist() == [1, -1]
    with pytest.raises(SettingsError, match="number 1"):
        quantise_odin(torch.tensor([[0.5, -1.0], [0.2, 0.3]]))


# 6.14


@pytest.mark.parametrize(
    ("reset", "expected"), [("to_value", [7, 11, 0, -1]), ("subtract", [7, 11, 6, 5])], ids=["to zero", "linear"]
)
def test_truenorth(reset: str, expected: list[int]) -> None:
    v, found, spikes = torch.zeros(1, dtype=torch.float64), [], []
    for axons in ([1, 1, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]):
        v, spiked = truenorth_tick(
            v,
            torch.tensor(axons),
            crossbar=torch.tensor([[1, 1, 0, 1]]),
            types=torch.tensor([0, 0, 1, 2]),
            weights=torch.tensor([[5, -3, -2, 0]]),
            leak=-1,
            threshold=12,
            reset=reset,  # type: ignore[arg-type]
        )
        found.append(v.item())
        spikes.append(spiked.item())
    assert found == expected
    assert spikes == [False, False, True, False]


# 6.15


@pytest.mark.parametrize(
    ("shift", "half", "tenth", "largest"), [(0, 16384, 3277, 0.99997), (3, 2048, 410, 7.99976), (7, 128, 26, 127.996)]
)
def test_spinnaker(shift: int, half: int, tenth: int, largest: float) -> None:
    assert quantise_spinnaker(whole(0.5, 0.1), shift).tolist() == [half, tenth]
    assert round(largest_weight(shift), len(str(largest).split(".")[1])) == largest
    assert quantise_spinnaker(whole(1e9), shift).item() == 32767


def test_spinnaker_shift() -> None:
    assert [ring_buffer_shift(x) for x in (0.3, 1, 5, 8)] == [1, 1, 4, 4]
    assert ring_buffer_shift(5, signed_plastic=True) == 5


# 6.16


def test_energy_of_loihi() -> None:
    found = estimate_energy(load_profile("loihi1"), Activity(1e6, 2e4, 8e4, 1.0))
    micro = {c.name: None if c.joules is None else round(c.joules * 1e6, 2) for c in found.conventions}
    assert micro == {
        "synaptic": 23.6,
        "all_updates": 35.2,
        "active_and_inactive": 29.38,
        "fitted_simulator": None,
        "operating_point": None,
        "with_static": None,
        "core_activity": None,
    }


@pytest.mark.parametrize(
    ("rate", "marginal", "whole"), [(11.58, 68.0, 40.4), (20.07, 70.6, 70.0), (95.93, 94.0, 334.8)]
)
def test_energy_of_truenorth(rate: float, marginal: float, whole: float) -> None:
    profile, activity = load_profile("truenorth"), Activity(2**20 * 128 * rate, seconds=1.0)
    found = estimate_energy(profile, activity)
    # The chip's average at one rate, at others.
    for name, expected in (("with_static", marginal), ("operating_point", whole)):
        joules = found.joules(name)
        assert joules is not None and round(joules * 1e3, 1) == expected
    energy = dataclasses.replace(profile.energy, synop_pj=26.0, synop_includes_static=True)
    by_average = estimate_energy(dataclasses.replace(profile, energy=energy), activity)
    joules = by_average.joules("synaptic")
    assert joules is not None and round(joules * 1e3, 1) == whole
    assert by_average.joules("with_static") is None


def test_energy_without_events_and_without_coefficients() -> None:
    silent = estimate_energy(load_profile("truenorth"), Activity(0, seconds=1.0)).joules("with_static")
    assert silent is not None and round(silent * 1e3, 9) == 64.4
    for name in ("ideal", "generic_int8", "loihi2"):
        found = estimate_energy(load_profile(name), Activity(1e6, 1e5, 0, 1.0))
        assert {c.joules for c in found.conventions} == {None} == set(found.terms.values())
        assert (found.estimated, found.interval) == (False, None)


def test_registers() -> None:
    saturating = Register(8, minimum=-127)
    assert saturating.hold(whole(-300, 5, 300)).tolist() == [-127, 5, 127]
    assert saturating.overflowed(whole(-128, -127, 128)).tolist() == [True, False, True]
    assert Register(8, signed=False).hold(whole(-3, 300)).tolist() == [0, 255]
    assert Register(8, signed=False, overflow="wrap").hold(whole(-3, 300)).tolist() == [253, 44]
