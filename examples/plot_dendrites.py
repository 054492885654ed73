"""Units with dendrites, against point neurons.

Both networks learn by Equilibrium Propagation. A unit with dendrites sums rectified branches, each of which sees
its own random half of the layer below (basal) or above (apical), so that feedback has weights of its own. Once the
network has settled, many more of the hidden units take part, and more strongly. With 1000 images it learns more
slowly; what it gains on harder images is in the table of results.
"""

import torch

import neurosleep as ns
from neurosleep import plot
from neurosleep.analysis import activation_spread
from neurosleep.data import to_float
from neurosleep.functional import torch_generator
from neurosleep.learning import EquilibriumPropagation, accuracy
from neurosleep.networks import DendriticMLP, EquilibriumMLP

data = ns.load_dataset("mnist-mini")
x, labels = torch.from_numpy(to_float(data.images[::10])), torch.from_numpy(data.labels[::10])
x_test, labels_test = torch.from_numpy(to_float(data.test_images)), torch.from_numpy(data.test_labels)

# %% The same number of units, the same learning, the same 1000 images.
networks = {
    "point neurons": EquilibriumMLP([784, 64, 10], free_steps=30, generator=torch_generator(0, "init")),
    "4 basal, 2 apical branches": DendriticMLP(
        [784, 64, 10], basal_branches=4, apical_branches=2, free_steps=30, generator=torch_generator(0, "init")
    ),
}
learning = EquilibriumPropagation(free_steps=30, nudged_steps=8, lr=(0.4, 0.02), momentum=0.9, batch=50, epochs=6)
fig = plot.figure(
    10.0, 3.8, title="Dendrites: more of the hidden units take part, but 1000 images are learnt more slowly"
)
left, *others = fig.subplots(1, 3)
others[1].sharey(others[0])
for k, ((name, network), ax) in enumerate(zip(networks.items(), others, strict=True)):
    state, right = learning.state(network), [accuracy(network, x_test, labels_test)]
    for _ in learning.fit(network, x, labels, state, lambda name, epoch: torch_generator(0, name, epoch)):
        right.append(accuracy(network, x_test, labels_test))
    left.plot([100 * r for r in right], marker="o", color=plot.PALETTE[k], label=name)
    plot.activation_spread(activation_spread(network, x_test), ax=ax).set_xlabel("number: participation ratio")
    ax.set_title(name, fontsize="medium")
    for bar in ax.patches:
        bar.set_color(plot.PALETTE[k])

# %% Accuracy after each epoch; mean state of each layer, and above each bar the part of its units that takes part.
others[0].set_ylim(-0.05, 1)
left.set(xlabel="epoch", ylabel="accuracy on test images (%)", ylim=(0, 100))
left.spines[["top", "right"]].set_visible(False)
left.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=9)

if __name__ == "__main__":
    plot.save(fig, "plot_dendrites.png")
