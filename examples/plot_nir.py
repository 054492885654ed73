"""A network leaves as a NIR file, and comes back.

NIR, the Neuromorphic Intermediate Representation, is what simulators and the tools of chips exchange networks in.
What it has no place for (the time step, the kind of reset, the comparison at the threshold) goes into the metadata
of its nodes, so that the network that comes back fires the same spikes.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

import neurosleep as ns
from neurosleep import plot
from neurosleep.exchange import to_nir
from neurosleep.functional import torch_generator

# %% A network of leaky units, scaled on 100 random images, with thresholds at which it fires.
model = ns.MLP([64, 40, 20], init=0.5, generator=torch_generator(0, "init"))
images = torch.rand(100, 64, generator=torch_generator(0, "images"))
network = ns.convert(model, images, recipe="recursive", thresholds=[0.6, 0.2], decay=0.9)

# %% Out and in again. `load` knows the format by the file's content.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "network.nir")
    ns.save(network, path)
    again = ns.load(path)
print({name: type(node).__name__ for name, node in to_nir(network).nodes.items()})
print(again)

# %% The same input spikes to both: 300 steps, and the spikes that differ.
spikes = torch.rand(300, 64, generator=torch_generator(0, "spikes")) < 0.2
record = ns.Record(spikes="all")
before, after = (ns.simulate(n, spikes, record=record).spikes for n in (network, again))
last = [trains["output"] for trains in (before, after)]
differ = int(np.sum(last[0].to_dense().numpy() != last[1].to_dense().numpy()))

# %% One over the other: a circle without a dot, or a dot without a circle, would be a spike that differs.
fig = plot.figure(8.0, 4.0, title=f"Output spikes: {last[0].count} before, {last[1].count} after, {differ} differ")
ax = fig.add_subplot()
ax.spines[["top", "right"]].set_visible(False)
rings, dots = (np.nonzero(trains.to_dense().numpy()) for trains in last)
ax.plot(*rings, "o", markersize=6, markerfacecolor="none", color=plot.PALETTE[0], label="as it was")
ax.plot(*dots, "o", markersize=2.5, color=plot.PALETTE[1], label="from the file")
ax.set(xlabel="time (ms), the first half", ylabel="output neuron", xlim=(0, 150), yticks=range(0, 20, 5))
ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)

if __name__ == "__main__":
    plot.save(fig, "plot_nir.png")
