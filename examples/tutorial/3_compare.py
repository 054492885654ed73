"""Sleep, and compare with EWC, OWM and joint training.

Five tasks, five ways: nothing (the lower bound), elastic weight consolidation, orthogonal weight modification, sleep,
and joint training on everything at once (the upper bound). Same network, same initial weights, same order.
"""

from functools import partial

import neurosleep as ns
from neurosleep import plot
from neurosleep.continual import EWC, OWM, HomeostaticSleep, Joint, Learner, Progress, Strategy, learn_tasks
from neurosleep.data import class_incremental
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop

# %% A strategy is what is done against forgetting. The settings of EWC and OWM are the best of a few tries on
# validation images: for a paper, search them with `neurosleep tune`. Sleep has nothing to set.
tasks = class_incremental(ns.load_dataset("mnist-mini"), images_per_task=1000)
strategies = {
    "sequential": Strategy,
    "ewc": partial(EWC, strength=10.0),
    "owm": partial(OWM, alpha=(1.0, 1.0), decay=(0.001, 1.0)),
    "sleep": HomeostaticSleep,
    "joint": Joint,
}


# %% Everything random is drawn from generators of the seed, so that each strategy meets the same network and order.
def learn(strategy: Strategy, seed: int) -> float:
    """Accuracy over all ten digits after the last task."""
    network = ns.MLP([784, 400, 10], init="torch", generator=torch_generator(seed, "init"))
    wake = Backprop(loss="cross-entropy", lr=0.1, momentum=0.0, batch=20, epochs=1)
    learner = Learner(network, wake.state(network), strategy.tasks(tasks), seed=seed)
    final = learn_tasks(learner, strategy, wake, tasks, Progress()).after[-1]
    return sum(final) / len(final)


# %% Two seeds of each; a paper would take five or more.
rows = []
for name, strategy in strategies.items():
    values = [learn(strategy(), seed) for seed in range(2)]
    mean, sd = sum(values) / 2, abs(values[0] - values[1]) / 2**0.5
    rows.append({"strategy": name, "accuracy_all": {"mean": mean, "sd": sd, "n": 2}, "values": values})
    print(f"{name:<12}{100 * mean:5.1f} ± {100 * sd:.1f} %")

# %% The dashed lines are the bounds. Sleep needs no gradient of its own and no setting; it comes after learning is
# over.
fig = plot.figure(6.5, 3.4)
plot.comparison(rows, ax=fig.add_subplot())

if __name__ == "__main__":
    plot.save(fig, "3_compare.png")
