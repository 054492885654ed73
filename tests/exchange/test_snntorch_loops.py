"""Modules of snnTorch whose forward goes over the steps itself, in the ways of its tutorials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import ExchangeError
from neurosleep.exchange import from_snntorch

snn = pytest.importorskip("snntorch")

STEPS = 40


class Net(nn.Module):
    """Two layers; a subclass says how it loops."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.lif1 = nn.Linear(8, 12), self.neuron(12)
        self.fc2, self.lif2 = nn.Linear(12, 4), snn.Leaky(beta=0.8, reset_mechanism="zero")
        with torch.no_grad():
            for parameter in self.parameters():
                parameter *= 3

    def neuron(self, size: int) -> Any:
        return snn.Leaky(beta=0.9)


class Tutorial(Net):
    """Time first; states from init_leaky."""

    def forward(self, x: Tensor) -> Any:
        mem1, mem2, spikes, potentials = self.lif1.init_leaky(), self.lif2.init_leaky(), [], []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(potentials)


class Constant(Net):
    """The same image in each of a fixed number of steps, flattened before them."""

    num_steps = STEPS

    def forward(self, x: Tensor) -> Any:
        x = x.view(x.size(0), -1)
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        total = 0
        for _ in range(self.num_steps):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            total = total + spk2
        return total


class BatchFirst(Net):
    """Steps along the second axis, states made of zeros by hand, a current of its own."""

    def neuron(self, size: int) -> Any:
        return snn.Synaptic(alpha=0.5, beta=0.9)

    def forward(self, x: Tensor) -> Any:
        syn1 = mem1 = torch.zeros(x.shape[0], 12)
        mem2, spikes = torch.zeros(x.shape[0], 4), []
        for step in range(x.shape[1]):
            spk1, syn1, mem1 = self.lif1(self.fc1(x[:, step]), syn1, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes += [spk2]
        return torch.stack(spikes, 1).transpose(0, 1)


class Recurrent(Net):
    """Over the input itself; spikes of the step before come back, by the neuron's own weights and by a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.back = nn.Linear(4, 12, bias=False)

    def neuron(self, size: int) -> Any:
        return snn.RSynaptic(0.5, 0.9, linear_features=size)

    def forward(self, x: Tensor) -> Any:
        spk1, syn1, mem1 = self.lif1.init_rsynaptic()
        mem2, spk2, spikes = self.lif2.init_leaky(), torch.zeros(1, 4), []
        for now in x:
            spk1, syn1, mem1 = self.lif1(self.fc1(now) + self.back(spk2), spk1, syn1, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


class Hidden(nn.Module):
    """Neurons that hold their states, in a Sequential within a loop."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(
            nn.Linear(8, 12), snn.Leaky(0.9, init_hidden=True), nn.Linear(12, 4), snn.Leaky(0.9, init_hidden=True)
        )

    def forward(self, x: Tensor) -> Any:
        spikes = []
        for step in range(x.size(0)):
            spikes.append(self.net(3 * x[step]))
        return torch.stack(spikes)


@torch.no_grad()
@pytest.mark.parametrize("make", [Tutorial, Constant, BatchFirst, Recurrent, Hidden])
def test_a_forward_with_a_loop_gives_its_own_spikes(make: Callable[[], nn.Module]) -> None:
    model = make()
    network = from_snntorch(model)
    x = (torch.rand(STEPS, 8, generator=torch.Generator().manual_seed(3)) < 0.4).float()
    x = x[:1].expand(STEPS, 8) if make is Constant else x
    found = ns.simulate(network, x > 0, record=ns.Record(spikes="all")).spikes[network.last.name].to_dense().bool()
    if make is Constant:
        assert torch.equal(found.sum(0).float(), model(x[:1])[0])
    else:
        answers = model(x.unsqueeze(0) if make is BatchFirst else x.unsqueeze(1))
        answers = answers[0] if isinstance(answers, tuple) else answers
        assert torch.equal(found, answers[:, 0].bool())
    assert 0 < int(found.sum()) < found.numel()
    if make is not Hidden:
        assert [p.name for p in network.populations] == ["input", "lif1", "lif2"]


class Odd(Net):
    """A loop that is no network of steps that are alike."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Any:
        mem1, mem2, spikes = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        if self.how == "state":
            mem1 = torch.ones(1, 12)
        for step in range(x.size(0)):
            now = x[step] * step if self.how == "growing" else x[step - 1] if self.how == "late" else x[step]
            spk1, mem1 = self.lif1(self.fc1(now), mem1)
            if self.how == "reset":
                mem1 = 0.5 * mem1
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            if self.how == "branch" and spk2.sum() > 0:
                break
            spikes.append(spk2)
        return None if self.how == "nothing" else torch.stack(spikes)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("state", "starts at states of its own"),
        ("growing", "does not do the same in each|starts at states of its own"),
        ("late", "reads another step of its input"),
        ("reset", "or changes them between steps"),
        ("branch", "cannot be followed"),
        ("nothing", "gives nothing that a step sends"),
    ],
)
def test_loops_that_are_no_network_are_refused(how: str, why: str) -> None:
    with pytest.raises(ExchangeError, match=why):
        from_snntorch(Odd(how))
