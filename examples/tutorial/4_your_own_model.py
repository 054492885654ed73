"""Your own model.

Sleep takes any `nn.Module`: here a convolutional one with batch normalisation, written as a class, that learns five
digits and then the other five. What you add to your own training loop is three lines, and a guard watches over them.
"""

import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep import analysis, plot
from neurosleep.data import class_incremental, to_float


# %% Put your own here. Any forward is fine; `consolidate` says which layers sleep, and which stay as they are.
class Network(nn.Module):
    """A convolution, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 16, 5, stride=2), nn.BatchNorm2d(16)
        self.hidden, self.head = nn.Linear(16 * 12 * 12, 200), nn.Linear(200, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(images)))
        return self.head(torch.relu(self.hidden(x.flatten(1))))


# %% Your own data: tensors of images and labels, task by task. Intensities from 0 to 1, or standardised.
tasks = class_incremental(ns.load_dataset("mnist-mini"), [range(5), range(5, 10)], images_per_task=3000)


def tensors(images: object, labels: object) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(to_float(images)).view(-1, 1, 28, 28), torch.from_numpy(labels)


# %% Slow hidden layers: what sleep cannot bring back is what a later task overwrites in them.
torch.manual_seed(0)
model = Network()
slow = [*model.conv.parameters(), *model.norm.parameters(), *model.hidden.parameters()]
optimiser = torch.optim.SGD([{"params": slow, "lr": 0.01}, {"params": model.head.parameters(), "lr": 0.1}])

# %% The training loop, with the three lines: what was new is old now; observe the inputs; sleep.
consolidator = ns.Consolidator()
for task in tasks:
    consolidator.close_task()
    x, labels = tensors(task.train_images, task.train_labels)
    model.train()
    for batch in torch.randperm(len(x)).split(20):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), labels[batch]).backward()
        optimiser.step()
    consolidator.observe(x, labels)
    model.eval()
slept = consolidator.consolidate(model)

# %% What happened, in a sentence, and layer by layer.
print(slept.reason)
print(slept.report)

# %% Every answer to the test digits before and after: what was called 5 to 9 is called 0 to 4 again, where it is.
x, labels = (torch.cat(parts) for parts in zip(*(tensors(t.test_images, t.test_labels) for t in tasks), strict=True))
table = analysis.confusion_change(model, slept.model, x, labels)
fig = plot.figure(9.0, 3.8)
for ax, value in zip(fig.subplots(1, 2), ("before", "after"), strict=True):
    plot.confusion_change(table, value=value, ax=ax)

# %% Satisfied? Then into the model itself, in place, so that the optimiser goes on with it.
slept.apply_to(model)
print(f"{(model(x).argmax(1) == labels).double().mean():.0%} of all ten digits")

if __name__ == "__main__":
    plot.save(fig, "4_your_own_model.png")
