"""Where sleep is computed: on the device of the model, or the one that is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import UnsupportedError
from neurosleep.functional import Homeostasis, InputNoise
from neurosleep.replay import NREM, REM, Sleep, _nrem, regulate

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.cuda.is_available() is False")


def dense() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def grid() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Conv2d(4, 4, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)),
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dense": (dense, (1, 4, 4)),
    "grid": (grid, (1, 4, 4)),
    "equilibrium": (lambda: ns.EquilibriumMLP([6, 5, 3], free_steps=20), (6,)),
}
RULES = {
    "layer": Homeostasis(),
    "classes": Homeostasis(classes=(0, 1)),
    "set-points": Homeostasis(target="set-points"),
}


def made(name: str) -> tuple[nn.Module, InputNoise]:
    make, shape = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval(), InputNoise(torch.full(shape, 0.5))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", MODELS)
def test_homeostasis_in_rates_makes_every_tensor_where_the_model_is(
    name: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where tensors lie on another device unless they are told, one that is not told cannot be computed with."""
    model, noise = made(name)
    expected = regulate(model, noise, RULES[rule], draws=60).model
    draw = InputNoise.frames

    def frames(self: InputNoise, count: int, *, seed: int, task: int = 0, start: int = 0) -> Tensor:
        with torch.device("cpu"):  # noise is drawn on the CPU, and moved
            return draw(self, count, seed=seed, task=task, start=start)

    monkeypatch.setattr(InputNoise, "frames", frames)
    with torch.device("meta"):
        with pytest.raises((RuntimeError, NotImplementedError)):
            assert bool((torch.ones(2) + torch.ones(2, device="cpu")).all())
        found = regulate(model, noise, RULES[rule], draws=60).model
    for value, right, before in zip(found.parameters(), expected.parameters(), model.parameters(), strict=True):
        assert value.device.type == "cpu" and torch.equal(value, right)
        assert value is not before


def test_a_stage_in_spikes_is_stepped_where_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = made("dense")
    assert _nrem.stage_device(model, None) == "cpu"
    monkeypatch.setattr(_nrem, "device_of", lambda model: "cuda:1")
    devices = {engine: _nrem.stage_device(model, engine) for engine in (None, "torch", "reference", "event")}
    assert devices == {None: "cuda:1", "torch": "cuda:1", "reference": "cuda:1", "event": "cpu"}


def test_a_device_that_is_not_here_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model, noise = made("dense")
    with pytest.raises(UnsupportedError, match="no CUDA device here"):
        regulate(model, noise, device="cuda")
    with pytest.raises(UnsupportedError, match="no CUDA device here"):
        ns.consolidate(model, noise.mean, device="cuda", guard=False)


def test_the_device_of_the_model_may_be_named() -> None:
    model, noise = made("grid")
    named, usual = (regulate(model, noise, draws=60, device=device).model for device in ("cpu", None))
    assert all(torch.equal(*pair) for pair in zip(named.parameters(), usual.parameters(), strict=True))
    slept = [ns.consolidate(model, noise.mean, guard=False, device=device).model for device in ("cpu", None)]
    assert all(torch.equal(*pair) for pair in zip(*(one.parameters() for one in slept), strict=True))


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("name", MODELS)
def test_homeostasis_in_rates_on_a_gpu_is_that_on_the_cpu(name: str) -> None:
    model, noise = made(name)
    expected = regulate(model, noise, draws=200).model
    there = regulate(made(name)[0].cuda(), noise, draws=200).model
    back = regulate(model, noise, draws=200, device="cuda").model
    for right, one, other in zip(expected.parameters(), there.parameters(), back.parameters(), strict=True):
        assert one.is_cuda and not other.is_cuda
        assert torch.allclose(one.cpu(), right, atol=1e-4) and torch.allclose(other, right, atol=1e-4)


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("stages", [(NREM(form="spikes"),), (REM(steps=200),)])
def test_a_model_on_a_gpu_sleeps_there(stages: tuple[NREM | REM, ...]) -> None:
    model, noise = made("dense")
    sleep = Sleep(stages=stages, thresholds=(0.1, 0.1))
    given = {"mean": noise.mean, "sleep": sleep, "guard": False}
    expected = ns.consolidate(model, **given)  # type: ignore[arg-type]
    found = ns.consolidate(made("dense")[0].cuda(), **given)  # type: ignore[arg-type]
    assert found.status == expected.status == "done"
    for value, right in zip(found.model.parameters(), expected.model.parameters(), strict=True):
        assert value.is_cuda and torch.allclose(value.cpu(), right, atol=1e-3)
