"""A strategy of your own.

A strategy is a class with hooks, named as in Avalanche, that do nothing unless they are overridden. This one ties
the weights to where a task started with an elastic band: after every step they are pulled back by a small fraction.
It needs no old data, and it shows the dilemma: what keeps the old task keeps the new one out.
"""

from typing import ClassVar

import torch

import neurosleep as ns
from neurosleep import plot
from neurosleep.continual import Learner, Progress, Strategy, learn_tasks
from neurosleep.data import class_incremental
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop, Batch


class Elastic(Strategy):
    """From the second task on, each step ends with a pull towards the weights that the task started with."""

    name: ClassVar[str] = "elastic"

    def __init__(self, share: float) -> None:
        self.share = share

    def before_training_exp(self, learner: Learner) -> None:
        self.start = [weight.detach().clone() for weight in learner.network.weights]

    @torch.no_grad()
    def after_step(self, learner: Learner, batch: Batch) -> None:
        for weight, start in zip(learner.network.weights, self.start, strict=True):
            weight.lerp_(start, self.share if learner.task > 0 else 0.0)


# %% Two tasks of five digits, with weaker and stronger bands; 0 is learning as it comes.
tasks = class_incremental(ns.load_dataset("mnist-mini"), [range(5), range(5, 10)], images_per_task=2000)
shares, accuracies = [0.0, 0.03, 0.1, 0.2, 0.4, 0.6], []
for share in shares:
    network = ns.MLP([784, 100, 10], init=0.05, generator=torch_generator(0, "init"))
    learner = Learner(network, [torch.zeros_like(weight) for weight in network.weights], tasks, seed=0)
    accuracies.append(learn_tasks(learner, Elastic(share), Backprop(epochs=2), tasks, Progress()).after[-1])

# %% The final accuracy on either task.
fig = plot.figure(6.5, 3.4)
ax = fig.add_subplot()
for task, (label, colour) in enumerate(zip(("first task, 0 to 4", "second task, 5 to 9"), plot.PALETTE, strict=False)):
    ax.plot(shares, [100 * row[task] for row in accuracies], marker="o", color=colour, label=label)
ax.set(xlabel="fraction pulled back after each step", ylabel="final accuracy (%)", ylim=(-3, 103))
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

if __name__ == "__main__":
    plot.save(fig, "plot_own_strategy.png")
