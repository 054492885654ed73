"""What a network sees while it sleeps.

No image is shown to a sleeping network: its inputs fire at random, each at the rate of its mean over everything
learnt, and only a small window of them at a time. Over 20 steps that makes specks, over a second a blurred image of
everything. Below are the weights from the inputs to single units, before the sleep and after it.
"""

import torch

import neurosleep as ns
from neurosleep import plot
from neurosleep.data import to_float
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop

data = ns.load_dataset("mnist-mini")
x, labels = torch.from_numpy(to_float(data.images)), torch.from_numpy(data.labels)
model = ns.MLP([784, 60, 10], init=0.02, generator=torch_generator(0, "init"))
velocity = [torch.zeros_like(weight) for weight in model.weights]
for _ in Backprop(epochs=2).fit(model, x, labels, velocity, lambda name, epoch: torch_generator(0, name, epoch)):
    pass

# %% A sleep phase of 4 seconds, in which the spikes of the inputs are recorded.
drive = ns.MeanDrive(x.mean(0).double().numpy(), max_rate=200.0, window=11, image_shape=(28, 28))  # Hz
network = ns.thresholds_for_rates(ns.convert(model, x[:1000], recipe="recursive"), drive, [0.005, 0.005])
rule, record = ns.SRCRule(inc=0.01, dec=0.001), ns.Record(spikes=("input",))
result = ns.sleep(network, drive=drive, rule=rule, steps=4000, record=record)
after = ns.wake(result.network, model)

# %% Above, the input over 20 steps and over all of each part of the sleep; below, the same units before and after.
units = [int(unit) for unit in (after.weights[0] - model.weights[0]).norm(dim=1).topk(6).indices]
fig = plot.figure(9.0, 6.0)
axes = fig.subplots(2, 2)
seen = result.recording.spikes["input"]
plot.sleep_images(seen, windows=6, length=20, ax=axes[0, 0])
plot.sleep_images(seen, windows=6, ax=axes[0, 1])
limit = float(after.weights[0].detach()[units].abs().max())  # one scale of colours for both
for ax, network_then, when in zip(axes[1], (model, after), ("before", "after"), strict=True):
    fields = network_then.weights[0].detach().numpy()
    plot.receptive_fields(fields, units=units, limit=limit, ax=ax).set_title(f"{when} the sleep")

if __name__ == "__main__":
    plot.save(fig, "plot_seen_in_sleep.png")
