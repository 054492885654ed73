"""The picture at the top of README.md: forgetting, sleep, memory, from one run on the embedded data (about a minute).

    python tools/readme_picture.py [FILE]        else docs/assets/forgetting.png

An ordinary PyTorch network learns ten digits, two at a time. Left: without sleep, accuracy on each pair after each
task. Middle: spikes of half a second of the last sleep. Right: the same network, with a sleep after each task.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from PIL import Image
from torch import nn

import neurosleep as ns
from neurosleep import plot
from neurosleep.data import Task, class_incremental, to_float

FILE = Path(__file__).parents[1] / "docs" / "assets" / "forgetting.png"
STEPS = 500  # of the raster


@dataclass
class Course:
    """What one network went through: accuracies ``[after task, on task]``, and the recording of its last sleep."""

    accuracies: list[list[float]] = field(default_factory=list)
    recording: ns.Recording | None = None


def tensors(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(to_float(images)), torch.from_numpy(labels)


def learn(tasks: list[Task], *, sleeps: bool) -> Course:
    """Learn all tasks, with a sleep after each or without."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 10))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    consolidator, course = ns.Consolidator(), Course()
    for k, task in enumerate(tasks):
        x, y = tensors(task.train_images, task.train_labels)
        for batch in torch.randperm(len(x)).split(20):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()
        if sleeps:
            consolidator.observe(x, y)
            last = k == len(tasks) - 1
            slept = consolidator.consolidate(model, record=ns.Record(spikes="all") if last else None)
            slept.apply_to(model)
            course.recording = slept.stages[0].recording
        tests = [tensors(other.test_images, other.test_labels) for other in tasks]
        course.accuracies.append([float((model(x).argmax(1) == y).double().mean()) for x, y in tests])
    return course


def draw_accuracies(course: Course, ax: Axes, title: str) -> None:
    """A line for each pair of digits from when it is learnt, and in black the mean over all ten digits."""
    after = range(1, len(course.accuracies) + 1)
    for k, colour in enumerate(plot.task_colours(len(after))):
        ax.plot(after[k:], [100 * row[k] for row in course.accuracies[k:]], color=colour, marker="o", markersize=5)
    means = [100 * sum(row) / len(row) for row in course.accuracies]
    ax.plot(after, means, color="black", linewidth=3, zorder=3)
    said = ax.text(
        0.97, 0.31, f"all ten digits: {means[-1]:.0f} %", transform=ax.transAxes, ha="right", fontweight="bold"
    )
    said.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2})
    ax.spines[["top", "right"]].set_visible(False)
    ax.set(xticks=after, xticklabels=["0 1", "2 3", "4 5", "6 7", "8 9"], ylim=(-3, 103), xlabel="digits learnt")
    ax.set_ylabel("accuracy (%)")
    ax.set_title(title, fontweight="bold")


def main(file: Path) -> None:
    tasks = class_incremental(ns.load_dataset("mnist-mini"))
    awake, rested = learn(tasks, sleeps=False), learn(tasks, sleeps=True)
    assert rested.recording is not None
    fig = plot.figure(12.0, 3.6)
    left, middle, right = fig.subplots(1, 3, width_ratios=[1, 1.25, 1])
    draw_accuracies(awake, left, "without sleep it forgets")
    spikes = {name: events.slice(0, STEPS) for name, events in rested.recording.spikes.items()}
    plot.raster(spikes, max_neurons=200, ax=middle).set_title("sleep: it fires by itself", fontweight="bold")
    draw_accuracies(rested, right, "with sleep it remembers")
    # A palette: a third of the bytes.
    Image.open(io.BytesIO(plot.to_png_bytes(fig, dpi=130))).convert("RGB").quantize(64).save(file, optimize=True)
    print(file, [round(100 * sum(course.accuracies[-1]) / len(tasks), 1) for course in (awake, rested)])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
