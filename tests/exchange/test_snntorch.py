"""snnTorch: modules become networks with the spike trains of their own simulation, and back; the rest is refused."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import ExchangeError, SettingsError, UnknownNameError, UnsupportedError
from neurosleep.exchange import ExchangeWarning, convert_file, from_snntorch, to_snntorch, write_snntorch
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Dense, Population, SpikingNetwork, Transposed, get_engine

snn: Any = pytest.importorskip("snntorch")

STEPS = 200
KINDS = ("Leaky", "Synaptic", "Lapicque", "RLeaky")
READ = (*KINDS, "RSynaptic")


# --- simulations ------------------------------------------------------------------------------------------------------


@torch.no_grad()
def own_trains(module: nn.Sequential, x: Tensor) -> list[Tensor]:
    """What snnTorch itself does: spikes ``[time, ...]`` of every neuron layer of a chain, one input at a time."""
    layers = [m for m in module.modules() if isinstance(m, snn.SpikingNeuron) or not any(m.children())]
    inner = {
        id(part) for m in layers if isinstance(m, snn.RLeaky | snn.RSynaptic) for part in m.modules() if part is not m
    }
    layers = [m for m in layers if id(m) not in inner]
    # No shape: snnTorch then starts at rest.
    state: dict[int, tuple[Tensor, ...]] = {
        k: (torch.zeros(0),) * {snn.RSynaptic: 3, snn.Synaptic: 2, snn.RLeaky: 2}.get(type(m), 1)
        for k, m in enumerate(layers)
        if isinstance(m, snn.SpikingNeuron)
    }
    found: dict[int, list[Tensor]] = {k: [] for k in state}
    for now in x:
        value = now.unsqueeze(0)
        for k, layer in enumerate(layers):
            if k not in state:
                value = layer(value)
                continue
            given = layer(value, *state[k])
            value = given[0].to(x.dtype)
            state[k] = given if isinstance(layer, snn.RLeaky | snn.RSynaptic) else given[1:]
            found[k].append(given[0][0] != 0)
    return [torch.stack(spikes) for spikes in found.values()]


@torch.no_grad()
def our_trains(network: SpikingNetwork, x: Tensor) -> dict[str, Tensor]:
    """Spikes ``[time, n]`` of every population by the reference engine; the input may be graded."""
    session = get_engine("reference").start_batch(network, 1)  # type: ignore[attr-defined]
    found = []
    for now in x:
        sent = now.reshape(1, -1)
        found.append(session.step({network.inputs[0].name: sent.bool() if ((sent == 0) | (sent == 1)).all() else sent}))
    return {p.name: torch.stack([step[p.name][0] for step in found]) for p in network.layers}


def neuron_trains(network: SpikingNetwork, x: Tensor) -> list[Tensor]:
    ours = our_trains(network, x)
    return [ours[p.name] for p in network.layers if p.kind not in ("relay",)]


@torch.no_grad()
def written_trains(module: Any, x: Tensor) -> dict[str, Tensor]:
    return {name: sent[:, 0] for name, sent in module.run(x.unsqueeze(1)).items()}


def spikes(seed: int, size: tuple[int, ...], dtype: torch.dtype = torch.float32, steps: int = STEPS) -> Tensor:
    return (torch.rand(steps, *size, generator=torch.Generator().manual_seed(seed)) < 0.4).to(dtype)


# --- snnTorch's networks ----------------------------------------------------------------------------------------------


def sixteenths(seed: int, *shape: int) -> Tensor:
    """Sums of these are exact in any order."""
    return torch.randint(-16, 32, shape, generator=torch.Generator().manual_seed(seed)) / 16


def linear(seed: int, pre: int, post: int, bias: bool) -> nn.Linear:
    layer = nn.Linear(pre, post, bias=bias)
    with torch.no_grad():
        layer.weight.copy_(sixteenths(seed, post, pre))
        if bias:
            layer.bias.copy_(sixteenths(seed + 1, post) / 2)
    return layer


class Gap:
    """The smallest distance of any potential from its threshold, told by the surrogate gradient's own argument."""

    def __init__(self) -> None:
        self.smallest = float("inf")

    def __call__(self, shift: Tensor) -> Tensor:
        if shift.abs().max() > 0 and shift.shape != (41,):  # from_snntorch probes what it is given
            self.smallest = min(self.smallest, float(shift.abs().min()))
        return (shift > 0).float()


def draw_neuron(data: st.DataObject, kind: str, n: int, gap: Gap) -> Any:
    seed = data.draw(st.integers(0, 2**20))
    generator = torch.Generator().manual_seed(seed)

    def parameter(values: list[float]) -> Any:
        """One of the numbers, or one drawn for each neuron, or a random one."""
        form = data.draw(st.sampled_from(["number", "vector", "random"]))
        if form == "number":
            return data.draw(st.sampled_from(values))
        if form == "vector":
            return torch.tensor(values)[torch.randint(len(values), (n,), generator=generator)]
        return float(values[0] + (values[-1] - values[0]) * torch.rand((), generator=generator))

    given: dict[str, Any] = {
        "threshold": parameter([0.25, 0.5, 1.0, 1.5, 2.5]),
        "reset_mechanism": data.draw(st.sampled_from(["subtract", "zero", "none"])),
        "spike_grad": gap,
        "learn_threshold": data.draw(st.booleans()),
    }
    beta = parameter([0.0, 0.5, 0.75, 0.9, 1.0] if kind in ("Leaky", "Synaptic") else [0.0, 0.3, 0.5, 0.8])
    if kind == "Lapicque":
        how = data.draw(st.sampled_from(["beta", "RC", "beta and R"]))
        chosen = data.draw(st.sampled_from([0.4, 0.5, 0.8, 0.95]))
        if how == "RC":
            step = data.draw(st.sampled_from([1, 0.5, 0.1]))
            given |= {
                "R": data.draw(st.sampled_from([1, 2.0, 5.1])),
                "C": data.draw(st.sampled_from([1.44, 4.0])),
                "time_step": step,
            }
        else:
            given |= {"beta": chosen} | ({"R": 3.0} if how == "beta and R" else {})
        return snn.Lapicque(**given)
    given["reset_delay"] = kind == "RSynaptic" or data.draw(st.booleans())
    if kind == "Leaky":
        return snn.Leaky(beta, graded_spikes_factor=data.draw(st.sampled_from([1.0, 1.0, 0.5])), **given)
    if kind == "Synaptic":
        return snn.Synaptic(parameter([0.0, 0.25, 0.5, 0.9]), beta, **given)
    make: Any = snn.RLeaky
    if kind == "RSynaptic":
        make = partial(snn.RSynaptic, parameter([0.0, 0.25, 0.5, 0.9]))
    all_to_all = data.draw(st.booleans())
    if not all_to_all:
        return make(beta, V=parameter([-1.0, 0.5, 0.25]), all_to_all=False, **given)
    neuron = make(beta, linear_features=n, **given)
    neuron.recurrent = linear(seed, n, n, bias=data.draw(st.booleans()))
    return neuron


def check_import(data: st.DataObject, kind: str) -> None:
    sizes = [data.draw(st.integers(1, 6)) for _ in range(3)]
    bias, gap = data.draw(st.booleans()), Gap()
    seed = data.draw(st.integers(0, 2**20))
    module = nn.Sequential(
        linear(seed, sizes[0], sizes[1], bias),
        nn.Sequential(draw_neuron(data, kind, sizes[1], gap), nn.Dropout(0.5)),
        linear(seed + 7, sizes[1], sizes[2], bias),
        draw_neuron(data, kind, sizes[2], gap),
    ).eval()
    x = spikes(seed, (sizes[0],))
    theirs = own_trains(module, x)
    if kind in ("RLeaky", "RSynaptic", "Lapicque"):
        # Their sums are made in another order than ours, which only ties and the last bit can show.
        assume(gap.smallest > 5e-5)
    network = from_snntorch(module)
    assert network.dt == 1e-3
    ours = neuron_trains(network, x)
    assert len(ours) == len(theirs) == 2
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)
    back = [p.weight for p in network.projections if p.kind == "dense"]
    assert torch.equal(back[0], module[0].weight) and torch.equal(back[1], module[2].weight)  # type: ignore[arg-type]
    if data.draw(st.booleans()):
        check_round_trip(network, x)


@pytest.mark.parametrize("kind", READ)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_modules_become_networks_with_their_spike_trains(kind: str, data: st.DataObject) -> None:
    check_import(data, kind)


@pytest.mark.full
@pytest.mark.parametrize("kind", READ)
@settings(max_examples=1000, deadline=None)
@given(data=st.data())
def test_many_modules_become_networks(kind: str, data: st.DataObject) -> None:
    check_import(data, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mechanism", ["subtract", "zero", "none"])
@pytest.mark.parametrize("delay", [True, False])
def test_ties_at_the_threshold(kind: str, mechanism: str, delay: bool) -> None:
    """Potentials in sixteenths meet the threshold exactly, in every combination."""
    given: dict[str, Any] = {"reset_mechanism": mechanism} | ({} if kind == "Lapicque" else {"reset_delay": delay})
    made: dict[str, Callable[[int], Any]] = {
        "Leaky": lambda n: snn.Leaky(1.0, **given),
        "Synaptic": lambda n: snn.Synaptic(0.0, 1.0, **given),
        "Lapicque": lambda n: snn.Lapicque(R=2, C=4.0, time_step=4, **given),
        "RLeaky": lambda n: snn.RLeaky(1.0, V=0.5, all_to_all=False, **given),
    }
    gap = Gap()
    neurons = [made[kind](n) for n in (6, 4)]
    for neuron in neurons:
        neuron.spike_grad = gap
    module = nn.Sequential(linear(3, 5, 6, False), neurons[0], linear(4, 6, 4, False), neurons[1])
    x = spikes(1, (5,))
    theirs = own_trains(module, x)
    assert gap.smallest == 0
    network = from_snntorch(module)
    for a, b in zip(neuron_trains(network, x), theirs, strict=True):
        assert torch.equal(a, b) and 0 < b.sum() < b.numel()
    check_round_trip(network, x)


def test_convolutions_pools_batch_norm_and_recurrent_convolutions() -> None:
    torch.manual_seed(2)
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        snn.Leaky(0.8, threshold=torch.rand(3, 1, 1) + 0.2),
        nn.AvgPool2d(2),
        nn.Conv2d(3, 2, 3, stride=2, padding=1, bias=False),
        snn.RLeaky(0.6, conv2d_channels=2, kernel_size=3, threshold=0.4, reset_mechanism="zero"),
        nn.Flatten(),
        nn.Linear(8, 4),
        snn.Synaptic(0.3, 0.7, threshold=torch.rand(4) + 0.1, reset_mechanism="zero", reset_delay=False),
    )
    norm = module[1]
    assert isinstance(norm, nn.BatchNorm2d)
    norm.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
    norm.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    module.eval()
    with pytest.raises(ExchangeError, match="input"):
        from_snntorch(module)
    network, x = from_snntorch(module, (1, 8, 8)), spikes(5, (1, 8, 8))
    for a, b in zip(neuron_trains(network, x), own_trains(module, x), strict=True):
        assert torch.equal(a, b.flatten(1)) and b.any()
    check_round_trip(network, x)


class Steps(nn.Module):
    """One step with the states as arguments, a branch, and the potential of the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = linear(1, 4, 5, True), linear(2, 5, 5, False), linear(3, 5, 2, False)
        self.lif1, self.lif2 = snn.Leaky(0.9), snn.Synaptic(0.5, 0.8, reset_mechanism="zero")
        self.out = snn.Leaky(0.8, reset_mechanism="none", threshold=float("inf"))

    def forward(self, x: Tensor, mem1: Any, syn2: Any, mem2: Any, mem3: Any) -> Any:
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, syn2, mem2 = self.lif2(0.5 * self.fc2(spk1) + spk1, syn2, mem=mem2)
        _, mem3 = self.out(self.fc3(spk2), mem3)
        return spk1, spk2, mem1, syn2, mem2, mem3


def test_a_forward_of_one_step() -> None:
    module, x = Steps(), spikes(3, (4,))
    network = from_snntorch(module, dt=2e-4)
    assert network.dt == 2e-4 and [p.kind for p in network.layers] == ["lif", "cuba_lif", "li"]
    assert [p.name for p in network.layers] == ["lif1", "lif2", "out"]
    states: tuple[Tensor, ...] = (torch.zeros(0),) * 4
    found, session = [], get_engine("reference").start_batch(network, 1)  # type: ignore[attr-defined]
    with torch.no_grad():
        for now in x:
            spk1, spk2, *rest = module(now.unsqueeze(0), *states)
            states = tuple(rest)
            sent = session.step({"input": now.unsqueeze(0).bool()})
            assert torch.equal(sent["lif1"], spk1.bool()) and torch.equal(sent["lif2"], spk2.bool())
            assert torch.equal(session.batch_membranes()["out"], rest[-1])
            found.append(spk2)
    assert torch.stack(found).any()
    check_round_trip(network, x)


def test_a_trained_module_stays_as_it_is() -> None:
    """Potentials with a graph of gradients cannot be copied, and a module in training is not run."""
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), snn.Leaky(0.9, learn_beta=True)).train()
    module[2](module[1](module[0](torch.rand(5, 3))))[0].sum().backward()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    neurons = len(snn.SpikingNeuron.instances)
    from_snntorch(module)
    assert module.training and all(m.training for m in module.modules())
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert len(snn.SpikingNeuron.instances) == neurons


def test_float64_thresholds_are_rounded_where_snntorch_rounds_them() -> None:
    module = nn.Sequential(nn.Linear(4, 6), snn.Leaky(0.9, threshold=0.3)).double()
    module[1].threshold.fill_(0.3)  # in float64
    network, x = from_snntorch(module), spikes(2, (4,), torch.float64)
    (lif,) = network.layers
    assert network.dtype == torch.float64 and lif.threshold == 0.3 and lif.amount == torch.tensor(0.3).item()
    assert torch.equal(neuron_trains(network, x)[0], own_trains(module, x)[0])


# --- our networks -----------------------------------------------------------------------------------------------------


def weights(network: SpikingNetwork) -> dict[tuple[str, str], Tensor]:
    """By where they lead; the name of the input is not kept."""
    source = network.inputs[0].name
    return {("" if q.source == source else q.source, q.target): q.weight for q in network.weighted}


def check_round_trip(network: SpikingNetwork, x: Tensor, inexact: Any = "refuse") -> None:
    """Ours to snnTorch and back: weights bit for bit, equal spike trains (of integrators, potentials) three times."""
    module: Any = to_snntorch(network, inexact)
    again = from_snntorch(module)
    assert again.dt == network.dt
    assert [p.name for p in again.layers if p.kind != "relay"] == [p.name for p in network.layers if p.kind != "relay"]
    before, after = weights(network), weights(again)
    assert before.keys() == after.keys()
    for pair, weight in before.items():
        assert weight.dtype == after[pair].dtype and torch.equal(weight, after[pair])
    ours, theirs, returned = our_trains(network, x), written_trains(module, x), our_trains(again, x)
    for p in network.layers:
        if p.kind in ("lif", "cuba_lif"):
            assert torch.equal(theirs[p.name].flatten(1).bool(), ours[p.name]), p.name
            assert torch.equal(returned[p.name], ours[p.name]), p.name


def draw_network(data: st.DataObject) -> SpikingNetwork:
    """What snnTorch can express, with any numbers: chains with branches, feedback, delays and relays."""
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**20)))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))

    def draw(*values: Any) -> Any:
        return data.draw(st.sampled_from(values))

    def parameter(n: int, low: float, high: float) -> Any:
        values = low + (high - low) * torch.rand(n, generator=generator, dtype=dtype)
        return draw(float(values[0]), values)

    sizes = [draw(2, 3, 6) for _ in range(draw(2, 3, 4))]
    populations = [Population("in put", "input", (sizes[0],))]
    for k, n in enumerate(sizes[1:]):
        last = k == len(sizes) - 2
        kind = draw("lif", "lif", "cuba_lif", *(["li"] if last else ["relay"]))
        threshold, compare = parameter(n, 0.2, 1.5), draw(">", ">=")
        resets: list[dict[str, Any]] = [
            {},
            {"refractory": 1},
            {"reset": "subtract", "amount": 0.0},
            {"reset": "subtract", "decay": draw(1.0, torch.ones(n, dtype=dtype))},
            {"reset": "subtract", "decay": 0.5, "amount": torch.as_tensor(threshold, dtype=dtype) * 2},
        ]
        if compare == ">":
            resets += [{"reset": "subtract", "reset_time": draw("next", "guarded")}] * 2
        populations.append(
            Population(
                draw(f"p{k}", f"a/b {k}", f"x.{k}", f"{k}", f"forward{k}", f"class_{k}"),
                kind,
                (n,),
                bias=draw(0.0, parameter(n, -0.1, 0.3)),
                **({} if kind == "relay" else {"threshold": threshold, "compare": compare}),
                **({"decay": draw(0.0, parameter(n, 0.3, 1.0))} | draw(*resets) if kind in ("lif", "cuba_lif") else {}),
                **(
                    {"synaptic_decay": parameter(n, 0.1, 1.0)}
                    if kind == "cuba_lif" or draw(False, kind == "li")
                    else {}
                ),
            )
        )
    names = [p.name for p in populations]

    def weight(post: int, pre: int) -> Tensor:
        return 0.3 + torch.randn(post, pre, generator=generator, dtype=dtype)

    projections = [
        Dense(a, b, weight(m, n), scale=draw(1.0, 0.3, -2.0), delay=draw(0, 0, 2))
        for a, b, n, m in zip(names, names[1:], sizes, sizes[1:], strict=False)
    ]
    # A loop of relays alone may grow without end, and what is 0 times infinity is nobody's spike train.
    neurons = [k for k, p in enumerate(populations) if p.kind not in ("input", "relay")]
    if neurons and draw(True, False):
        at = draw(*neurons)
        loop = Dense(names[at], names[at], weight(sizes[at], sizes[at]), scale=draw(1.0, -0.5), delay=draw(1, 3))
        projections.append(loop)
    if len(names) > 2 and draw(True, False):
        projections.append(Dense(names[0], names[2], weight(sizes[2], sizes[0]), scale=0.25))
    if not {1, 2}.isdisjoint(neurons) and len(names) > 2 and draw(True, False):
        projections.append(Dense(names[2], names[1], weight(sizes[1], sizes[2]), delay=1))
    return SpikingNetwork(tuple(populations), tuple(projections), dt=draw(1e-3, 0.0123))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_round_trips(data: st.DataObject) -> None:
    network = draw_network(data)
    check_round_trip(network, spikes(data.draw(st.integers(0, 99)), network.inputs[0].shape, network.dtype))


@pytest.mark.full
@settings(max_examples=3000, deadline=None)
@given(data=st.data())
def test_many_round_trips(data: st.DataObject) -> None:
    network = draw_network(data)
    check_round_trip(network, spikes(data.draw(st.integers(0, 99)), network.inputs[0].shape, network.dtype))


def warned(network: SpikingNetwork, why: str) -> Any:
    """The module as near as it can be, having said why it is no nearer."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = to_snntorch(network, inexact="warn")
    assert all(w.category is ExchangeWarning for w in caught) and any(why in str(w.message) for w in caught)
    return module


def one(**given: Any) -> SpikingNetwork:
    lif = Population("lif", given.pop("kind", "lif"), (6,), **given)
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    return SpikingNetwork((Population("in", "input", (4,)), lif), (Dense("in", "lif", weight),))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"decay": 0.9, "reset": "subtract"}, "soft reset of the same step"),
        ({"threshold": 0.0}, "threshold is 0"),
        ({"threshold": 0.0, "reset": "subtract", "amount": 0.5}, "threshold is 0"),
        ({"threshold": torch.tensor([0.0, 1, 1, 1, 1, 1])}, "threshold is 0"),
        ({"reset_value": -0.25}, "another value than 0"),
        ({"decay": 0.9, "reset_value": torch.linspace(-0.5, 0, 6), "kind": "cuba_lif"}, "another value than 0"),
    ],
)
def test_resets_that_snntorch_does_not_know_are_refused_or_a_line_of_forward(given: dict[str, Any], why: str) -> None:
    network, x = one(**given), spikes(8, (4,))
    with pytest.raises(UnsupportedError, match=why) as refused:
        to_snntorch(network)
    assert "'lif'" in str(refused.value)
    module = warned(network, why)
    ours = our_trains(network, x)["lif"]
    assert torch.equal(written_trains(module, x)["lif"].bool(), ours) and ours.any()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"leak": 0.25}, "resting potential"),
        ({"leak": 0.25, "kind": "li"}, "resting potential"),
        ({"leak": 2.0}, "resting potential"),
        ({"refractory": 3}, "refractory for 3 steps"),
        ({"refractory": 1, "while_refractory": "integrate"}, "refractory for 1 step"),
        ({"refractory": 2, "reset": "subtract"}, "refractory for 2 steps"),
        ({"reset": "subtract", "reset_time": "next", "amount": 0.3}, "another amount"),
        ({"reset": "subtract", "reset_time": "guarded"}, "another amount"),
    ],
)
def test_what_is_only_near_is_refused_or_flagged(given: dict[str, Any], why: str) -> None:
    network, x = one(**given), spikes(8, (4,))
    with pytest.raises(UnsupportedError, match=why):
        to_snntorch(network)
    module = warned(network, why)
    assert torch.isfinite(written_trains(module, x)["lif"]).all()


def test_a_resting_potential_is_counted_from() -> None:
    """Quarters are exact, so that nothing rounds: written relative to it, the trains are equal."""
    network = one(leak=0.25, reset_value=0.25, decay=0.5, threshold=0.75)
    network = network.with_weights([(network.weights[0] * 4).round() / 4])
    x = spikes(8, (4,), steps=12)
    module = warned(network, "resting potential")
    ours = our_trains(network, x)["lif"]
    assert torch.equal(written_trains(module, x)["lif"].bool(), ours) and ours.any()


def test_what_has_no_place_at_all() -> None:
    network = one()
    with pytest.raises(UnknownNameError, match="inexact"):
        to_snntorch(network, inexact="maybe")  # type: ignore[arg-type]
    (q,) = network.projections
    two = SpikingNetwork((*network.populations, Population("b", "input", (4,))), (q, Dense("b", "lif", q.weight)))
    with pytest.raises(UnsupportedError, match="2 input"):
        to_snntorch(two)
    back = Transposed("lif", "hid", of=("hid", "lif"), delay=1)
    populations = (Population("in", "input", (2,)), Population("hid", "lif", (2,)), Population("lif", "lif", (3,)))
    dense = (Dense("in", "hid", torch.eye(2)), Dense("hid", "lif", torch.ones(3, 2)))
    with pytest.raises(UnsupportedError, match=r"'lif' -> 'hid'.*transposed"):
        to_snntorch(SpikingNetwork(populations, (*dense, back)))
    with pytest.raises(UnsupportedError, match="feeds"):
        to_snntorch(SpikingNetwork((*network.populations, Population("lone", "lif", (1,))), (q,)))


# --- what is refused of snnTorch --------------------------------------------------------------------------------------


def chain(neuron: Any) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), neuron)


class Mine(snn.Leaky):  # type: ignore[misc]
    """A neuron of the user's own."""


class Loop(nn.Module):
    def __init__(self, passes_on: str) -> None:
        super().__init__()
        self.fc, self.lif, self.passes_on = nn.Linear(4, 4), snn.Leaky(0.9), passes_on

    def forward(self, x: Tensor, mem: Any) -> Any:
        if self.passes_on == "steps":
            for _ in range(3):
                spk, mem = self.lif(self.fc(x), mem)
            return spk, mem
        if self.passes_on == "rest":
            return self.lif(self.fc(x), torch.zeros(2, 4))
        spk, mem = self.lif(self.fc(x), mem)
        return (self.fc(mem) if self.passes_on == "potential" else spk), mem * 0.5


def with_other_reset() -> Any:
    neuron = snn.Leaky(0.9)
    neuron.reset_mechanism = "zero"
    return neuron


def quiet(make: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU()), "without any neuron"),
        (lambda: chain(snn.Alpha(0.9, 0.8)), "'1' \\(Alpha\\)"),
        (lambda: chain(snn.SLSTM(4, 4)), "'1' \\(SLSTM\\)"),
        (lambda: chain(snn.SConv2dLSTM(4, 4, 3)), "'1' \\(SConv2dLSTM\\) is gated"),
        (lambda: chain(snn.RSynaptic(0.5, 0.5, linear_features=4, reset_delay=False)), "'1' \\(RSynaptic\\) has"),
        (lambda: chain(Mine(0.9)), "'1' \\(Mine\\)"),
        (lambda: chain(snn.Leaky(0.9, inhibition=True)), "'1' \\(Leaky\\) has inhibition"),
        (lambda: chain(snn.Leaky(0.9, state_quant=lambda v: v)), "state_quant"),
        (lambda: chain(snn.Leaky(0.9, threshold=-0.5)), "threshold -0.5"),
        (lambda: chain(snn.Leaky(0.9, threshold=torch.ones(5))), "'threshold' of shape"),
        (lambda: chain(snn.Leaky(0.9, threshold=float("nan"))), "no finite number"),
        (lambda: chain(snn.Leaky(0.9, threshold=float("inf"))), "no finite number"),
        (lambda: chain(snn.Leaky(torch.full((4,), 0.9, dtype=torch.float64))), "float64 among"),
        (lambda: chain(snn.Leaky(0.9, graded_spikes_factor=0.0)), "graded_spikes_factor"),
        (lambda: chain(snn.Leaky(0.9, spike_grad=lambda v: torch.sigmoid(v))), "spike_grad"),
        (lambda: chain(with_other_reset()), "another reset mechanism"),
        (lambda: chain(snn.Lapicque(beta=0.2)), "'1' \\(Lapicque\\) multiplies"),
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), snn.Leaky(0.9)), "'1' \\(ReLU\\) rectifies"),
        (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), snn.Leaky(0.9)), "'1' \\(MaxPool2d\\)"),
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), snn.Leaky(0.9)), "'1' \\(Sigmoid\\)"),
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4), snn.Leaky(0.9)), "'2'"),
        (lambda: nn.Sequential(nn.Linear(3, 4), snn.Leaky(0.9), nn.Linear(5, 4)), "does not accept inputs"),
        (lambda: nn.Sequential(nn.Linear(3, 4), snn.Leaky(0.9), nn.Linear(4, 4).double()), "does not accept|types"),
        (lambda: nn.Sequential(nn.Linear(3, 4).half(), snn.Leaky(0.9)), "types"),
        (lambda: Loop("steps"), "called more than once|no argument of forward"),
        (lambda: Loop("rest"), "'lif' \\(Leaky\\)"),
        (lambda: Loop("potential"), "has its 'mem' read by"),
        (lambda: Loop("half"), "has its 'mem' read by"),
        (lambda: torch.ones(3), "no module"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_class_and_place(module: Callable[[], Any], why: str) -> None:
    made = quiet(module)
    shape = (1, 6, 6) if isinstance(made, nn.Sequential) and isinstance(made[0], nn.Conv2d) else None
    with pytest.raises(ExchangeError, match=why) as refused:
        from_snntorch(made, shape)
    assert refused.value.expected


def test_a_time_step_must_be_one() -> None:
    with pytest.raises(SettingsError, match="dt"):
        from_snntorch(chain(snn.Leaky(0.9)), dt=0.0)


# --- folders ----------------------------------------------------------------------------------------------------------

ALONE = """
import sys
sys.modules["neurosleep"] = None  # not to be had
sys.path.insert(0, sys.argv[1])
import model
from safetensors.torch import load_file, save_file
network = model.load()
found = network.run(load_file(sys.argv[2])["x"])
save_file({name: sent.contiguous() for name, sent in found.items()}, sys.argv[3])
"""


def run_alone(folder: Path, x: Tensor, tmp_path: Path) -> dict[str, Tensor]:
    """What the folder's own code finds in a process without neurosleep."""
    from safetensors.torch import load_file, save_file

    save_file({"x": x}, tmp_path / "x.safetensors")
    paths = [str(folder), str(tmp_path / "x.safetensors"), str(tmp_path / "found.safetensors")]
    done = subprocess.run([sys.executable, "-c", ALONE, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return load_file(tmp_path / "found.safetensors")


@pytest.mark.slow
def test_a_converted_network_as_a_folder(tmp_path: Path) -> None:
    torch.manual_seed(4)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(27, 9), nn.ReLU())
    model.append(nn.Linear(9, 4))
    images = torch.rand(12, 1, 8, 8)
    network = ns.convert(model, images, recipe="percentile")
    file = ns.save(network, tmp_path / "net.safetensors")
    found = convert_file(file, to="snntorch", out=tmp_path / "folder")
    assert found["report"] == {} and found["out"] == str(tmp_path / "folder")
    alone = run_alone(tmp_path / "folder", images.expand(STEPS, *images.shape).contiguous(), tmp_path)
    ours = ns.simulate(network, images, STEPS, engine="reference")  # sums in the same order
    for p in network.layers:
        if p.kind == "lif":
            assert np.array_equal(alone[p.name].sum(0).flatten(1).numpy(), ours.counts[p.name])
    assert np.array_equal(alone[network.layers[-1].name].numpy(), ours.read_out)


@pytest.mark.slow
def test_a_sleeping_network_with_names_like_code_as_a_folder(tmp_path: Path) -> None:
    names = ('a"""; raise SystemExit #', "b\n\u2028import os", "class")
    populations = [Population("x", "input", (5,))]
    populations += [Population(name, "lif", (4,), decay=0.999, threshold=0.5) for name in names]
    sizes, order = [5, 4, 4, 4], [p.name for p in populations]
    torch.manual_seed(1)
    projections = [
        Dense(a, b, torch.randn(n, m), scale=0.7)
        for a, b, m, n in zip(order, order[1:], sizes, sizes[1:], strict=False)
    ]
    network = SpikingNetwork(tuple(populations), tuple(projections)).to(torch.float64)
    x = spikes(3, (5,), torch.float64)
    alone = run_alone(write_snntorch(network, tmp_path / "folder"), x.unsqueeze(1), tmp_path)
    ours = our_trains(network, x)
    assert all(torch.equal(alone[name][:, 0].bool(), ours[name]) and ours[name].any() for name in names)
    check_round_trip(network, x)


def test_a_folder_says_what_is_inexact(tmp_path: Path) -> None:
    file = ns.save(one(refractory=3), tmp_path / "net.safetensors")
    with pytest.raises(UnsupportedError, match="refractory"):
        convert_file(file, to="snntorch", out=tmp_path / "net")
    assert not (tmp_path / "net").exists()
    with pytest.warns(ExchangeWarning, match="refractory"):
        found = convert_file(file, to="snntorch", out=tmp_path / "net", inexact=True)
    assert "refractory" in found["report"]["inexact"][0]
    assert "# Not exact: Population 'lif': it is refractory" in (tmp_path / "net" / "model.py").read_text()
    with pytest.raises(SettingsError, match="folder"):
        convert_file(file, to="snntorch", out=tmp_path / "net.nir")


def test_events_are_the_same_as_steps() -> None:
    """The trains that the tests compare are those that everybody gets from an engine."""
    network, x = from_snntorch(chain(snn.Leaky(0.9))), spikes(1, (3,))
    events = get_engine("reference").start(network).run({"input": SpikeEvents.from_dense(x.bool())})
    assert torch.equal(events[network.layers[0].name].to_dense(torch.bool), neuron_trains(network, x)[0])


def test_a_batch_where_all_that_arrives_is_late() -> None:
    """Until the first spikes arrive the step does not know the size of the batch."""
    network = SpikingNetwork(
        (Population("input", "input", (3,)), Population("output", "lif", (2,))),
        (Dense("input", "output", torch.ones(2, 3), delay=2),),
    )
    x = torch.rand(6, 4, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    found = to_snntorch(network).run(x.float())["output"]
    assert found.shape == (6, 4, 2) and found.sum() > 0
    expected = ns.simulate(network, x, engine="reference").counts["output"]
    assert found.sum(0).tolist() == expected.tolist()
