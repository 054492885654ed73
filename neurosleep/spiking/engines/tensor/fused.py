"""Whether a plastic population can be stepped by one kernel of Triton, and how; only what it has computed right once.

The plain operations of :mod:`networks` touch all weights in every step; the kernel touches those of what fired.
"""

from __future__ import annotations

import functools
import warnings
from importlib.util import find_spec

import torch
from torch import Tensor

from neurosleep.errors import NeurosleepWarning
from neurosleep.functional import FACTORS, LIFParams, PlasticityRule, SRCRule

__all__ = ["Fused", "fuses"]

# Neurons of a program, which is one warp, and sources whose weights it adds up, and changes, at a time.
_LANES, _SOURCES, _ROWS = 32, 16, 32


def fuses(rule: PlasticityRule | None, dtype: torch.dtype, streams: int, device: str) -> bool:
    """Whether the kernel knows this: the rule of SRC, one stream, float32, a CUDA device with Triton."""
    if not (type(rule) is SRCRule and dtype == torch.float32 and streams == 1 and _compiles_for(device)):
        return False
    trouble = _trouble(device)
    if trouble is not None:
        warnings.warn(
            f"The compiled kernel for sleep is not used on the device {device!r}: {trouble}. The plain operations give "
            "the same, and touch all weights in every step.",
            NeurosleepWarning,
            stacklevel=2,
        )
    return trouble is None


def _compiles_for(device: str) -> bool:
    return torch.device(device).type == "cuda" and find_spec("triton") is not None


class Fused:
    """A population of LIF units without refractoriness, with weights ``[networks, post, pre]`` that ``rule`` changes.

    ``weights`` lies input-major in memory from now on: it is a view of that, which the kernel changes.
    """

    def __init__(self, weights: Tensor, scale: Tensor, v: Tensor, p: LIFParams, rule: SRCRule) -> None:
        self._input_major = weights.transpose(1, 2).contiguous()
        self.weights = self._input_major.transpose(1, 2)
        networks, post, _ = weights.shape
        values = (p.threshold, p.decay, p.leak, p.reset_value, p.amount, scale)
        given = [value.reshape(-1, value.shape[-1] if value.ndim else 1).expand(networks, post) for value in values]
        self._parameters = torch.stack([*given, v.reshape(networks, post)])
        self._subtract, self._strict, self._rule = p.reset == "subtract", p.compare == ">", rule

    def run(self, currents: Tensor, pre: Tensor) -> Tensor:
        """Booleans ``[networks, steps, post]``; ``currents`` likewise, ``pre`` 0 or 1, of any type."""
        from neurosleep.spiking.engines.tensor.fused_kernel import step_and_learn

        networks, steps, post = currents.shape
        fired = pre.to(torch.int8).contiguous()
        counts = fired.sum(2, dtype=torch.int32)
        # Those that fired, in front: of a source that did not fire the place behind all of them.
        place = torch.where(fired > 0, fired.cumsum(2) - 1, fired.shape[2])
        lists = torch.zeros(networks, steps, fired.shape[2] + 1, dtype=torch.int32, device=fired.device)
        sources = torch.arange(fired.shape[2], dtype=torch.int32, device=fired.device)
        lists.scatter_(2, place, sources.expand_as(fired))
        sent = torch.empty(networks, steps, post, dtype=torch.int8, device=fired.device)
        step_and_learn[(networks, -(-post // _LANES))](
            self._input_major,
            lists[:, :, :-1].contiguous(),
            counts,
            fired,
            currents,
            self._parameters,
            sent,
            *currents.stride(),
            networks,
            steps,
            fired.shape[2],
            post,
            self._rule.inc,
            self._rule.dec,
            self._rule.width,
            SUBTRACT=self._subtract,
            STRICT=self._strict,
            FACTOR=FACTORS.index(self._rule.factor),
            LANES=_LANES,
            SOURCES=_SOURCES,
            ROWS=_ROWS,
            num_warps=1,
        )
        return sent != 0

    @property
    def v(self) -> Tensor:
        """The potentials ``[networks, post]``, in the memory that the kernel changes."""
        return self._parameters[6]


@functools.cache
def _trouble(device: str) -> str | None:
    """Why the kernel cannot be used on ``device``, if so; looked at once."""
    try:
        return None if _is_right(device) else "it computes something else there"
    except Exception as error:  # whatever stands in the way of compiling
        return f"it does not run there ({type(error).__name__}: {error})"[:300]


def _is_right(device: str) -> bool:
    """Whether the kernel computes on ``device`` what it should, of a case whose sums are exact."""
    generator = torch.Generator().manual_seed(0)
    networks, steps, pre, post = 3, 40, 70, 45
    weights = torch.randint(-4, 8, (networks, post, pre), generator=generator) / 8
    spikes = torch.rand(networks, steps, pre, generator=generator) < 0.1
    zero, half, one = (torch.tensor(value, device=device) for value in (0.0, 0.5, 1.0))
    p = LIFParams(threshold=one, decay=half, leak=zero, reset_value=zero, amount=one, refractory=zero)
    rule, v = SRCRule(0.25, 0.125, "constant"), torch.zeros(networks, post)
    currents = torch.zeros(1, 1, 1).expand(networks, steps, post)
    fused = Fused(weights.to(device), half, v.to(device), p, rule)
    sent = fused.run(currents.to(device), spikes.to(device)).cpu()
    expected = torch.empty_like(sent)
    for t in range(steps):
        v = 0.5 * v + 0.5 * torch.bmm(weights, spikes[:, t, :, None].float())[:, :, 0]
        expected[:, t] = v >= 1
        v[expected[:, t]] = 0
        for n in range(networks):
            rule.step_(weights[n], spikes[n, t], expected[n, t], ())
    return torch.equal(sent, expected) and torch.equal(fused.weights.cpu(), weights) and torch.equal(fused.v.cpu(), v)
