"""What operations in place do to other names of a tensor; factors after the last ReLU; sums counted and not listed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.conversion import convert
from neurosleep.conversion._trace import trace
from neurosleep.conversion._verify import computed
from neurosleep.errors import ConversionError


class Net(nn.Module):
    """Two layers side by side, and one to read out; ``do`` says what is done in between."""

    def __init__(self, do: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.skip, self.drop, self.relu = nn.Identity(), nn.Dropout(0.5), nn.ReLU(inplace=True)
        self._do = do

    def forward(self, x: Tensor) -> Tensor:
        return self._do(self, x)


def _two_names(m: Any, x: Tensor) -> Tensor:
    h = torch.relu(m.a(x))
    keep = h
    h += torch.relu(m.b(x))
    return m.out(h + keep)


def _subtracted(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    keep = h
    h -= m.b(x)
    h /= 4
    return m.out(torch.relu(h) + keep)


def _shortcut(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    s = m.drop(m.skip(h))
    return m.out(m.b(m.relu(h)) + s)


def _view(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    torch.relu_(h.view(-1, 2, 4))
    return m.out(h)


def _view_of_view(m: Any, x: Tensor) -> Tensor:
    h = m.a(x).reshape(-1, 4, 2)
    flat = h.flatten(1)
    h.mul_(-0.5)
    return m.out(torch.relu(flat))


def _attribute(m: Any, x: Tensor) -> Tensor:
    m.state = m.a(x)
    keep = m.state
    m.state += m.b(x)
    return m.out(torch.relu(keep) + m.state)


def _out(m: Any, x: Tensor) -> Tensor:
    h, g = m.a(x), m.b(x)
    torch.add(h, g, out=h)
    return m.out(torch.relu(h))


def _methods(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    keep = h
    h.add_(m.b(x), alpha=0.5).mul_(2.0).div_(3.0).sub_(m.b(x)).neg_()
    return m.out(keep.relu_() + h)


def _input(m: Any, x: Tensor) -> Tensor:
    y = x
    y *= 3.0
    return m.out(torch.relu(m.a(x)))


def _returned(m: Any, x: Tensor) -> Tensor:
    y = m.out(torch.relu(m.a(x)))
    keep = y
    y *= -2.0
    return keep


RIGHT = [
    _two_names,
    _subtracted,
    _shortcut,
    _view,
    _view_of_view,
    _attribute,
    _out,
    _methods,
    _input,
    _returned,
]


def agree(model: nn.Module, x: Tensor) -> float:
    """The largest difference between the plan's output and the model's, relative to the model's largest."""
    with torch.no_grad():
        y = copy.deepcopy(model).eval()(x.clone()).flatten(1)
    return float((computed(trace(model, x.clone()), x.clone()) - y).abs().max() / y.abs().max())


@pytest.mark.parametrize("do", RIGHT, ids=[do.__name__ for do in RIGHT])
def test_all_names_of_a_tensor_change_with_it(do: Callable[[Any, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    model, x = Net(do), torch.rand(20, 8) - 0.5
    before = x.clone()
    assert agree(model, x) < 1e-5
    network = convert(model, x, recipe="max")
    assert torch.equal(x, before)  # the calibration images are not written into
    assert network.last.kind in ("li", "lif")


def _half(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    h[:, :4].relu_()
    return m.out(h)


def _chunk(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    h.chunk(2, 1)[0].mul_(2.0)
    return m.out(h)


def _transposed(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    h.view(-1, 2, 4).transpose(1, 2).relu_()
    return m.out(h)


def _assigned(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    h[:, 0] = 0
    return m.out(h)


def _filled(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    h.zero_()
    return m.out(h)


def _clamped(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    keep = h
    h.clamp_(min=0)
    return m.out(keep)


def _beside(m: Any, x: Tensor) -> Tensor:
    h, g = m.a(x), m.b(x)
    torch.add(h, g, out=g)
    return m.out(h) if h is g else m.out(g.detach())


def _random(m: Any, x: Tensor) -> Tensor:
    return m.out(torch.relu(m.a(x)) * (1.0 if torch.rand(()) < 0.5 else 2.0) + F.dropout(m.b(x)))


REFUSED = [_half, _chunk, _transposed, _assigned, _filled, _random]


@pytest.mark.parametrize("do", REFUSED, ids=[do.__name__ for do in REFUSED])
def test_what_cannot_be_followed_is_refused(do: Callable[[Any, Tensor], Tensor]) -> None:
    with pytest.raises(ConversionError):
        convert(Net(do), torch.rand(5, 8), recipe="max")


@pytest.mark.parametrize("do", [_clamped, _beside], ids=["clamped", "beside"])
def test_what_is_read_under_another_name_after_it_was_written_holds_that(do: Callable[[Any, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    assert agree(Net(do), torch.rand(20, 8) - 0.5) < 1e-5


class Counting(nn.Module):
    """Scales by how often it has been called: no trace can tell."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.calls = nn.Linear(8, 3), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.a(x) * float(self.calls)


def test_a_model_that_is_not_what_its_trace_is_is_refused() -> None:
    with pytest.raises(ConversionError, match="other numbers"):
        convert(Counting(), torch.rand(5, 8), recipe="max")


@pytest.mark.parametrize("factor", [1.0, 0.25, -1.0, 3.0])
def test_a_factor_after_the_last_relu_counts(factor: float) -> None:
    torch.manual_seed(0)
    model, x = Net(lambda m, x: torch.relu(m.a(x)) * factor), torch.rand(9, 8)
    assert agree(model, x) < 1e-5
    assert convert(model, x, recipe="max").last.kind == ("lif" if factor == 1 else "li")


def _doubling(n: int) -> Callable[[Any, Tensor], Tensor]:
    def do(m: Any, x: Tensor) -> Tensor:
        for _ in range(n):
            x = x + x
        return m.out(x)

    return do


def test_equal_terms_of_a_sum_are_one() -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 8)
    plan = trace(Net(_doubling(200)), x)
    assert sum(len(p.terms) for p in plan.populations) == 2
    assert agree(Net(_doubling(20)), x) < 1e-5
    with pytest.raises(ConversionError, match="range of numbers"):
        trace(Net(_doubling(1100)), x)
    gone = Net(lambda m, x: m.out(m.a(x) - m.a(x)))
    assert float(computed(trace(gone, x), x).sub(gone.out.bias.detach()).abs().max()) < 1e-6
    twice = Net(lambda m, x: m.out(m.a(x) + m.a(x)))
    assert agree(twice, x) < 1e-5 and len(trace(twice, x).weighted()) == 2
