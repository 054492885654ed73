"""Stages of a sleep: NREM, then REM, and the answers they move.

In NREM a slow oscillation holds one frame of noise through each up state, and every unit measures and regulates its
drive; in REM a tonic drive lets synapses change with spikes. The hypnogram lies over the spikes and rates of the
turn from one to the other; on the right, how the confusion matrix of all test digits changed: the old ones are back.
"""

import torch
from torch import nn

import neurosleep as ns
from neurosleep import analysis, plot
from neurosleep.data import class_incremental, to_float
from neurosleep.functional import SlowOscillation

tasks = class_incremental(ns.load_dataset("mnist-mini"), [range(5), range(5, 10)])
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(784, 200, bias=False), nn.ReLU(), nn.Linear(200, 10, bias=False))
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
consolidator = ns.Consolidator()
for task in tasks:
    consolidator.close_task()
    x, labels = torch.from_numpy(to_float(task.train_images)), torch.from_numpy(task.train_labels)
    for batch in torch.randperm(len(x)).split(20):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), labels[batch]).backward()
        optimiser.step()
    consolidator.observe(x, labels)

# %% One sleep of two stages, in spikes, which are recorded.
nrem = ns.NREM(form="spikes", oscillation=SlowOscillation(frames=200))
rem = ns.REM(rule=ns.SRCRule(inc=1e-4, dec=1e-5), steps=2000)
sleep = ns.Sleep(stages=[nrem, rem], rates=[0.01, 0.01])  # in REM each layer fires in 1 % of the steps
result = consolidator.consolidate(model, sleep=sleep, record=ns.Record(spikes="all"))
print(result.reason, result.moved, sep="\n")

# %% Hypnogram, spikes and rates of a second before the turn and a second after it; what moved in the confusion matrix.
fig = plot.figure(12.5, 6.6)
left, right = fig.subfigures(1, 2, width_ratios=[1.35, 1])
first, second = (stage.recording for stage in result.stages)
plot.sleep_overview(first.then(second), start=first.steps - 1000, steps=2000, fig=left).axes[0].set_ylabel("stage")
x = torch.cat([torch.from_numpy(to_float(task.test_images)) for task in tasks])
labels = torch.cat([torch.from_numpy(task.test_labels) for task in tasks])
table = analysis.confusion_change(model, result.model, x, labels)
for ax, value in zip(right.subplots(2, 1), ("before", "after"), strict=True):
    plot.confusion_change(table, value=value, ax=ax)

if __name__ == "__main__":
    plot.save(fig, "plot_sleep_stages.png")
