"""Your own classifier: what sleep does to its units.

A plain PyTorch classifier (biases, torch's own initial weights, cross-entropy, SGD) learns the digits 0 to 4, then
5 to 9, and forgets the first five. Under noise the old outputs are driven far below the new ones; in sleep every unit
regulates mean and spread of its drive, and the old digits are back. Nothing of them was kept but input statistics.
"""

import torch
from torch import nn

import neurosleep as ns
from neurosleep import plot
from neurosleep.data import class_incremental, to_float

tasks = class_incremental(ns.load_dataset("mnist-mini"), [range(5), range(5, 10)])
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 10))
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)


# %% An ordinary training loop, which knows nothing of sleep.
def train(images: torch.Tensor, labels: torch.Tensor) -> None:
    for batch in torch.randperm(len(images)).split(20):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimiser.step()


def right(network: nn.Module) -> list[float]:
    tests = [(torch.from_numpy(to_float(t.test_images)), torch.from_numpy(t.test_labels)) for t in tasks]
    return [float((network(x).argmax(1) == labels).double().mean()) for x, labels in tests]


consolidator = ns.Consolidator()
for task in tasks:
    consolidator.close_task()  # what was new is old now; the first task has no sleep of its own
    x, labels = torch.from_numpy(to_float(task.train_images)), torch.from_numpy(task.train_labels)
    train(x, labels)
    consolidator.observe(x, labels)

# %% One sleep, and what the outputs did in it: open circles before sleep, full ones after it.
result = consolidator.consolidate(model)
before, after = right(model), right(result.model)
fig = plot.figure(9.0, 4.2, title=f"All digits: {50 * sum(before):.0f} % before sleep, {50 * sum(after):.0f} % after")
left, ax = fig.subplots(1, 2)
outputs = result.stages[0].regulated
plot.unit_drives(outputs, layer="2", classes=range(10), new_classes=range(5, 10), ax=left).set_title("")

# %% The old digits are recognised again.
for k, (age, shift) in enumerate((("old digits, 0 to 4", -0.2), ("new digits, 5 to 9", 0.2))):
    heights = [100 * before[k], 100 * after[k]]
    bars = ax.bar([shift, 1 + shift], heights, width=0.36, color=plot.PALETTE[k], label=age)
    ax.bar_label(bars, fmt="%.0f", padding=2)
ax.set(xticks=[0, 1], xticklabels=["before sleep", "after sleep"], ylabel="accuracy (%)")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(loc="lower left", bbox_to_anchor=(0, 1.05), frameon=False, fontsize=9)

if __name__ == "__main__":
    plot.save(fig, "plot_consolidate.png")
