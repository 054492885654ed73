"""Principal components of all inputs observed, kept without the inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.errors import ExchangeError, SettingsError
from neurosleep.functional import torch_generator
from neurosleep.replay import NREM, Consolidator
from neurosleep.replay._running_components import MOST, RunningComponents


def _tasks(sizes: tuple[int, ...], inputs: int = 12, rank: int = 3) -> list[torch.Tensor]:
    """Data of so many principal components, around other means in each task."""
    generator = torch_generator(0, "data")
    axes = torch.randn(rank, inputs, generator=generator)
    return [
        torch.randn(n, rank, generator=generator) @ axes + torch.randn(rank, generator=generator) @ axes for n in sizes
    ]


def _observed(tasks: list[torch.Tensor], batch: int | None = None) -> Consolidator:
    keeper = Consolidator()
    for number, x in enumerate(tasks):
        for part in torch.split(x, batch or len(x)):
            keeper.observe(part, torch.full((len(part),), number))
        keeper.close_task()
    return keeper


def _correlations(keeper: Consolidator) -> torch.Tensor:
    flat = keeper.loadings.flatten(1)
    return flat.T @ flat


@pytest.mark.parametrize("batch", [None, 50, 7])
def test_loadings_are_those_of_all_data_of_all_tasks(batch: int | None) -> None:
    tasks = _tasks((250, 300, 120))
    expected = torch.corrcoef(torch.cat(tasks).T)
    found = _correlations(_observed(tasks, batch))
    assert (found - expected).abs().max() < 1e-4  # every sample stands for itself: 300 at most


def test_of_large_tasks_300_samples_are_enough_to_be_near() -> None:
    tasks = _tasks((4000, 3000))
    found = _correlations(_observed(tasks, 100))
    assert (found - torch.corrcoef(torch.cat(tasks).T)).abs().max() < 0.1


def test_no_more_than_32_are_kept_however_many_tasks() -> None:
    generator = torch_generator(0, "noise")
    keeper = _observed([torch.randn(60, 50, generator=generator) for _ in range(5)])
    assert keeper.loadings.shape == (MOST, 50)
    assert float(keeper.loadings.square().sum(0).max()) <= 1 + 1e-6
    strengths = (keeper.loadings * keeper.std.float()).norm(dim=1)
    assert bool((strengths[:-1] >= strengths[1:] - 1e-4).all())


def test_they_outlive_the_file_a_copy_and_an_open_task(tmp_path: Path) -> None:
    tasks = _tasks((250, 100))
    keeper = _observed(tasks[:1])
    keeper.observe(tasks[1], torch.ones(100, dtype=torch.int64))
    expected = _correlations(keeper)
    for other in (keeper.copy(), Consolidator.open(keeper.save(tmp_path / "kept"))):
        assert torch.allclose(_correlations(other), expected, atol=1e-5)
        assert other.newest is None
    keeper.close_task()
    assert torch.allclose(_correlations(keeper), expected, atol=1e-5)


def test_what_came_without_samples_counts_by_its_mean() -> None:
    grown = RunningComponents.none().grown(torch.ones(4).double(), 10, None)
    assert grown.count == 10 and grown.rows.numel() == 0
    again = grown.grown(torch.tensor([3.0, 1, 1, 1]).double(), 20, None)
    # 10 inputs at 1, 10 at 5: each 2 from their mean of 3.
    assert (again.rows.T @ again.rows)[0, 0] == pytest.approx(20 * 2.0**2)


def test_impossible_components_in_a_file_are_refused(tmp_path: Path) -> None:
    keeper = _observed(_tasks((50,)))
    keeper._components_now = replace(keeper._components, rows=torch.full((2, 12), torch.nan).double())
    with pytest.raises(ExchangeError, match="impossible"):
        Consolidator.open(keeper.save(tmp_path / "kept"))


def test_a_stage_takes_the_strongest() -> None:
    noise = _observed(_tasks((250,), rank=5)).noise
    assert torch.equal(NREM(components=2).of(noise).loadings, noise.loadings[:2])
    assert NREM(components=0).of(noise).loadings is None
    pictures = replace(
        noise, mean=noise.mean.view(3, 4), spread=noise.spread.view(3, 4), loadings=noise.loadings.view(-1, 3, 4)
    )
    assert NREM(blobs=1.0).of(pictures).loadings is None and NREM(blobs=1.0).of(pictures).blobs == 1
    for count in (-1, 33):
        with pytest.raises(SettingsError, match=r"components cannot be -?\d+(?s:.*)from 0 to 32"):
            NREM(components=count)


def test_spikes_and_rates_regulate_alike_along_components() -> None:
    generator = torch_generator(0, "images")
    # A common factor of all inputs: bright and dark images.
    x = (torch.rand(400, 20, generator=generator) * torch.rand(400, 1, generator=generator)).clamp(0, 1)
    keeper = Consolidator()
    keeper.observe(x, torch.arange(400) % 4)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 4))
    made = {}
    for form in ("rates", "spikes"):
        sleep = ns.Sleep(stages=(NREM(form=form),))
        with torch.no_grad():
            made[form] = keeper.copy().consolidate(model, sleep=sleep, guard=False).model(x)
    apart = (made["rates"] - made["spikes"]).std() / made["rates"].std()
    assert float(apart) < 0.12
    alone = keeper.copy().consolidate(model, sleep=ns.Sleep(stages=(NREM(form="rates", components=0),)), guard=False)
    with torch.no_grad():
        independent = alone.model(x)
    assert float((independent - made["rates"]).std() / made["rates"].std()) > 2 * float(apart)


def test_consolidate_takes_the_noise_itself() -> None:
    keeper = _observed(_tasks((250,)))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    given = ns.consolidate(model, keeper.noise, guard=False).model.state_dict()
    plain = ns.consolidate(model, keeper.mean, keeper.std, guard=False).model.state_dict()
    assert not torch.equal(given["0.weight"], plain["0.weight"])
    with pytest.raises(SettingsError, match="std"):
        ns.consolidate(model, keeper.noise, keeper.std, guard=False)
