"""Which drives a network has: found by running it once and looking at every operation on the way.

That needs neither a conversion nor a graph: any module will do, with any activation and any control flow, as long as
it takes the same way for every input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neurosleep.errors import UnsupportedError, unknown_name
from neurosleep.replay._scores import scores_among, tensors

__all__ = ["CONVOLUTIONS", "Drive", "Part", "Trace", "input_of", "is_step", "trace_drives", "weight_of"]

CONVOLUTIONS = frozenset({F.conv1d, F.conv2d, F.conv3d})
_PRODUCTS = frozenset({torch.matmul, Tensor.matmul, Tensor.__matmul__})
_SUMS_OF_PRODUCTS = frozenset({torch.addmm, Tensor.addmm})
_TURNING = _PRODUCTS | _SUMS_OF_PRODUCTS
_LAYERS = CONVOLUTIONS | {F.linear} | _TURNING
_ADD = frozenset({torch.add, Tensor.add, Tensor.add_})
# Normalisations, and where their weight and bias stand among the arguments.
_NORMS = {F.batch_norm: (3, 4), F.layer_norm: (2, 3)}
_STEPS = _LAYERS | _ADD | _NORMS.keys()
_JOINS = frozenset({torch.cat, torch.concat, torch.concatenate})
# Views of a weight through which x @ weight.T uses it.
_TURNED = frozenset({torch.t, Tensor.t, torch.transpose, Tensor.transpose})
_TURNED |= {vars(torch._C.TensorBase)[key].__get__ for key in ("T", "mT")}
# What evaluation passes through as it is.
_PASSED = frozenset({F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, torch.dropout, Tensor.to})
_MODULES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

Value: TypeAlias = int


@dataclass(eq=False)
class Part:
    """One layer that drives units, with the batch or layer normalisation behind it if there is one.

    step: which operation of a forward pass it is; end: which one makes what it sends to the sum of the drive; turned:
    whether the units are the columns of the weight, as in ``x @ weight``.
    """

    name: str
    step: int
    end: int
    function: Any
    weight: nn.Parameter
    bias: nn.Parameter | None
    norm: tuple[nn.Parameter, nn.Parameter] | None = None
    turned: bool = False

    @property
    def rows(self) -> Tensor:
        """The weights of each unit, ``[units, ...]``, of the parameter itself."""
        return self.weight.T if self.turned else self.weight

    @property
    def channels(self) -> int:
        """The axis of the units in what the layer makes."""
        return 1 if self.function in CONVOLUTIONS else -1

    @property
    def free_bias(self) -> nn.Parameter | None:
        """The bias of its units that changes, if there is one."""
        if self.norm is not None:
            return self.norm[1]
        return self.bias if self.bias is not None and self.bias.requires_grad else None

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All that may change."""
        changed = list(self.norm) if self.norm is not None else [self.weight]
        return changed + ([self.free_bias] if self.norm is None and self.free_bias is not None else [])


@dataclass(eq=False)
class Drive:
    """The summed input of the units of a layer.

    parts: the layers that it comes from; step: which operation of a forward pass makes it; rest: whether something else
    is added; output: whether it is what the network returns.
    """

    parts: list[Part]
    step: int
    rest: bool = False
    output: bool = False

    @property
    def name(self) -> str:
        """The names of its layers."""
        return "+".join(part.name for part in self.parts)

    @property
    def units(self) -> int:
        """Number of units, or of channels."""
        return len(self.parts[0].rows)

    @property
    def mover(self) -> Part:
        """The layer that moves the mean: one with a bias if there is one, else the first."""
        return next((part for part in self.parts if part.free_bias is not None), self.parts[0])


@dataclass(frozen=True)
class Trace:
    """What one forward pass did: its drives in the order of execution, what stays as it is, and its largest tensor.

    scores: which of the tensors that it returned holds the scores of the classes, None if that is not plain; heads:
    the drives that they are put together from, side by side, in the order of their columns; whole: whether no
    other column is among them.
    """

    drives: tuple[Drive, ...]
    notes: tuple[str, ...]
    largest: int
    scores: int | None
    heads: tuple[Drive, ...]
    whole: bool

    @property
    def groups(self) -> list[tuple[Drive, ...]]:
        """Drives that change together, in the order in which they can: every one on its own, but for the heads."""
        last = max(self.heads, key=lambda drive: drive.step, default=None)
        alone = [drive for drive in self.drives if drive is last or drive not in self.heads]
        return [self.heads if drive is last else (drive,) for drive in alone]


def is_step(function: Any) -> bool:
    """Whether an operation is counted."""
    return function in _STEPS


def argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], position: int, name: str) -> Any:
    """An argument of an operation, by position or by name."""
    return args[position] if len(args) > position else kwargs.get(name)


def input_of(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What an operation that may be a layer multiplies with its weight."""
    if function in _SUMS_OF_PRODUCTS:
        return argument(args, kwargs, 1, "mat1")
    return argument(args, kwargs, 0, "input")


def weight_of(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What an operation that may be a layer multiplies its input with."""
    if function in _SUMS_OF_PRODUCTS:
        return argument(args, kwargs, 2, "mat2")
    return argument(args, kwargs, 1, "other" if function in _PRODUCTS else "weight")


@dataclass(eq=False)
class _Step:
    """One operation that is counted: which it is, and the values that go in and come out."""

    function: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: tuple[Value, ...]
    result: Value
    shape: torch.Size


@dataclass(eq=False)
class _Observer(TorchFunctionMode):
    """Notes every counted operation and how often each value and each parameter is used."""

    turned: dict[int, nn.Parameter] = field(default_factory=dict)
    steps: list[_Step] = field(default_factory=list)
    uses: Counter[Value] = field(default_factory=Counter)
    parameter_uses: Counter[int] = field(default_factory=Counter)
    users: dict[int, str] = field(default_factory=dict)
    joins: dict[Value, tuple[Value, ...]] = field(default_factory=dict)
    largest: int = 1

    def __post_init__(self) -> None:
        super().__init__()
        self._values: dict[int, Value] = {}
        self._number = 0
        # Tensors live as long as their numbers are looked up, or another would take their place in memory.
        self._alive: list[Tensor] = []

    def value(self, tensor: Tensor) -> Value:
        """The number of what ``tensor`` holds at present."""
        return self._values[id(tensor)] if id(tensor) in self._values else self._renew(tensor)

    def _renew(self, tensor: Tensor) -> Value:
        self._number += 1
        self._alive.append(tensor)
        self._values[id(tensor)] = self._number
        return self._number

    def weight(self, tensor: Any) -> nn.Parameter | None:
        """The parameter that ``tensor`` is, or is the transpose of."""
        return tensor if isinstance(tensor, nn.Parameter) else self.turned.get(id(tensor))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = list(tensors((args, kwargs)))
        inputs = tuple(self.value(tensor) for tensor in given)
        result = func(*args, **kwargs)
        made = list(tensors(result))
        if not made or not given:
            return result
        if func in _TURNED and isinstance(given[0], nn.Parameter) and given[0].ndim == 2:
            self._alive.append(made[0])
            self.turned[id(made[0])] = given[0]
            return result
        if func in _PASSED:
            self._alive.append(made[0])
            self._values[id(made[0])] = inputs[0]
            return result
        self.uses.update(inputs)
        parameters = [id(p) for p in map(self.weight, given) if p is not None]
        self.parameter_uses.update(parameters)
        self.users.update(dict.fromkeys(parameters, getattr(func, "__name__", "unknown")))
        numbers = [self._renew(tensor) for tensor in made]
        if func in _JOINS and made[0].ndim == 2 and argument(args, kwargs, 1, "dim") in (1, -1):
            self.joins[numbers[0]] = inputs
        self.largest = max([self.largest, *(tensor.numel() // max(len(tensor), 1) for tensor in made if tensor.ndim)])
        if func in _STEPS:
            self.steps.append(_Step(func, args, kwargs, inputs, numbers[0], made[0].shape))
        return result


@torch.no_grad()
def trace_drives(model: nn.Module, frames: Tensor, layers: tuple[str, ...] | None = None) -> Trace:
    """The drives of ``model``, in evaluation mode, when it is run on a few ``frames``.

    Raises
    ------
    UnsupportedError
        If a layer's weight is computed from others, or a batch normalisation behind a layer has no weight and bias.
    UnknownNameError
        If one of ``layers`` does not exist.
    """
    _check_weights(model)
    with _Observer() as seen:
        said = model(frames)
    returned = list(tensors(said))
    seen.uses.update(seen.value(tensor) for tensor in returned)
    finder = _Finder(seen, {id(p): name for name, p in model.named_parameters()}, layers)
    for index, step in enumerate(seen.steps):
        finder.look_at(index, step)
    if layers is not None:
        for name in layers:
            if name not in finder.names:
                raise unknown_name("layer", name, finder.names)
    drives = sorted(set(finder.drives.values()), key=lambda drive: drive.step)
    scores = None
    if drives:
        scores = scores_among(said, lambda tensor: seen.value(tensor) in finder.drives, drives[-1].units)
    finder.mark_outputs([seen.value(tensor) for tensor in (returned if scores is None else [returned[scores]])])
    changed = {id(parameter) for drive in drives for part in drive.parts for parameter in (part.weight, part.bias)}
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and id(parameter) not in changed and name.removesuffix(".weight") not in finder.names:
            user = seen.users.get(id(parameter))
            used = "nothing uses it" if user is None else f"the operation {user!r} uses it"
            finder.notes.append(
                f"{name} stays as it is: {used}, and it is no weight of a linear or convolutional layer"
            )
    return Trace(tuple(drives), tuple(finder.notes), seen.largest, scores, finder.heads, finder.whole)


def _check_weights(model: nn.Module) -> None:
    for name, layer in model.named_modules():
        if isinstance(layer, _MODULES) and layer._parameters.get("weight") is None:
            raise UnsupportedError(
                f"The weight of layer {name!r} is computed from others, as weight_norm and parametrizations do.",
                hint="torch.nn.utils.remove_weight_norm or torch.nn.utils.parametrize.remove_parametrizations first",
            )


class _Finder:
    """Puts layers, the normalisations behind them and the sums that they end in together to drives."""

    def __init__(self, seen: _Observer, names: Mapping[int, str], layers: tuple[str, ...] | None) -> None:
        self._seen, self._parameters, self._layers = seen, names, layers
        self.drives: dict[Value, Drive] = {}
        self.names: list[str] = []
        self.notes: list[str] = []
        self.heads: tuple[Drive, ...] = ()
        self.whole = True

    def look_at(self, index: int, step: _Step) -> None:
        """Take operation number ``index`` into account."""
        if step.function in _ADD:
            self._sum(index, step)
        elif step.function in _NORMS:
            self._normalised(index, step)
        else:
            self._layer(index, step)

    def _alone(self, value: Value) -> Drive | None:
        """The drive that is ``value``, if nothing else uses it."""
        return self.drives.get(value) if self._seen.uses[value] == 1 else None

    def _layer(self, index: int, step: _Step) -> None:
        given = weight_of(step.function, step.args, step.kwargs)
        weight = self._seen.weight(given)
        if weight is None or id(weight) not in self._parameters or weight.ndim < 2:
            return
        # Units of x @ weight.T are the rows of the weight, as those of F.linear; those of x @ weight its columns.
        turned = step.function in _TURNING and weight is given
        if turned and weight.ndim != 2:
            return
        bias = None if step.function in _PRODUCTS else argument(step.args, step.kwargs, 2, "bias")
        if step.function in _SUMS_OF_PRODUCTS:
            bias = argument(step.args, step.kwargs, 0, "input")
            plain = all(step.kwargs.get(key, 1) == 1 for key in ("alpha", "beta"))
            if not (plain and isinstance(bias, nn.Parameter) and bias.shape == step.shape[-1:]):
                return
        name = self._parameters[id(weight)].removesuffix(".weight")
        if name in self.names:
            return
        self.names.append(name)
        uses = self._seen.parameter_uses
        if self._layers is not None and name not in self._layers:
            why = ""
        elif not weight.requires_grad:
            why = "it is frozen (requires_grad=False)"
        elif uses[id(weight)] > 1 or (bias is not None and uses[id(bias)] > 1):
            why = "its parameters are used more than once in a forward pass"
        else:
            part = Part(name, index, index, step.function, weight, bias, turned=turned)
            self.drives[step.result] = Drive([part], index)
            return
        if why:
            self.notes.append(f"{name} stays as it is: {why}")

    def _normalised(self, index: int, step: _Step) -> None:
        drive = self._alone(step.inputs[0])
        places = zip(_NORMS[step.function], ("weight", "bias"), strict=True)
        gamma, beta = (argument(step.args, step.kwargs, place, key) for place, key in places)
        if drive is None or len(drive.parts) > 1 or drive.parts[0].norm is not None:
            return
        (part,) = drive.parts
        if part.channels == -1 and len(step.shape) != 2 and step.function is not F.layer_norm:
            return
        if step.function is F.layer_norm:
            # It undoes only what is common to all units, so that weights may also change before it.
            free = [one is not None and one.requires_grad and one.shape == (drive.units,) for one in (gamma, beta)]
            if not all(free) or part.channels != -1:
                return
        elif gamma is None or beta is None:
            raise UnsupportedError(
                f"The batch normalisation behind layer {part.name!r} has no weight and bias, and undoes every change "
                "of that layer.",
                hint="affine=True; or fold it into the layer (torch.nn.utils.fusion); or leave the layer out",
            )
        del self.drives[step.inputs[0]]
        if not (gamma.requires_grad and beta.requires_grad):
            self.notes.append(f"{part.name} stays as it is: the batch normalisation behind it is frozen")
            return
        part.norm, part.end, drive.step, drive.rest = (gamma, beta), index, index, False
        self.drives[step.result] = drive

    def _sum(self, index: int, step: _Step) -> None:
        scaled = argument(step.args, step.kwargs, 2, "alpha") not in (None, 1)
        shapes = {tensor.shape for tensor in tensors(step.args)}
        if scaled or len(step.inputs) != 2 or step.inputs[0] == step.inputs[1] or self._biased(index, step):
            return
        if shapes != {step.shape}:
            return
        ends = [drive for value in step.inputs if (drive := self._alone(value)) is not None]
        if not ends or len({drive.parts[0].channels for drive in ends}) > 1:
            return
        for value in step.inputs:
            self.drives.pop(value, None) if self._alone(value) is not None else None
        rest = len(ends) < 2 or any(drive.rest for drive in ends)
        self.drives[step.result] = Drive([part for drive in ends for part in drive.parts], index, rest)

    def _biased(self, index: int, step: _Step) -> bool:
        """Whether a parameter is added that is the bias of the units of a layer without one; it is from now on."""
        biases = [(one, k) for k, one in enumerate(tensors(step.args)) if isinstance(one, nn.Parameter)]
        if len(biases) != 1:
            return False
        ((bias, place),) = biases
        value = step.inputs[1 - place]
        drive = self._alone(value)
        if drive is None or drive.rest or len(drive.parts) > 1:
            return False
        (part,) = drive.parts
        if part.bias is not None or part.norm is not None:
            return False
        shape = [1] * len(step.shape)
        shape[part.channels] = drive.units
        while len(shape) > bias.ndim and shape[0] == 1:
            shape.pop(0)
        if list(bias.shape) != shape or self._seen.parameter_uses[id(bias)] > 1:
            return False
        part.bias, part.end, drive.step = bias, index, index
        self.drives[step.result] = self.drives.pop(value)
        return True

    def mark_outputs(self, returned: Sequence[Value]) -> None:
        """Say of the drives which the network returns; ``returned`` are the scores of the classes, if they are known.

        Heads whose drives are put side by side are one output, of all their columns.
        """
        drives = sorted(set(self.drives.values()), key=lambda drive: drive.step)
        joined = [values for join, values in self._seen.joins.items() if join in returned]
        for value in returned:
            if value in self.drives:
                self.drives[value].output = True
        if not joined and drives and not any(drive.output for drive in drives):
            # What is returned is made of the scores, by softmax for instance.
            last = drives[-1]
            joined = [values for values in self._seen.joins.values() if last in map(self._alone, values)]
            last.output = True
        for values in joined:
            heads = [drive for drive in map(self._alone, values) if drive is not None]
            for drive in heads:
                drive.output = True
            if len(heads) == len(values):
                self.heads = tuple(heads)
            elif heads:
                self.whole = False
