"""Networks as people write them sleep as the plain ones that compute the same do, or say by name why not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import NeurosleepError, UnsupportedError
from neurosleep.functional import Homeostasis, InputNoise, torch_generator
from neurosleep.replay import answers, homeostasis, outputs, regulate
from neurosleep.replay._drives import trace_drives

DRAWS = 500
RATES = ns.Sleep(stages=(ns.NREM(form="rates", draws=DRAWS),))


def noise(*shape: int) -> InputNoise:
    return InputNoise(0.1 + 0.5 * torch.rand(shape, generator=torch_generator(0, "mean")))


def plain(bias: bool = True) -> nn.Sequential:
    """What the networks below compute, in layers of torch; units of very different means and spreads."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 9, bias=bias), nn.ReLU(), nn.Linear(9, 6, bias=bias))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.3 + 2 * torch.rand(len(parameter), *[1] * (parameter.ndim - 1))).add_(0.1)
    return model


class Written(nn.Module):
    """Parameters of one's own, and a forward pass that says how they are used."""

    def __init__(self, layer: Callable[[Tensor, Tensor, Tensor], Tensor], columns: bool) -> None:
        super().__init__()
        like, self.layer = plain(), layer
        self.w1, self.b1, self.w2, self.b2 = (nn.Parameter(value.detach().clone()) for value in like.parameters())
        if columns:
            self.w1, self.w2 = nn.Parameter(self.w1.detach().T.clone()), nn.Parameter(self.w2.detach().T.clone())
        self.columns = columns

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.relu(self.layer(x, self.w1, self.b1)), self.w2, self.b2)


WAYS: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], bool]] = {
    "F.linear": (lambda x, w, b: F.linear(x, w, b), False),
    "F.linear and a bias by hand": (lambda x, w, b: F.linear(x, w) + b, False),
    "x @ w.T + b": (lambda x, w, b: x @ w.T + b, False),
    "b + x @ w.T": (lambda x, w, b: b + x @ w.T, False),
    "matmul of the transpose, in place": (lambda x, w, b: torch.matmul(x, w.t()).add_(b), False),
    "x @ w + b": (lambda x, w, b: x @ w + b, True),
    "addmm": (lambda x, w, b: torch.addmm(b, x, w), True),
    "addmm of the transpose": (lambda x, w, b: torch.addmm(b, x, w.T), False),
}


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("mean_by", ["weights", "bias"])
@pytest.mark.parametrize("way", WAYS)
def test_products_and_biases_by_hand_are_layers(
    way: str, mean_by: Any, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, columns = WAYS[way]
    model, like, given, rule = Written(layer, columns), plain(), noise(12), Homeostasis(mean_by=mean_by)
    if blocks > 1:
        monkeypatch.setattr(
            homeostasis, "_LARGEST", trace_drives(like, given.frames(2, seed=0)).largest * DRAWS // blocks
        )
    done, expected = (regulate(one, given, rule, draws=DRAWS) for one in (model, like))
    assert done.notes == () and [one.name for one in done.layers] == ["w1", "w2"] and done.layers[1].output
    assert not torch.equal(expected.model[2].bias, like[2].bias)
    for name, value in zip(("w1", "b1", "w2", "b2"), expected.model.parameters(), strict=True):
        mine = done.model.get_parameter(name)
        mine = mine.T if columns and mine.ndim == 2 else mine
        torch.testing.assert_close(mine, value, rtol=1e-4, atol=1e-5)
    x = torch.rand(5, 12)
    torch.testing.assert_close(done.model(x), expected.model(x), rtol=1e-4, atol=1e-4)


class Channels(nn.Module):
    """A convolution whose bias is added by hand, of the shape of what it is added to."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.bias = nn.Conv2d(2, 4, 3, bias=False), nn.Parameter(torch.randn(4, 1, 1))
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x) + self.bias).mean((2, 3)))


def test_the_bias_of_channels_may_be_added_by_hand() -> None:
    torch.manual_seed(0)
    model, given = Channels(), noise(2, 6, 6)
    like = nn.Conv2d(2, 4, 3)
    like.load_state_dict({"weight": model.first.weight, "bias": model.bias.flatten()})
    twin = nn.Sequential(like, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), model.last)
    done, expected = (regulate(one, given, Homeostasis(mean_by="bias"), draws=DRAWS) for one in (model, twin))
    assert done.model.bias.shape == (4, 1, 1)
    torch.testing.assert_close(done.model.bias.flatten(), expected.model[0].bias, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(done.model.first.weight, expected.model[0].weight, rtol=1e-4, atol=1e-5)


def test_a_frozen_bias_by_hand_stays_and_a_shared_one_is_none() -> None:
    model = Written(WAYS["x @ w.T + b"][0], columns=False)
    model.b1.requires_grad_(False)
    done = regulate(model, noise(12), draws=DRAWS)
    assert torch.equal(done.model.b1, model.b1) and not torch.equal(done.model.w1, model.w1)
    assert float(done.layers[0].mean_after.std()) < 1e-3 * float(done.layers[0].mean_before.std())
    model = Written(lambda x, w, b: x @ w + b, columns=True)
    model.w2, model.b2 = nn.Parameter(torch.randn(9, 9)), model.b1
    done = regulate(model, noise(12), draws=DRAWS)
    assert torch.equal(done.model.b1, model.b1) and [one.name for one in done.layers] == ["w1", "w2"]


class Heads(nn.Module):
    """Heads whose outputs stand side by side."""

    def __init__(self, sizes: tuple[int, ...] = (2, 3, 1), bias: bool = True, log: bool = False) -> None:
        super().__init__()
        layers = plain(bias)
        self.trunk, self.log = nn.Sequential(layers[0], layers[1]), log
        self.heads = nn.ModuleList()
        for size, first in zip(sizes, (0, sizes[0], sum(sizes[:2])), strict=False):
            self.heads.append(nn.Linear(9, size, bias=bias))
            for key, value in self.heads[-1].named_parameters():
                value.data.copy_(getattr(layers[2], key)[first : first + size])

    def forward(self, x: Tensor) -> Tensor:
        h = self.trunk(x)
        scores = torch.cat([head(h) for head in self.heads], dim=1)
        return F.log_softmax(scores, 1) if self.log else scores


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("mean_by", ["weights", "bias"])
@pytest.mark.parametrize("log", [True, False])
def test_heads_side_by_side_are_one_output(
    log: bool, mean_by: Any, bias: bool, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, like, given = Heads(bias=bias, log=log), plain(bias), noise(12)
    rule = Homeostasis(classes=(0, 1, 2, 5), mean_by=mean_by)
    if blocks > 1:
        monkeypatch.setattr(
            homeostasis, "_LARGEST", trace_drives(like, given.frames(2, seed=0)).largest * DRAWS // blocks
        )
    done, expected = (regulate(one, given, rule, draws=DRAWS) for one in (model, like))
    assert [one.name for one in done.layers] == ["trunk.0", "heads.0+heads.1+heads.2"]
    assert done.layers[1].output and done.layers[1].changed.tolist() == [True, True, True, False, False, True]
    assert torch.allclose(done.layers[1].mean_after, expected.layers[1].mean_after)
    for key in ("weight", "bias") if bias else ("weight",):
        heads = torch.cat([getattr(head, key) for head in done.model.heads])
        torch.testing.assert_close(heads, getattr(expected.model[2], key), rtol=1e-4, atol=1e-5)
        assert not torch.equal(heads[:3], getattr(like[2], key)[:3])


def test_heads_that_stay_are_named() -> None:
    model = Heads()
    model.heads[0].requires_grad_(False)
    with pytest.raises(
        UnsupportedError, match=r"some of them cannot change[\s\S]*heads\.0 stays as it is: it is frozen"
    ):
        regulate(model, noise(12), Homeostasis(classes=(0, 1)), draws=DRAWS)
    assert [one.name for one in regulate(model, noise(12), draws=DRAWS).layers] == ["trunk.0", "heads.1", "heads.2"]
    model = Heads(sizes=(2, 4))
    model.heads[1] = nn.Linear(9, 4, bias=False)
    with pytest.raises(UnsupportedError, match="move their means in different ways"):
        regulate(model, noise(12), Homeostasis(mean_by="bias"), draws=DRAWS)


def learnt(model: nn.Module, keeper: ns.Consolidator, classes: list[int], steps: int = 60) -> Tensor:
    """``model`` learns classes of one input each, with noise; the inputs come back."""
    generator = torch_generator(0, "images", *classes)
    prototypes = (torch.rand(6, 12, generator=torch_generator(0, "prototypes")) > 0.5).float()
    y = torch.tensor(classes).repeat(60)
    x = (prototypes[y] + 0.3 * torch.rand(len(y), 12, generator=generator)).clamp(0, 1)
    optimiser = torch.optim.SGD(model.parameters(), 0.5)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(outputs_of(model, x), y).backward()
        optimiser.step()
    keeper.observe(x, y)
    return x


def outputs_of(model: nn.Module, x: Tensor) -> Tensor:
    returned = model(x)
    if isinstance(returned, Tensor):
        return returned
    return returned["logits"] if isinstance(returned, dict) else next(one for one in returned if one.shape[1] == 6)


def test_heads_that_are_added_remember() -> None:
    model, keeper = Heads(sizes=(2,)), ns.Consolidator()
    old = learnt(model, keeper, [0, 1])
    assert keeper.consolidate(model, sleep=RATES, guard=False).status == "done"
    model.heads.append(nn.Linear(9, 2))
    learnt(model, keeper, [2, 3], steps=200)
    forgot = float((answers(model, old) == torch.tensor([0, 1]).repeat(60)).double().mean())
    slept = keeper.consolidate(model, sleep=RATES)
    assert slept.status == "done", slept.reason
    slept.apply_to(model)
    assert float((answers(model, old) == torch.tensor([0, 1]).repeat(60)).double().mean()) > forgot + 0.3


@dataclass
class Answer:
    features: Tensor
    logits: Tensor
    loss: Tensor | None = None


class Returning(nn.Module):
    """What people return beside the scores."""

    def __init__(self, make: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.trunk, self.act, self.head = plain()
        self.make = make

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Any:
        hidden = self.act(self.trunk(x))
        return self.make(self.head(hidden), hidden)


RETURNS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "scores, then features": lambda scores, hidden: (scores, hidden),
    "features, then scores": lambda scores, hidden: [hidden, scores],
    "a mapping": lambda scores, hidden: {"features": hidden, "logits": scores},
    "a mapping without the name": lambda scores, hidden: OrderedDict(features=hidden, out=scores),
    "an object": lambda scores, hidden: Answer(hidden, scores),
    "one in a tuple": lambda scores, hidden: (scores,),
    "probabilities and features": lambda scores, hidden: (F.softmax(scores, 1), hidden),
}


@pytest.mark.parametrize("kind", RETURNS)
def test_scores_are_found_in_what_a_model_returns(kind: str) -> None:
    model, like = Returning(RETURNS[kind]), plain()
    x = torch.rand(30, 12)
    assert torch.equal(answers(model, x), like(x).argmax(1))
    result, expected = (
        ns.consolidate(
            one,
            torch.full((12,), 0.4),
            classes=range(6),
            new_classes=[5],
            holdout=(x, torch.full((30,), 5)),
            sleep=RATES,
            guard=ns.Guard(gain=-100.0, recall=0.0),
        )
        for one in (model, like)
    )
    assert result.status == expected.status == "done" and result.reason == expected.reason
    for mine, theirs in zip(result.model.parameters(), expected.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_what_may_be_several_scores_is_refused() -> None:
    model = Returning(lambda scores, hidden: (F.softmax(scores, 1), F.softmax(scores * 2, 1)))
    with pytest.raises(UnsupportedError, match=r"returns 2 tensors[\s\S]*\(5, 6\), \(5, 6\)[\s\S]*'logits'"):
        outputs(model, torch.rand(5, 12))

    class Two(Returning):
        def forward(self, x: Tensor, labels: Tensor | None = None) -> Any:
            hidden = self.act(self.trunk(x))
            return self.head(hidden), self.other(hidden)

    two = Two(lambda *_: None)
    two.other = nn.Linear(9, 6)
    with pytest.raises(UnsupportedError, match=r"several layers[\s\S]*head, other[\s\S]*torch.cat"):
        ns.consolidate(two, torch.full((12,), 0.4), classes=[0, 1], guard=False)


@pytest.mark.parametrize("squeezed", [True, False])
def test_one_output_for_two_classes_is_declined_in_words(squeezed: bool) -> None:
    model: nn.Module = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 1))
    model = nn.Sequential(model, nn.Flatten(0)) if squeezed else model
    keeper = ns.Consolidator()
    keeper.observe(torch.rand(40, 12), torch.arange(40) % 2)
    with pytest.warns(ns.errors.NeurosleepWarning, match="one output tells two classes apart"):
        assert keeper.consolidate(model, sleep=RATES).status == "declined"
    result = ns.consolidate(model, torch.full((12,), 0.4), classes=[0, 1], sleep=RATES, guard=False)
    assert result.status == "done" and int(result.stages[0].regulated.layers[-1].changed.sum()) == 1
    assert answers(model, torch.rand(7, 12)).shape == (7,)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_scripted_model_is_told_which_to_take() -> None:
    model = plain()
    for compiled in (torch.jit.script(model), torch.jit.trace(model, torch.rand(2, 12))):
        with pytest.raises(UnsupportedError, match=r"compiled by torch\.jit"):
            ns.consolidate(compiled, torch.full((12,), 0.4), guard=False)
        # As the message says, both share their weights.
        result = ns.consolidate(model, torch.full((12,), 0.4), sleep=RATES, guard=False)
        result.apply_to(model)
        x = torch.rand(3, 12)
        torch.testing.assert_close(compiled(x), model(x))


def test_a_compiled_model_sleeps_as_it_is() -> None:
    model = plain()
    compiled = torch.compile(model, backend="eager")
    result, expected = (
        ns.consolidate(one, torch.full((12,), 0.4), sleep=RATES, guard=False) for one in (compiled, model)
    )
    result.apply_to(compiled)
    for mine, theirs in zip(model.parameters(), expected.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm", "parametrization"])
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_a_weight_that_is_computed_is_refused_by_the_name_of_its_layer(norm: str) -> None:
    model = plain()
    make = getattr(nn.utils, norm, nn.utils.parametrizations.weight_norm)
    model[2] = make(model[2])
    with pytest.raises(NeurosleepError, match=r"'2'[\s\S]*remove"):
        ns.consolidate(model, torch.full((12,), 0.4), guard=False)
