"""Your own classifier, in one call.

`consolidate` takes a trained PyTorch classifier (linear layers without biases, ReLU between them) and returns a
copy after a sleep phase. Here one has learnt the digits 0 to 4, then 5 to 9, and has forgotten the first five.

It learns with the squared error of a rectified output, as in the published experiments: after cross-entropy the
same sleep brings nothing back.
"""

import torch
from torch import nn

import neurosleep as ns
from neurosleep import plot
from neurosleep.data import class_incremental, to_float

tasks = class_incremental(ns.load_dataset("mnist-mini"), [range(5), range(5, 10)])
x1, x2 = (torch.from_numpy(to_float(task.train_images)) for task in tasks)
torch.manual_seed(0)
linear = [nn.Linear(n, m, bias=False) for n, m in ((784, 400), (400, 400), (400, 10))]
for layer in linear:
    nn.init.uniform_(layer.weight, -0.02, 0.02)
model = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2])


# %% An ordinary training loop, which knows nothing of sleep.
def train(images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    for batch in (b for _ in range(epochs) for b in torch.randperm(len(images)).split(100)):
        output, target = model(images[batch]), nn.functional.one_hot(labels[batch], 10)
        optimiser.zero_grad()
        # The gradient is relu(output) - target also where the output is negative.
        ((output.relu() - target).detach() * output).sum().div(len(batch)).backward()
        optimiser.step()


def right(network: nn.Module) -> list[float]:
    tests = [(torch.from_numpy(to_float(t.test_images)), torch.from_numpy(t.test_labels)) for t in tasks]
    return [float((network(x).argmax(1) == labels).double().mean()) for x, labels in tests]


train(x1, torch.from_numpy(tasks[0].train_labels), epochs=3)
stages = {"learnt 0-4": right(model)}
train(x2, torch.from_numpy(tasks[1].train_labels), epochs=1)
stages["learnt 5-9"] = right(model)

# %% The one call. All that it needs of the old task is its share in the mean image.
rule = ns.SRCRule(inc=0.01, dec=0.001)
sleep = ns.Sleep.src2022(steps=5000, max_rate=240.0, window=11, rule=rule, rates=[1e-3, 1e-3, 1e-3])
mean = torch.cat([x1, x2]).mean(0).reshape(28, 28)
stages["after sleep"] = right(ns.consolidate(model, mean=mean, calibration=x2, sleep=sleep).model)

fig = plot.figure(7.5, 3.4)
for k, (digits, ax) in enumerate(zip(("0 to 4", "5 to 9"), fig.subplots(1, 2), strict=True)):
    rows = [{"strategy": s, "accuracy_all": {"mean": a[k], "sd": None}} for s, a in stages.items()]
    plot.comparison(rows, ax=ax).set(title=f"digits {digits}", ylabel="accuracy (%)")

if __name__ == "__main__":
    plot.save(fig, "plot_consolidate.png")
