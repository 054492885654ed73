"""What a sleep computes in parts is what torch computes at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.replay import _quick_forward, outputs
from neurosleep.replay._quick_forward import QuickForward


def frames(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_quick_forward, "_AT_ONCE", 1000)


MAXIMA: dict[str, Callable[[Tensor], Tensor]] = {
    "usual": lambda x: F.max_pool2d(x, 2),
    "window of unequal sides": lambda x: torch.max_pool2d(x, (3, 2)),
    "stride as the window": lambda x: F.max_pool2d(x, [2], stride=(2, 2)),
    "named": lambda x: F.max_pool2d(input=x, kernel_size=4),
    "overlapping": lambda x: F.max_pool2d(x, 3, 2),
    "padded": lambda x: F.max_pool2d(x, 2, padding=1),
    "dilated": lambda x: F.max_pool2d(x, 2, dilation=2),
    "up to the edge": lambda x: F.max_pool2d(x, 2, ceil_mode=True),
    "a module": nn.MaxPool2d(2),
    "of one image": lambda x: F.max_pool2d(x[0], 2),
    "channels last": lambda x: F.max_pool2d(x.contiguous(memory_format=torch.channels_last), 2),
}


@pytest.mark.parametrize("case", list(MAXIMA))
@pytest.mark.parametrize("count", [1, 30])
def test_maxima_are_those_of_torch(case: str, count: int) -> None:
    given = frames(count, 3, 9, 11)
    given[0, 0, 0, :2] = torch.tensor([float("nan"), -torch.inf])
    with torch.no_grad(), QuickForward():
        made = MAXIMA[case](given)
    assert torch.equal(made.nan_to_num(nan=99), MAXIMA[case](given).nan_to_num(nan=99))
    assert made.is_contiguous() == MAXIMA[case](given).is_contiguous()


def test_indices_and_windows_too_large_are_left_to_torch() -> None:
    with torch.no_grad(), QuickForward():
        _, places = F.max_pool2d(frames(2, 1, 4, 4), 2, return_indices=True)
        assert places.shape == (2, 1, 2, 2)
        with pytest.raises(RuntimeError, match=r"[Oo]utput size is too small"):
            F.max_pool2d(frames(2, 1, 4, 4), 5)


@pytest.mark.parametrize("at_once", [1, 50, 10**9])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(3, 4, 3, padding="same"), (3, 9)),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (4, 9, 8)),
        (nn.Conv2d(3, 6, (3, 2), dilation=2, bias=False), (3, 9, 8)),
        (nn.Conv3d(2, 3, 2), (2, 4, 5, 6)),
    ],
)
def test_convolutions_are_those_of_torch(
    layer: nn.Module, shape: tuple[int, ...], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_quick_forward, "_AT_ONCE", at_once)
    given = frames(20, *shape)
    with torch.no_grad():
        at_once_made = layer(given)
        with QuickForward():
            assert torch.allclose(layer(given), at_once_made, rtol=1e-5, atol=1e-6)
            assert torch.allclose(layer(given[0]), at_once_made[0], rtol=1e-5, atol=1e-6)


def test_with_gradients_nothing_is_another_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Tensor:
        raise AssertionError("computed in parts")

    monkeypatch.setattr(_quick_forward, "_in_parts", refused)
    given = frames(30, 1, 6, 6).requires_grad_()
    with QuickForward():
        F.max_pool2d(F.conv2d(given, torch.ones(1, 1, 2, 2)), 2).sum().backward()  # type: ignore[no-untyped-call]
        with torch.no_grad(), pytest.raises(AssertionError, match="in parts"):
            F.max_pool2d(given, 2)
    assert given.grad is not None


def test_outputs_are_those_of_the_model() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    given = frames(50, 1, 8, 8)
    assert torch.allclose(outputs(model, given), model(given).detach(), atol=1e-6)
