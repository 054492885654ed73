"""To a chip.

The network that slept is converted into a spiking network that computes as it does, brought into the integer arithmetic
of Intel's Loihi, and stepped in it. No chip is needed: a profile holds its limits and published figures.
"""

import torch
from torch import nn

import neurosleep as ns
from neurosleep import plot
from neurosleep.data import class_incremental, to_float
from neurosleep.hardware import energy_of

# %% Two tasks of five digits, with a sleep after the second.
data = ns.load_dataset("mnist-mini")
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
consolidator = ns.Consolidator()
for task in class_incremental(data, [range(5), range(5, 10)]):
    consolidator.close_task()
    x, labels = torch.from_numpy(to_float(task.train_images)), torch.from_numpy(task.train_labels)
    for batch in torch.randperm(len(x)).split(20):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), labels[batch]).backward()
        optimiser.step()
    consolidator.observe(x, labels)
awake = consolidator.consolidate(model).model

# %% Rates of spikes stand for activities. A few hundred images are enough to find the scale of each layer.
calibration = torch.from_numpy(to_float(data.images[::20]))
network = ns.convert(awake, calibration, read_out="spikes", reset="to_value")  # Loihi resets to zero
print(network)

# %% Eight bits for a weight, 128 neurons on a core at most 1,024, and so on. What does not fit would be named.
mapped = ns.map_to(network, "loihi1")
print("fits:", mapped.report.fits, " cores:", mapped.report.cores)
for row in mapped.report.rows():
    print(f"{row['source']} > {row['layer']}: {row['bits']} bits, quantisation error {row['error']:.1%}")

# %% Test images as spikes, in floating point and in the chip's integers.
x, labels = torch.from_numpy(to_float(data.test_images[::5])), torch.from_numpy(data.test_labels[::5])
fig = plot.figure(6.5, 3.4)
ax = fig.add_subplot()
ax.axhline(
    100 * float((awake(x).argmax(1) == labels).double().mean()), color="#6b6b6b", linestyle=":", label="awake network"
)
for place, engine, label, colour in ((network, "event", "spiking network", 0), (mapped, "fixed", "on Loihi", 1)):
    shown = ns.simulate(place, x, 60, coding="bernoulli", engine=engine)
    ax.plot(100 * shown.accuracy(labels), label=label, color=plot.PALETTE[colour])
ax.set(xlabel="time steps", ylabel="accuracy (%)", ylim=(0, 100))
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

# %% The energy of an image, estimated from its spikes by every convention of the literature that has figures for
# Loihi.
low, high = energy_of(mapped, shown, "loihi1").interval
print(f"{1e6 * low / len(x):.0f} to {1e6 * high / len(x):.0f} µJ an image")

# %% Files for other tools: `ns.save(network, "network.nir")`, ONNX, snnTorch and Norse have a how-to of their own.
if __name__ == "__main__":
    plot.save(fig, "5_to_a_chip.png")
