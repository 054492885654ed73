"""Equilibrium networks: Equilibrium Propagation.

Each weight works in both directions, so that an image makes the network settle into a fixed point instead of
passing through it once. It learns by comparing where it settles with and without a small nudge towards the right
answer; no error is sent backwards.
"""

import torch

import neurosleep as ns
from neurosleep import plot
from neurosleep.analysis import settling, state_trajectories
from neurosleep.data import to_float
from neurosleep.functional import torch_generator
from neurosleep.learning import EquilibriumPropagation, accuracy
from neurosleep.networks import EquilibriumMLP

data = ns.load_dataset("mnist-mini")
x, labels = torch.from_numpy(to_float(data.images[::5])), torch.from_numpy(data.labels[::5])
x_test, labels_test = torch.from_numpy(to_float(data.test_images)), torch.from_numpy(data.test_labels)

# %% One hidden layer; 30 steps to settle, 10 more with the nudge.
network = EquilibriumMLP([784, 128, 10], free_steps=30, generator=torch_generator(0, "init"))
learning = EquilibriumPropagation(beta=0.1, free_steps=30, nudged_steps=10, lr=(0.4, 0.02), batch=50, epochs=3)
right = [accuracy(network, x_test, labels_test)]
state = learning.state(network)
for _ in learning.fit(network, x, labels, state, lambda name, epoch: torch_generator(0, name, epoch)):
    right.append(accuracy(network, x_test, labels_test))

# %% How it settles: the largest change of a state in each step, and the ten outputs for the image it finds hardest.
fig = plot.figure(9.5, 3.2)
left, middle, last = fig.subplots(1, 3)
left.plot([100 * r for r in right], marker="o", color=plot.PALETTE[0])
left.set(xlabel="epoch", ylabel="accuracy on test images (%)", xticks=range(len(right)), ylim=(0, 100))
left.spines[["top", "right"]].set_visible(False)
plot.settling(settling(network, x_test[:200]), ax=middle)
best, outputs = network(x_test).topk(2)
close = (outputs[:, 0] == labels_test) & (best[:, 1] > 0.02)  # right, and a second output is not silent
hardest = int(torch.where(close, best[:, 0] - best[:, 1], torch.inf).argmin())
plot.state_trajectories(state_trajectories(network, x_test[hardest:], units=10), layer="output", ax=last)
for unit, line in enumerate(last.lines):
    rank = outputs[hardest].tolist().index(unit) if unit in outputs[hardest] else 2
    line.set(color=("#0072B2", "#D55E00", "#c8c8c8")[rank], zorder=3 - rank)
    line.set_label((f"{unit}, right", f"{unit}, the runner-up", "" if unit else "others")[rank])
last.set_title("")
last.legend(frameon=False, fontsize=9)

if __name__ == "__main__":
    plot.save(fig, "plot_equilibrium.png")
