"""The authors' class-task script of SRC (MNIST, Fashion-MNIST) step by step, with the random numbers that MATLAB draws.

``python tools/released_src2022.py mnist --data DIR --trials 5`` prints one line of JSON a trial. Nothing of the package
but the images is used, so that it tells what the package computes otherwise from what the script computes: neither the
order of draws nor a settings file stands between. MATLAB starts with the Mersenne twister of seed 5489, which NumPy's
``RandomState`` continues in the same way; ``randperm`` sorts ``rand``, ``randi(n)`` is ``1 + floor(n * rand)``, and
matrices are filled column by column. The trials follow each other in one stream, as in a fresh MATLAB.

References
----------
Tadros et al. (2022), doi:10.1038/s41467-022-34938-7, and the facts of the code released with it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import neurosleep as ns
from neurosleep.data import to_float

SIZES = (784, 1200, 1200, 10)
DROPOUT, LR, MOMENTUM, BATCH, EPOCHS, INIT = 0.25, 0.1, 0.5, 100, 2, 0.01
IMAGES_PER_TASK, STEPS, SIDE, MASK, DECAY = 5000, 15000, 28, 10, 0.999
# max_rate, inc, dec, the three thresholds, alpha_scale
SLEEP = {
    "mnist": (239.515363, 0.032064, 0.003344, (14.548273, 44.560317, 38.046326), 55.882454),
    "fashion-mnist": (181.047258, 0.041001, 0.003344, (40.446884, 27.596929, 33.109393), 31.592987),
}
Floats = npt.NDArray[np.float64]


class Script:
    """One run of the script: its random stream goes on from trial to trial."""

    def __init__(self, name: str, data: str | None, seed: int) -> None:
        self.draw = np.random.RandomState(seed).random_sample
        self.rates = SLEEP[name]
        images = ns.load_dataset(name, data)
        self.pixels = np.asarray(images.images, dtype=np.float64).reshape(-1, 784) / 255
        self.labels = np.asarray(images.labels)
        self.inputs = torch.from_numpy(self.pixels).float()
        self.targets = torch.eye(10)[torch.from_numpy(self.labels.astype(np.int64))]
        self.test = torch.from_numpy(to_float(images.test_images)).float().reshape(-1, 784)
        self.test_labels = torch.from_numpy(np.asarray(images.test_labels).astype(np.int64))

    def trial(self) -> dict[str, Any]:
        """Train, sleep, train, sleep: accuracy on all test images, before the last sleep too, and spikes."""
        shapes = list(zip(SIZES[1:], SIZES[:-1], strict=True))
        for post, pre in shapes:
            self.draw(post * pre)  # weights of the library, which the script draws anew
        weights = [torch.from_numpy((self._matrix(post, pre) - 0.5) * INIT * 2).float() for post, pre in shapes]
        velocities = [torch.zeros_like(w) for w in weights]
        # The ideal and the sequential network, of which only the draws matter here.
        for images in (len(self.pixels), *[IMAGES_PER_TASK] * 5):
            for _ in range(EPOCHS):
                self.draw(images)
                for _ in range(images // BATCH):
                    self.draw(BATCH * (SIZES[1] + SIZES[2]))
        spikes, before = [], 0.0
        for task in range(5):
            chosen = torch.from_numpy(np.nonzero(self.labels // 2 == task)[0][:IMAGES_PER_TASK])
            self._train(weights, velocities, self.inputs[chosen], self.targets[chosen])
            before = self._accuracy(weights)
            seen = np.nonzero(self.labels // 2 <= task)[0]
            factors = self._factors(weights, self.inputs[torch.from_numpy(seen)])
            spikes.append(self._sleep(weights, STEPS + task * STEPS // 3, self.pixels[seen].mean(0), factors))
        return {"accuracy": self._accuracy(weights), "before_last_sleep": before, "spikes": spikes}

    def _matrix(self, rows: int, columns: int) -> Floats:
        return self.draw(rows * columns).reshape(columns, rows).T

    def _train(self, weights: list[Tensor], velocities: list[Tensor], inputs: Tensor, targets: Tensor) -> None:
        for _ in range(EPOCHS):
            order = np.argsort(self.draw(len(inputs)), kind="stable")
            for start in range(0, len(inputs), BATCH):
                batch = torch.from_numpy(order[start : start + BATCH])
                masks = [torch.from_numpy(self._matrix(BATCH, n) > DROPOUT).float() for n in SIZES[1:3]]
                activities = [inputs[batch]]
                for w, mask in zip(weights[:2], masks, strict=True):
                    activities.append(torch.relu(activities[-1] @ w.T) * mask)
                delta = torch.relu(activities[-1] @ weights[2].T) - targets[batch]
                deltas = [delta]
                for w, mask, activity in zip(weights[:0:-1], masks[::-1], activities[:0:-1], strict=True):
                    deltas.append(deltas[-1] @ w * (activity > 0) * mask)
                for w, v, d, a in zip(weights, velocities, deltas[::-1], activities, strict=True):
                    v.mul_(MOMENTUM).add_(LR * (d.T @ a) / BATCH)
                    w.sub_(v)

    @staticmethod
    def _forward(weights: Sequence[Tensor], inputs: Tensor) -> list[Tensor]:
        activities = [inputs]
        for w in weights:
            keep = 1 - DROPOUT if w is not weights[-1] else 1
            activities.append(torch.relu(activities[-1] @ w.T) * keep)
        return activities[1:]

    def _accuracy(self, weights: Sequence[Tensor]) -> float:
        answers = self._forward(weights, self.test)[-1].argmax(1)
        return float((answers == self.test_labels).double().mean())

    def _factors(self, weights: Sequence[Tensor], inputs: Tensor) -> list[float]:
        """What sums of a layer are multiplied by: each divides by the factor that was applied to the one before."""
        factors, applied = [], 1.0
        for w, activity in zip(weights, self._forward(weights, inputs), strict=True):
            applied = max(float(w.max()), float(activity.max()), 0.0) / applied
            factors.append(self.rates[4] / applied)
        return factors

    def _sleep(self, weights: list[Tensor], steps: int, mean: Floats, factors: Sequence[float]) -> list[int]:
        """Sleep in place; the spikes of each layer."""
        max_rate, inc, dec, thresholds, _ = self.rates
        places = np.floor((SIDE - MASK) * self.draw(2 * steps)).astype(np.int64).reshape(steps, 2)
        picture = mean.reshape(SIDE, SIDE)
        # Rows are inputs: what arrives is a few of them.
        columns = [np.ascontiguousarray(w.numpy().T) for w in weights]
        potentials = [np.zeros(n, dtype=np.float32) for n in SIZES[1:]]
        spikes = [0, 0, 0]
        for x, y in places:
            window = (slice(y, y + MASK + 1), slice(x, x + MASK + 1))
            noise = self.draw(784).reshape(SIDE, SIDE)[window] / (2 * 0.001 * max_rate)
            rows, places_in_row = np.nonzero(noise <= picture[window])
            sources = (rows + y) * SIDE + places_in_row + x
            for layer, w in enumerate(columns):
                v = potentials[layer]
                v *= np.float32(DECAY)
                if len(sources):
                    v += np.float32(factors[layer]) * w[sources].sum(0)
                fired = np.nonzero(v >= thresholds[layer])[0]
                if len(fired):
                    present = np.zeros(len(w), dtype=bool)
                    present[sources] = True
                    old = w[:, fired]
                    steep = 2 * (1 - 1 / (1 + np.exp(np.clip(-old / np.float32(0.001), -80, 80))))
                    w[:, fired] = np.where(
                        present[:, None], old + np.float32(inc) * steep, old - np.float32(dec) * steep
                    )
                    v[fired] = 0
                    spikes[layer] += len(fired)
                sources = fired
        for k, w in enumerate(columns):
            weights[k] = torch.from_numpy(np.ascontiguousarray(w.T))
        return spikes


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("dataset", choices=sorted(SLEEP))
    options.add_argument("--data", help="folder of the data sets")
    options.add_argument("--trials", type=int, default=5)
    options.add_argument("--seed", type=int, default=5489, help="of the stream; 5489 is that of a fresh MATLAB")
    asked = options.parse_args()
    torch.set_num_threads(1)
    script = Script(asked.dataset, asked.data, asked.seed)
    for number in range(asked.trials):
        print(json.dumps({"trial": number, **script.trial()}), flush=True)


if __name__ == "__main__":
    main()
