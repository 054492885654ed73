"""Figures of the shipped profiles against those of the sources, written down here by hand, and against each other."""

from __future__ import annotations

import math
from typing import Any

import pytest

import neurosleep as ns
from neurosleep.hardware import profile_names

KIB = 1024
FIGURES: dict[str, dict[str, Any]] = {
    "ideal": {"weights.bits": None, "capacity.neurons_per_core": "unlimited", "energy.synop_pj": None},
    "generic_int8": {
        "weights.mantissa_min": -127,
        "weights.mantissa_max": 127,
        "membrane.bits": 32,
        "decay.denominator": 4096,
        "decay.rounding": "toward_zero",
        "delay.max_steps": 15,
        "capacity.neurons_per_core": 256,
        "capacity.synapse_memory_bits_per_core": 64 * KIB * 8,
        "capacity.fan_in_max": "unlimited",
        "learning.update_rounding": "stochastic",
    },
    "loihi1": {
        "weights.base_shift_bits": 6,
        "threshold.compare": ">",
        "delay.max_steps": 62,
        "capacity.in_axons_per_core_max": 4096,
        "learning.epoch_steps_max": 63,
        "energy.synop_pj": 23.6,
        "energy.basis": "pre_silicon",
        "energy.learn_update_pj": 120.0,
        "energy.hops_per_synop": 1.0,
        "energy.fitted.synop_pj": 35.5,
        "energy.fitted.access_pj": 51.2,
        "energy.fitted.update_pj": 21.6,
        "energy.fitted.spike_pj": 69.3,
        "energy.fitted.message_pj": 111.0,
        "noise.exponent_max": 23,
    },
    "loihi2": {
        "weights.mantissa_step": 1,
        "delay.max_steps": 62,
        "capacity.neurons_per_core": 8192,
        "capacity.synapse_memory_bits_per_core": 192 * KIB * 8,
        "spike.payload_bits": 32,
        "energy.status": "unpublished",
        "energy.synop_pj": None,
    },
    "truenorth": {
        "weights.distinct_magnitudes_per_neuron": 4,
        "weights.sign_scheme": "axon_table",
        "membrane.bits": 20,
        "delay.min_steps": 1,
        "delay.max_steps": 15,
        "capacity.cores_per_chip": 64 * 64,
        "capacity.synapses_per_core": 256 * 256,
        "capacity.fan_in_max": 256,
        "learning.class": "none",
        "energy.operating_point_pj": 26.0,
        "process.die_mm2": 430.0,
    },
    "spinnaker1": {
        "weights.bits": 16,
        "delay.max_steps": 16,
        "capacity.packing.synaptic_events_per_s_per_core": 10_000 * 1000,
        "energy.synop_pj": 13.3e3,
        "energy.update_active_pj": 26e3,
        "energy.hop_pj": 25.0 * 40,
        "energy.static_mw": 350.0,
        "energy.core_mw": 34.0,
        "energy.operating_point_pj": 5.9e6,
        "energy.hops_per_synop": None,
        "throughput.instructions_per_s": 3.96e9,
    },
    "spinnaker2": {
        "weights.bits": None,
        "capacity.cores_per_chip": 152,
        "capacity.packing.estimated": True,
        "energy.synop_pj": 450.0,
        "energy.update_active_pj": 2190.0,
    },
    "brainscales2": {
        "weights.bits": 6,
        "weights.rounding": "nearest_away",
        "time.speedup": 1000.0,
        "capacity.neurons_per_core": 2 * 256,
        "capacity.synapses_per_core": 2 * 256 * 256,
        "capacity.fan_in_max": 128,
        "mismatch.sd_relative": None,
    },
    "dynapse2": {
        "weights.bits": 4,
        "weights.rounding": "cluster",
        "capacity.synapses_per_core": 64 * 256,
        "capacity.fan_in_max": 64,
        "mismatch.sd_relative": 0.1,
        "delay.max_steps": None,
        "process.die_mm2": 98.0,
    },
    "speck2f": {
        "weights.mantissa_min": -128,
        "threshold.mantissa_bits": 16,
        "decay.kind": "none",
        "reset.default": "subtract_threshold",
        "capacity.cores_per_chip": 9,
        "capacity.fan_out_max": 2,
        "capacity.packing.kernel_words_per_core": tuple(k * KIB for k in (16, 16, 16, 32, 32, 64, 64, 16, 16)),
        "capacity.packing.recurrent": False,
        "energy.static_mw": 0.42,
        "energy.synop_pj": None,
    },
    "xylo_a2": {
        "decay.kind": "power_of_two",
        "capacity.neurons_per_core": 1000 + 8,
        "capacity.fan_in_max": 63,
        "capacity.in_axons_per_core_max": 16,
        "energy.static_mw": 0.219,
        "throughput.cycles_per_input_synop": 3.5,
        "throughput.cycles_per_synop": 7.0,
        "throughput.cycles_per_output_synop": 8.0,
        "throughput.cycles_per_update": 19.0,
        "process.die_mm2": 6.5,
    },
    "odin": {
        "weights.mantissa_max": 7,
        "weights.sign_scheme": "pre_neuron",
        "membrane.clamp_max": 255,
        "decay.max": 127,
        "capacity.synapses_per_core": 65536,
        "capacity.limit_kind.cores_per_chip": "structural",
        "energy.synop_pj": 12.7,
        "throughput.cycles_per_spike": 1 + 512,
    },
    "tianjic": {
        "weights.bits": 8,
        "membrane.bits": None,
        "capacity.cores_per_chip": 156,
        "capacity.neurons_per_core": 256,
        "process.die_mm2": pytest.approx(3.8 * 3.8),
    },
}


def test_there_is_a_profile_for_each_and_no_other() -> None:
    assert sorted(FIGURES) == list(profile_names())


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_those_of_the_sources(name: str) -> None:
    profile = ns.load_profile(name)
    assert {key: profile.get(key) for key in FIGURES[name]} == FIGURES[name]


@pytest.mark.parametrize("name", FIGURES)
def test_only_warnings_of_recalled_figures_and_no_source_is_for_nothing(name: str) -> None:
    profile = ns.load_profile(name)
    recalled = [f.key for f in profile.figures() if f.source is not None and f.source.grade == "recalled"]
    assert [f.key for f in profile.findings] == recalled
    assert {f.message for f in profile.findings} <= {"figure is recalled, not verified"}
    used = {f.source.name for f in profile.figures() if f.source is not None} | {profile.profile.source}
    assert set(profile.sources) <= used


def test_truenorths_line_passes_through_the_published_sweep() -> None:
    energy = ns.load_profile("truenorth").energy
    assert energy.static_mw is not None and energy.synop_pj is not None
    for rate, published in ((11.58, 68.0), (20.07, 71.0), (95.93, 94.0)):  # Hz, mW
        events = 2**20 * 128 * rate
        assert energy.static_mw + energy.synop_pj * 1e-9 * events == pytest.approx(published, abs=0.5)


def test_tianjics_energy_is_one_over_its_efficiency() -> None:
    assert ns.load_profile("tianjic").energy.synop_pj == pytest.approx(1e12 / 649e9, abs=0.005)


def test_specks_neuron_memory_is_that_of_the_whole_chip() -> None:
    words = ns.load_profile("speck2f").capacity.packing.neuron_words_per_core
    assert words is not None and sum(words) == 327_680


def test_spinnakers_share_of_memory_is_a_sixteenth_of_the_chips() -> None:
    capacity = ns.load_profile("spinnaker1").capacity
    assert capacity.packing.memory_bytes_per_chip == 123_469_792
    assert capacity.synapse_memory_bits_per_core == 123_469_792 * 8 // 16


def test_loihis_thresholds_and_delays_fit_their_registers() -> None:
    profile = ns.load_profile("loihi1")
    assert profile.threshold.mantissa_bits == round(math.log2(131_071 + 1))
    assert profile.weights.signed_min == -256
    assert ns.load_profile("brainscales2").weights.signed_min == -63
    assert ns.load_profile("ideal").weights.signed_min is None
