"""Reading a raster: what a network does while it sleeps.

Every dot is a spike: time to the right, neurons upwards, the input at the bottom. The inputs fire at random around
the mean image; what the layers above make of it is spontaneous replay. Below, the mean rate of each population over
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

# %% Convert, find thresholds at which each layer fires in 2 % of the steps, and sleep for a second of 1 ms steps.
network = ns.convert(model, x[:1000], recipe="recursive")
drive = ns.MeanDrive(x.mean(0).double().numpy(), max_rate=60.0, window=11, image_shape=(28, 28))  # Hz
network = ns.thresholds_for_rates(network, drive, [0.02, 0.02, 0.02])
record = ns.Record(spikes="all", rates_every=25)
result = ns.sleep(network, drive=drive, rule=ns.SRCRule(inc=1e-4, dec=1e-5), steps=1000, record=record)
print(result.status, {p.name: result.recording.spikes_per_step(p.name) for p in network.populations})

# %% The spikes, and below them the rates at the same times and in the same colours.
fig = plot.figure(8.0, 6.0)
above, below = fig.subplots(2, height_ratios=[2, 1], sharex=True)
plot.raster(result.recording, ax=above).set_xlabel("")
plot.rates(result.recording, ax=below).set(xlabel="time (s)", xlim=(0, 1))
below.get_legend().remove()

if __name__ == "__main__":
    plot.save(fig, "plot_raster.png")
