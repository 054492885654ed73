"""Monitors: what they say of a recording, and that watching changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosleep as ns
from neurosleep.errors import DataError, SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import MeanDrive, PairSTDP, SpikeEvents, SRCRule
from neurosleep.hardware import chip_rule, load_profile, map_to
from neurosleep.replay import Limits, sleep
from neurosleep.spiking import Conv, Dense, Population, Record, Recording, SpikingNetwork, Transposed, get_engine
from neurosleep.spiking.engines.event.population import BLOCK

RULES = {"src": SRCRule(0.02, 0.004), "stdp": PairSTDP(a_plus=0.02, a_minus=0.015, decay_plus=0.9, decay_minus=0.9)}


def network(seed=0, *, feedback=False, dtype=torch.float64, **of_hidden):
    """Three layers; with feedback the second sends back to the first, by a delay of 3 steps."""
    draw = torch.Generator().manual_seed(seed)

    def weight(post, pre):
        return (torch.rand(post, pre, generator=draw, dtype=torch.float64) - 0.3).to(dtype)

    projections = [
        Dense("input", "hidden1", weight(9, 12), delay=seed % 3),
        Dense("hidden1", "output", weight(4, 9)),
    ]
    if feedback:
        projections.append(Dense("output", "hidden1", weight(9, 4), delay=3))
    populations = (
        Population("input", "input", (12,)),
        Population("hidden1", "lif", (9,), threshold=1.0, decay=0.9, **of_hidden),
        Population("output", "lif", (4,), threshold=0.8, decay=0.95),
    )
    return SpikingNetwork(populations, tuple(projections))


def sleep_phase(net, *, engine="event", rule="src", steps=1300, record=None, seed=0):
    drive = MeanDrive(np.linspace(0.1, 0.9, 12), 150.0)
    return sleep(net, drive=drive, rule=RULES[rule], steps=steps, engine=engine, record=record, seed=seed)


WATCH = {
    "potentials": {"hidden1": [2, 0], "output": "all"},
    "weights": "statistics",
    "groups": {"hidden1": {"low": [0, 1, 2], "none": []}},
}
CASES = {
    "plain": {},
    "feedback": {"feedback": True},
    "refractory": {"refractory": 2, "while_refractory": "integrate"},
    "soft": {"reset": "subtract", "bias": 0.01},
    "float32": {"dtype": torch.float32},
}


@pytest.mark.parametrize("engine", ["event", "reference", "snntorch", "norse", "torch"])
@pytest.mark.parametrize("rule", list(RULES))
@pytest.mark.parametrize("case", list(CASES))
def test_a_watched_sleep_is_the_unwatched_one_bit_for_bit(engine, rule, case):
    steps = 1150 if engine == "event" else 100
    net = network(seed=len(case), **CASES[case])
    plain = sleep_phase(net, engine=engine, rule=rule, steps=steps, record=Record(spikes="all"))
    record = Record(spikes="all", potentials_every=7, weights_every=45, **WATCH)
    watched = sleep_phase(net, engine=engine, rule=rule, steps=steps, record=record)
    assert plain.recording.counts["output"].sum() > 0
    for name, events in plain.recording.spikes.items():
        assert watched.recording.spikes[name].equals(events)
    for a, b in zip(plain.network.weights, watched.network.weights, strict=True):
        assert torch.equal(a, b)
    assert any(not torch.equal(a, b) for a, b in zip(net.weights, plain.network.weights, strict=True))


@pytest.mark.parametrize("rounding", ["nearest_even", "stochastic"])
def test_a_watched_sleep_of_a_chip_is_the_unwatched_one_too(rounding):
    mapped = map_to(network(), load_profile("generic_int8"))
    rule = chip_rule("generic_int8", SRCRule(0.3, 0.1, "steep"), rounding=rounding)
    drive = MeanDrive(np.linspace(0.1, 0.9, 12), 150.0)
    found = [
        sleep(mapped, drive=drive, rule=rule, steps=300, engine="fixed", record=record)
        for record in (Record(spikes="all"), Record(spikes="all", potentials_every=7, weights_every=45, **WATCH))
    ]
    plain, watched = (result.recording.spikes for result in found)
    assert all(plain[name].equals(watched[name]) for name in plain) and plain["output"].count > 0
    changed = [
        torch.equal(a, b) and not torch.equal(a, c)
        for a, b, c in zip(*(n.weights for n in (found[0].network, found[1].network, mapped)), strict=True)
    ]
    assert all(changed)


PAIRS = [(k, 3 * k % 12) for k in range(9)]


@pytest.mark.parametrize("engine", ["event", "reference", "snntorch", "norse", "torch"])
@pytest.mark.parametrize("every", [1, 7])
def test_potentials_and_weights_are_those_of_a_session_stepped_by_hand(engine, every):
    net, rule, steps = network(1, feedback=True), RULES["src"], 60
    record = Record(
        potentials={"hidden1": [5, 2], "output": "all"},
        potentials_every=every,
        weights={"input -> hidden1": PAIRS},
        weights_every=2 * every,
    )
    recording = sleep_phase(net, engine=engine, steps=steps, record=record).recording
    drive = MeanDrive(np.linspace(0.1, 0.9, 12), 150.0)
    from neurosleep.functional import numpy_generator

    events = drive.draw(numpy_generator(0, "drive", 0, 0), 1000, net.dt)
    session = get_engine(engine).start(net, rule)
    v, w = [], []
    for t in range(steps + 1):
        if t % every == 0:
            v.append(session.membranes()["hidden1"].numpy()[[5, 2]])
        if t % (2 * every) == 0:
            weight = session.weights()[0]
            w.append([float(weight[pair]) for pair in PAIRS])
        if t < steps:
            session.run({"input": events.slice(t, t + 1)})
    states, weights = recording.state_monitor("hidden1"), recording.weight_monitor("input -> hidden1")
    np.testing.assert_array_equal(states.values(), v)
    np.testing.assert_array_equal(states.v, np.array(v).T)
    np.testing.assert_array_equal(states[2].v, np.array(v)[:, 1])
    np.testing.assert_allclose(states.t, np.arange(0, steps + 1, every) * net.dt)
    assert states.record.tolist() == [5, 2] and recording.state_monitor("output").v.shape[0] == 4
    np.testing.assert_array_equal(weights.w, np.array(w).T)
    np.testing.assert_array_equal(weights.values(), w)
    assert list(zip(weights.post.tolist(), weights.pre.tolist(), strict=True)) == PAIRS
    np.testing.assert_allclose(weights.t, np.arange(0, steps + 1, 2 * every) * net.dt)
    assert len({tuple(row) for row in w}) > 1 and len({tuple(row) for row in np.round(v, 9)}) > 5


def test_statistics_of_the_weights_are_those_of_the_slept_network():
    net = network()
    found = sleep_phase(net, steps=1200, record=Record(weights="statistics", weights_every=400))
    first, last = net.weights[0].numpy(), found.network.weights[0].numpy()
    monitor = found.recording.weight_monitor("input -> hidden1")
    assert monitor.steps.tolist() == [0, 400, 800, 1200]
    for when, w in ((0, first), (-1, last)):
        assert monitor.mean[when] == pytest.approx(w.mean(), rel=1e-12)
        assert monitor.sd[when] == pytest.approx(w.std(), rel=1e-12)
        assert (monitor.smallest[when], monitor.largest[when]) == (w.min(), w.max())
        assert monitor.change[when] == pytest.approx(np.sqrt(((w - first) ** 2).mean()), rel=1e-12)
    assert monitor.change[-1] > 0 and monitor.values().shape == (4, 5)


def test_a_spike_monitor_speaks_as_brians_does():
    recording = sleep_phase(network(), record=Record(spikes="all")).recording
    dense = recording.spikes["hidden1"].to_dense(torch.bool).numpy()
    m = recording.monitor("hidden1")
    times, neurons = np.nonzero(dense)
    np.testing.assert_array_equal(m.i, neurons)
    np.testing.assert_array_equal(m.t, times * 0.001)
    np.testing.assert_array_equal(m.count, dense.sum(axis=0))
    assert m.num_spikes == len(m.i) == dense.sum() and m.it[0].tolist() == neurons.tolist()
    trains = m.spike_trains()
    assert list(trains) == list(range(9))
    for k, train in trains.items():
        np.testing.assert_array_equal(train, np.flatnonzero(dense[:, k]) * 0.001)
        assert m.values("i")[k].tolist() == [k] * len(train)
    assert "9 neurons in 1.3 s" in repr(m)


def test_a_subset_can_be_looked_at_or_recorded_and_is_the_same():
    everything = sleep_phase(network(), record=Record(spikes="all")).recording
    some = sleep_phase(network(), record=Record(spikes={"hidden1": [7, 2, 3], "output": "all"})).recording
    assert set(some.spikes) == {"hidden1", "output"} and some.kept["hidden1"].tolist() == [2, 3, 7]
    assert some.spikes["output"].equals(everything.spikes["output"])
    np.testing.assert_array_equal(some.counts["hidden1"], everything.counts["hidden1"])
    a, b = everything.monitor("hidden1", [7, 2, 3]), some.monitor("hidden1")
    assert list(a.spike_trains()) == list(b.spike_trains()) == [2, 3, 7]
    np.testing.assert_array_equal(a.i, b.i)
    np.testing.assert_array_equal(a.t, b.t)
    assert a.num_spikes == len(a.i) and b.num_spikes > a.num_spikes  # counted are all, also those not recorded
    np.testing.assert_array_equal(some.monitor("hidden1", [3]).t, everything.monitor("hidden1").spike_trains()[3])
    with pytest.raises(DataError, match=r"neuron 4 of 'hidden1' were not recorded(.|\n)*2, 3, 7"):
        some.monitor("hidden1", [2, 4]).i  # noqa: B018


def test_counts_only_know_their_numbers_and_say_what_they_lack():
    m = sleep_phase(network(), record=Record()).recording.monitor("output", [1, 0])
    full = sleep_phase(network(), record=Record(spikes="all")).recording
    assert m.count.tolist() == full.counts["output"][:2].tolist() and m.num_spikes == m.count.sum()
    with pytest.raises(DataError, match=r"no single spikes of 'output'(.|\n)*counts only"):
        m.t  # noqa: B018
    with pytest.raises(UnknownNameError, match="one of: i, t"):
        full.monitor("output").values("v")


@pytest.mark.parametrize("every", [1, 30, 500, 5000])
def test_rates_are_counted_spikes(every):
    recording = sleep_phase(network(), record=Record(spikes="all", rates_every=every, groups=WATCH["groups"])).recording
    dense = recording.spikes["hidden1"].to_dense(torch.bool).numpy()
    for monitor, columns in (
        (recording.rate_monitor("hidden1"), range(9)),
        (recording.rate_monitor("hidden1", group="low"), range(3)),
        (recording.rate_monitor("hidden1", neurons=[0, 1, 2]), range(3)),
    ):
        parts = [dense[a : a + every, list(columns)] for a in range(0, 1300, every)]
        np.testing.assert_array_equal(monitor.spikes, [part.sum() for part in parts])
        np.testing.assert_allclose(monitor.rate, [part.mean() * 1000 for part in parts])
        np.testing.assert_allclose(monitor.t, np.arange(0, 1300, every) * 0.001)
    assert np.isnan(recording.rate_monitor("hidden1", group="none").rate).all()


def test_other_windows_are_multiples_or_made_of_spikes():
    recording = sleep_phase(network(), record=Record(spikes="all", rates_every=100)).recording
    dense = recording.spikes["hidden1"].to_dense(torch.bool).numpy()
    counted = Recording(1300, 0.001, recording.counts, 100, recording.windows)
    for window in (100, 300, 2600):
        expected = [dense[a : a + window].sum() for a in range(0, 1300, window)]
        assert recording.rate_monitor("hidden1", window=window).spikes.tolist() == expected
        assert counted.rate_monitor("hidden1", window=window).spikes.tolist() == expected
    assert recording.rate_monitor("hidden1", window=70).spikes.tolist() == [
        dense[a : a + 70].sum() for a in range(0, 1300, 70)
    ]
    with pytest.raises(DataError, match="no single spikes"):
        counted.rate_monitor("hidden1", window=70)
    rates = recording.rate_monitor("hidden1", window=100)
    smooth = rates.smooth_rate("flat", width=0.3)
    assert smooth[5] == pytest.approx(dense[400:700].mean() * 1000)
    assert smooth[0] == pytest.approx(dense[:200].mean() * 1000)
    assert smooth[-1] == pytest.approx(dense[1100:].mean() * 1000)
    # Brian 2's Gaussian: a standard deviation of one window, cut off at two; at the edges what there is.
    weight = np.exp([-2.0, -0.5, 0.0, -0.5, -2.0])
    smooth = rates.smooth_rate(width=np.float32(0.1))
    assert smooth[5] == pytest.approx(weight @ rates.rate[3:8] / weight.sum(), rel=1e-6)
    assert smooth[0] == pytest.approx(weight[2:] @ rates.rate[:3] / weight[2:].sum(), rel=1e-6)
    with pytest.raises(UnknownNameError, match="did you mean 'flat'"):
        rates.smooth_rate("flatt", width=0.1)


@pytest.mark.parametrize("engine", ["event", "reference"])
def test_a_simulation_can_be_watched_too(engine):
    net = network(2)
    spikes = torch.rand(150, 12, generator=torch.Generator().manual_seed(0)) < 0.2
    record = Record(spikes={"output": [1]}, potentials={"output": [1]}, weights={"input -> hidden1": [(0, 0)]})
    found = ns.simulate(net, spikes, engine=engine, record=record)
    plain = ns.simulate(net, spikes, engine=engine)
    np.testing.assert_array_equal(found.counts["output"], plain.counts["output"])
    assert found.state_monitor("output").v.shape == (1, 151)
    assert (found.weight_monitor("input -> hidden1").w == float(net.weights[0][0, 0])).all()
    with pytest.raises(UnsupportedError, match="batch"):
        ns.simulate(net, spikes[:, None], record=record)
    batch = ns.simulate(net, spikes[:, None])
    with pytest.raises(UnsupportedError, match="batch of 1"):
        batch.monitor("output")
    with pytest.raises(UnsupportedError, match="batch"):
        batch.rate_monitor("output")


def test_what_is_not_there_is_named_before_anything_runs():
    net = network()
    for record, message in (
        (Record(spikes=("hiden1",)), "no population named 'hiden1'(.|\n)*did you mean 'hidden1'"),
        (Record(spikes={"hidden1": [9]}), "no neuron 9 in population 'hidden1'(.|\n)*from 0 to 8"),
        (Record(spikes={"hidden1": [-1]}), "no neuron -1"),
        (Record(spikes={"hidden1": [1, 1]}), "named twice"),
        (Record(spikes={"hidden1": [0.5]}), "no numbers of neurons"),
        (Record(spikes={"hidden1": "some"}), "no numbers of neurons"),
        (Record(spikes={"hidden1": [[1], [2, 3]]}), "no numbers of neurons"),
        (Record(potentials={"output": [4]}), "no neuron 4 in population 'output' \\(potentials\\)"),
        (Record(potentials={"input": [0]}), "no membrane potential(.|\n)*hidden1, output"),
        (Record(groups={"hidden1": {"a": [12]}}), "no neuron 12(.|\n)*group 'a'"),
        (Record(groups={"hiddn": {}}), "no population named 'hiddn'"),
        (Record(weights={"input -> output": [(0, 0)]}), "projection with a weight(.|\n)*input -> hidden1"),
        (Record(weights={"input -> hidden1": [(0, 12)]}), r"no synapse \(0, 12\)(.|\n)*pre from 0 to 11"),
        (Record(weights={"input -> hidden1": [(9, 0)]}), r"no synapse \(9, 0\)"),
        (Record(weights={"input -> hidden1": [0, 1]}), "cannot be read"),
        (Record(weights={"input -> hidden1": [(0, 1), (2,)]}), "cannot be read"),
    ):
        with pytest.raises((SettingsError, UnsupportedError), match=message):
            sleep_phase(net, record=record)


def test_nonsense_in_a_record_is_refused():
    for key in ("rates_every", "potentials_every", "weights_every"):
        for value in (0, -1, 1.5, True):
            with pytest.raises(SettingsError, match=f"{key} cannot be {value}"):
                Record(**{key: value})
    for key, value in (
        ("spikes", 3),
        ("spikes", (1, 2)),
        ("groups", ["hidden1"]),
        ("groups", {"hidden1": [1]}),
        ("potentials", ["hidden1"]),
        ("weights", 3),
        ("weights", ["a -> b"]),
    ):
        with pytest.raises(SettingsError, match=f"{key} is"):
            Record(**{key: value})
    with pytest.raises(UnknownNameError, match="recording of weights"):
        Record(weights="stats")
    with pytest.raises(SettingsError, match="known"):
        from neurosleep.spiking import Recorder

        Recorder(Record(potentials={"a": [0]}), {"a": 1}, 0.001)


def test_what_was_not_recorded_is_said():
    recording = sleep_phase(network(), steps=20, record=Record(potentials={"output": [0]})).recording
    with pytest.raises(UnknownNameError, match="did you mean 'output'"):
        recording.monitor("outptu")
    with pytest.raises(UnknownNameError, match="did you mean 'output'"):
        recording.rate_monitor("outptu")
    with pytest.raises(UnknownNameError, match="did you mean 'output'"):
        recording.rate("outptu")
    with pytest.raises(SettingsError, match=r"no neuron 4 in population 'output'(.|\n)*from 0 to 3"):
        recording.monitor("output", [4])
    with pytest.raises(DataError, match=r"no potentials of 'hidden1'(.|\n)*of output"):
        recording.state_monitor("hidden1")
    with pytest.raises(UnknownNameError):
        recording.state_monitor("hidden")
    with pytest.raises(SettingsError, match=r"neuron 1 of 'output'(.|\n)*one of: 0"):
        recording.state_monitor("output")[1]
    with pytest.raises(DataError, match="no weights"):
        recording.weight_monitor("input -> hidden1")
    with pytest.raises(DataError, match="No groups"):
        recording.rate_monitor("hidden1", group="a")
    with pytest.raises(SettingsError, match="one of the two"):
        recording.rate_monitor("hidden1", group="a", neurons=[0])
    for window in (0, 1.5, True):
        with pytest.raises(SettingsError, match="window cannot be"):
            recording.rate_monitor("hidden1", window=window)
    grouped = sleep_phase(network(), steps=20, record=Record(groups={"hidden1": {"a": [0]}})).recording
    with pytest.raises(UnknownNameError, match=r"named 'b'(.|\n)*one of: a"):
        grouped.rate_monitor("hidden1", group="b")
    with pytest.raises(SettingsError, match="The width, in seconds, cannot be"):
        grouped.rate_monitor("hidden1").smooth_rate(width=math.nan)
    weighed = sleep_phase(network(), steps=20, record=Record(weights="statistics")).recording
    with pytest.raises(UnknownNameError, match="recorded projection"):
        weighed.weight_monitor("input -> output")
    with pytest.raises(DataError, match="no single synapses"):
        weighed.weight_monitor("input -> hidden1").w  # noqa: B018
    chosen = sleep_phase(network(), steps=20, record=Record(weights={"input -> hidden1": [(0, 0)]})).recording
    with pytest.raises(DataError, match="no statistics"):
        chosen.weight_monitor("input -> hidden1").mean  # noqa: B018


def test_shared_weights_have_statistics_and_no_synapses():
    conv = SpikingNetwork(
        (Population("input", "input", (1, 5)), Population("maps", "lif", (2, 3))),
        (Conv("input", "maps", torch.ones(2, 1, 3)),),
    )
    spikes = torch.rand(20, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    found = ns.simulate(conv, spikes, engine="reference", record=Record(weights="statistics", weights_every=10))
    assert found.weight_monitor("input -> maps").mean.tolist() == [1, 1, 1]
    with pytest.raises(UnsupportedError, match="shared by many synapses"):
        ns.simulate(conv, spikes, engine="reference", record=Record(weights={"input -> maps": [(0, 0)]}))


def test_projections_of_one_name_are_numbered():
    twice = SpikingNetwork(
        (Population("a", "input", (2,)), Population("b", "lif", (1,))),
        (Dense("a", "b", torch.zeros(1, 2)), Dense("a", "b", torch.ones(1, 2), delay=1)),
    )
    found = ns.simulate(twice, torch.ones(4, 2, dtype=torch.bool), record=Record(weights="statistics"))
    assert found.weight_monitor("a -> b").mean[0] == 0 and found.weight_monitor("a -> b (2)").mean[0] == 1


@pytest.mark.parametrize("steps", [0, 1, 30])
@pytest.mark.parametrize("spikes", [0, 1])
def test_empty_recordings_and_single_spikes_have_monitors(steps, spikes):
    dense = np.zeros((steps, 3), dtype=bool)
    dense[:1, 1] = bool(spikes)
    events = SpikeEvents.from_dense(dense)
    windows = {"a": np.array([events.count] if steps else [], dtype=np.int64)}
    recording = Recording(steps, 0.001, {"a": events.counts()}, 500, windows, {"a": events})
    m, r = recording.monitor("a"), recording.rate_monitor("a")
    assert len(m.t) == len(m.i) == m.num_spikes == events.count and list(m.spike_trains()) == [0, 1, 2]
    assert len(r.rate) == len(r.t) == len(r.smooth_rate(width=1.0)) == bool(steps)
    assert len(recording.rate_monitor("a", window=1).rate) == steps
    assert recording.monitor("a", []).num_spikes == 0 and recording.monitor("a", []).spike_trains() == {}
    assert np.isnan(recording.rate("a")).all() == (steps == 0)


def test_a_sleep_that_diverges_keeps_what_was_seen():
    drive = MeanDrive(np.linspace(0.1, 0.9, 12), 150.0)
    record = Record(spikes="all", potentials={"hidden1": [0]}, potentials_every=100, weights="statistics")
    found = sleep(network(), drive=drive, rule=RULES["src"], steps=3000, record=record, limits=Limits(spikes=1e-6))
    assert found.status == "diverged" and found.recording.steps == 1000
    assert found.recording.state_monitor("hidden1").steps.tolist() == list(range(0, 1001, 100))
    assert found.recording.weight_monitor("input -> hidden1").steps.tolist() == [0, 1000]


@pytest.mark.parametrize("engine", ["event", "reference", "snntorch", "norse"])
def test_single_weights_are_those_of_the_whole(engine):
    """Over several blocks of the compiled engine, two projections into one population, and a transposed one."""
    draw = torch.Generator().manual_seed(4)
    n = 2 * BLOCK + 50
    net = SpikingNetwork(
        (
            Population("input", "input", (6,)),
            Population("wide", "lif", (n,), threshold=0.5),
            Population("b", "lif", (3,)),
        ),
        (
            Dense("input", "wide", torch.rand(n, 6, generator=draw)),
            Dense("wide", "b", torch.rand(3, n, generator=draw)),
            Dense("b", "wide", torch.rand(n, 3, generator=draw), delay=1),
            Transposed("b", "wide", of=("wide", "b"), delay=1),
        ),
    )
    session = get_engine(engine).start(net, RULES["src"])
    session.run({"input": SpikeEvents.from_dense(torch.rand(20, 6, generator=draw) < 0.5)})
    for number, weight in enumerate(session.weights()):
        assert not torch.equal(weight, net.weights[number])
        rng = np.random.default_rng(number)
        post, pre = rng.integers(0, weight.shape[0], 200), rng.integers(0, weight.shape[1], 200)
        assert torch.equal(session.weights_at(number, post, pre), weight[post, pre])


@st.composite
def watched_sleeps(draw):
    """A random network of two layers, perhaps with feedback, and how its sleep is watched."""
    seed, sizes = draw(st.integers(0, 10**6)), draw(st.tuples(*[st.integers(1, 9)] * 3))
    weights = torch.Generator().manual_seed(seed)
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))

    def weight(post, pre):
        return (torch.rand(post, pre, generator=weights, dtype=torch.float64) - 0.3).to(dtype)

    def lif(name, n):
        refractory = draw(st.integers(0, 3))
        return Population(
            name,
            "lif",
            (n,),
            threshold=draw(st.floats(0.1, 1.5)),
            decay=draw(st.sampled_from([1.0, 0.9, 0.5])),
            bias=draw(st.sampled_from([0.0, 0.05])),
            leak=draw(st.sampled_from([0.0, 0.1])),
            refractory=refractory,
            reset=draw(st.sampled_from(["to_value", "subtract"])),
            while_refractory=draw(st.sampled_from(["hold", "integrate"])),
            compare=draw(st.sampled_from([">=", ">"])),
        )

    a, b, c = sizes
    projections = [
        Dense("input", "hidden1", weight(b, a), delay=draw(st.integers(0, 4))),
        Dense("hidden1", "output", weight(c, b), delay=draw(st.integers(0, 4))),
    ]
    feedback = draw(st.sampled_from(["none", "own", "transposed"]))
    if feedback == "own":
        projections.append(Dense("output", "hidden1", weight(b, c), delay=draw(st.integers(1, 4))))
    elif feedback == "transposed":
        symmetric = draw(st.booleans())
        back = Transposed("output", "hidden1", of=("hidden1", "output"), delay=1, symmetric_rule=symmetric)
        projections.append(back)
    net = SpikingNetwork((Population("input", "input", (a,)), lif("hidden1", b), lif("output", c)), tuple(projections))
    rule = "stdp" if feedback != "transposed" and draw(st.booleans()) else "src"
    every = {f"{what}_every": draw(st.integers(1, 90)) for what in ("potentials", "weights")}
    return net, rule, draw(st.integers(1, 120)), every, seed


def assert_watching_changes_nothing(case, engines):
    net, rule, steps, every, seed = case
    drive = MeanDrive(np.linspace(0.1, 0.9, net.inputs[0].size), 200.0)
    watch = Record(spikes="all", potentials={"hidden1": "all", "output": [0]}, weights="statistics", **every)
    for engine in engines:
        plain, watched = (
            sleep(net, drive=drive, rule=RULES[rule], steps=steps, engine=engine, record=record, seed=seed)
            for record in (Record(spikes="all"), watch)
        )
        assert all(plain.recording.spikes[name].equals(e) for name, e in watched.recording.spikes.items())
        assert all(torch.equal(a, b) for a, b in zip(plain.network.weights, watched.network.weights, strict=True))


@pytest.mark.filterwarnings("ignore:Not one neuron fired:neurosleep.NeurosleepWarning")
@settings(max_examples=25, deadline=None, derandomize=True)
@given(watched_sleeps())
def test_watching_changes_no_random_sleep(case):
    assert_watching_changes_nothing(case, ("event", "reference"))


@pytest.mark.full
@settings(max_examples=500, deadline=None)
@given(watched_sleeps())
@pytest.mark.filterwarnings("ignore:Not one neuron fired:neurosleep.NeurosleepWarning")
def test_watching_changes_none_of_500_random_sleeps(case):
    assert_watching_changes_nothing(case, ("event", "reference", "snntorch", "norse", "torch"))


def test_a_state_monitor_speaks_as_brians_does():
    found = sleep_phase(network(), steps=40, record=Record(potentials={"hidden1": [5, 2]})).recording.state_monitor(
        "hidden1"
    )
    assert found.record.tolist() == [5, 2] and found.v.shape == (2, len(found.t))
    for row, neuron in enumerate((5, 2)):
        assert found[neuron].v.tolist() == found.v[row].tolist() and found[neuron].t.tolist() == found.t.tolist()
    assert found[5].v.any() and found[5].v.tolist() != found[2].v.tolist()
    for absent in (0, -1, [5, 2]):
        with pytest.raises(SettingsError, match="one of: 5, 2"):
            found[absent]
