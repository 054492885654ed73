"""The README's Python blocks do what they say, one after another as a reader would run them, on the embedded data."""

from __future__ import annotations

import copy
import importlib.util
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.data import class_incremental, load_dataset, to_float
from neurosleep.errors import NeurosleepWarning

README = Path(__file__).parents[2] / "README.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def run_with_avalanche(block: str, model: torch.nn.Module, x: torch.Tensor, labels: torch.Tensor) -> None:
    """The block that trains a model in place, on a benchmark of two experiences."""
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils import as_classification_dataset

    stream = []
    for chosen in (labels < 5, labels >= 5):
        # Again and again: a step or two would not make the network forget, and the guard would say so.
        inputs, targets = x[chosen].repeat(40, 1), labels[chosen].repeat(40)
        data = torch.utils.data.TensorDataset(inputs, targets)
        data.targets = targets.tolist()
        stream.append(as_classification_dataset(data))
    names: dict[str, Any] = {"model": model, "benchmark": benchmark_from_datasets(train=stream, test=stream)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeurosleepWarning)  # after the first nothing has been forgotten
        exec(compile(block, str(README), "exec"), names)
    plugin = names["learning"].plugins[0]
    assert plugin.result.status == "done" and plugin.keeper.count == 40 * len(x)


def right(model: torch.nn.Module, digits: range) -> float:
    """Share of the test images of these digits that are recognised."""
    (task,) = class_incremental(load_dataset("mnist-mini"), [digits])
    answers = model(torch.from_numpy(to_float(task.test_images))).argmax(1)
    return float((answers == torch.from_numpy(task.test_labels)).double().mean())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The sleep changed")  # its model has random weights
def test_the_python_blocks_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # one of them writes a file
    dataset = load_dataset("mnist-mini")
    x = torch.from_numpy(to_float(dataset.images[:200]))
    labels = torch.from_numpy(dataset.labels[:200])
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(784, 64, bias=False),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 64, bias=False),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 10, bias=False),
    )
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimiser.step()
    names: dict[str, Any] = {"model": model, "x": x, "labels": labels, "mean": x.mean(0).double().numpy()}
    found = blocks()
    assert len(found) == 6
    with_avalanche = next(block for block in found if "SleepPlugin" in block)
    plain = next(block for block in found if "Consolidator" in block)
    torch.manual_seed(0)
    alone: dict[str, Any] = {}  # it makes data and a model of its own
    exec(compile(plain, str(README), "exec"), alone)
    assert alone["slept"].status == "done"
    assert right(alone["model"], range(2)) > 0.8 and right(alone["model"], range(2, 4)) > 0.7
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for block in found:
        if block is plain:
            continue
        if block is with_avalanche:
            if importlib.util.find_spec("avalanche") is not None:
                run_with_avalanche(block, copy.deepcopy(model), x, labels)
            continue
        exec(compile(block, str(README), "exec"), names)
    # A copy came back each time: the model is the one it was.
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert names["result"].status == "done" and (tmp_path / "after_sleep.safetensors").is_file()
    # Watched and unwatched, the two sleep phases of the README are one.
    assert names["watched"].monitor("hidden1").num_spikes == names["result"].recording.counts["hidden1"].sum()
    assert names["potentials"].shape == (2, 501) and names["changes"].shape == (6,) and names["changes"][-1] > 0
    assert names["accuracy"](names["network"], x, labels) > 0.5
    said, again = names["sent"]["output"][-1], ns.simulate(names["again"], x, 100).read_out[-1]
    assert np.array_equal(said.argmax(1), again.argmax(1)) and (said.argmax(1) == labels).float().mean() > 0.5
    assert isinstance(names["spiking"].projections[-1], ns.Transposed)
