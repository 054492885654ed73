"""How units regulate their drive while the network runs: every layer changes as soon as its drive has been seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neurosleep._progress import tell_progress
from neurosleep.errors import UnsupportedError
from neurosleep.functional import (
    DriveMoments,
    Homeostasis,
    HomeostaticChange,
    SetPoint,
    Shift,
    has_mean,
    homeostatic_rows,
)
from neurosleep.replay._drives import CONVOLUTIONS, Drive, Part, Trace, input_of, is_step, weight_of
from neurosleep.replay._quick_forward import quickly
from neurosleep.replay.regulated_layers import RegulatedLayer, regulated

__all__ = ["apply_change", "run_over"]

# So many numbers are worked on at a time, which a processor's cache holds.
_AT_ONCE = 2**18
# What is counted while it goes on.
_WHAT = "homeostasis in rates, layers"
_CONVOLUTION_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


@dataclass(eq=False)
class _Work:
    """What is gathered of one drive over all blocks of frames."""

    draws: int = 0
    input_sum: Tensor | None = None
    mean_square: float = 0.0
    #: Mean of what a row of weights is multiplied with, ``[groups, ...]``; None where it cannot move the mean.
    mean_input: Tensor | None = None
    moments: DriveMoments | None = None
    sent: dict[int, Tensor] = field(default_factory=dict)
    along: Tensor | None = None


class _Stop(BaseException):
    """Ends a forward pass: nothing behind this layer is needed. No Exception, which a model might catch."""


def run_over(
    model: nn.Module,
    trace: Trace,
    blocks: Sequence[Callable[[], Tensor]],
    rule: Homeostasis,
    set_points: Mapping[str, SetPoint],
) -> list[RegulatedLayer]:
    """Change ``model`` in place, layer by layer, each by the frames that all ``blocks`` make.

    A single block goes through the network once, several once or twice a layer.
    """
    mode = _Regulator(trace.groups, rule, set_points)
    if len(blocks) == 1:
        mode.forward(model, blocks[0](), trace.drives, last=True, whole=True)
        tell_progress(_WHAT, len(trace.groups), len(trace.groups))
        return mode.layers
    for number, group in enumerate(trace.groups, start=1):
        by_weights = tuple(drive for drive in group if not mode.by_bias(drive))
        if by_weights:
            for block in blocks:
                mode.forward(model, block(), by_weights, inputs_only=True)
        *first, final = blocks
        for block in first:
            mode.forward(model, block(), group)
        mode.forward(model, final(), group, last=True)
        tell_progress(_WHAT, number, len(trace.groups))
    return mode.layers


class _Regulator(TorchFunctionMode):
    """Sees every counted operation of a forward pass, measures the drives among them and changes what makes them."""

    def __init__(
        self, groups: Iterable[tuple[Drive, ...]], rule: Homeostasis, set_points: Mapping[str, SetPoint]
    ) -> None:
        super().__init__()
        self._rule, self._set_points = rule, set_points
        self._groups = {drive: group for group in groups for drive in group}
        self._work = {drive: _Work() for drive in self._groups}
        self.layers: list[RegulatedLayer] = []
        self._present: tuple[Drive, ...] = ()
        self._inputs_only = self._last = self._whole = False
        self._step = 0
        self._unseen: set[Drive] = set()

    def forward(
        self,
        model: nn.Module,
        frames: Tensor,
        drives: tuple[Drive, ...],
        *,
        inputs_only: bool = False,
        last: bool = False,
        whole: bool = False,
    ) -> None:
        """One block of frames: ``last`` for these drives, which change then; a ``whole`` pass sees all drives."""
        self._unseen = set(drives)
        self._present, self._inputs_only, self._last, self._whole = drives, inputs_only, last, whole
        self._step, left = 0, {part.step for drive in drives for part in drive.parts}
        self._left = left
        try:
            with torch.no_grad(), self:
                model(frames)
        except _Stop:
            return
        if self._left or not whole:
            raise UnsupportedError(
                "The model takes another way through its layers from one input to the next.",
                expected="the same operations for every input",
            )

    def by_bias(self, drive: Drive) -> bool:
        """Whether a bias moves the mean, whatever the inputs."""
        part = drive.mover
        return part.norm is not None or (self._rule.mean_by == "bias" and part.free_bias is not None)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not is_step(func):
            return quickly(func, args, kwargs)
        step, self._step = self._step, self._step + 1
        started = [(drive, part) for drive in self._present for part in drive.parts if part.step == step]
        for drive, part in started:
            self._left.discard(step)
            weight = weight_of(func, args, kwargs)
            if part.function is not func or weight is None or weight.data_ptr() != part.weight.data_ptr():
                self._left.add(-1)
                continue
            self._see_input(drive, part, args, kwargs)
        result = quickly(func, args, kwargs)
        for drive in self._present:
            for part in drive.parts:
                if part.end == step:
                    # What follows may write into it.
                    self._work[drive].sent[part.step] = result.clone() if drive.step != step else result
            if drive.step == step and not self._inputs_only:
                self._see_drive(drive, result)
        return result

    def _see_input(self, drive: Drive, part: Part, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if part is not drive.mover or self.by_bias(drive):
            return
        work, layer = self._work[drive], _Layer(part, args, kwargs)
        if self._inputs_only or self._whole:
            total, square, draws = layer.input_sums()
            work.draws += draws
            work.input_sum = total if work.input_sum is None else work.input_sum + total
            work.mean_square += (square - work.mean_square) * draws / work.draws
        if self._inputs_only:
            self._stop_after(drive)
            return
        if work.input_sum is not None:
            mean_input = layer.mean_patch(work.input_sum / work.draws)
            power = mean_input.double().flatten(1).square().mean(1)
            work.mean_input = mean_input if has_mean(power, work.mean_square, work.draws) else None
            work.input_sum = None
        if work.mean_input is not None:
            work.along = layer.response(work.mean_input)

    def _see_drive(self, drive: Drive, result: Tensor) -> None:
        work, channels = self._work[drive], drive.parts[0].channels
        own = sum(work.sent.values()) if len(work.sent) > 1 else next(iter(work.sent.values()))
        assert isinstance(own, Tensor)
        rest = result - own if drive.rest else None
        moments = DriveMoments.of(_draws(own, channels), work.along, None if rest is None else _draws(rest, channels))
        work.moments = moments if work.moments is None else work.moments.merged(moments)
        if self._last:
            group = self._groups[drive]
            if not self._unseen.intersection(group) - {drive}:
                changes = self._regulate(group)
                # Heads are the output, and nothing follows them.
                if self._whole and len(group) == 1:
                    _change_drive(result, drive, changes[0], work, rest)
        work.sent, work.along = {}, None
        self._stop_after(drive)

    def _stop_after(self, drive: Drive) -> None:
        """Go on only where something of this pass has not been seen yet."""
        self._unseen.discard(drive)
        if not (self._whole or self._unseen):
            raise _Stop

    def _regulate(self, group: tuple[Drive, ...]) -> list[HomeostaticChange]:
        """Change these drives, each by its own parameters, towards what is usual among all of them."""
        works = [self._work[drive] for drive in group]
        shifts = {_shift(drive, work) for drive, work in zip(group, works, strict=True)}
        name = "+".join(drive.name for drive in group)
        if len(shifts) > 1:
            raise UnsupportedError(f"The heads {name} move their means in different ways.", expected="biases in all")
        (shift,) = shifts
        layer, change = regulated(
            name,
            DriveMoments.joined([work.moments for work in works if work.moments is not None]),
            shift,
            self._rule,
            self._set_points,
            output=group[0].output,
            fixed=_fixed_together(group),
            mean_input=works[0].mean_input if len(group) == 1 else None,
        )
        changes, first = [], 0
        for drive, work in zip(group, works, strict=True):
            changes.append(HomeostaticChange(*(values[first : first + drive.units] for values in change)))
            first += drive.units
            apply_change(drive, changes[-1], work.mean_input if shift == "weights" else None)
        self.layers.append(layer)
        return changes


def _shift(drive: Drive, work: _Work) -> Shift:
    if work.mean_input is not None:
        return "weights"
    return "none" if drive.mover.free_bias is None else "bias"


def _draws(values: Tensor, channels: int) -> Tensor:
    """Draws by units: ``[draws, n]``, of channels ``[draws, n, positions]``."""
    return values.flatten(2) if channels == 1 else values.reshape(-1, values.shape[-1])


def _by_unit(values: Tensor, like: Tensor, channels: int) -> Tensor:
    """``values`` ``[n]`` in the shape in which they are multiplied with ``like``."""
    shape = [1] * like.ndim
    shape[channels] = -1
    return values.to(like.dtype).view(shape)


def _fixed_biases(drive: Drive) -> list[Tensor]:
    """Those that are added to the drive and stay, ``[n]`` each."""
    return [p.bias.flatten() for p in drive.parts if p.norm is None and p.bias is not None and p.free_bias is None]


def _fixed_together(group: tuple[Drive, ...]) -> list[Tensor]:
    """The same of drives side by side."""
    if len(group) == 1:
        return _fixed_biases(group[0])
    none = [drive.parts[0].rows.new_zeros(drive.units) for drive in group]
    return [torch.cat([sum(_fixed_biases(drive), zero) for drive, zero in zip(group, none, strict=True)])]


def _change_drive(result: Tensor, drive: Drive, change: HomeostaticChange, work: _Work, rest: Tensor | None) -> None:
    """Make ``result`` in place what the changed layer makes."""
    channels = drive.parts[0].channels
    along, share, fixed = None, torch.zeros_like(change.offset), change.offset
    if work.along is not None and work.mean_input is not None:
        share = change.offset / work.mean_input.double().flatten(1).square().sum(1)
        along = work.along.view(len(result), -1, *result.shape[2:]) if channels == 1 else work.along
        along = along if channels == 1 else along.reshape(*result.shape[:-1], -1)
        fixed = torch.zeros_like(change.offset)
    for bias in _fixed_biases(drive):
        fixed = fixed + bias * (1 - change.factor)
    factor, share, fixed = (_by_unit(values, result, channels) for values in (change.factor, share, fixed))
    # So many draws at a time as a processor's cache holds.
    size = max(1, _AT_ONCE // result[0].numel())
    for first in range(0, len(result), size):
        draws = slice(first, first + size)
        part = result[draws]
        if rest is not None:
            part.sub_(rest[draws])
        part.mul_(factor)
        if along is not None:
            part.addcmul_(along[draws], share)
        part.add_(fixed)
        if rest is not None:
            part.add_(rest[draws])


def apply_change(drive: Drive, change: HomeostaticChange, mean_input: Tensor | None) -> None:
    """Set the parameters that make the drive."""
    for part in drive.parts:
        if part.norm is None:
            along = mean_input if part is drive.mover else None
            part.rows.copy_(homeostatic_rows(part.rows, change, along))
        else:
            part.norm[0].mul_(change.factor.to(part.weight.dtype))
        bias = part.free_bias
        if bias is not None:
            moved = part is drive.mover and mean_input is None
            offset = change.offset if moved else torch.zeros_like(change.offset)
            bias.copy_((bias.flatten() * change.factor + offset).view_as(bias))


class _Layer:
    """One call of a linear or convolutional layer, and what may be computed from its inputs."""

    def __init__(self, part: Part, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._part, self._input = part, input_of(part.function, args, kwargs)
        given = dict(zip(_CONVOLUTION_ARGUMENTS, args, strict=False)) | dict(kwargs)
        self._options = {key: given[key] for key in _CONVOLUTION_ARGUMENTS[3:] if key in given}
        self._groups = int(given.get("groups", 1))
        self._convolves = part.function in CONVOLUTIONS

    def input_sums(self) -> tuple[Tensor, float, int]:
        """Sum of the input over the draws, mean square of all its values, and the number of draws."""
        values = self._input if self._convolves else self._input.reshape(-1, self._input.shape[-1])
        total = (values.new_ones(1, len(values)) @ values.flatten(1)).reshape(values.shape[1:]).double()
        return total, float(torch.linalg.vector_norm(values)) ** 2 / values.numel(), len(values)

    def mean_patch(self, mean: Tensor) -> Tensor:
        """Mean over the positions of what the weights are multiplied with, ``[groups, ...]``, padding included."""
        weight = self._part.weight
        if not self._convolves:
            return mean[None].to(weight.dtype)
        with torch.enable_grad():
            kernel = torch.zeros_like(weight[: self._groups], dtype=torch.float64).requires_grad_()
            made = self._convolved(mean[None].double(), kernel)
            (patch,) = torch.autograd.grad(made.flatten(2).mean(2).sum(), kernel)
        each = patch.to(weight.dtype)
        return each if self._groups == 1 else each.repeat_interleave(len(weight) // self._groups, 0)

    def _convolved(self, values: Tensor, kernel: Tensor) -> Tensor:
        made: Tensor = self._part.function(values, kernel, None, **self._options)
        return made

    def response(self, mean_input: Tensor) -> Tensor:
        """What would arrive through weights equal to the mean input, the same for all units or for each of them.

        ``[draws, 1]`` or ``[draws, n]``, and of channels the positions behind that.
        """
        if not self._convolves:
            return torch.matmul(self._input.reshape(-1, self._input.shape[-1]), mean_input.T)
        each = len(self._part.weight) // self._groups
        kernels = mean_input if self._groups == 1 else mean_input[::each]
        made: Tensor = quickly(self._part.function, (self._input, kernels, None), self._options)
        made = made.flatten(2)
        return made if self._groups == 1 else made.repeat_interleave(each, 1)
