"""All analyses of a sleep in one call, on random networks and on a real sleep."""

from __future__ import annotations

import copy
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurosleep import plot
from neurosleep.analysis import Table, analyse_sleep, patch_drive, weight_trajectory
from neurosleep.conversion import Recursive, convert, wake
from neurosleep.data import class_incremental, load_dataset, to_float
from neurosleep.errors import NeurosleepError
from neurosleep.functional import MeanDrive, make_rule, torch_generator
from neurosleep.learning import Backprop, accuracy
from neurosleep.networks import MLP
from neurosleep.replay import sleep
from neurosleep.spiking import Record, Recording

OF_TASKS = {"input_drive", "activity_share"}
HIDDEN = {"task_specific_firing", "sleep_wake_similarity", *OF_TASKS}


def test_tables_that_fit_the_network(pair: Any, sleep_phase: Any) -> None:
    before, after, x, y = pair(0)
    tables = analyse_sleep(before, after, sleep_phase(0), x, y, [[0, 1], [2]])
    assert tables.keys() > HIDDEN and len(tables) == 14
    assert analyse_sleep(before, after, sleep_phase(0), x, y, [[0, 1, 2]]).keys() == tables.keys() - OF_TASKS
    assert tables.keys() - analyse_sleep(before, after, None, x, y, [[0, 1], [2]]).keys() == HIDDEN - OF_TASKS
    flat = MLP([12, 3])
    assert analyse_sleep(flat, flat, sleep_phase(0), x, y, [[0, 1], [2]]).keys() == tables.keys() - HIDDEN
    only = analyse_sleep(before, after, sleep_phase(0), x, y, [[0], [2]])
    assert set(only["sparseness"]["class"].tolist()) == {0, 2}, "classes not learnt yet are left out"
    with pytest.raises(NeurosleepError):
        analyse_sleep(before, after, sleep_phase(0), x, y, [[0], [5]])


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    """Two tasks of the demo learnt one after the other, with a sleep after each; everything of the second one."""
    torch.set_num_threads(1)
    settings = tomllib.loads(
        resources.files("neurosleep.experiments").joinpath("published/demo/mnist-mini.toml").read_text()
    )
    training, asleep = Backprop(**settings["wake"]), settings["sleep"]
    rule = make_rule(**asleep["rule"])
    tasks = class_incremental(load_dataset("mnist-mini"))[:2]
    net = MLP(settings["network"]["sizes"], dropout=0.25, generator=torch_generator(0, "init"))
    velocity = [torch.zeros_like(weight) for weight in net.weights]
    moments: list[tuple[str, MLP]] = []
    recording = Recording(0, 0.001, {})
    for k, task in enumerate(tasks):
        x, y = torch.from_numpy(to_float(task.train_images)), torch.from_numpy(task.train_labels)
        for _ in training.fit(net, x, y, velocity, lambda name, epoch, k=k: torch_generator(0, name, k, epoch)):  # type: ignore[misc]
            pass
        moments.append((f"wake {k + 1}", copy.deepcopy(net)))
        pool = to_float(np.concatenate([t.pool_images for t in tasks[: k + 1]]))
        recipe = Recursive(asleep["alpha_scale"])
        spiking = convert(net, torch.from_numpy(pool), recipe=recipe, thresholds=asleep["thresholds"])
        drive = MeanDrive(pool.mean(axis=0, dtype=np.float64), asleep["max_rate"], asleep["window"], (28, 28))
        steps = round(asleep["steps"] * (1 + asleep["growth"] * k))
        result = sleep(spiking, drive=drive, rule=rule, steps=steps, record=Record(spikes="all"), task=k)
        assert result.status == "done"
        recording = result.recording
        net = wake(result.network, net)
        moments.append((f"sleep {k + 1}", copy.deepcopy(net)))
    x = torch.from_numpy(to_float(np.concatenate([task.test_images for task in tasks])))
    y = torch.from_numpy(np.concatenate([task.test_labels for task in tasks]))
    before, after = moments[-2][1], moments[-1][1]
    tables = analyse_sleep(before, after, recording, x, y, [task.classes for task in tasks])
    return {"tables": tables, "moments": moments, "before": before, "after": after, "x": x, "y": y}


def test_a_real_sleep_recovers_the_old_task_and_goes_in_the_published_directions(real: dict[str, Any]) -> None:
    x, y, tables = real["x"], real["y"], real["tables"]
    old = y < 2
    gain = accuracy(real["after"], x[old], y[old]) - accuracy(real["before"], x[old], y[old])
    assert gain > 0.2
    summary = tables["correlation_summary"]
    for layer in ("hidden1", "hidden2"):
        same, different = summary.where(layer=layer)["change"]
        assert different < -0.1 and different < same, "classes move apart, and less so the images of one class"
        sparse = tables["sparseness"].where(layer=layer)
        assert sparse["sparseness_after"].mean() > sparse["sparseness_before"].mean()
        assert sparse["active_after"].mean() < sparse["active_before"].mean()
        firing = tables["task_specific_firing"].where(layer=layer)
        assert (firing["specific_hz"] > 2 * firing["random_hz"]).all() and (firing["p_bonferroni"] < 0.01).all()
        assert (tables["sleep_wake_similarity"].where(layer=layer)["per_image"] > 0.3).all()
        old_change, new_change = tables["input_drive"].where(layer=layer)["change"]
        assert new_change < 0 and old_change > new_change
    assert (tables["weight_summary"]["shrunk"] > tables["weight_summary"]["grown"]).all()


def test_every_table_prints_is_written_and_can_be_drawn(real: dict[str, Any], tmp_path: Path) -> None:
    tables: dict[str, Table] = real["tables"]
    for name, table in tables.items():
        assert str(table).splitlines()[0].split() == list(table.columns)
        assert table.to_csv(tmp_path / f"{name}.csv").stat().st_size > 0
    moments = real["moments"]
    trajectory = weight_trajectory(
        [net.weights for _, net in moments], runs=["seed 0"] * len(moments), moments=[name for name, _ in moments]
    )
    drawn = [
        plot.class_correlation(tables["class_correlation"], layer="hidden1"),
        plot.correlation_change(tables["class_correlation"], layer="hidden2"),
        plot.sparseness(tables["sparseness"]),
        plot.task_specific_firing(tables["task_specific_firing"], layer="hidden1"),
        plot.sleep_wake_similarity(tables["sleep_wake_similarity"]),
        plot.representation_change(tables["representation_change"]),
        plot.input_drive(tables["input_drive"]),
        plot.weight_histogram(tables["weight_histogram"], layer="hidden1", part="grown"),
        plot.stable_rank(tables["stable_rank"]),
        plot.weight_trajectory(trajectory),
    ]
    for number, ax in enumerate(drawn):
        fig = ax.get_figure(root=True)
        assert fig is not None and ax.get_ylabel()
        assert plot.save(fig, tmp_path / f"{number}.png").stat().st_size > 5000


def test_a_patch_analysis_refuses_a_real_network(real: dict[str, Any]) -> None:
    with pytest.raises(NeurosleepError):
        patch_drive(real["before"], real["after"], real["x"], real["y"], [[0, 1], [2, 3]])
