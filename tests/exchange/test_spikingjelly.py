"""Networks of SpikingJelly's modules: the spike trains of SpikingJelly's own simulation, or an error with the name."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import ExchangeError
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import SpikingNetwork, get_engine

pytest.importorskip("spikingjelly", reason='the extra "spikingjelly" is not installed')
from spikingjelly.activation_based import functional, layer, neuron, surrogate  # type: ignore
from spikingjelly.activation_based.ann2snn.modules import VoltageScaler  # type: ignore

STEPS = 120


def judged(module: nn.Module, shape: tuple[int, ...], p: float = 0.4, least: int = 50) -> SpikingNetwork:
    """The network, whose last population sends what the module does over random spikes."""
    # In float64, so that no rounding decides on which step a spike falls.
    module = module.double().eval()
    network = ns.from_spikingjelly(module, shape)
    x = torch.rand(STEPS, *shape, generator=torch.Generator().manual_seed(0)) < p
    functional.reset_net(module)
    many = any(getattr(part, "step_mode", "s") == "m" for part in module.modules())
    with torch.no_grad():
        sent = module(x[:, None].double()) if many else torch.stack([module(step[None].double()) for step in x])
    functional.reset_net(module)
    found = get_engine("reference").start(network).run({"input": SpikeEvents.from_dense(x.reshape(STEPS, -1))})
    train = found[network.last.name].to_dense(torch.bool).reshape(STEPS, -1)
    assert torch.equal(train, sent.reshape(STEPS, -1) != 0)
    assert int(train.sum()) > least
    return network


NEURONS: dict[str, Callable[[], nn.Module]] = {
    "IF": lambda: neuron.IFNode(),
    "IF, soft": lambda: neuron.IFNode(v_threshold=0.7, v_reset=None),
    "IF, other reset": lambda: neuron.IFNode(v_reset=-0.3),
    "LIF": lambda: neuron.LIFNode(),
    "LIF, soft": lambda: neuron.LIFNode(tau=4.0, v_reset=None, v_threshold=0.3, detach_reset=True),
    "LIF, other reset": lambda: neuron.LIFNode(tau=3.0, v_reset=0.2, v_threshold=0.6),
    "LIF, whole input": lambda: neuron.LIFNode(tau=1.5, decay_input=False),
    "LIF, whole input, other reset": lambda: neuron.LIFNode(tau=7.0, decay_input=False, v_reset=-0.5),
    "PLIF": lambda: neuron.ParametricLIFNode(init_tau=3.0, v_threshold=0.5),
    "PLIF, whole input": lambda: neuron.ParametricLIFNode(init_tau=1.2, decay_input=False, v_reset=None),
    "CUBA": lambda: neuron.CUBALIFNode(c_decay=0.3, v_decay=0.6),
    "CUBA, soft": lambda: neuron.CUBALIFNode(v_reset=None, v_threshold=2.0),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("name", NEURONS)
def test_every_neuron(name: str, mode: str) -> None:
    torch.manual_seed(1)
    module = nn.Sequential(layer.Linear(20, 30), NEURONS[name](), layer.Linear(30, 6, bias=False), NEURONS[name]())
    with torch.no_grad():
        module[0].weight.mul_(4)
        module[2].weight.mul_(9)
    functional.set_step_mode(module, mode)
    network = judged(module, (20,), least=30)
    assert [p.kind for p in network.populations] == ["input", *["cuba_lif" if "CUBA" in name else "lif"] * 2]
    assert torch.equal(network.weights[0], module[0].weight)


def csnn(mode: str = "s") -> nn.Sequential:
    """As SpikingJelly's tutorial for Fashion-MNIST has it, with all of its layers."""
    torch.manual_seed(2)
    module = nn.Sequential(
        layer.Conv2d(2, 6, 3, padding=1, bias=False), layer.BatchNorm2d(6), neuron.IFNode(), layer.MaxPool2d(2, 2),
        layer.Conv2d(6, 6, 3, padding=1), layer.BatchNorm2d(6), neuron.LIFNode(), layer.AvgPool2d(2),
        layer.Flatten(), layer.Dropout(0.5), layer.Linear(24, 20), neuron.IFNode(), layer.VotingLayer(5),
        neuron.IFNode(v_threshold=0.3, v_reset=None),
    )  # fmt: skip
    for part in module:
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.6, -0.2)
            nn.init.uniform_(part.running_var, 0.1, 0.5)
    functional.set_step_mode(module, mode)
    return module


@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_convolutional_network(mode: str) -> None:
    module = csnn(mode)
    state = {key: value.clone() for key, value in module.double().state_dict().items()}
    network = judged(module, (2, 8, 8))
    assert sorted({q.kind for q in network.projections}) == ["conv", "dense", "flatten", "pool"]
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    assert type(module[0]) is layer.Conv2d and type(module[2]) is neuron.IFNode


@pytest.mark.parametrize("kernel", [(2, 2, 0), (3, 1, 1), (3, 2, 1), ((1, 2), None, 0)])
def test_maxima_of_spikes(kernel: Any) -> None:
    torch.manual_seed(0)
    size, stride, padding = kernel
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3), neuron.IFNode(), nn.MaxPool2d(size, stride, padding), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip
    network = judged(module, (2, 9, 9), 0.7)
    assert [p.decay for p in network.layers if p.threshold == 0.5] == [0.0, 0.0]


def test_containers() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        layer.SeqToANNContainer(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)),
        neuron.IFNode(step_mode="m"),
        layer.MultiStepContainer(nn.Flatten(), nn.Linear(144, 30), neuron.LIFNode(tau=1.5, v_threshold=0.2)),
        layer.StepModeContainer(True, "m", nn.Linear(30, 20), neuron.IFNode(v_threshold=0.2)),
        layer.StepModeContainer(False, "m", nn.Linear(20, 10)),
        nn.Linear(10, 10),
        neuron.LIFNode(step_mode="m", v_threshold=0.1, decay_input=False),
    )
    judged(module, (1, 8, 8))
    judged(layer.MultiStepContainer(nn.Linear(9, 5), neuron.IFNode(v_threshold=0.1, v_reset=None)), (9,), least=20)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_sums_of_branches(mode: str) -> None:
    """A block of SEW ResNet: spikes of both branches add up."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(layer.Linear(12, 12), neuron.IFNode(v_threshold=0.3))
            self.last = nn.Sequential(layer.Linear(12, 12), neuron.IFNode(v_threshold=0.3))

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.last(x) + x

    torch.manual_seed(0)
    module = nn.Sequential(Block(), Block(), layer.Linear(12, 5), neuron.IFNode(v_threshold=0.2))
    functional.set_step_mode(module, mode)
    judged(module, (12,))


def test_a_scale_of_ann2snn() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(8, 9), VoltageScaler(2.0), neuron.IFNode(v_reset=None), VoltageScaler(0.5), nn.Linear(9, 4),
        neuron.IFNode(v_reset=None, v_threshold=0.1),
    )  # fmt: skip
    network = judged(module, (8,))
    assert [q.scale for q in network.projections] == [2.0, 0.5]


def test_a_read_out_without_neurons() -> None:
    network = ns.from_spikingjelly(nn.Sequential(nn.Linear(5, 4), neuron.IFNode(), nn.Linear(4, 2)))
    assert [p.kind for p in network.populations] == ["input", "lif", "relay"]


@pytest.mark.full
@pytest.mark.parametrize("seed", range(60))
def test_random_networks(seed: int) -> None:
    draw = random.Random(seed)
    torch.manual_seed(seed)
    size, parts = draw.randint(5, 20), list[nn.Module]()
    n = size
    for _ in range(draw.randint(1, 3)):
        m = draw.randint(4, 25)
        parts += [layer.Linear(n, m, bias=draw.random() < 0.5), NEURONS[draw.choice(list(NEURONS))]()]
        with torch.no_grad():
            parts[-2].weight.abs_().mul_(4)
        n = m
    module = nn.Sequential(*parts)
    functional.set_step_mode(module, draw.choice("sm"))
    judged(module, (size,), draw.uniform(0.2, 0.7), 0)


class Turned(nn.Module):
    """All steps on the first axis, and a mean over them at the end: as many forwards are."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(layer.Linear(4, 3, step_mode="m"), neuron.IFNode(step_mode="m"))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.unsqueeze(0).repeat(4, 1, 1)).mean(0)


class Again(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.node = nn.Linear(4, 4), neuron.IFNode()

    def forward(self, x: Tensor) -> Tensor:
        return self.node(self.fc(self.node(self.fc(x))))


def _graded() -> nn.Module:
    return neuron.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False))


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "no neuron": (lambda: nn.Sequential(nn.Linear(4, 3)), "without any neuron of SpikingJelly"),
    "nonlinear": (lambda: nn.Sequential(nn.Linear(4, 3), neuron.QIFNode()), r"'1' \(QIFNode\) has a potential"),
    "parallel": (lambda: nn.Sequential(nn.Linear(4, 3), neuron.PSN(4)), r"'1' \(PSN\) computes all steps at once"),
    "gated": (lambda: nn.Sequential(neuron.GatedLIFNode(T=4), neuron.IFNode()), r"\(GatedLIFNode\) has gates"),
    "no spikes": (lambda: nn.Sequential(nn.Linear(4, 3), _graded()), "does not send spikes of 0 and 1"),
    "mixed": (lambda: nn.Sequential(layer.Linear(4, 3, step_mode="m"), neuron.IFNode()), "'1' .*is in step mode 's'"),
    "steps as images": (lambda: nn.Sequential(neuron.IFNode(step_mode="m"), nn.Flatten()), "takes them for images"),
    "steps as a batch": (
        lambda: nn.Sequential(layer.SeqToANNContainer(nn.Linear(4, 3), neuron.IFNode())), "'0.1' .* as one batch",
    ),
    "starts elsewhere": (lambda: nn.Sequential(nn.Linear(4, 3), neuron.CUBALIFNode(v_reset=0.1)), "starts at v_reset"),
    "threshold": (lambda: nn.Sequential(nn.Linear(4, 3), neuron.IFNode(v_threshold=-1.0)), "threshold is -1.0"),
    "maxima of potentials": (
        lambda: nn.Sequential(nn.Conv1d(4, 3, 1), nn.MaxPool1d(2), neuron.IFNode()), "a maximum of other values",
    ),
    "relu": (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), neuron.IFNode()), "rectifies"),
    "over steps": (Turned, "'unsqueeze' in the forward of Turned sees all steps at once"),
    "twice": (Again, r"\(IFNode\) is called more than once|'node'.* is called more than once"),
    "another layer": (lambda: nn.Sequential(layer.GroupNorm(2, 4), neuron.IFNode()), r"\(GroupNorm\) normalises"),
    "standardised": (lambda: nn.Sequential(layer.WSLinear(4, 4), neuron.IFNode()), r"\(WSLinear\) has no counterpart"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_counterpart_is_refused_by_name(case: str) -> None:
    make, words = REFUSED[case]
    shape = (4, 6) if case == "maxima of potentials" else (4,)
    with pytest.raises(ExchangeError, match=words):
        ns.from_spikingjelly(make(), shape)


def test_inputs_that_do_not_fit() -> None:
    module = nn.Sequential(layer.Conv2d(1, 2, 3), neuron.IFNode())
    with pytest.raises(ExchangeError, match="does not say which shape"):
        ns.from_spikingjelly(module)
    with pytest.raises(ExchangeError, match=r"does not accept inputs of shape \(3, 8, 8\)"):
        ns.from_spikingjelly(module, (3, 8, 8))
    with pytest.raises(ns.NeurosleepError, match="dt, the length of a step"):
        ns.from_spikingjelly(module, (1, 8, 8), dt=0)
    with pytest.raises(ExchangeError, match="is no module"):
        ns.from_spikingjelly("net.pt")  # type: ignore[arg-type]
