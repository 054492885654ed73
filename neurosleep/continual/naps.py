"""Naps: short sleeps in the middle of a task, after every so many batches."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

from torch import Tensor, nn

from neurosleep._checks import check_count, check_number
from neurosleep._shown import brief
from neurosleep.errors import NeurosleepWarning, SettingsError
from neurosleep.replay import NREM, Consolidation, Consolidator, Guard, Sleep
from neurosleep.replay.guard import check_guard

__all__ = ["Napping", "Naps"]


@dataclass(frozen=True)
class Naps:
    """When there are naps, short NREM stages in rates, and how far they go.

    Outputs of new classes rise from the first batches on, and those of old ones fall. A nap sets that right while
    little has been lost.

    Parameters
    ----------
    every:
        Batches from one nap to the next; the count starts anew with every task.
    damping:
        Share of the way to the target that a nap goes, times that of the stage's rule; above 0, at most 1. Naps do not
        scale down, whatever ``downscale`` of the rule.

    Notes
    -----
    On class-incremental MNIST (784-2000-10, slow hidden layer, some 100 batches a task, one seed on the validation
    images, in rates) sleep after tasks alone ended at 86.8 %, with a nap every 60, 40 and 25 batches at 88.0, 88.4
    and 88.7, at half damping every 25 at 88.4; with 4000 hidden units every 25, 15 and 8 batches at 89.1, 89.4 and
    89.2. Where all layers learn at one rate, too many naps did harm (independent inputs, 784-400-400-10: at chance
    with one every 10 batches). Two to four naps a task are a good start.

    Raises
    ------
    SettingsError
        If a number is impossible.

    See Also
    --------
    HomeostaticSleep : the strategy that has them as an option

    Examples
    --------
    >>> from neurosleep.continual import HomeostaticSleep, Naps
    >>> HomeostaticSleep(naps=Naps(every=40, damping=0.5)).napping.naps
    Naps(every=40, damping=0.5)
    """

    every: int
    damping: float = 1.0

    __repr__ = brief

    def __post_init__(self) -> None:
        check_count("Batches from one nap to the next", self.every)
        object.__setattr__(self, "damping", check_number("The damping of a nap", self.damping, most=1, above=0))


class Napping:
    """The naps of a task while it is learnt.

    What drives them is the mean of all inputs so far, those of the present task too, each counted once; the newest
    classes are those of the present task so far. ``taken`` and ``declined`` count the naps of the task that changed the
    network, and that did not; one that is declined says nothing.
    """

    def __init__(self, sleep: Sleep, naps: Naps, guard: bool | Guard = True, seed: int = 0) -> None:
        check_guard(guard)
        stage = next((stage for stage in sleep.stages if isinstance(stage, NREM)), None)
        if stage is None:
            raise SettingsError("The sleep has no NREM stage, and a nap is one.", expected="NREM() among its stages")
        # Scaling down is for the sleep after the task: a nap after every few batches would leave nothing.
        rule = replace(stage.rule, damping=stage.rule.damping * naps.damping, downscale=1.0)
        self.naps, self.guard, self.seed = naps, guard, seed
        self.sleep = Sleep(stages=(replace(stage, form="rates", rule=rule),))
        self.taken, self.declined = 0, 0
        self._keeper = Consolidator()
        self._batches, self._inputs = 0, 0

    def start(self, keeper: Consolidator, inputs: int) -> None:
        """Before a task of so many ``inputs``; ``keeper``, which stays as it is, knows what came before it."""
        self._keeper = keeper.copy()
        self._batches, self._inputs, self.taken, self.declined = 0, inputs, 0, 0

    def after_batch(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Consolidation | None:
        """``model`` has learnt ``inputs`` ``[n, ...]`` and their labels ``[n]``, or soft targets ``[n, classes]``.

        If it is time for a nap, its weights change in place, and what came of it comes back.
        """
        # Later epochs show the same inputs again.
        if self._inputs > 0:
            self._keeper.observe(inputs.detach(), labels if labels.ndim == 1 else labels.argmax(1))
            self._inputs -= len(inputs)
        return self.count(model, self._keeper)

    def count(self, model: nn.Module, keeper: Consolidator) -> Consolidation | None:
        """The same where ``keeper`` has observed the task so far."""
        self._batches += 1
        if self._batches % self.naps.every:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeurosleepWarning)
            number = self._batches // self.naps.every - 1
            result = keeper.nap(model, number, sleep=self.sleep, guard=self.guard, seed=self.seed)
        if result.status == "done":
            result.apply_to(model)
            self.taken += 1
        else:
            self.declined += 1
        return result
