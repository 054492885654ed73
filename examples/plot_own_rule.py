"""A plasticity rule of your own.

A rule is any object with a name, initial traces, and a step that changes the weights in place; nothing has to
be registered. This one is Grossberg's instar: when a unit fires, its weights move towards the inputs that fired
with it, and forget in proportion to themselves, so that they stay bounded. The engine `reference` runs any rule; the
compiled one knows some of those of the package.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import neurosleep as ns
from neurosleep import plot
from neurosleep.analysis import weight_histogram
from neurosleep.data import to_float
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop


@dataclass(frozen=True)
class Instar:
    """When unit j fires: w += rate * (spike of the input - decay * w)."""

    rate: float
    decay: float = 0.5
    name: ClassVar[str] = "instar"

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        return ()

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        weight[post] += self.rate * (pre.to(weight.dtype) - self.decay * weight[post])
        return traces


# %% A trained network, and a short sleep with the new rule.
data = ns.load_dataset("mnist-mini")
x, labels = torch.from_numpy(to_float(data.images)), torch.from_numpy(data.labels)
model = ns.MLP([784, 100, 10], init=0.05, generator=torch_generator(0, "init"))
zeros = [torch.zeros_like(weight) for weight in model.weights]
for _ in Backprop(epochs=1).fit(model, x, labels, zeros, lambda name, epoch: torch_generator(0, name, epoch)):
    pass
drive = ns.MeanDrive(x.mean(0).double().numpy(), max_rate=60.0)  # Hz
network = ns.thresholds_for_rates(ns.convert(model, x[:1000], recipe="recursive"), drive, [0.02, 0.02])
result = ns.sleep(network, drive=drive, rule=Instar(rate=0.01), steps=1000, engine="reference")

# %% The weights into the hidden layer, before and after.
fig = plot.figure(6.5, 3.4)
table = weight_histogram(model, ns.wake(result.network, model))
plot.weight_histogram(table, layer="hidden1", ax=fig.add_subplot())

if __name__ == "__main__":
    plot.save(fig, "plot_own_rule.png")
