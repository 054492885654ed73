"""Mapping: what a network becomes on a chip, what is said of it, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from typer.testing import CliRunner

import neurosleep as ns
from neurosleep.cli.app import app
from neurosleep.data import load_dataset, to_float
from neurosleep.errors import MappingError, SettingsError, UnknownNameError, UnsupportedError
from neurosleep.hardware import HardwareProfile, MappingReport, profile_names
from neurosleep.hardware.placement.kernel_cores import match
from neurosleep.spiking import Conv, Dense, Pool, Population, Reshape, SpikingNetwork, Transposed, get_engine

INTEGERS = ("loihi1", "loihi2", "generic_int8")


def chain(*sizes: int, seed: int = 0, scale: float = 1.0, **more: Any) -> SpikingNetwork:
    generator = torch.Generator().manual_seed(seed)
    names = ["input", *(f"hidden{k}" for k in range(1, len(sizes) - 1)), "output"]
    populations = [Population("input", "input", (sizes[0],))]
    populations += [Population(name, "lif", (n,), **more) for name, n in zip(names[1:], sizes[1:], strict=True)]
    projections = [
        Dense(a.name, b.name, torch.randn(b.size, a.size, generator=generator, dtype=torch.float64), scale=scale)
        for a, b in itertools.pairwise(populations)
    ]
    return SpikingNetwork(tuple(populations), tuple(projections))


def changed(profile: str, **tables: dict[str, Any]) -> HardwareProfile:
    """A profile with other values in some tables."""
    found: HardwareProfile = ns.load_profile(profile)
    return dataclasses.replace(
        found, **{name: dataclasses.replace(getattr(found, name), **keys) for name, keys in tables.items()}
    )


def spikes(steps: int, n: int, rate: float = 0.3) -> torch.Tensor:
    return torch.rand(steps, n, generator=torch.Generator().manual_seed(1)) < rate


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(INTEGERS),
    st.tuples(*[st.integers(1, 12)] * 3),
    st.integers(0, 2**31),
    st.floats(1e-3, 1e3),
    st.floats(0.01, 100),
    st.floats(0, 1),
    st.floats(-0.5, 0.5),
    st.sampled_from(["nearest_even", "nearest_away", "floor", "toward_zero", "stochastic"]),
    st.sampled_from([None, "positive", "negative"]),
)
def test_whole_numbers_within_the_chips_limits(
    name: str,
    sizes: tuple[int, int, int],
    seed: int,
    scale: float,
    threshold: float,
    decay: float,
    bias: float,
    rounding: Any,
    sign: str | None,
) -> None:
    network = chain(*sizes, seed=seed, scale=scale, threshold=threshold, decay=decay, bias=bias * threshold)
    if sign is not None:
        network = network.with_weights([w.abs() if sign == "positive" else -w.abs() for w in network.weights])
    profile = ns.load_profile(name)
    mapped = ns.map_to(network, profile, rounding=rounding, seed=seed)
    report = mapped.report
    unit = 1 << (profile.weights.base_shift_bits or 0)
    step = profile.weights.mantissa_step or 1
    share = {"nearest_even": 0.5, "nearest_away": 0.5}.get(rounding, 1.0)
    grouped = profile.weights.sign_scheme == "group_mode"
    for row, before, after in zip(report.layers, network.weights, mapped.weights, strict=True):
        mantissas = after / unit
        own = 1 if grouped and (not (before < 0).any() or not (before > 0).any()) else step
        most = 255 if own < step or (grouped and own == 1 and not ((before < 0).any() and (before > 0).any())) else 256
        assert torch.equal(mantissas / own, torch.round(mantissas / own))
        assert mantissas.abs().max() <= most
        # Nothing but the very largest weights is cut off, by less than the share of a step that rounding may go up.
        assert ((after / row.scale - scale * before).abs() * row.scale / unit).max() <= own * share * (1 + 1e-9)
        assert row.error is not None and row.zeroed == int(((after == 0) & (before != 0)).sum())
    for row in report.layers:
        p = mapped.population(row.layer)
        found = float(p.threshold)
        grid = 1 << (profile.threshold.shift_bits or 0)
        assert found % grid == 0
        # Where the chip fires above its threshold and the network at it, the chip's may be the next lower one.
        below = grid if p.compare == ">" else 0
        # And where no weight was rounded, it is the next one that is reached.
        within = (grid if row.error is not None and row.error < 1e-12 else grid / 2) * (1 + 1e-9)
        assert -within - below <= found - threshold * row.scale <= within
        assert found < 2**31 and (name == "generic_int8" or found <= 131071 * 64)
        assert float(p.decay) * 4096 == round(float(p.decay) * 4096)
        assert abs(float(p.decay) - decay) <= 1 / 4096 + 1e-12
        assert float(p.bias) == round(float(p.bias))
        assert name == "generic_int8" or abs(float(p.bias)) <= 4095 << 7
        assert p.compare == profile.threshold.compare
    session = get_engine("fixed").start(mapped)
    assert session.membranes().keys() == {"hidden1", "output"}
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["profile"] == name


def test_what_is_on_the_grid_stays_as_it_is() -> None:
    generator = torch.Generator().manual_seed(3)
    network = chain(9, 7, 4, threshold=300.0, decay=4000 / 4096, bias=-3.0)
    weights = [torch.randint(-127, 128, w.shape, generator=generator).double() for w in network.weights]
    for w in weights:
        w[0, 0] = 127
    network = network.with_weights(weights)
    mapped = ns.map_to(network, "generic_int8")
    report = mapped.report
    assert [row.scale for row in report.layers] == [1, 1]
    assert [row.error for row in report.layers] == [0, 0]
    assert all(torch.equal(a, b) for a, b in zip(mapped.weights, weights, strict=True))
    assert [float(p.threshold) for p in mapped.layers] == [300, 300]
    assert [float(p.bias) for p in mapped.layers] == [-3, -3]
    assert report.findings == ()


def test_ideal_is_the_network_itself() -> None:
    network = chain(9, 7, 4, decay=0.93, bias=0.01, compare=">")
    mapped = ns.map_to(network, "ideal")
    report = mapped.report
    assert (report.fits, report.cores) == (True, None)
    record = ns.Record(spikes="all")
    found = ns.simulate(mapped, spikes(200, 9), engine="fixed", record=record)
    expected = ns.simulate(network, spikes(200, 9), engine="reference", record=record)
    assert torch.equal(found.spikes["output"].to_dense(), expected.spikes["output"].to_dense())
    assert found.counts["output"].sum() > 0


@pytest.mark.parametrize("profile", INTEGERS)
def test_spikes_are_those_of_the_network_up_to_rounding(profile: str) -> None:
    network = chain(20, 30, 10, decay=0.95, leak=0.25, reset_value=0.25, threshold=3.0, bias=0.05)
    mapped = ns.map_to(network, profile)
    report = mapped.report
    found = ns.simulate(mapped, spikes(2000, 20), engine="fixed").counts
    expected = ns.simulate(network, spikes(2000, 20), engine="reference").counts
    for name in ("hidden1", "output"):
        assert expected[name].sum() > 500
        assert abs(found[name] - expected[name]).sum() < 0.05 * expected[name].sum()
    assert report.fits


def test_delays_of_a_chip_that_delivers_later() -> None:
    network = chain(3, 4, 2)
    loop = Dense("output", "hidden1", torch.ones(4, 2, dtype=torch.float64), delay=5)
    network = dataclasses.replace(network, projections=(*network.projections, loop))
    mapped = ns.map_to(network, "loihi1")
    report = mapped.report
    assert [q.delay for q in mapped.projections] == [0, 1, 5]
    assert "output: spikes of 'hidden1' arrive 1 step later on the chip" in [str(f) for f in report.findings]
    assert [q.delay for q in ns.map_to(network, "generic_int8").projections] == [0, 0, 5]


def test_a_transposed_weight_becomes_a_copy() -> None:
    network = chain(3, 4, 2)
    back = Transposed("output", "hidden1", of=("hidden1", "output"), scale=0.5, delay=1)
    looped = dataclasses.replace(network, projections=(*network.projections, back))
    mapped = ns.map_to(looped, "generic_int8")
    report = mapped.report
    assert any("is a copy, which does not change in a sleep" in f.text for f in report.findings)
    # In floating point nothing is copied, so that a sleep there is the one of the network.
    assert ns.map_to(looped, "ideal").projections[2].of == ("hidden1", "output")  # type: ignore[attr-defined]
    copy = mapped.projections[2]
    assert isinstance(copy, Dense)
    torch.testing.assert_close(
        copy.weight / report.layers[2].scale, 0.5 * network.weights[1].T, rtol=0, atol=0.5 / report.layers[2].scale
    )
    # Both of its inputs share the population's scale.
    assert report.layers[0].scale == report.layers[2].scale


def test_bias_of_a_synaptic_current() -> None:
    network = chain(3, 4, 2)
    hidden = Population("hidden1", "cuba_lif", (4,), synaptic_decay=0.75, decay=0.5, bias=0.01, threshold=1e3)
    network = with_hidden(network, hidden)
    mapped = ns.map_to(network, "loihi1")
    report = mapped.report
    assert any("the bias is added to the membrane" in f.text for f in report.findings)
    found, exact = get_engine("fixed").start_batch(mapped, 1), get_engine("reference").start_batch(network, 1)
    for session in (found, exact):
        for _ in range(100):
            session.step({"input": torch.zeros(1, 3, dtype=torch.bool)})  # type: ignore[attr-defined]
    settled = [session.membranes()["hidden1"][0].item() for session in (found, exact)]  # type: ignore[attr-defined]
    assert abs(settled[0] / report.layers[0].scale - settled[1]) < 0.02 * settled[1]


def test_geometry() -> None:
    generator = torch.Generator().manual_seed(0)
    image, maps = Population("input", "input", (1, 8, 8)), Population("maps", "lif", (3, 6, 6), threshold=2.0)
    pooled = Population("pooled", "lif", (3, 3, 3), threshold=0.5)
    flat = Population("flat", "lif", (27,), threshold=0.9)
    network = SpikingNetwork(
        (image, maps, pooled, flat),
        (
            Conv("input", "maps", torch.randn(3, 1, 3, 3, generator=generator, dtype=torch.float64)),
            Pool("maps", "pooled", kernel=2),
            Reshape("pooled", "flat"),
        ),
    )
    mapped = ns.map_to(network, "generic_int8")
    report = mapped.report
    assert mapped.projections[1].mode == "sum"  # type: ignore[attr-defined]
    found, exact = (
        ns.simulate(n, spikes(300, 64), engine=e).counts for n, e in ((mapped, "fixed"), (network, "reference"))
    )
    for name in ("maps", "pooled", "flat"):
        assert exact[name].sum() > 100
        assert abs(found[name] - exact[name]).sum() <= 0.05 * exact[name].sum()
    # 9 bytes for each neuron of the maps, 4 for one that pools.
    assert [row.memory_bits for row in report.layers] == [108 * 9 * 8, 27 * 4 * 8, 27 * 8]
    assert any("estimated" in f.text for f in ns.map_to(network, "loihi1").report.findings)


def test_cores() -> None:
    network = SpikingNetwork(
        (
            Population("input", "input", (784,)),
            *(Population(f"l{k}", "lif", (n,)) for k, n in enumerate((1200, 1200, 10))),
        ),
        tuple(
            Dense(a, b, torch.randn(n, m, generator=torch.Generator().manual_seed(0)))
            for a, b, m, n in (("input", "l0", 784, 1200), ("l0", "l1", 1200, 1200), ("l1", "l2", 1200, 10))
        ),
    )
    report = ns.map_to(network, "loihi1").report
    assert [(r.cores, r.neurons_per_core, r.memory_bits) for r in report.layers] == [
        (9, 142, 1_003_520),
        (13, 94, 998_400),
        (1, 10, 153_600),
    ]
    assert (report.cores, report.fits) == (23, True)
    report = ns.map_to(network, "generic_int8").report
    # 64 KiB hold the bytes of 83 neurons with 784 inputs, and of 54 with 1200.
    assert [(r.cores, r.neurons_per_core) for r in report.layers] == [(15, 83), (23, 54), (1, 10)]
    assert report.fits


def test_a_neurons_spikes_go_to_so_many_cores_at_most() -> None:
    network = chain(4, 100, 90)
    profile = changed("loihi1", capacity={"neurons_per_core": 10, "out_axons_per_core_max": 45})
    report = ns.map_to(network, profile).report
    # 9 cores hear of each neuron: 5 fill 45 axons.
    assert [(r.cores, r.neurons_per_core) for r in report.layers] == [(20, 5), (9, 10)]
    report = ns.map_to(network, changed("loihi1", capacity={"cores_per_chip": 3, "neurons_per_core": 10})).report
    assert any("19 cores take 7 chips" in f.text for f in report.findings) and report.fits


def test_layers_on_the_cores_of_speck() -> None:
    generator = torch.Generator().manual_seed(0)

    def convolution(*channels: int, size: int = 8) -> SpikingNetwork:
        populations = [Population("input", "input", (channels[0], size, size))]
        for k, n in enumerate(channels[1:]):
            populations.append(Population(f"c{k}", "lif", (n, size, size), reset="subtract"))
        return SpikingNetwork(
            tuple(populations),
            tuple(
                Conv(
                    a.name,
                    b.name,
                    torch.randn(b.shape[0], a.shape[0], 3, 3, generator=generator, dtype=torch.float64),
                    padding=1,
                )
                for a, b in itertools.pairwise(populations)
            ),
        )

    report = ns.map_to(convolution(1, 16, 32), "speck2f").report
    assert [row.memory_bits for row in report.layers] == [1 * 16 * 16 * 8, 16 * 16 * 32 * 8]
    assert (report.cores, report.fits) == (2, True)
    # Three layers need the two cores with the largest kernel memories: 64 x 2^4 x 64 words.
    error = refused(convolution(2, *(64,) * 4), "speck2f")
    assert {(f.layer, f.limit) for f in error.findings if f.level == "error"} == {("c3", "cores_per_chip")}
    error = refused(convolution(2, 128, 128), "speck2f")
    assert [(f.layer, f.needed, f.available) for f in error.findings if f.level == "error"] == [
        ("c1", 128 * 16 * 128, 65536)
    ]
    # Neurons fit on the cores with small kernel memories only.
    error = refused(convolution(32, 40, size=40), "speck2f")
    assert [(f.limit, f.needed, f.available) for f in error.findings if f.level == "error"] == [
        ("packing.kernel_words_per_core", 32 * 16 * 64, 16384)
    ]
    error = refused(convolution(1, 1, size=65), "speck2f")
    assert {f.limit for f in error.findings if f.level == "error"} == {"packing.output_size_max"}


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 7).map(str), st.lists(st.integers(0, 6), unique=True)))
def test_as_many_layers_as_possible_get_a_core(fits: dict[str, list[int]]) -> None:
    found = match(fits)
    assert all(core in fits[layer] for layer, core in found.items())
    assert len(set(found.values())) == len(found)
    names = list(fits)

    def best(k: int, taken: frozenset[int]) -> int:
        if k == len(names):
            return 0
        return max([best(k + 1, taken), *(1 + best(k + 1, taken | {c}) for c in fits[names[k]] if c not in taken)])

    assert len(found) == best(0, frozenset())


def refused(network: SpikingNetwork, profile: str | HardwareProfile) -> MappingError:
    with pytest.raises(MappingError) as found:
        ns.map_to(network, profile)
    return found.value


def with_hidden(network: SpikingNetwork, hidden: Population) -> SpikingNetwork:
    first, _, last = network.populations
    return dataclasses.replace(network, populations=(first, hidden, last))


def limit(**capacity: Any) -> HardwareProfile:
    kinds = dataclasses.replace(
        ns.load_profile("loihi1").capacity.limit_kind, fan_in_max="structural", synapses_per_core="budget"
    )
    return changed("loihi1", capacity={"limit_kind": kinds, **capacity})


CASES: list[tuple[SpikingNetwork, str | HardwareProfile, str, str, Any, Any, str]] = [
    (
        chain(5, 4, 3, reset="subtract"),
        "loihi1",
        "hidden1",
        "reset.modes",
        "subtract_threshold",
        "to_zero",
        "structural",
    ),
    (chain(5, 4, 3, reset_value=0.5), "loihi1", "hidden1", "reset.modes", "to_value", "to_zero", "structural"),
    (chain(5, 4, 3, refractory=63), "loihi1", "hidden1", "reset.refractory_steps_max", 64, 63, "structural"),
    (
        chain(5, 4, 3, refractory=2, while_refractory="integrate"),
        "loihi1",
        "hidden1",
        "reset",
        "integrate",
        "hold",
        "structural",
    ),
    (
        chain(5, 4, 3, leak=2.0, reset_value=2.0),
        "loihi1",
        "hidden1",
        "threshold",
        "a negative one",
        ">= 0",
        "structural",
    ),
    (
        chain(5, 4, 3, decay=0.9, reset="subtract"),
        "speck2f",
        "hidden1",
        "decay.kind",
        "0.9 a step",
        "none",
        "structural",
    ),
    (chain(5, 4, 3), limit(in_axons_per_core_max=4), "hidden1", "in_axons_per_core_max", 5, 4, "structural"),
    (chain(5, 4, 3), limit(fan_in_max=4), "hidden1", "fan_in_max", 5, 4, "structural"),
    (
        chain(5, 4, 3),
        limit(synapse_memory_bits_per_core=319),
        "hidden1",
        "synapse_memory_bits_per_core",
        320,
        319,
        "budget",
    ),
    (chain(5, 4, 3), limit(synapses_per_core=4), "hidden1", "synapses_per_core", 5, 4, "budget"),
    (chain(5, 600, 600, decay=0.9, reset="subtract"), "xylo_a2", "", "neurons_per_core", 1200, None, "structural"),
]


@pytest.mark.parametrize(("network", "profile", "layer", "key", "needed", "available", "kind"), CASES)
def test_errors_name_layer_limit_needed_and_available(
    network: SpikingNetwork,
    profile: str | HardwareProfile,
    layer: str,
    key: str,
    needed: Any,
    available: Any,
    kind: str,
) -> None:
    error = refused(network, profile)
    (finding,) = [f for f in error.findings if (f.layer, f.limit) == (layer, key)]
    available = finding.available if available is None else available
    assert (finding.needed, finding.available, finding.kind) == (needed, available, kind)
    for part in (
        layer,
        key if key not in ("fan_in_max", "in_axons_per_core_max") else "",
        str(needed),
        str(available),
        kind,
    ):
        assert part in str(error)
    assert pickle.loads(pickle.dumps(error)).findings == error.findings


def test_other_errors() -> None:
    network = chain(5, 4, 3)
    delayed = dataclasses.replace(network.projections[1], delay=64)
    error = refused(dataclasses.replace(network, projections=(network.projections[0], delayed)), "loihi1")
    assert [(f.limit, f.needed, f.available) for f in error.findings if f.level == "error"] == [
        ("delay.max_steps", 64, 63)
    ]
    synaptic = Population("hidden1", "cuba_lif", (4,), synaptic_decay=0.5)
    error = refused(with_hidden(network, synaptic), "generic_int8")
    assert "hidden1: the neurons have a synaptic current" in str(error)
    relay = Population("output", "relay", (3,))
    error = refused(dataclasses.replace(network, populations=(*network.populations[:-1], relay)), "loihi1")
    assert "output: a relay passes on sums" in str(error)
    later = chain(5, 4, 3, reset="subtract", reset_time="next")
    assert "reset_time next" in str(refused(later, "generic_int8"))
    loop = Dense("hidden1", "hidden1", torch.eye(4, dtype=torch.float64), delay=1)
    looped = dataclasses.replace(chain(5, 4, 3, reset="subtract"), projections=(*network.projections, loop))
    assert "feedback from 'hidden1'" in str(refused(looped, "speck2f"))
    biased = changed("generic_int8", bias={"supported": False})
    assert "bias.supported" in str(refused(chain(5, 4, 3, bias=0.1), biased))
    with pytest.raises(UnknownNameError, match="rounding"):
        ns.map_to(network, "loihi1", rounding="up")


def test_what_to_do_is_said_where_convert_can_do_it() -> None:
    hints = [
        refused(chain(5, 4, 3, decay=0.9, reset="subtract"), "speck2f").hint,
        refused(chain(5, 4, 3), "xylo_a2").hint,
    ]
    assert "decay=1.0" in str(hints[0]) and "reset='subtract'" in str(hints[1])


@pytest.mark.parametrize("profile", ["spinnaker1", "loihi1", "odin", "truenorth", "brainscales2"])
def test_headroom_has_limits(profile: str) -> None:
    network = chain(5, 4, 3)
    ns.map_to(network, profile, headroom=65536.0)
    for headroom in (0.9, 65537.0, 1e300, float("nan")):
        with pytest.raises(SettingsError, match="The headroom is") as caught:
            ns.map_to(network, profile, headroom=headroom)
        assert caught.value.expected == "a factor from 1 to 65536"


def test_what_exceeds_the_capacity_is_said_without_strict() -> None:
    mapped = ns.map_to(chain(5, 4, 3), limit(in_axons_per_core_max=4), strict=False)
    report = mapped.report
    assert not report.fits
    assert [f.limit for f in report.findings if f.level == "error"] == ["in_axons_per_core_max"]
    assert ns.simulate(mapped, spikes(50, 5), engine="fixed").counts["hidden1"].sum() > 0
    late = changed("loihi1", capacity={"fan_in_max": 4})
    kinds = dataclasses.replace(late.capacity.limit_kind, fan_in_max="deadline")
    report = ns.map_to(chain(5, 4, 3), changed("loihi1", capacity={"fan_in_max": 4, "limit_kind": kinds})).report
    assert report.fits and "deadline" in str(report.findings[-1])


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_maps_or_is_refused_by_name(name: str) -> None:
    network = chain(5, 4, 3, decay=0.9, reset="subtract" if name in ("xylo_a2", "speck2f") else "to_value")
    try:
        mapped = ns.map_to(network, name)
        report = mapped.report
    except (UnsupportedError, MappingError) as error:
        assert name in str(error)
        assert (isinstance(error, MappingError), name) in {(True, "speck2f")} or error.found
        return
    assert isinstance(report, MappingReport)
    assert ns.simulate(mapped, spikes(50, 5), engine="fixed").steps == 50


def test_stochastic_rounding_keeps_the_mean_and_its_seed() -> None:
    network = chain(300, 200, 2)
    a, b, c = (ns.map_to(network, "generic_int8", rounding="stochastic", seed=s).weights[0] for s in (1, 1, 2))
    scale = ns.map_to(network, "generic_int8").report.layers[0].scale
    assert torch.equal(a, b) and not torch.equal(a, c)
    rest = a - network.weights[0] * scale
    assert rest.abs().max() < 1
    assert abs(float(rest.mean())) < 4 * 0.5 / rest.numel() ** 0.5


def test_thresholds_that_become_coarse_and_sums_that_may_wrap_are_said() -> None:
    report = ns.map_to(chain(40, 4, 3, threshold=0.01), "loihi1").report
    assert any("the threshold's rounding changes it" in f.text for f in report.findings)
    report = ns.map_to(chain(5, 4, 3), "loihi1", headroom=65536.0).report
    assert any("changes it by 100 percent: it becomes 0" in f.text for f in report.findings)
    report = ns.map_to(chain(2000, 4, 3), "loihi1").report
    assert any("overflow: wrap" in f.text for f in report.findings)


def test_integrators_have_room() -> None:
    network = chain(50, 40, 5, seed=2)
    read_out = Population("output", "li", (5,))
    network = dataclasses.replace(network, populations=(*network.populations[:2], read_out))
    # A quarter of the inputs that drive one unit up, in every step; inputs of a chip arrive at once.
    alone = SpikingNetwork(
        (Population("input", "input", (40,)), read_out), (Dense("input", "output", network.weights[1]),)
    )
    strongest = int(network.weights[1].clamp_min(0).sum(1).argmax())
    for steps in (100, 1000):
        mapped = ns.map_to(alone, "loihi1", steps=steps)
        report = mapped.report
        assert any("do not overflow" in f.text for f in report.findings) == (steps == 1000)
        weights = mapped.weights[0][strongest].clamp_min(0)
        assert steps * float(weights.sum()) / 4 <= 1.02 * (2**23 - 1)
    with pytest.raises(SettingsError, match="steps"):
        ns.map_to(alone, "loihi1", steps=0)


# Accuracy


def trained(dataset: str, *hidden: int, epochs: int, images: int | None = None) -> tuple[nn.Sequential, Any, Any, Any]:
    data = load_dataset(dataset)
    arrays = (to_float(data.images), data.labels, to_float(data.test_images), data.test_labels)
    x, y, xt, yt = (torch.as_tensor(a) for a in arrays)
    x, xt, y, yt = x.flatten(1).float(), xt.flatten(1).float(), y.long(), yt.long()
    torch.manual_seed(0)
    sizes = (784, *hidden, 10)
    layers = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b, bias=False), nn.ReLU())]
    net = nn.Sequential(*layers[:-1])
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x))[:images].split(100):  # type: ignore[no-untyped-call]
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return net, x, xt, yt


def accuracies(
    net: nn.Sequential, x: Any, xt: Any, yt: Any, profile: str, reset: Any, steps: int
) -> tuple[float, float]:
    """Percent right of the spiking network in real numbers, and of the mapped one."""
    network = ns.convert(net, x[:1000], recipe="percentile", reset=reset).to(torch.float64)
    mapped = ns.map_to(network, profile)
    report = mapped.report
    assert report.fits
    found = [
        ns.simulate(n, xt, steps, coding="bernoulli", engine=e).accuracy(yt)[-1]
        for n, e in ((network, None), (mapped, "fixed"))
    ]
    return 100 * float(found[0]), 100 * float(found[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "reset", "points"), [("loihi1", "to_value", 1.0), ("generic_int8", "subtract", 0.3)]
)
def test_accuracy_of_a_small_network(profile: str, reset: str, points: float) -> None:
    net, x, xt, yt = trained("mnist-mini", 64, epochs=10)
    exact, found = accuracies(net, x, xt, yt, profile, reset, 100)
    assert exact > 80
    assert abs(found - exact) <= points


@pytest.mark.full
@pytest.mark.parametrize(
    ("profile", "reset", "points"), [("loihi1", "to_value", 1.0), ("generic_int8", "subtract", 0.3)]
)
def test_accuracy_on_mnist(profile: str, reset: str, points: float) -> None:
    net, x, xt, yt = trained("mnist", 1200, 1200, epochs=2)
    exact, found = accuracies(net, x, xt[:2000], yt[:2000], profile, reset, 100)
    assert exact > 95
    assert abs(found - exact) <= points


# The command


def test_command(tmp_path: Path) -> None:
    ns.save(chain(5, 4, 3), tmp_path / "net.safetensors")
    done = CliRunner().invoke(app, ["map", str(tmp_path / "net.safetensors"), "--profile", "loihi1", "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert set(found) == {"profile", "fits", "cores", "layers", "findings", "energy", "homeostasis"}
    assert (found["profile"], found["fits"], found["cores"]) == ("loihi1", True, 2)
    assert found["energy"]["estimate"] is None and "nothing was simulated" in found["energy"]["reason"]
    assert {f["key"]: f["value"] for f in found["energy"]["coefficients"]}["energy.synop_pj"] == 23.6
    shown = CliRunner().invoke(app, ["map", str(tmp_path / "net.safetensors"), "--profile", "generic_int8"])
    assert shown.exit_code == 0 and shown.stdout.startswith("Fits generic_int8, on 2 cores.")
    ns.save(chain(5, 4, 3, reset="subtract"), tmp_path / "soft.safetensors")
    wrong = CliRunner().invoke(app, ["map", str(tmp_path / "soft.safetensors"), "--profile", "loihi1", "--json"])
    assert wrong.exit_code == 2
    assert json.loads(wrong.stdout)["error"]["type"] == "MappingError"


def test_command_on_an_awake_network(tmp_path: Path) -> None:
    import numpy as np

    ns.save(ns.MLP([6, 5, 3]), tmp_path / "awake.safetensors")
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((20, 6)).astype(np.float32))
    given = ["map", str(tmp_path / "awake.safetensors"), "--calibration", str(tmp_path / "images.npy"), "--json"]
    found = json.loads(CliRunner().invoke(app, [*given, "--profile", "loihi1"]).stdout)
    assert found["fits"] and found["findings"][0]["text"].startswith("neurons reset to 0")
    found = json.loads(CliRunner().invoke(app, [*given, "--profile", "generic_int8"]).stdout)
    assert found["fits"] and not any("reset" in f["text"] for f in found["findings"])
