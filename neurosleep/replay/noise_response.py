"""How outputs answer a few frames of noise: what a later sleep must bring back, or nothing is left to bring back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurosleep._shown import brief
from neurosleep.functional import InputNoise
from neurosleep.replay._effect import outputs

__all__ = ["NoiseResponse"]

_FRAMES = 200
_PREFIX = "response."
# The frames are the same whatever the seed of a sleep, and those of no task.
_SEED, _TASK = 0, 2_000_000_000


@dataclass(frozen=True, eq=False)
class NoiseResponse:
    """Outputs of a network to fixed frames of noise.

    Attributes
    ----------
    noise:
        From which the frames are drawn.
    outputs:
        ``[frames, n]``.
    classes:
        Which outputs had learnt a class.

    See Also
    --------
    Guard : which asks how much of it a sleep brings back

    Examples
    --------
    >>> model = nn.Linear(2, 3)
    >>> response = NoiseResponse.of(model, InputNoise([0.5, 0.5]), classes=(0, 1))
    >>> round(response.likeness(model, (0, 1)), 3)
    1.0
    """

    noise: InputNoise
    outputs: Tensor
    classes: tuple[int, ...]

    __repr__ = brief

    @classmethod
    def of(cls, model: nn.Module, noise: InputNoise, classes: Sequence[int]) -> NoiseResponse:
        """What ``model`` answers."""
        answers = outputs(model, noise.frames(_FRAMES, seed=_SEED, task=_TASK))
        # One output may tell two classes apart.
        return cls(noise, answers, tuple(label for label in classes if label < answers.shape[1]))

    def tensors(self) -> dict[str, Tensor]:
        """All of it, as a file holds it."""
        may_lack = {"spread": self.noise.spread, "loadings": self.noise.loadings}
        given = {name: value for name, value in may_lack.items() if value is not None}
        learnt = torch.zeros(self.outputs.shape[1], dtype=torch.bool)
        learnt[list(self.classes)] = True
        every = {"mean": self.noise.mean, **given, "outputs": self.outputs, "learnt": learnt}
        return {_PREFIX + name: value.contiguous() for name, value in every.items()}

    @classmethod
    def from_tensors(cls, state: Mapping[str, Tensor]) -> NoiseResponse | None:
        """What :meth:`tensors` gave, if it is in ``state``."""
        if _PREFIX + "outputs" not in state:
            return None
        spread, loadings = (state.get(_PREFIX + name) for name in ("spread", "loadings"))
        noise = InputNoise(state[_PREFIX + "mean"], spread, loadings=loadings)
        return cls(noise, state[_PREFIX + "outputs"], tuple(state[_PREFIX + "learnt"].nonzero()[:, 0].tolist()))

    def likeness(self, model: nn.Module, classes: Sequence[int]) -> float:
        """Mean correlation over the frames of what ``model`` answers with this, over those of ``classes`` in it.

        What counts is how outputs differ from one another: their mean is taken away from each. NaN where there are
        fewer than two, or nothing varies.
        """
        chosen = sorted(set(self.classes) & set(classes))
        if len(chosen) < 2:
            return math.nan
        frames = self.noise.frames(len(self.outputs), seed=_SEED, task=_TASK)
        both = [values[:, chosen].double() for values in (self.outputs, outputs(model, frames))]
        among = [values - values.mean(1, keepdim=True) for values in both]
        apart = [values - values.mean(0) for values in among]
        sizes = apart[0].norm(dim=0) * apart[1].norm(dim=0)
        alike = (apart[0] * apart[1]).sum(0) / sizes
        return float(alike[sizes > 0].mean())
