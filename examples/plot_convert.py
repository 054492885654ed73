"""Converting your own model, and what the conversion costs.

`convert` makes a spiking network of any module that torch.fx can follow: here convolutions with biases, BatchNorm
and average pooling. Its report says what became of each layer; `compare` shows both networks the same images and
says where accuracy is lost.
"""

from collections import OrderedDict

import torch
from torch import nn

import neurosleep as ns
from neurosleep import plot
from neurosleep.conversion import compare
from neurosleep.data import to_float

data = ns.load_dataset("mnist-mini")
x = torch.from_numpy(to_float(data.images)).reshape(-1, 1, 28, 28)
labels = torch.from_numpy(data.labels)

# %% A small convolutional network, trained for two epochs.
torch.manual_seed(0)
layers = OrderedDict(conv=nn.Conv2d(1, 8, 5, stride=2), norm=nn.BatchNorm2d(8), relu=nn.ReLU(), pool=nn.AvgPool2d(2))
model = nn.Sequential(layers | {"flat": nn.Flatten(), "read": nn.Linear(8 * 36, 10)})
optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
for batch in (b for _ in range(2) for b in torch.randperm(len(x)).split(100)):
    optimiser.zero_grad()
    nn.functional.cross_entropy(model(x[batch]), labels[batch]).backward()
    optimiser.step()
model.eval()

# %% One line converts it. The spiking network prints as a table, and the report says what became of what.
network = ns.convert(model, x[:1000])
print(network)
for layer, became in network.report.became:
    print(f"{layer}: {became}")

# %% Both networks on 200 test images: the spiking one needs some steps until its rates are fine enough.
test = torch.from_numpy(to_float(data.test_images[::10])).reshape(-1, 1, 28, 28)
check = compare(model, network, test, torch.from_numpy(data.test_labels[::10]), steps=60)
print(*check.advice, sep="\n")
unlabelled = compare(model, network, test, steps=60)

fig = plot.figure(8.0, 3.6)
left, right = fig.subplots(1, 2)
plot.conversion(check, ax=left)
plot.conversion(unlabelled, ax=right).set_title("error of each layer's rates", fontsize="medium")

if __name__ == "__main__":
    plot.save(fig, "plot_convert.png")
