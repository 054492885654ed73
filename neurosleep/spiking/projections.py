"""Projections, the synapses from one population to another: a class for each way in which they may be wired."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from neurosleep._checks import as_reals, check_count, check_number
from neurosleep._shown import brief
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.spiking.parts import check_name, truth

__all__ = ["Conv", "Dense", "Identity", "Pool", "PoolMode", "Projection", "Reshape", "Transposed", "Weighted"]

PoolMode = Literal["average", "sum"]
#: Steps that a delay may last.
_LONGEST_DELAY = 100_000


def _per_axis(where: str, value: Any, axes: int, least: int) -> tuple[int, ...]:
    """``value`` as an integer for each axis; one number stands for all of them."""
    values = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    try:
        numbers = tuple(check_count(where, one, least) for one in values)
    except SettingsError:
        numbers = ()
    if len(numbers) != axes:
        raise SettingsError(
            f"{where} is {value!r:.60}.",
            expected=f"{axes} integer{'s' if axes > 1 else ''} of at least {least}, one per axis",
        )
    return numbers


@dataclass(frozen=True, eq=False, repr=False)
class Projection:
    """Synapses from one population to another: what is common to all of them.

    It is one of these: :class:`Dense` (a matrix of weights; a recurrent one has a delay of at least 1),
    :class:`Transposed` (another's matrix, backwards), :class:`Conv`, :class:`Pool`, :class:`Reshape` and
    :class:`Identity`.

    Parameters
    ----------
    source, target:
        Names of the populations.
    scale:
        Factor alpha on the summed input.
    delay:
        Steps, an integer up to 100 000; 0 means the same step.

    Raises
    ------
    SettingsError
        If a field cannot be what was given, or if it is made of this class itself.

    See Also
    --------
    SpikingNetwork : the graph of populations and projections.

    Examples
    --------
    >>> import torch
    >>> from neurosleep import Conv, Dense, Projection
    >>> projections = [Dense("maps", "output", torch.ones(2, 8)), Conv("input", "maps", torch.ones(2, 1, 3), padding=1)]
    >>> [isinstance(projection, Projection) for projection in projections]
    [True, True]
    """

    source: str
    target: str
    scale: float = field(default=1.0, kw_only=True)
    delay: int = field(default=0, kw_only=True)

    #: The word that files, tables and messages have for the class.
    word: ClassVar[str]

    __repr__ = brief

    def __new__(cls, *_: Any, **__: Any) -> Projection:
        """Refuse what is no kind of projection yet."""
        if not hasattr(cls, "word"):
            raise SettingsError(
                f"{cls.__name__} itself says not how the populations are joined.",
                expected="Dense, Transposed, Conv, Pool, Reshape or Identity",
                hint="neurosleep.Dense(source, target, weight)",
            )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for end in (self.source, self.target):
            check_name(f"{self._where}: a population", end)
        self._set("scale", check_number(f"{self._where}: scale", self.scale))
        self._set("delay", check_count(f"{self._where}: delay", self.delay, 0, _LONGEST_DELAY))

    def _set(self, key: str, value: object) -> None:
        object.__setattr__(self, key, value)

    @property
    def _where(self) -> str:
        return f"Projection {self.source!r} -> {self.target!r}"

    @property
    def kind(self) -> str:
        """The word that files, tables and messages have for it: ``dense``, ``recurrent``, ``conv`` and so on."""
        return self.word

    @property
    def plastic(self) -> bool:
        """Whether a plasticity rule may change the weight through this projection."""
        return False


@dataclass(frozen=True, eq=False, repr=False)
class Weighted(Projection):
    """A projection with a weight of its own: finite numbers in float32 or float64."""

    weight: Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        weight = as_reals(f"{self._where}: the weight", self.weight)
        # One pass, which passes NaN on.
        ends = torch.aminmax(weight) if weight.numel() else ()
        if not all(math.isfinite(end) for end in ends):
            raise SettingsError(f"{self._where}: the weight holds NaN or infinite values.", expected="finite numbers")
        self._set("weight", weight)


@dataclass(frozen=True, eq=False, repr=False)
class Dense(Weighted):
    """A weight from every neuron of the source to every neuron of the target.

    A recurrent or feedback projection is one with a delay of at least 1.

    Parameters
    ----------
    source, target, scale, delay:
        As of every :class:`Projection`.
    weight:
        ``[post, pre]``, in the unit of the target's threshold.
    plastic:
        Whether a plasticity rule may change the weight.

    Raises
    ------
    SettingsError
        If a field cannot be what was given; the network refuses a weight whose shape does not fit its populations.

    See Also
    --------
    Transposed : the same weight used backwards, for feedback.
    Conv : weights that are shared over a grid.

    Examples
    --------
    >>> import torch
    >>> from neurosleep import Dense
    >>> Dense("input", "output", torch.ones(2, 3), scale=0.5)
    Dense(source='input', target='output', scale=0.5, weight=float32[2, 3])
    >>> Dense("output", "output", torch.ones(2, 2), delay=1).kind
    'recurrent'
    """

    plastic: bool = field(default=True, kw_only=True)

    word: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("plastic", truth(f"{self._where}: plastic", self.plastic))

    @property
    def kind(self) -> str:
        """``dense``, or ``recurrent`` from a population to itself."""
        return "recurrent" if self.source == self.target else self.word


@dataclass(frozen=True, eq=False, repr=False)
class Transposed(Projection):
    """The weight of a :class:`Dense` projection of the network, used backwards.

    In every step it uses the other's weight, transposed, as the step before left it: for the feedback of symmetric
    networks, in which one weight serves both directions.

    Parameters
    ----------
    source, target, scale:
        As of every :class:`Projection`.
    delay:
        Steps, at least 1.
    of:
        Source and target of the one dense projection whose weight it is.
    symmetric_rule:
        Whether the plasticity rule is applied to the shared weight from this side as well; :attr:`plastic` says the
        same.

    Raises
    ------
    SettingsError
        If a field cannot be what was given; the network refuses what joins no one dense projection's ends backwards.

    See Also
    --------
    Dense : the projection that has the weight.

    Notes
    -----
    What a symmetric rule reads: at the end of step t, first every projection with a weight of its own is updated, in
    the order in which the network lists them, from the weight that step t-1 left. Then come the projections with a
    symmetric rule, in the order of the list, and each reads the shared weight as the updates before it in this same
    step left it. Its presynaptic side is its own source at t - delay, its postsynaptic side its own target at t. With
    the rule of Sleep Replay Consolidation and a weight W from layer l to l+1: where unit i of layer l fires, W[j, i]
    gains ``inc g(W[j, i])`` if unit j of layer l+1 fired ``delay`` steps ago, and loses ``dec g(W[j, i])`` if not. All
    of it is felt at step t+1.

    Examples
    --------
    >>> from neurosleep import Transposed
    >>> Transposed("output", "hidden1", of=("hidden1", "output"), scale=0.5).delay
    1
    """

    of: tuple[str, str]
    symmetric_rule: bool = field(default=False, kw_only=True)
    delay: int = field(default=1, kw_only=True)

    word: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("symmetric_rule", truth(f"{self._where}: symmetric_rule", self.symmetric_rule))
        if self.delay < 1:
            raise SettingsError(
                f"{self._where}: it uses a transposed weight with delay {self.delay!r}.",
                expected="a delay of at least 1 step",
                hint="delay=1 uses the spikes of the step before",
            )
        pair = tuple(self.of) if isinstance(self.of, tuple | list) else ()
        if len(pair) != 2 or not all(isinstance(name, str) for name in pair):
            raise SettingsError(
                f"{self._where}: of is {self.of!r:.60}.",
                expected="source and target of the projection whose weight it is",
            )
        self._set("of", pair)

    @property
    def plastic(self) -> bool:
        """Whether a rule changes the shared weight through this projection: :attr:`symmetric_rule`."""
        return self.symmetric_rule


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Conv(Weighted):
    """A convolution: weights that are the same at every place of a grid.

    Populations are of shape (channels, length) or (channels, height, width).

    Parameters
    ----------
    source, target, scale, delay:
        As of every :class:`Projection`.
    weight:
        ``[out, in / groups, kernel]``, or ``[out, in / groups, kernel height, kernel width]``.
    stride, padding, dilation:
        As of ``torch.nn.Conv2d``, in neurons: a number per axis, or one for all.
    groups:
        Groups of channels that are not joined with each other.
    plastic:
        Whether a rule that pools over places (:class:`~neurosleep.functional.PooledSRC`) may change the weight; other
        rules change no convolution.

    Raises
    ------
    SettingsError
        If a field cannot be what was given; the network refuses what does not fit its populations.

    See Also
    --------
    Pool : sums or averages over windows of a grid.
    Dense : a weight of its own for each synapse.

    Examples
    --------
    >>> import torch
    >>> from neurosleep import Conv
    >>> Conv("input", "maps", torch.ones(4, 1, 3, 3), padding=1).padding
    (1, 1)
    """

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    plastic: bool = field(default=False, kw_only=True)

    word: ClassVar[str] = "conv"

    def __init__(
        self,
        source: str,
        target: str,
        weight: Tensor,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        *,
        scale: float = 1.0,
        delay: int = 0,
        plastic: bool = False,
    ) -> None:
        super().__init__(source, target, weight, scale=scale, delay=delay)
        self._set("plastic", truth(f"{self._where}: plastic", plastic))
        if self.weight.ndim not in (3, 4):
            raise SettingsError(
                f"{self._where}: the weight has shape {tuple(self.weight.shape)}.",
                expected="[out, in / groups, kernel] or [out, in / groups, kernel height, kernel width]",
            )
        axes = len(self.kernel)
        self._set("stride", _per_axis(f"{self._where}: stride", stride, axes, 1))
        self._set("padding", _per_axis(f"{self._where}: padding", padding, axes, 0))
        self._set("dilation", _per_axis(f"{self._where}: dilation", dilation, axes, 1))
        self._set("groups", check_count(f"{self._where}: groups", groups))

    @property
    def kernel(self) -> tuple[int, ...]:
        """Its size, a number per axis."""
        return tuple(self.weight.shape[2:])


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Pool(Projection):
    """Averages or sums over windows of a grid, channel by channel.

    Populations are of shape (channels, length) or (channels, height, width).

    Parameters
    ----------
    source, target, scale, delay:
        As of every :class:`Projection`.
    kernel:
        Size of a window in neurons, ``(length,)`` or ``(height, width)``; one number is a square.
    stride:
        From one window to the next; None: the kernel.
    padding:
        Zeros around the grid, at most half the kernel.
    mode:
        ``average``, which counts the zeros that padding adds, or ``sum``.

    Raises
    ------
    SettingsError
        If a field cannot be what was given; the network refuses what does not fit its populations.
    UnknownNameError
        If there is no such mode.

    See Also
    --------
    Conv : weights over windows of a grid.

    Examples
    --------
    >>> from neurosleep import Pool
    >>> Pool("maps", "small", 2)
    Pool(source='maps', target='small', kernel=(2, 2), stride=(2, 2), padding=(0, 0), mode='average')
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    mode: PoolMode

    word: ClassVar[str] = "pool"

    def __init__(
        self,
        source: str,
        target: str,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        mode: PoolMode = "average",
        *,
        scale: float = 1.0,
        delay: int = 0,
    ) -> None:
        super().__init__(source, target, scale=scale, delay=delay)
        if mode not in get_args(PoolMode):
            raise unknown_name("pooling mode", str(mode), get_args(PoolMode))
        axes = len(kernel) if isinstance(kernel, Sequence) and len(kernel) in (1, 2) else 2
        size = _per_axis(f"{self._where}: kernel", kernel, axes, 1)
        zeros = _per_axis(f"{self._where}: padding", padding, axes, 0)
        if any(2 * p > k for p, k in zip(zeros, size, strict=True)):
            raise SettingsError(
                f"{self._where}: padding {zeros} with kernel {size}.", expected="at most half the kernel"
            )
        self._set("kernel", size)
        self._set("stride", size if stride is None else _per_axis(f"{self._where}: stride", stride, axes, 1))
        self._set("padding", zeros)
        self._set("mode", mode)


@dataclass(frozen=True, eq=False, repr=False)
class Reshape(Projection):
    """From every neuron to that of the same number in a population of another shape, in C order.

    Parameters
    ----------
    source, target, scale, delay:
        As of every :class:`Projection`.

    Raises
    ------
    SettingsError
        If a field cannot be what was given; the network refuses populations of different sizes.

    See Also
    --------
    Identity : the same without a change of shape.

    Examples
    --------
    >>> from neurosleep import Reshape
    >>> Reshape("maps", "flat")
    Reshape(source='maps', target='flat')
    """

    word: ClassVar[str] = "flatten"


@dataclass(frozen=True, eq=False, repr=False)
class Identity(Projection):
    """From every neuron to that of the same number.

    Parameters
    ----------
    source, target, scale, delay:
        As of every :class:`Projection`.

    Raises
    ------
    SettingsError
        If a field cannot be what was given; the network refuses populations of different sizes.

    See Also
    --------
    Reshape : to a population of another shape.

    Examples
    --------
    >>> from neurosleep import Identity
    >>> Identity("input", "output", scale=2.0, delay=3)
    Identity(source='input', target='output', scale=2, delay=3)
    """

    word: ClassVar[str] = "identity"
