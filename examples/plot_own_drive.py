"""A drive of your own: up and down states.

What drives a sleeping network is any object with a number of inputs, `n`, and a method `draw` that makes the spikes
of the next steps from a generator. This one is silent and active in turns, as the cortex is in deep sleep, and the
layers above follow it. The same generator must give the same spikes, or runs could not be repeated.
"""

from dataclasses import dataclass

import numpy as np
import torch

import neurosleep as ns
from neurosleep import plot
from neurosleep.data import to_float
from neurosleep.functional import SpikeEvents, torch_generator


@dataclass(frozen=True, eq=False)
class UpAndDown:
    """Random spikes around a mean image in up states of `length` steps, and as many silent steps between them."""

    mean: np.ndarray
    rate: float  # Hz of an input of intensity 1 in an up state
    length: int = 100

    @property
    def n(self) -> int:
        return self.mean.size

    def draw(self, generator: np.random.Generator, steps: int, dt: float) -> SpikeEvents:
        up = (np.arange(steps) // self.length) % 2 == 1
        fired = generator.random((steps, self.n)) < dt * self.rate * self.mean * up[:, None]
        return SpikeEvents.from_times(*np.nonzero(fired), steps=steps, n=self.n)


# %% A network with random weights is enough to see it. The thresholds are found with the drive itself.
images = torch.from_numpy(to_float(ns.load_dataset("mnist-mini").images[::10]))
drive = UpAndDown(images.mean(0).numpy(), rate=100.0)
model = ns.MLP([784, 100, 50, 10], init=0.1, generator=torch_generator(0, "init"))
network = ns.thresholds_for_rates(ns.convert(model, images, recipe="recursive"), drive, [0.01, 0.01, 0.01])
result = ns.sleep(network, drive=drive, rule=ns.SRCRule(1e-4, 1e-5), steps=1000, record=ns.Record(spikes="all"))

# %% One second of it; the up states are shaded.
fig = plot.figure(8.0, 4.2)
ax = plot.raster(result.recording, ax=fig.add_subplot())
for start in range(drive.length, result.recording.steps, 2 * drive.length):
    ax.axvspan(1e-3 * start, 1e-3 * (start + drive.length), color="#e4e4e4", linewidth=0, zorder=0)
    ax.annotate("up", (1e-3 * (start + drive.length / 2), 1.0), (0, 3), "axes fraction", "offset points", ha="center")

if __name__ == "__main__":
    plot.save(fig, "plot_own_drive.png")
