"""Forgetting, and what sleep brings back.

A network learns the digits 0 to 9 two at a time. Without sleep it knows only the last pair in the end; with a sleep
after each task some of the older ones come back. No old image is shown again: a sleep gets the running mean of all
inputs so far, and here the newest task's images to scale the layers.
"""

import neurosleep as ns
from neurosleep import plot
from neurosleep.continual import SRC, Learner, Progress, Strategy, learn_tasks
from neurosleep.data import class_incremental
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop
from neurosleep.replay import Sleep

# %% Five tasks of two digits each, and a small network of ReLU units without biases.
tasks = class_incremental(ns.load_dataset("mnist-mini"), images_per_task=1000)


def learn(strategy: Strategy) -> list[dict[str, object]]:
    """Learn all tasks; one row for each accuracy that was measured on the way."""
    network = ns.MLP([784, 400, 400, 10], dropout=0.25, init=0.02, generator=torch_generator(0, "init"))
    learner = Learner(network, [0 * w for w in network.weights], tasks, seed=0)
    progress = learn_tasks(learner, strategy, Backprop(lr=0.1, epochs=3), tasks, Progress())
    after_sleep = progress.after if strategy.sleeps else []
    return [
        {"after_task": k + 1, "phase": phase, "on_task": j + 1, "accuracy": accuracy}
        for phase, matrix in (("wake", progress.before_sleep), ("sleep", after_sleep))
        for k, row in enumerate(matrix)
        for j, accuracy in enumerate(row)
    ]


# %% The sleep: noise around the mean image, the published rule, thresholds at which the layers fire now and then.
sleep = Sleep.src2022(
    rule=ns.SRCRule(inc=0.01, dec=0.001),
    thresholds=[1.0, 1.0, 1.0],
    rates=[1e-3, 1e-3, 1e-3],  # spikes per neuron and step, for which thresholds are found before each sleep
    max_rate=200.0,  # Hz
    window=11,  # side of the square of pixels that is visible in a step
    steps=2000,
    scale_data="current",
)

# %% Both strategies from the same initial weights: every line is a task, the grey stripes are sleep phases.
fig = plot.figure(7.5, 6.0, title="Ten digits, two at a time: without sleep, and with")
above, below = fig.subplots(2)
plot.accuracy(learn(Strategy()), chance=0.1, ax=above)
plot.accuracy(learn(SRC(sleep)), chance=0.1, ax=below)
for line in (*above.lines[:5], *below.lines[:5]):  # the mean of all tasks is what is compared
    line.set_alpha(0.35)
above.get_legend().remove()

if __name__ == "__main__":
    plot.save(fig, "plot_forgetting.png")
