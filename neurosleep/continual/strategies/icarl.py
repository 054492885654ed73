r"""iCaRL (Rebuffi et al. 2017, arXiv 1611.07725): K stored exemplars, chosen by herding; nearest-mean classifier.

After task k, each class seen keeps its first ``round(K / classes)`` exemplars. Herding: the i-th exemplar is the image
that brings the mean feature of the chosen ones nearest to the mean of the class, features being the activity of the
last hidden layer. The exemplars are trained on with each new task, with their labels or, with distillation, with the
outputs that the network gave before the task. Classification by the network itself, and by the nearest mean of the
exemplars' features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from neurosleep._checks import check_count
from neurosleep.continual.strategies.base import AwakeNetwork, Learner, Strategy
from neurosleep.data import to_float
from neurosleep.functional import torch_generator
from neurosleep.networks import FeedForwardNetwork

__all__ = ["ICaRL", "herding"]


def herding(features: Tensor, count: int, *, faithful: bool = False) -> Tensor:
    r"""Numbers, in order, of the ``count`` rows of ``features`` ``[n, d]`` that together stay nearest to their mean.

    The i-th minimises :math:`\lVert \mu - \frac{1}{i} (\phi + \sum_{chosen} \phi_j) \rVert`. ``faithful`` takes the row
    with the smallest product with the mean first, as the released code of Tadros et al. (2022) does by mistake.
    """
    mean = features.mean(0)
    square, along = features.square().sum(1), features @ mean
    total = torch.zeros_like(mean)
    chosen: list[int] = []
    left = torch.ones(len(features), dtype=torch.bool)
    for i in range(1, min(count, len(features)) + 1):
        # The squared distance, less what is the same for all rows.
        cost = (square + 2 * (features @ total)) / i**2 - 2 * along / i
        if faithful and i == 1:
            cost = along
        best = int(torch.where(left, cost, torch.inf).argmin())
        chosen.append(best)
        left[best] = False
        total = total + features[best]
    return torch.tensor(chosen, dtype=torch.int64)


class ICaRL(Strategy):
    """Keep exemplars.

    Parameters
    ----------
    k:
        Exemplars of all classes together; at least one per class.
    herding:
        Whether herding chooses them; else they are drawn at random.
    distillation:
        Whether exemplars are trained with the outputs from before the task.
    faithful:
        Keep the bugs of the authors' released code: its first exemplar (:func:`herding`), and exemplars' features with
        dropout active, so that those of test images have another scale.

    See Also
    --------
    Rehearsal : which stores images and keeps the read-out
    learn_tasks : runs one

    Examples
    --------
    >>> from neurosleep.continual import ICaRL
    >>> ICaRL(k=100).reads_old_data
    True
    """

    name: ClassVar[str] = "icarl"
    needs_boundaries = True
    reads_old_data = True
    chooses_data: ClassVar[bool] = True

    def __init__(
        self, k: int = 100, herding: bool = True, distillation: bool = False, *, faithful: bool = False
    ) -> None:
        self.k = check_count("icarl.k", k)  # exemplars per class
        self.herding, self.distillation, self.faithful = herding, distillation, faithful
        # (Number of a task, class) -> rows of its exemplars among the task's training images, in order of choice. Tasks
        # may share classes (cross-modal); each then keeps exemplars of its own.
        self._chosen: dict[tuple[int, int], Tensor] = {}

    def _images(self, learner: Learner) -> list[Tensor]:
        return [
            torch.from_numpy(to_float(learner.tasks[task].train_images[rows.numpy()]))
            for (task, _), rows in self._chosen.items()
        ]

    def _masks(self, learner: Learner, use: str, c: int) -> torch.Generator | None:
        # The released code takes these features in training mode, where dropout silences units and scales nothing.
        return torch_generator(learner.seed, use, learner.task, c) if self.faithful else None

    def training_data(self, learner: Learner, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The task's own images and the exemplars after them."""
        if not self._chosen:
            return images, targets
        stored = torch.cat(self._images(learner))
        labels = torch.cat([torch.full((len(rows),), c) for (_, c), rows in self._chosen.items()])
        if not self.distillation:
            return torch.cat([images, stored]), torch.cat([targets, labels])
        with torch.no_grad():
            soft = learner.network.eval().read_out(learner.network(stored))
        hard = F.one_hot(targets, soft.shape[1]).to(soft.dtype)
        return torch.cat([images, stored]), torch.cat([hard, soft])

    @torch.no_grad()
    def after_training_exp(self, learner: Learner) -> None:
        """Choose exemplars of the new classes and let go of some of the old."""
        task = learner.tasks[learner.task]
        classes = len(self._chosen) + len(task.classes)
        count = max(int(self.k / classes + 0.5), 1)
        self._chosen = {key: rows[:count] for key, rows in self._chosen.items()}
        labels = torch.from_numpy(task.train_labels)
        network = learner.network.eval()
        for c in sorted(task.classes):
            rows = (labels == c).nonzero().squeeze(1)
            if self.herding:
                images = torch.from_numpy(to_float(task.train_images[rows.numpy()]))
                features = _features(network, images, self._masks(learner, "herding", c))
                best = herding(features, count, faithful=self.faithful)
            else:
                stream = torch_generator(learner.seed, "exemplars", learner.task, c)
                best = torch.randperm(len(rows), generator=stream)[:count]
            self._chosen[learner.task, c] = rows[best]

    def read_outs(self, learner: Learner) -> dict[str, Callable[[Tensor], Tensor]]:
        """Nearest mean of exemplars."""
        if not self._chosen:
            return {}
        network = learner.network.eval()
        with torch.no_grad():
            masks = self._masks(learner, "means", 0)
            means = torch.stack([_features(network, images, masks).mean(0) for images in self._images(learner)])
        classes = torch.tensor([c for _, c in self._chosen])

        @torch.no_grad()
        def nearest(images: Tensor) -> Tensor:
            return classes[torch.cdist(_features(network, images), means).argmin(1)]

        return {"nearest_mean": nearest}

    def state_dict(self) -> dict[str, Tensor]:
        """The exemplars' numbers."""
        return {f"task{task}.class{c}": rows for (task, c), rows in self._chosen.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take them back, in the order they were chosen."""
        names = [(name.removeprefix("task").split(".class"), rows) for name, rows in state.items()]
        self._chosen = dict(sorted(((int(task), int(c)), rows) for (task, c), rows in names))


def _features(network: AwakeNetwork, images: Tensor, masks: torch.Generator | None = None) -> Tensor:
    """Activity of the last hidden layer, with dropout active if ``masks`` draws it."""
    if isinstance(network, FeedForwardNetwork):
        activities = network.train(masks is not None).activities(images, generator=masks)
        network.eval()
    else:
        activities = network.activities(images)
    return (activities[-2] if len(activities) > 1 else activities[-1]).flatten(1)
