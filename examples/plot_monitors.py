"""Watching sleep: potentials, weights and inter-spike intervals.

A `Record` says what is kept: here every spike, the potential of three units in every step, and the statistics of
all weights every 100 steps. The recording then answers in the vocabulary of Brian 2. Watching changes no number of
the sleep.
"""

import torch

import neurosleep as ns
from neurosleep import plot
from neurosleep.data import to_float
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop

data = ns.load_dataset("mnist-mini")
x, labels = torch.from_numpy(to_float(data.images)), torch.from_numpy(data.labels)
model = ns.MLP([784, 100, 100, 10], init=0.05, generator=torch_generator(0, "init"))
velocity = [torch.zeros_like(weight) for weight in model.weights]
for _ in Backprop(epochs=1).fit(model, x, labels, velocity, lambda name, epoch: torch_generator(0, name, epoch)):
    pass

# %% The sleep, watched.
drive = ns.MeanDrive(x.mean(0).double().numpy(), max_rate=60.0)  # Hz
network = ns.thresholds_for_rates(ns.convert(model, x[:1000], recipe="recursive"), drive, [0.01, 0.01, 0.01])
record = ns.Record(spikes="all", potentials={"hidden1": [0, 1, 2]}, weights="statistics", weights_every=100)
result = ns.sleep(network, drive=drive, rule=ns.SRCRule(inc=1e-3, dec=1e-4), steps=2000, record=record).recording

# %% Potentials of single units, how far the weights have moved, and the inter-spike intervals.
fig = plot.figure(10.5, 3.4)
left, middle, right = fig.subplots(1, 3)
potentials = result.state_monitor("hidden1")
for k, potential in enumerate(potentials.v[:, :400]):
    left.plot(potentials.t[:400], potential, linewidth=1, color=plot.PALETTE[k + 3], label=f"unit {k}")
left.set(xlabel="time (s)", ylabel="potential")
left.spines[["top", "right"]].set_visible(False)
left.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, frameon=False, fontsize=9)
plot.weight_change(result, ax=middle)
plot.intervals({p.name: result.spikes[p.name] for p in network.layers}, ax=right)

if __name__ == "__main__":
    plot.save(fig, "plot_monitors.png")
