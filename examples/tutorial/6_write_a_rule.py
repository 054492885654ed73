"""Write a rule.

Sleep under a plasticity rule: each synapse changes with the spikes on its two sides. A rule is a small class with two
methods, and nothing has to be registered. Here is one, beside the published one, in the same sleep.
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


# %% When a unit fires, weights from inputs that fired with it move up and all others down, in proportion to how far
# they are from a bound. `weight` is [post, pre], `pre` and `post` say who fired in this step.
@dataclass(frozen=True)
class SoftBound:
    """When unit j fires: w += rate * (target - w), the target being +bound or -bound."""

    rate: float
    bound: float = 0.2
    name: ClassVar[str] = "soft-bound"

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        return ()  # a rule that looks back keeps its traces here

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        target = self.bound * (2 * pre.to(weight.dtype) - 1)
        weight[post] += self.rate * (target - weight[post])
        return traces


# %% A small network that knows all ten digits, and its spiking twin with thresholds at which 1 % of the units fire
# in a step.
data = ns.load_dataset("mnist-mini")
x, labels = torch.from_numpy(to_float(data.images)), torch.from_numpy(data.labels)
model = ns.MLP([784, 100, 10], init=0.05, generator=torch_generator(0, "init"))
wake = Backprop(epochs=1)
for _ in wake.fit(model, x, labels, wake.state(model), lambda name, epoch: torch_generator(0, name, epoch)):
    pass
drive = ns.MeanDrive(x.mean(0).double().numpy(), max_rate=60.0)  # Hz, around the mean image
network = ns.thresholds_for_rates(ns.convert(model, x[:1000], recipe="recursive"), drive, [0.01, 0.01])

# %% The same sleep under both. The plain engine `reference` runs any rule; the fast ones know those of the package.
watch = ns.Record(weights="statistics", weights_every=50)
fig = plot.figure(12.0, 3.6)
left, *others = fig.subplots(1, 3)
rules = {"SRC": ns.SRCRule(inc=1e-2, dec=1e-3), "soft bounds": SoftBound(rate=3e-2)}
for (name, rule), ax, colour in zip(rules.items(), others, plot.PALETTE, strict=False):
    slept = ns.sleep(network, drive=drive, rule=rule, steps=1000, engine="reference", record=watch)
    change = slept.recording.weight_monitor("input -> hidden1")
    left.plot(change.t, change.change, color=colour, label=name)
    plot.weight_histogram(weight_histogram(model, ns.wake(slept.network, model)), layer="hidden1", ax=ax).set_title(
        name
    )
    print(name, slept.status, slept.recording.spikes_per_step("hidden1"), "spikes a step in the hidden layer")

# %% Left: how far the weights have moved. Both slow down as weights fall and units fire less. Middle and right: SRC
# moves weights near zero and negative ones, and leaves positive ones alone; soft bounds shift all weights of a
# unit that fires.
left.set(xlabel="time (s)", ylabel="change of weights")
left.legend(frameon=False)
left.spines[["top", "right"]].set_visible(False)

# %% To use a rule in an experiment, in the compiled engines, or on a chip, see "Extend".
if __name__ == "__main__":
    plot.save(fig, "6_write_a_rule.png")
