"""The convolutional equilibrium network: states after pooling, and the exact adjoint for the way back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional.activations import ACTIVATIONS, Activation, get_activation
from neurosleep.functional.equilibrium import READ_OUTS, ReadOut, check_steps
from neurosleep.networks.equilibrium_base import Drive, EquilibriumNetwork, Settled, TwoPhases
from neurosleep.networks.pooling import Pooling, each_layer

__all__ = ["EquilibriumConv"]


class _Convolution(nn.Module):
    """One convolution (stride 1) with pooling, up and down; maps are ``[batch, channels, height, width]``."""

    def __init__(
        self, below: tuple[int, int, int], channels: int, kernel: int, padding: int, window: int, pooling: str
    ) -> None:
        super().__init__()
        height, width, channels_in = below
        self.below, self.padding, self.window, self.pooling = below, padding, window, pooling
        # Before pooling: rows and columns that fill no whole window are left out.
        self.full = (height + 2 * padding - kernel + 1, width + 2 * padding - kernel + 1)
        self.shape = (self.full[0] // window, self.full[1] // window, channels)
        self.weight = nn.Parameter(torch.empty(channels, channels_in, kernel, kernel))
        self.bias: nn.Parameter | None

    def up(self, maps: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pooled convolution, and where the maxima were (None without maximum pooling)."""
        convolved = F.conv2d(maps, self.weight, self.bias, padding=self.padding)
        if self.window == 1:
            return convolved, None
        if self.pooling == "average":
            return F.avg_pool2d(convolved, self.window), None
        pooled, where = F.max_pool2d(convolved, self.window, return_indices=True)
        return pooled, where

    def spread(self, maps: Tensor, where: Tensor | None) -> Tensor:
        """Adjoint of the pooling: to the place of the maximum, or equal parts over the window."""
        if self.window == 1:
            return maps
        if where is not None:
            return F.max_unpool2d(maps, where, [self.window, self.window], output_size=list(self.full))
        spread = F.interpolate(maps / self.window**2, scale_factor=self.window, mode="nearest")
        rows, columns = self.full[0] - spread.shape[2], self.full[1] - spread.shape[3]
        return F.pad(spread, (0, columns, 0, rows)) if rows or columns else spread

    def down(self, maps: Tensor, where: Tensor | None) -> Tensor:
        """Adjoint of convolution and pooling."""
        return F.conv_transpose2d(self.spread(maps, where), self.weight, padding=self.padding)

    def gradient(self, spread: Tensor, maps: Tensor) -> list[Tensor]:
        """Gradient in weight and bias, from what arrives before pooling and the ``maps`` below, batch sum."""
        weight: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
            maps, list(self.weight.shape), spread, padding=self.padding
        )
        return [weight] if self.bias is None else [weight, spread.sum((0, 2, 3))]


def _as_maps(state: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """A flat state ``[batch, height * width * channels]`` as maps; memory stays, with the channels last."""
    return state.view(len(state), *shape).permute(0, 3, 1, 2)


def _as_state(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).reshape(len(maps), -1)


class EquilibriumConv(EquilibriumNetwork):
    r"""Convolutional layers with pooling, then fully connected ones, all used in both directions.

    .. math::
        \Phi = \sum_{l\,conv} s_l \cdot \mathrm{pool}(w_l * s_{l-1} + b_l)
             + \sum_{l\,full} s_l \cdot (W_l s_{l-1} + b_l), \qquad s_l \leftarrow \rho(\partial\Phi / \partial s_l)

    States live after pooling. On the way back a state goes to where the maximum of the current step was (or equally
    over its window, with average pooling), then through the transposed convolution. The first layer's input does not
    change and is convolved and pooled once a phase.

    Images and states are flat, ``[batch, height * width * channels]``, with the channel as the fastest index, as colour
    data sets have it; images may also come as ``[batch, height, width, channels]``.

    Parameters
    ----------
    image:
        Height, width and channels of the images.
    channels:
        Channels of each convolutional layer, at least one layer.
    kernel, padding, pool:
        Of each convolutional layer, or one number for all: size of the square kernel (stride 1), zeros around the
        input, and size and stride of the square window of maximum pooling (1: no pooling), or a :class:`Pooling`.
    fc:
        Units of the fully connected layers on top; the last one is the number of classes.
    activation:
        Name from :data:`~neurosleep.functional.ACTIVATIONS`, or one of your own; of every layer but the output of
        ``read_out="cross-entropy"``, which has the identity.
    read_out:
        See :class:`EquilibriumNetwork`. With ``"softmax-read-out"`` the last of ``fc`` is the read-out.
    bias:
        Whether units have biases, one per channel in convolutional layers.
    init:
        Factor on the initial weights and biases, which are uniform on :math:`\pm 1/\sqrt{n_{in}}`.
    free_steps:
        Steps of the free phase when the network is read out.
    generator:
        Source of the initial weights, layer by layer (weight, bias).

    See Also
    --------
    EquilibriumMLP : fully connected layers only
    neurosleep.learning.EquilibriumPropagation : trains it

    References
    ----------
    Laborieux et al. (2021), doi:10.3389/fnins.2021.633674.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.networks import EquilibriumConv
    >>> model = EquilibriumConv((8, 8, 1), channels=[4], fc=[10], free_steps=20)
    >>> model.read_out(model(torch.rand(5, 64))).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        image: tuple[int, int, int],
        channels: Sequence[int],
        *,
        fc: Sequence[int] = (10,),
        kernel: int | Sequence[int] = 3,
        padding: int | Sequence[int] = 1,
        pool: Pooling | int | Sequence[int] = 2,
        activation: str | Activation = "my_hard_sig",
        read_out: ReadOut = "softmax-read-out",
        bias: bool = True,
        init: float = 1.0,
        free_steps: int = 60,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if read_out not in READ_OUTS:
            raise unknown_name("read-out", str(read_out), READ_OUTS)
        pooling = pool if isinstance(pool, Pooling) else Pooling(pool)
        for name, given, least in (("image", image, 3), ("channels", channels, 1), ("fc", fc, 1)):
            if len(given) < least or any(n < 1 for n in given) or (name == "image" and len(given) != 3):
                wanted = "height, width and channels" if name == "image" else "at least one number of at least 1"
                raise SettingsError(f"The network's {name} is {list(given)!r}.", expected=wanted)
        if not 0 < init < math.inf:
            raise SettingsError(f"The factor of the initial weights is {init!r}.", expected="a number > 0")
        if free_steps < 1:
            raise SettingsError(f"The free phase has {free_steps!r} steps.", expected="at least 1")
        self.image, self.free_steps, self.read_out_kind = tuple(image), free_steps, read_out
        self.activation = get_activation(activation)
        kernels, paddings, windows = (
            each_layer(name, given, len(channels), least)
            for name, given, least in (("kernel", kernel, 1), ("padding", padding, 0), ("pool", pooling.size, 1))
        )
        self.convolutions, self.full = nn.ModuleList(), nn.ModuleList()
        shape = (image[0], image[1], image[2])
        for k, (n, size, around, window) in enumerate(zip(channels, kernels, paddings, windows, strict=True)):
            layer = _Convolution(shape, n, size, around, window, pooling.kind)
            if around >= size or min(layer.shape) < 1:
                raise SettingsError(
                    f"Convolutional layer {k + 1} cannot have kernel {size}, padding {around} and pool {window}.",
                    found=f"an input of {shape[0]} x {shape[1]}, {layer.full[0]} x {layer.full[1]} before pooling",
                    expected="a padding below the kernel, and at least one pooling window in every map",
                )
            layer.bias = nn.Parameter(torch.empty(n)) if bias else None
            self.convolutions.append(layer)
            shape = layer.shape
        below = math.prod(shape)
        for units in fc:
            with torch.random.fork_rng(devices=[], enabled=generator is not None):
                self.full.append(nn.Linear(below, units, bias=bias))
            below = units
        self.sizes = (math.prod(image), *(math.prod(layer.shape) for layer in self._convolutions), *fc)
        for made in self._layers:
            bound = init / math.sqrt(made.weight[0].numel())
            for parameter in made.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)

    # --- what it is made of ---------------------------------------------------------------------------------------

    @property
    def _convolutions(self) -> list[_Convolution]:
        return [layer for layer in self.convolutions if isinstance(layer, _Convolution)]

    @property
    def _full(self) -> list[nn.Linear]:
        return [layer for layer in self.full if isinstance(layer, nn.Linear)]

    @property
    def _layers(self) -> list[_Convolution | nn.Linear]:
        return [*self._convolutions, *self._full]

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Units of the layers that have states: all after the input, without those of a soft-max read-out."""
        return self.sizes[1:-1] if self.read_out_kind == "softmax-read-out" else self.sizes[1:]

    @property
    def weights(self) -> list[Tensor]:
        """The weights, input side first: kernels ``[out, in, height, width]``, then matrices ``[post, pre]``."""
        return [layer.weight for layer in self._layers]

    @property
    def trained(self) -> list[nn.Parameter]:
        """Weight and bias of each layer, input side first."""
        return [parameter for layer in self._layers for parameter in layer.parameters()]

    @property
    def layer_of(self) -> list[int]:
        """The layer of each entry of :attr:`trained`."""
        return [number for number, layer in enumerate(self._layers) for _ in layer.parameters()]

    @property
    def activations(self) -> list[Activation]:
        """Of each layer that has a state."""
        each = [self.activation] * len(self.state_sizes)
        if self.read_out_kind == "cross-entropy":
            each[-1] = ACTIVATIONS["identity"]
        return each

    # --- settling -------------------------------------------------------------------------------------------------

    def _maps(self, x: Tensor) -> Tensor:
        """Images as maps ``[batch, channels, height, width]``."""
        height, width, channels = self.image
        if x.shape[1:] not in ((height, width, channels), (self.sizes[0],)):
            raise SettingsError(
                f"The input has the shape {list(x.shape)}.",
                expected=f"[batch, {self.sizes[0]}] or [batch, {height}, {width}, {channels}], channels last",
            )
        return _as_maps(x.reshape(len(x), -1), (height, width, channels))

    def start(self, x: Tensor) -> Drive:
        """Pooled convolution of ``x``, flat, and with maximum pooling where its maxima were."""
        pooled, where = self._convolutions[0].up(self._maps(x))
        first = _as_state(pooled)
        return Drive(x, (first,) if where is None else (first, where))

    def zeros(self, x: Tensor) -> list[Tensor]:
        """Zero states for ``x``, one ``[batch, n]`` per layer after the input."""
        like = self._convolutions[0].weight
        return [torch.zeros(len(x), n, dtype=like.dtype, device=like.device) for n in self.state_sizes]

    @property
    def _read_out_layer(self) -> nn.Linear | None:
        return self._full[-1] if self.read_out_kind == "softmax-read-out" else None

    def _step(self, first: Tensor, states: Sequence[Tensor], pull: Tensor | None) -> list[Tensor]:
        """One parallel step of all layers."""
        totals = [first]
        for below, state, layer in zip(states[:-1], states[1:], self._layers[1 : len(states)], strict=True):
            if isinstance(layer, _Convolution):
                pooled, where = layer.up(_as_maps(below, layer.below))
                totals[-1] = totals[-1] + _as_state(layer.down(_as_maps(state, layer.shape), where))
                totals.append(_as_state(pooled))
            else:
                totals[-1] = totals[-1] + state @ layer.weight
                totals.append(F.linear(below, layer.weight, layer.bias))
        if pull is not None:
            totals[-1] = totals[-1] + pull
        return [a.value(total) for a, total in zip(self.activations, totals, strict=True)]

    def settle(
        self, drive: Drive, states: list[Tensor], steps: int, *, targets: Tensor | None = None, beta: float = 0.0
    ) -> Settled:
        """States after ``steps``; see :meth:`EquilibriumNetwork.settle`."""
        check_steps(steps)
        force = self._force(targets, beta, states[-1])
        before = last = list(states)
        for _ in range(steps):
            pull = None if force is None else force(last[-1])
            before, last = last, self._step(drive.sums[0], last, pull)
        with torch.no_grad():
            residual = torch.stack([(s - b).abs().amax() for s, b in zip(last, before, strict=True)])
        return Settled(last, residual)

    def straight_through(self, drive: Drive, before: list[Tensor], after: list[Tensor]) -> Tensor:
        """See :meth:`EquilibriumNetwork.straight_through`; a soft-max read-out is never clipped."""
        if self.read_out_kind == "softmax-read-out":
            return after[-1]
        last = self._full[-1]
        total = F.linear(before[-2], last.weight, last.bias)
        flat = self.activations[-1].slope(total.detach()) == 0
        return after[-1] + flat * (total - total.detach())

    # --- learning -------------------------------------------------------------------------------------------------

    def _contrast(self, drive: Drive, x: Tensor, phases: TwoPhases) -> list[Tensor]:
        """Gradient of the loss from two phases; see :meth:`EquilibriumNetwork.contrast`.

        Each phase pools where its own maxima are, in the predictive form too.
        """
        minus, plus, factor, targets, betas, predictive = phases
        scale = -factor / len(x)
        found: list[Tensor] = []
        for k, layer in enumerate(self._layers[: len(plus)]):
            moved = (plus[k] - minus[k]).mul_(scale)
            if k == 0:
                first = self._convolutions[0]
                where = drive.sums[1] if len(drive.sums) > 1 else None
                # The input is the same in both phases, and so are its maxima.
                found += first.gradient(first.spread(_as_maps(moved, first.shape), where), self._maps(x))
            elif isinstance(layer, _Convolution):
                below = _as_maps(torch.cat([plus[k - 1], minus[k - 1]]), layer.below)
                state = _as_maps(torch.cat([plus[k], -minus[k]]).mul_(scale), layer.shape)
                spread = layer.spread(state, layer.up(below)[1])
                if predictive:
                    spread, below = spread[: len(x)] + spread[len(x) :], below[: len(x)]
                found += layer.gradient(spread, below)
            else:
                found.append(moved.t() @ plus[k - 1])
                if not predictive:
                    # s+ p+ - s- p- = (s+ - s-) p+ + s- (p+ - p-)
                    found[-1].addmm_(minus[k].t(), plus[k - 1] - minus[k - 1], alpha=scale)
                if layer.bias is not None:
                    found.append(moved.sum(0))
        return found + self._read_out_gradients(minus[-1], plus[-1], targets, betas, -scale)
