"""What a chip makes of a network.

`map_to` brings a spiking network into a chip's integer arithmetic and reports what that costs: scales, quantisation
errors, weights that saturate or underflow to zero, cores, and what does not fit. The engine `fixed` then steps it in
the chip's own arithmetic, so that the accuracy on the chip can be seen before there is one. Energies are estimates from
a profile, by every convention of the literature that has a number.
"""

import torch
from torch import nn

import neurosleep as ns
from neurosleep import plot
from neurosleep.data import to_float
from neurosleep.hardware import energy_of

data = ns.load_dataset("mnist-mini")
x, labels = torch.from_numpy(to_float(data.images)), torch.from_numpy(data.labels)
x_test, labels_test = torch.from_numpy(to_float(data.test_images[::10])), torch.from_numpy(data.test_labels[::10])

# %% A trained network with one hidden layer, as a spiking one.
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
for batch in (b for _ in range(3) for b in torch.randperm(len(x)).split(100)):
    optimiser.zero_grad()
    nn.functional.cross_entropy(model(x[batch]), labels[batch]).backward()
    optimiser.step()
network = ns.convert(model, x[:1000], read_out="spikes", reset="to_value")  # Loihi has no other

# %% The report of one chip in words, and accuracy and energy on several. Inputs are spikes: a chip knows no others.
report = ns.map_to(network, "loihi1").report
for row in report.rows():
    print(f"{row['source']} > {row['layer']}: {row['bits']} bits, error {row['error']:.2%}, now 0: {row['zeroed']}")
print(*report.findings, f"cores: {report.cores}", sep="\n")

fig = plot.figure(9.0, 3.4)
left, right = fig.subplots(1, 2)
energies = []
for profile, colour in zip(("ideal", "generic_int8", "loihi1", "spinnaker1"), plot.PALETTE, strict=False):
    mapped = ns.map_to(network, profile)
    shown = ns.simulate(mapped, x_test, 50, coding="bernoulli", engine="fixed")
    left.plot(100 * shown.accuracy(labels_test), color=colour, label=profile)
    low, high = energy_of(mapped, shown, profile).interval or (None, None)
    energies.append({"label": profile, "low": low and low / len(x_test), "high": high and high / len(x_test)})
left.set(xlabel="time steps (1 ms)", ylabel="accuracy (%)", ylim=(0, 100))
left.legend(frameon=False)
left.spines[["top", "right"]].set_visible(False)
plot.energy(energies, label="energy per image", ax=right)

if __name__ == "__main__":
    plot.save(fig, "plot_hardware.png")
