"""Train and forget.

An ordinary PyTorch network learns the digits 0 to 9 two at a time, and each pair is forgotten with the next. This first
part makes the trouble that the others mend: five tasks, a training loop, and a matrix of accuracies to look at.
"""

import torch
from torch import nn

import neurosleep as ns
from neurosleep import plot
from neurosleep.continual import matrix_metrics
from neurosleep.data import class_incremental, to_float
from neurosleep.learning import accuracy

# %% Ten thousand images of MNIST come with the package. They are cut into tasks of two digits; each has its own test
# images.
tasks = class_incremental(ns.load_dataset("mnist-mini"))
for task in tasks:
    print(task.name, task.train_images.shape, task.test_images.shape)

# %% A network with one hidden layer, torch's own initial weights, and plain SGD.
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 10))
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)


# %% One epoch of cross-entropy on what it is given. Nothing in it knows that there are tasks.
def train(images: torch.Tensor, labels: torch.Tensor) -> None:
    for batch in torch.randperm(len(images)).split(20):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimiser.step()


# %% One task after another. After each, the accuracy on all five: among all ten digits, without saying which task it
# is.
matrix = []
for task in tasks:
    train(torch.from_numpy(to_float(task.train_images)), torch.from_numpy(task.train_labels))
    matrix.append([accuracy(model, to_float(other.test_images), other.test_labels) for other in tasks])
    print(f"after {task.name}:", [f"{value:.0%}" for value in matrix[-1]])

# %% What is usually computed from it: accuracy in the end, forgetting, backward transfer.
print(matrix_metrics(matrix))

# %% The same as a picture. Below the diagonal should be dark too, and is pale: everything but the newest pair is
# forgotten.
fig = plot.figure(4.2, 3.6)
plot.accuracy_matrix(matrix, ax=fig.add_subplot())

if __name__ == "__main__":
    plot.save(fig, "1_forget.png")
