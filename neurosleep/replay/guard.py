"""Whether a homeostatic sleep may be kept, judged before it is, from what is at hand without old data.

Accuracy on the newest task falls where sleep works, so that it cannot be the judge alone. What tells forgetting is the
noise itself: outputs of the newest classes are driven far above those of the old ones, and where no class was added,
outputs are driven otherwise than the last sleep left them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from neurosleep._checks import check_number
from neurosleep._shown import brief
from neurosleep.errors import SettingsError
from neurosleep.replay._effect import outputs
from neurosleep.replay.regulated_layers import RegulatedLayer

__all__ = ["Guard", "OutputDrive", "Verdict", "check_guard", "gain_score", "newest_recall"]

_Recall: TypeAlias = Callable[[nn.Module | None], float]
#: What a sleep gives, the network after it last.
Slept = TypeVar("Slept", bound="tuple[object, nn.Module]")


@dataclass(frozen=True)
class Guard:
    """When a sleep is accepted, and how strong it may be.

    Where classes were added: if they are driven above the older ones. Where none was: if outputs have moved apart since
    the last sleep, and those of classes that the newest task had are driven above the others; before any sleep there is
    nothing to compare with. Then enough of the newest samples, where some are at hand, must still be recognised.
    Samples of all classes, as after training on all together, tell themselves what a sleep is worth.

    Parameters
    ----------
    gain:
        Least gain score: mean drive of the newest classes' outputs less that of the older ones', under noise and before
        sleep, in units of the usual spread of an output. Where nothing has been forgotten it is about 0.
    moved:
        Least movement, where no class was added: how far outputs have moved apart since the last sleep, in the same
        units (:meth:`OutputDrive.moved`). Right after a sleep it is about 0.03.
    rise:
        Least rise of the recall, the mean of that of each class, where the newest samples are of all classes.
    recall:
        Share of the newest task's recall, among all classes seen, that must be left after sleep; 0 to 1.
    likeness:
        Least correlation of how outputs of older classes differ under fixed frames of noise after sleep with how they
        did after the last one (:class:`NoiseResponse`); -1 to 1. Where the new task has overwritten them, as large
        steps do (momentum with batch normalisation), sleep has nothing to bring back, and it is about 0 or below.
    first:
        Part of the newest samples whose recognition a first sleep may cost. It regains nothing, and is worth having
        only before what comes: while outputs are left for further classes.
    dampings:
        Dampings of the rule that are tried in turn until enough recall is left: the first if no sample is at hand;
        above 0, at most 1. By default it is lowered to a half before a sleep is declined.

    See Also
    --------
    neurosleep.consolidate : asks it
    Verdict : its answer

    Examples
    --------
    >>> Guard(gain=2.0)
    Guard(gain=2)
    """

    gain: float = 0.7
    moved: float = 1.0
    rise: float = 0.02
    recall: float = 0.5
    likeness: float = 0.6
    first: float = 0.01
    dampings: tuple[float, ...] = (1.0, 0.9, 0.8, 0.65, 0.5)

    __repr__ = brief

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", check_number("The least gain score of a guard", self.gain))
        object.__setattr__(self, "moved", check_number("The least movement of a guard", self.moved, 0))
        for key in ("rise", "recall", "first"):
            object.__setattr__(self, key, check_number(f"The share {key!r} of a guard", getattr(self, key), 0, 1))
        object.__setattr__(self, "likeness", check_number("The least likeness of a guard", self.likeness, -1, 1))
        if isinstance(self.dampings, str) or not len(self.dampings):
            raise SettingsError(f"The dampings of a guard are {self.dampings!r:.60}.", expected="at least one")
        dampings = (check_number("A damping of a guard", damping, most=1, above=0) for damping in self.dampings)
        object.__setattr__(self, "dampings", tuple(dampings))

    def ask(
        self,
        before: RegulatedLayer,
        slept: Callable[[float], Slept],
        *,
        classes: Sequence[int],
        new_classes: Sequence[int] | None,
        recall: _Recall | None,
        even_recall: _Recall | None = None,
        learnt: Collection[int] = (),
        left: OutputDrive | None = None,
        likeness: Callable[[nn.Module, Sequence[int]], float] | None = None,
    ) -> tuple[Verdict, Slept | None]:
        """Whether to keep a sleep, and which.

        Parameters
        ----------
        before:
            The output layer before sleep, under noise.
        slept:
            A sleep with a damping, and the network after it, last.
        classes, new_classes:
            Classes seen so far, and which of them came with the newest task; None: not known.
        recall:
            Of the newest task, by a network or (None) by the one before sleep; None where no sample is at hand.
        even_recall:
            The same, the mean of that of each class, where the samples are of all ``classes``; else None.
        learnt:
            Classes of the newest samples, new or not.
        left:
            Where the last sleep left the outputs; None: there was none.
        likeness:
            Of a network to the one that the last sleep left, among outputs of some classes; None: there was none.
        """
        if new_classes is None:
            return Verdict(False, "which classes are new is not known: give new_classes, or guard=False"), None
        old = sorted(set(classes) - set(new_classes))
        new = sorted(set(classes) & set(new_classes))
        if not old and (len(new) < 2 or even_recall is None or int(before.driven.sum()) > len(new)):
            return self._first(len(new), int(before.driven.sum()), slept, recall)
        verdict = Verdict(True, "") if new else self._moved(before, left)
        if even_recall is not None and (verdict.accepted or left is None):
            return self._of_all(slept, even_recall)
        others = sorted(set(classes) - set(learnt)) if not new else old
        if verdict.accepted and (new or learnt):
            verdict = self._driven(before, others, new or sorted(learnt), verdict)
        if not verdict.accepted:
            return verdict, None
        if new and likeness is not None:
            verdict = self._remembered(likeness(slept(self.dampings[0])[-1], old), verdict)
            if not verdict.accepted:
                return verdict, None
        if recall is None:
            return verdict._replace(damping=self.dampings[0]), slept(self.dampings[0])
        least, kept = self.recall * recall(None), math.nan
        for damping in self.dampings:
            done = slept(damping)
            kept = recall(done[-1])
            verdict = verdict._replace(damping=damping, recall=kept)
            if kept >= least:
                score = f"gain score {verdict.gain:.2f}" if new else verdict.reason
                reason = f"{score}, and {kept:.0%} of the newest samples are still recognised"
                return verdict._replace(reason=reason), done
        lost = f"only {kept:.0%} of the newest samples would still be recognised, at a damping of {damping:g}"
        return verdict._replace(accepted=False, reason=lost), None

    def _driven(
        self, before: RegulatedLayer, others: Sequence[int], newest: Sequence[int], verdict: Verdict
    ) -> Verdict:
        """Whether outputs of the ``newest`` classes are driven above the ``others``."""
        gain = gain_score(before, others, newest)
        above = "above" if gain > self.gain else "no higher than"
        reason = f"the newest classes are driven {above} the older ones (gain score {gain:.2f})"
        if verdict.reason:
            reason = f"{verdict.reason}, and those of its classes are driven {above} the others (gain score {gain:.2f})"
        return verdict._replace(accepted=gain > self.gain, reason=reason, gain=gain)

    def _remembered(self, alike: float, verdict: Verdict) -> Verdict:
        """Whether sleep brings back what outputs of older classes answered; where that is not known it may."""
        if alike >= self.likeness or math.isnan(alike):
            return verdict._replace(likeness=alike)
        lost = (
            f"outputs of older classes answer noise otherwise than after the last sleep (a correlation of {alike:.2f})"
        )
        return verdict._replace(accepted=False, reason=f"{lost}: they were overwritten", likeness=alike)

    def _moved(self, before: RegulatedLayer, left: OutputDrive | None) -> Verdict:
        if left is None:
            return Verdict(False, "no class was added, nor was there a sleep before: nothing shows what was forgotten")
        moved = left.moved(before)
        hardly = "" if moved > self.moved else "hardly "
        reason = f"no class was added, and outputs have {hardly}moved apart since the last sleep ({moved:.2f} spreads)"
        return Verdict(moved > self.moved, reason, moved=moved)

    def _of_all(self, slept: Callable[[float], Slept], even_recall: _Recall) -> tuple[Verdict, Slept | None]:
        """Of samples of all classes: whether their recall rises."""
        was, kept, damping = even_recall(None), math.nan, math.nan
        for damping in self.dampings:
            done = slept(damping)
            kept = even_recall(done[-1])
            if kept >= was + self.rise:
                reason = f"the newest samples are of all classes, and their recall rises from {was:.1%} to {kept:.1%}"
                return Verdict(True, reason, damping=damping, recall=kept), done
        reason = f"the newest samples are of all classes, and their recall would go from {was:.1%} to {kept:.1%}"
        return Verdict(False, reason, damping=damping, recall=kept), None

    def _first(
        self, classes: int, outputs_driven: int, slept: Callable[[float], Slept], recall: _Recall | None
    ) -> tuple[Verdict, Slept | None]:
        if classes < 2 or outputs_driven <= classes or recall is None:
            what = "one class is no task" if classes < 2 else "no class was learnt before the newest"
            return Verdict(False, f"{what}: nothing shows that something was forgotten"), None
        done = slept(1.0)
        lost = recall(None) - recall(done[-1])
        if lost > self.first:
            reason = f"no class was learnt before, and sleep would cost {lost:.1%} of the newest samples"
            return Verdict(False, reason), None
        return Verdict(True, f"outputs are left for further classes, and sleep costs {max(lost, 0):.1%}"), done


def check_guard(guard: object) -> None:
    """Refuse what is neither a guard nor says whether there is one."""
    if not isinstance(guard, bool | Guard):
        raise SettingsError(f"guard is {guard!r:.60}.", expected="True, False or a Guard")


class Verdict(NamedTuple):
    """What a guard answered.

    accepted: whether sleep may be kept; reason: why, in one sentence; gain: the gain score (NaN where there is none);
    damping: of the rule; recall: share of the newest samples recognised after sleep, where they are of all classes the
    mean over classes (NaN where none were at hand);
    moved: how far outputs have moved since the last sleep, where no class was added; likeness: of what outputs of older
    classes answer to noise to what they answered after the last sleep (NaN where it was not asked).

    See Also
    --------
    Guard : which answers

    Examples
    --------
    >>> Verdict(False, "no class was learnt before the newest").damping
    1.0
    """

    accepted: bool
    reason: str
    gain: float = math.nan
    damping: float = 1.0
    recall: float = math.nan
    moved: float = math.nan
    likeness: float = math.nan


class OutputDrive(NamedTuple):
    """How outputs are driven under noise.

    means: of each output, NaN for those that sleep does not change; spread: the usual one.

    See Also
    --------
    Guard : which asks how far they have moved since

    Examples
    --------
    >>> OutputDrive(means=(0.5, 0.5), spread=2.0).spread
    2.0
    """

    means: tuple[float, ...]
    spread: float

    @classmethod
    def of(cls, layer: RegulatedLayer, means: Tensor) -> OutputDrive | None:
        """Of the output layer and its ``means`` ``[n]``, before or after sleep; None if nothing drives it."""
        if layer.target is None:
            return None
        return cls(tuple(torch.where(layer.changed, means, math.nan).tolist()), layer.target.spread)

    def moved(self, now: RegulatedLayer) -> float:
        """How far the means have moved apart: the deviation of their movements, in units of the spread.

        Outputs that came later are left out, and what all have moved alike: no answer depends on it.
        """
        seen = min(len(self.means), len(now.driven))
        movements = now.mean_before[:seen] - torch.tensor(self.means[:seen], dtype=torch.float64)
        movements = movements[now.driven[:seen] & ~movements.isnan()]
        return float(movements.std(correction=0)) / self.spread if len(movements) else math.nan


def gain_score(layer: RegulatedLayer, old: Sequence[int], new: Sequence[int]) -> float:
    """Mean drive of the outputs ``new`` less that of ``old``, in units of the spread that is usual in the layer.

    NaN where nothing drives one of both.

    See Also
    --------
    Guard : which compares it with a limit

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from neurosleep.functional import InputNoise
    >>> from neurosleep.replay import gain_score, regulate
    >>> model = nn.Linear(2, 2)
    >>> model.weight.data, model.bias.data = torch.ones(2, 2), torch.tensor([0.0, 3.0])
    >>> layer = regulate(model, InputNoise([0.5, 0.5]), draws=2000).layers[0]
    >>> round(gain_score(layer, old=[0], new=[1]), 1)  # 3 apart, at a spread of about 0.7
    4.2
    """
    usual = layer.target
    driven = [[unit for unit in units if bool(layer.driven[unit])] for units in (old, new)]
    if usual is None or not all(driven):
        return math.nan
    older, newer = (float(layer.mean_before[units].mean()) for units in driven)
    return (newer - older) / usual.spread


@torch.no_grad()
def newest_recall(
    model: nn.Module, images: Tensor, labels: Tensor, classes: Sequence[int], *, even: bool = False
) -> float:
    """Share of ``images`` ``[n, ...]`` whose largest output among ``classes`` is that of their label ``[n]``.

    ``even``: the mean of that of each class, however many samples it has.

    See Also
    --------
    Guard : which asks for it

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from neurosleep.replay import newest_recall
    >>> newest_recall(nn.Identity(), torch.eye(3), torch.tensor([0, 1, 1]), classes=[0, 1])
    0.6666666666666666
    """
    seen = torch.tensor(sorted(classes))
    chosen = seen[outputs(model, images)[:, seen].argmax(1)]
    right, labels = (chosen == labels.cpu()).double(), labels.cpu()
    if even:
        return float(torch.stack([right[labels == label].mean() for label in sorted(set(labels.tolist()))]).mean())
    return float(right.mean())
