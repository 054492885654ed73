"""simulate: spikes and images in, one or a batch, counts, spikes and read-outs out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.errors import DataError, SettingsError, UnsupportedError
from neurosleep.spiking import Conv, Dense, Identity, Population, SpikingNetwork, engine_names, get_engine
from neurosleep.spiking.engines import SnnTorchEngine


@pytest.fixture
def network() -> SpikingNetwork:
    """6 inputs, 4 LIF units, dyadic weights, so that all engines agree to the last bit."""
    weight = torch.randint(-4, 8, (4, 6), generator=torch.Generator().manual_seed(0)).double() / 8
    return SpikingNetwork(
        (Population("input", "input", (6,)), Population("out", "lif", (4,), threshold=1.0, decay=0.5)),
        (Dense("input", "out", weight),),
    )


def _spikes(steps: int, *shape: int) -> torch.Tensor:
    return torch.rand(steps, *shape, generator=torch.Generator().manual_seed(1)) < 0.3


def _by_hand(network: SpikingNetwork, spikes: torch.Tensor) -> torch.Tensor:
    v, out = torch.zeros(4, dtype=torch.float64), []
    for s in spikes:
        v = 0.5 * v + network.weights[0] @ s.double()
        out.append(v >= 1)
        v = torch.where(v >= 1, 0.0, v)
    return torch.stack(out)


@pytest.mark.parametrize("engine", [name for name in engine_names() if get_engine(name).general])
def test_spikes_as_by_hand(network: SpikingNetwork, engine: str) -> None:
    spikes = _spikes(1500, 6)
    recording = ns.simulate(network, spikes, engine=engine, record=ns.Record(spikes="all"))
    expected = _by_hand(network, spikes)
    assert expected.any()
    assert recording.steps == 1500
    assert torch.equal(recording.spikes["out"].to_dense(torch.bool), expected)
    assert recording.counts["out"].tolist() == expected.sum(0).tolist()


def test_a_mapping_holds_booleans_or_events(network: SpikingNetwork) -> None:
    """Of two inputs, each in any form that one alone may have; anything else is refused by its name."""
    both = SpikingNetwork(
        (Population("more", "input", (2,)), *network.populations),
        (*network.projections, Dense("more", "out", torch.full((4, 2), 0.5, dtype=torch.float64))),
    )
    spikes, more = _spikes(30, 6), _spikes(30, 2)
    events = {"input": ns.functional.SpikeEvents.from_dense(spikes), "more": ns.functional.SpikeEvents.from_dense(more)}
    counts = ns.simulate(both, events).counts["out"]
    assert counts.sum() > ns.simulate(network, spikes).counts["out"].sum() > 0
    given: dict[str, Any]
    for given in ({"input": spikes, "more": more}, {"input": spikes.numpy(), "more": events["more"]}):
        assert np.array_equal(ns.simulate(both, given).counts["out"], counts)
    for bad in (spikes.float(), spikes[:, None], spikes[0], spikes.tolist(), None):
        with pytest.raises(SettingsError, match="The input 'input' cannot be read as spikes"):
            ns.simulate(both, {"input": bad, "more": more})  # type: ignore[dict-item]
    with pytest.raises(SettingsError, match="do not cover the steps"):
        ns.simulate(both, {"input": spikes, "more": more[:20]})


def test_batch_of_spikes_is_one_train_after_another(network: SpikingNetwork) -> None:
    spikes = _spikes(200, 3, 6)
    counts = ns.simulate(network, spikes).counts["out"]
    assert counts.shape == (3, 4)
    for b in range(3):
        assert counts[b].tolist() == ns.simulate(network, spikes[:, b]).counts["out"].tolist()


@pytest.mark.parametrize("coding", ["bernoulli", "poisson"])
def test_images_fire_at_their_intensity(network: SpikingNetwork, coding: Any) -> None:
    image = torch.tensor([0.0, 1.0, 0.5, 0.0, 0.0, 1.0])
    recording = ns.simulate(network, image, 20_000, coding=coding, max_rate=300.0)
    rates = recording.counts["input"] / 20_000
    assert rates[0] == rates[3] == rates[4] == 0
    # Four standard deviations of a Poisson mean over 20,000 steps.
    assert rates[1] == pytest.approx(0.3, abs=0.016) and rates[5] == pytest.approx(0.3, abs=0.016)
    assert rates[2] == pytest.approx(0.15, abs=0.011)


def test_shorter_is_the_beginning_and_seeds_differ(network: SpikingNetwork) -> None:
    images = torch.full((2, 6), 0.4)
    given: dict[str, Any] = {"network": network, "x": images, "coding": "bernoulli"}
    short, long = (ns.simulate(**given, steps=n).counts["input"] for n in (100, 1200))
    again, other = (ns.simulate(**given, steps=1200, seed=s).counts["input"] for s in (0, 1))
    assert (short <= long).all() and (long == again).all() and (long != other).any()
    assert (long[0] != long[1]).any()  # the samples of a batch have noise of their own


def test_bad_inputs(network: SpikingNetwork) -> None:
    images = torch.rand(2, 6)
    with pytest.raises(SettingsError, match="need a number of steps"):
        ns.simulate(network, images)
    with pytest.raises(SettingsError, match="0 to 1"):
        ns.simulate(network, images * 300, 10, coding="bernoulli")
    with pytest.raises(SettingsError, match="do not fit the network"):
        ns.simulate(network, torch.rand(2, 5), 10)
    with pytest.raises(SettingsError, match="do not cover the steps"):
        ns.simulate(network, _spikes(10, 6), 11)
    with pytest.raises(SettingsError, match="number of steps cannot be 0"):
        ns.simulate(network, images, 0)
    with pytest.raises(UnsupportedError, match="Single spikes of a batch"):
        ns.simulate(network, images, 10, record=ns.Record(spikes="all"))
    with pytest.raises(SettingsError, match="poison"):
        ns.simulate(network, images, 10, coding="poison")  # type: ignore[arg-type]


def test_a_batch_says_the_potentials_of_its_integrators(network: SpikingNetwork) -> None:
    read = SpikingNetwork(
        (*network.populations, Population("read", "li", (2,), decay=1.0)),
        (*network.projections, Dense("out", "read", torch.ones(2, 4, dtype=torch.float64))),
    )
    recording = ns.simulate(read, _spikes(50, 3, 6))
    assert recording.potentials["read"].shape == (3, 2)
    assert recording.potentials["read"][:, 0].tolist() == recording.counts["out"].sum(1).tolist()


# --- one face ---------------------------------------------------------------------------------------------------------

EVERYTHING = ns.Record(spikes="all", potentials={"out": "all"})


def read(network: SpikingNetwork) -> SpikingNetwork:
    """With an integrator behind it."""
    return SpikingNetwork(
        (*network.populations, Population("read", "li", (2,), decay=1.0, bias=0.25)),
        (*network.projections, Dense("out", "read", torch.ones(2, 4, dtype=torch.float64) / 4)),
    )


@pytest.mark.parametrize("engine", [None, "event", "reference", "snntorch", "torch"])
@pytest.mark.parametrize("coding", ["constant", "bernoulli", "poisson"])
def test_one_image_may_be_recorded_and_is_the_same(network: SpikingNetwork, coding: Any, engine: Any) -> None:
    image = torch.tensor([0.0, 1.0, 0.5, 0.25, 0.125, 0.75])
    plain = ns.simulate(network, image, 300, coding=coding, seed=3)
    seen = ns.simulate(network, image, 300, coding=coding, seed=3, engine=engine, record=EVERYTHING)
    assert (plain.engine, seen.engine, seen.coding) == ("event", engine or "event", coding)
    for name, counts in plain.counts.items():
        assert counts.shape == seen.counts[name].shape == (network.population(name).size,)
        assert counts.dtype == seen.counts[name].dtype
        assert np.array_equal(counts, seen.counts[name]), name
    assert plain.counts["out"].sum() > 20
    assert np.array_equal(seen.spikes["out"].counts(), plain.counts["out"])
    assert plain.read_out.shape == (300, 4) and np.array_equal(plain.read_out, seen.read_out)
    if coding == "constant":
        assert plain.counts["input"].tolist() == (300 * image).tolist() and seen.spikes["input"].count == 0
    else:
        assert np.array_equal(seen.spikes["input"].counts(), plain.counts["input"])


@pytest.mark.parametrize("coding", ["constant", "bernoulli"])
def test_one_image_alone_is_the_first_of_a_batch_of_one(network: SpikingNetwork, coding: Any) -> None:
    image = torch.rand(6, generator=torch.Generator().manual_seed(0))
    one, batch = (ns.simulate(read(network), x, 40, coding=coding) for x in (image, image[None]))
    for name in one.counts:
        assert (
            one.counts[name].dtype
            == batch.counts[name].dtype
            == (np.float64 if (name, coding) == ("input", "constant") else np.int64)
        )
        assert np.array_equal(one.counts[name], batch.counts[name][0])
    assert np.array_equal(one.read_out, batch.read_out[:, 0])
    assert np.array_equal(one.potentials["read"], one.read_out[-1])
    assert one.accuracy(int(one.read_out[-1].argmax()))[-1] == 1


def test_the_read_out_of_an_integrator_is_its_potential(network: SpikingNetwork) -> None:
    image = torch.tensor([0.0, 1.0, 0.5, 0.25, 0.125, 0.75])
    plain = ns.simulate(read(network), image, 50)
    seen = ns.simulate(read(network), image, 50, record=ns.Record(potentials={"read": "all"}))
    assert np.array_equal(plain.read_out, seen.read_out) and plain.read_out[-1, 0] > 5
    some = ns.simulate(read(network), image, 50, record=ns.Record(potentials={"read": [1]}))
    with pytest.raises(DataError, match=r"'read' said after every step was not recorded(.|\n)*potentials"):
        _ = some.read_out


def test_a_single_train_is_read_of_what_was_recorded(network: SpikingNetwork) -> None:
    spikes = _spikes(60, 6)
    batch = ns.simulate(network, spikes[:, None])
    recorded = ns.simulate(network, spikes, record=ns.Record(spikes=("out",)))
    assert np.array_equal(recorded.read_out, batch.read_out[:, 0])
    with pytest.raises(DataError, match="'out' said after every step was not recorded"):
        _ = ns.simulate(network, spikes).read_out
    assert recorded.engine == batch.engine == "event" and recorded.coding is batch.coding is None


@pytest.mark.filterwarnings("ignore:x. bytes")
def test_images_of_any_shape_and_convolutions() -> None:
    weight = torch.tensor([[[[0.5, 0.25], [0.0, 0.5]]]], dtype=torch.float64)
    net = SpikingNetwork(
        (Population("input", "input", (1, 3, 3)), Population("maps", "lif", (1, 2, 2))),
        (Conv("input", "maps", weight),),
    )
    image = torch.rand(1, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    batch = ns.simulate(net, torch.stack([image, image.flip(1)]), 30)
    assert batch.engine == "event" and batch.counts["maps"].shape == (2, 4)
    for x in (image, image.flatten(), image.numpy()):
        seen = ns.simulate(net, x, 30, record=ns.Record(spikes="all"))
        assert np.array_equal(seen.counts["maps"], batch.counts["maps"][0]) and seen.counts["maps"].sum() > 0
        assert np.array_equal(seen.read_out, batch.read_out[:, 0])
    whole = (255 * image).round().to(torch.uint8)
    assert np.array_equal(ns.simulate(net, whole, 30).counts["maps"], ns.simulate(net, whole / 255, 30).counts["maps"])


def test_what_a_constant_input_cannot_be_recorded_of_is_named(network: SpikingNetwork) -> None:
    late = SpikingNetwork(network.populations, (Dense("input", "out", network.weights[0], delay=2),))
    assert ns.simulate(late, torch.ones(6), 9).counts["out"].shape == (4,)
    with pytest.raises(UnsupportedError, match="after a delay, from 'input' at 'out'"):
        ns.simulate(late, torch.ones(6), 9, record=EVERYTHING)
    relay = SpikingNetwork(
        (network.populations[0], Population("sum", "relay", (6,)), network.populations[1]),
        (Identity("input", "sum"), Dense("sum", "out", network.weights[0])),
    )
    sums = ns.simulate(relay, torch.full((2, 6), 0.5), 8)
    assert sums.counts["sum"].tolist() == [[4.0] * 6] * 2 and sums.engine == "event"
    with pytest.raises(UnsupportedError, match="at a relay, from 'input' at 'sum'"):
        ns.simulate(relay, torch.ones(6), 9, record=EVERYTHING)


@pytest.mark.parametrize(
    "record",
    [
        ns.Record(rates_every=7),
        ns.Record(groups={"out": {"a": [0]}}),
        ns.Record(potentials={"out": "all"}),
        ns.Record(weights="statistics"),
    ],
)
def test_what_is_not_recorded_of_a_batch_is_refused(network: SpikingNetwork, record: ns.Record) -> None:
    for x in (torch.rand(2, 6), _spikes(30, 2, 6)):
        with pytest.raises(UnsupportedError, match="Single spikes of a batch"):
            ns.simulate(network, x, 20, record=record)
    assert ns.simulate(network, torch.rand(2, 6), 20, record=ns.Record()).counts["out"].shape == (2, 4)


def test_batches_of_spikes_that_do_not_fit(network: SpikingNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SnnTorchEngine, "batches", False)
    with pytest.raises(SettingsError, match="do not cover the steps"):
        ns.simulate(network, _spikes(10, 2, 6), 11)
    for spikes in (_spikes(10, 2, 5), _spikes(10, 0, 6)):
        with pytest.raises(SettingsError, match="do not fit the network"):
            ns.simulate(network, spikes)
    with pytest.raises(SettingsError, match=r"Spikes of shape \(6,\)"):
        ns.simulate(network, torch.ones(6, dtype=torch.bool))
    with pytest.raises(UnsupportedError, match="'snntorch' steps no batches"):
        ns.simulate(network, _spikes(10, 2, 6), engine="snntorch")


@pytest.mark.parametrize("coding", ["constant", "bernoulli"])
def test_a_recording_of_a_simulation_lies_in_a_file_as_it_is(
    network: SpikingNetwork, coding: Any, tmp_path: Path
) -> None:
    for k, x in enumerate((torch.rand(6), torch.rand(3, 6))):
        made = ns.simulate(read(network), x, 25, coding=coding)
        again = ns.Recording.open(made.to_npz(tmp_path / f"{k}.npz"))
        assert (again.engine, again.coding) == (made.engine, coding) and repr(again) == repr(made)
        for name, counts in made.counts.items():
            assert again.counts[name].dtype == counts.dtype and np.array_equal(again.counts[name], counts)
        assert np.array_equal(again.read_out, made.read_out)
