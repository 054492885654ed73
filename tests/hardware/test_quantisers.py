"""What ``map_to`` makes of random networks against the chips' own quantisers, transcribed in oracles/."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.functional import SRCRule
from neurosleep.hardware import MappedNetwork, MappedSynapses, MappingReport, chip_rule
from neurosleep.hardware.arithmetic.chip_arithmetic import chip_decay
from neurosleep.hardware.arithmetic.weight_grid import WeightGrid
from neurosleep.hardware.emulation.loihi_learning import accumulate, learning_product
from neurosleep.spiking import Dense, Population, SpikingNetwork
from oracles.loihi import (
    bias_mantissa,
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
from oracles.speck import quantise_speck
from oracles.spinnaker import largest_weight
from oracles.xylo import quantise_xylo, shift_of_time_constant

SEEDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(8, 200))]


class Drawn:
    """A random layer, and what a chip makes of it."""

    def __init__(self, seed: int, chip: str, positive: bool = False, **neurons: object) -> None:
        generator = torch.Generator().manual_seed(seed)

        def uniform() -> float:
            return float(torch.rand(1, generator=generator))

        n, inputs = 3 + int(40 * uniform()), 2 + int(60 * uniform())
        self.weights = torch.randn(n, inputs, generator=generator, dtype=torch.float64)
        # Grids of two's complement have one number more below 0 than above, which not all chips' tools use.
        self.weights[0, 0] = self.weights.abs().max() * 1.02
        if positive:
            self.weights = self.weights.abs()
        self.threshold, self.bias = 0.5 + 4 * uniform(), uniform() - 0.5
        parts = {"threshold": self.threshold, "bias": self.bias, **neurons}
        populations = Population("in", "input", (inputs,)), Population("n", "lif", (n,), **parts)  # type: ignore[arg-type]
        network = SpikingNetwork(populations, (Dense("in", "n", self.weights),))
        self.mapped: MappedNetwork
        self.report: MappingReport
        self.mapped = ns.map_to(network, chip, strict=False)
        self.report = self.mapped.report
        self.scale = self.report.layers[0].scale
        self.neurons = self.mapped.population("n")
        assert isinstance(self.scale, float)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("positive", [False, True])
def test_loihi_integers_are_those_of_its_tools(seed: int, positive: bool) -> None:
    drawn = Drawn(seed, "loihi1", positive, compare=">", decay=0.9)
    synapses = drawn.mapped.synapses[0]
    assert synapses is not None
    scaled = drawn.weights * drawn.scale / synapses.unit
    mantissas = drawn.mapped.weights[0] / synapses.unit
    assert torch.equal(mantissas, truncate_weights(scaled, mixed=not positive, truncation="nearest_even"))
    # nengo-loihi leaves the lowest mantissa of mixed groups out.
    assert torch.equal(mantissas.clamp_min(-254), quantise_weights(scaled, mixed=not positive))
    if not positive:
        assert torch.equal(mantissas, slayer_weights(drawn.weights, drawn.scale / synapses.unit))
    assert torch.equal(drawn.mapped.weights[0], effective_weights(mantissas))
    assert drawn.neurons.threshold == threshold_mantissa(drawn.threshold * drawn.scale) << 6
    mantissa, exponent = bias_mantissa(drawn.bias * drawn.scale)
    assert drawn.neurons.bias == mantissa << exponent


@pytest.mark.parametrize("seed", SEEDS)
def test_a_block_of_nengo_loihi_stands_for_the_same_weights(seed: int) -> None:
    drawn = Drawn(seed, "loihi1", compare=">", decay=0.9)
    block = discretise_block(drawn.weights, tau_synapse=0.005, tau_membrane=0.02, dt=0.001, threshold=drawn.threshold)
    step = 2 * float(drawn.weights.abs().max()) / 254
    stands_for = block.effective / (block.weight_scale * 64.0 * 2.0**block.weight_exponent)
    coarse = 2.0 ** max(0, -block.weight_exponent - 1)
    assert (stands_for - drawn.mapped.weights[0] / drawn.scale).abs().max() <= (1 + coarse) * step


@pytest.mark.parametrize("tau", [0.0015, 0.005, 0.01, 0.02, 0.1, 1.0])
def test_loihi_decays_are_those_of_its_tools_up_to_their_maximum(tau: float) -> None:
    """nengo-loihi counts a decay in parts of 4095, the chip in 4096."""
    profile, factor = ns.load_profile("loihi1"), torch.exp(torch.tensor(-0.001 / tau, dtype=torch.float64))
    for current, offset in ((False, profile.decay.voltage_offset), (True, profile.decay.current_offset)):
        register = (1 - chip_decay(profile, factor, current=current)) * 4096 - (offset or 0)
        assert abs(float(register) - decay_integer(tau, 0.001, offset=offset or 0)) <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_loihi_cores_are_those_of_the_plan(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, inputs = (int(x) for x in rng.integers(1, 1500, 2))
    network = SpikingNetwork(
        (Population("in", "input", (inputs,)), Population("n", "lif", (n,), compare=">")),
        (Dense("in", "n", torch.from_numpy(rng.normal(size=(n, inputs)))),),
    )
    (row,) = ns.map_to(network, "loihi1", strict=False).report.layers
    plan = plan_dense(n, inputs, 8)
    assert plan is not None
    assert (row.neurons_per_core, row.cores, row.memory_bits) == (plan.neurons_per_core, plan.cores, plan.bits)


@pytest.mark.parametrize("seed", SEEDS)
def test_loihi_learning_is_the_accumulator_rounded(seed: int) -> None:
    """Tables of the rule on a group of one sign, whose grid is the integers that the engine rounds to."""
    rng = np.random.default_rng(seed)
    rule = SRCRule(inc=float(rng.uniform(0.5, 40)), dec=float(rng.uniform(0.5, 40)), factor="constant")
    synapses = MappedSynapses(64.0, 1.0, WeightGrid(0, 255, 1, 6, 8), 64)
    tables = chip_rule("loihi1", rule, rounding="nearest_even").on(synapses)  # type: ignore[union-attr]
    assert tables.terms is not None
    up, down = tables.terms
    weights = torch.arange(256, dtype=torch.float64)
    for trace in (0, 1, 60, up.impulse, 127):
        products = [
            learning_product([1], [1], -down.mantissa, down.exponent),
            learning_product([trace], [7], up.mantissa, up.exponent),
        ]
        expected = round_weight(accumulate(weights, products), None).clamp_min(0)
        assert np.array_equal(tables.low[trace], expected.numpy())


def test_loihi_traces_decay_to_the_same_two_numbers() -> None:
    n, generator = 20_000, torch.Generator().manual_seed(1)
    tau = 3.0
    spec = chip_rule("loihi1", SRCRule(1.0, 1.0), trace_decay=float(np.exp(-1 / tau)))
    tables = spec.on(MappedSynapses(64.0, 1.0, WeightGrid(0, 255, 1, 6, 8), 64))  # type: ignore[union-attr]
    traces, silent = torch.full((n,), 113, dtype=torch.int64), torch.zeros(n, dtype=torch.bool)
    emulated, expected = tables.next_trace(traces, silent, 0), decay_trace(traces, tau, generator)
    assert set(emulated.tolist()) == set(expected.long().tolist()) == {80, 81}
    assert abs(float(emulated.double().mean() - expected.mean())) < 4 * (2 * 0.25 / n) ** 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_speck_integers_are_those_of_its_tool(seed: int) -> None:
    drawn = Drawn(seed, "speck2f", reset="subtract")
    expected = quantise_speck(drawn.weights, drawn.threshold, -drawn.threshold, drawn.bias)
    assert drawn.scale == pytest.approx(expected.scale, rel=1e-12)
    assert torch.equal(drawn.mapped.weights[0], expected.weights)
    assert (drawn.neurons.threshold, drawn.neurons.bias) == (expected.threshold, expected.bias)


@pytest.mark.parametrize("seed", SEEDS)
def test_xylo_integers_are_those_of_its_tool(seed: int) -> None:
    drawn = Drawn(seed, "xylo_a2", reset="subtract", decay=0.75)
    expected = quantise_xylo(drawn.weights, drawn.threshold, drawn.bias)
    assert drawn.scale == pytest.approx(expected.scale, rel=1e-12)
    assert torch.equal(drawn.mapped.weights[0], expected.weights)
    assert (drawn.neurons.threshold, drawn.neurons.bias) == (expected.threshold, expected.bias)


@pytest.mark.parametrize("shift", range(1, 9))
def test_xylo_time_constants_are_the_shifts_of_its_tool(shift: int) -> None:
    tau = 0.001 * 2.0**shift
    factor = chip_decay(ns.load_profile("xylo_a2"), torch.tensor(1 - 0.001 / tau, dtype=torch.float64), current=False)
    assert 1 - factor == 2.0 ** -shift_of_time_constant(tau, 0.001)


@pytest.mark.parametrize("seed", SEEDS)
def test_spinnaker_weights_fit_the_ring_buffer(seed: int) -> None:
    drawn = Drawn(seed, "spinnaker1", decay=0.9)
    synapses = drawn.mapped.synapses[0]
    assert synapses is not None
    shift = synapses.unit.bit_length() - 1
    # In units of the membrane, s16.15, of which a weight has 16 bits from where its point is.
    largest = float(drawn.mapped.weights[0].abs().max()) / 2**15
    assert largest <= largest_weight(shift)
    assert synapses.grid.high * synapses.unit / 2**15 == largest_weight(shift)
