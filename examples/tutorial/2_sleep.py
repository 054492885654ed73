"""Look at the sleeping network.

The network of the first part learns two tasks, then it sleeps: it becomes a spiking network, noise drives it, and every
unit measures and regulates its drive. Here is what that looks like from inside, and what it does to the answers.
"""

import torch
from torch import nn

import neurosleep as ns
from neurosleep import plot
from neurosleep.data import class_incremental, to_float
from neurosleep.learning import accuracy

# %% Digits 0 and 1, then 2 and 3. The consolidator observes the inputs: it keeps their mean and spread, not one
# image.
tasks = class_incremental(ns.load_dataset("mnist-mini"))[:2]
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 10))
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
consolidator = ns.Consolidator()
for task in tasks:
    consolidator.close_task()  # what was new is old now
    x, labels = torch.from_numpy(to_float(task.train_images)), torch.from_numpy(task.train_labels)
    for batch in torch.randperm(len(x)).split(20):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), labels[batch]).backward()
        optimiser.step()
    consolidator.observe(x, labels)

# %% One sleep, recorded. The model stays as it is; what woke up is `slept.model`.
slept = consolidator.consolidate(model, record=ns.Record(spikes="all"))
print(slept)
for name, network in (("before", model), ("after", slept.model)):
    print(name, "sleep:", [f"{accuracy(network, to_float(t.test_images), t.test_labels):.0%}" for t in tasks])

# %% What was recorded answers as Brian 2's monitors do: times and neurons of all spikes, counts, spike trains.
recording = slept.stages[0].recording
monitor = recording.monitor("hidden1")
print(monitor.num_spikes, "spikes of", len(monitor.count), "hidden units in", recording.steps * recording.dt, "s")

# %% Left: half a second of it. Noise is held in each up state, and all is silent in between. Right: the drive of
# every output under noise. Outputs of old digits are driven less than new ones (open circles); after sleep (full)
# all are driven alike.
fig = plot.figure(12.0, 4.4)
left, right = fig.subplots(1, 2, width_ratios=[1.4, 1])
spikes = {name: events.slice(0, 500) for name, events in recording.spikes.items()}
plot.raster(spikes, max_neurons=200, ax=left)
plot.unit_drives(slept.stages[0].regulated, layer="2", classes=range(4), new_classes=[2, 3], ax=right)

if __name__ == "__main__":
    plot.save(fig, "2_sleep.png")
