"""The feed-forward convolutional network: convolutions with pooling, then fully connected layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.errors import SettingsError
from neurosleep.networks.feed_forward import FeedForwardNetwork, Init, Output
from neurosleep.networks.pooling import Pooling, each_layer

__all__ = ["ConvNet"]


class ConvNet(FeedForwardNetwork):
    """Convolutions with ReLU and pooling, then fully connected ReLU layers, by default with biases.

    Images are flat, ``[batch, height * width * channels]``, with the channel as the fastest index, as colour data sets
    have it; they may also come as ``[batch, height, width, channels]``. Sums of a convolution are maps before pooling,
    ``[batch, channels, height, width]``; its activity is pooled, and flat where a fully connected layer receives it.

    Parameters
    ----------
    image:
        Height, width and channels of the images.
    channels:
        Channels of each convolution, at least one.
    fc:
        Units of the fully connected layers on top; the last one is the number of classes.
    kernel, stride, padding, pool:
        Of each convolution, or one number for all: size of the square kernel, its step, zeros around the input, and
        size and step of the square window of maximum pooling (1: no pooling), or a :class:`Pooling`.
    dropout, init, output, bias, generator:
        As in :class:`MLP`; ``init="torch"`` draws as ``torch.nn.Conv2d`` and ``Linear`` do.

    Raises
    ------
    SettingsError
        If a number makes no sense, or a layer's maps would be empty.

    See Also
    --------
    MLP : without convolutions
    EquilibriumConv : one that settles
    neurosleep.learning.Backprop : trains it

    Examples
    --------
    >>> import torch
    >>> from neurosleep.networks import ConvNet
    >>> model = ConvNet((28, 28, 1), channels=[8, 16], fc=[64, 10], kernel=5, pool=2)
    >>> model(torch.rand(5, 784)).shape
    torch.Size([5, 10])
    >>> model.sizes
    (784, 1152, 256, 64, 10)
    """

    def __init__(
        self,
        image: tuple[int, int, int],
        channels: Sequence[int],
        *,
        fc: Sequence[int] = (10,),
        kernel: int | Sequence[int] = 3,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        pool: Pooling | int | Sequence[int] = 2,
        dropout: float = 0.0,
        init: Init = "torch",
        output: Output = "softmax",
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(dropout=dropout, output=output)
        pooling = pool if isinstance(pool, Pooling) else Pooling(pool)
        for name, given, least in (("image", image, 3), ("channels", channels, 1), ("fc", fc, 1)):
            if len(given) < least or any(n < 1 for n in given) or (name == "image" and len(given) != 3):
                wanted = "height, width and channels" if name == "image" else "at least one number of at least 1"
                raise SettingsError(f"The network's {name} is {list(given)!r}.", expected=wanted)
        self.image, self.pooling, self.convolutions = tuple(image), pooling.kind, len(channels)
        geometry = (
            each_layer(name, given, len(channels), least)
            for name, given, least in (("kernel", kernel, 1), ("stride", stride, 1), ("padding", padding, 0))
        )
        self.pool = each_layer("pool", pooling.size, len(channels), 1)
        layers: list[nn.Module] = []
        (height, width, below), sizes = image, [math.prod(image)]
        # A layer draws weights of its own when it is made; with a generator, the global one is none of its business.
        with torch.random.fork_rng(devices=[], enabled=generator is not None):
            for k, (n, size, step, around) in enumerate(zip(channels, *geometry, strict=True)):
                maps = [(side + 2 * around - size) // step + 1 for side in (height, width)]
                pooled = [side // self.pool[k] for side in maps]
                if around >= size or min(*maps, *pooled) < 1:
                    raise SettingsError(
                        f"Convolution {k + 1} cannot have kernel {size}, padding {around} and pool {self.pool[k]}.",
                        found=f"an input of {height} x {width}, {maps[0]} x {maps[1]} before pooling",
                        expected="a padding below the kernel, and at least one pooling window in every map",
                    )
                layers.append(nn.Conv2d(below, n, size, stride=step, padding=around, bias=bias))
                height, width, below = pooled[0], pooled[1], n
                sizes.append(height * width * n)
            for n_in, n_out in zip([sizes[-1], *fc], fc, strict=False):
                layers.append(nn.Linear(n_in, n_out, bias=bias))
        self.layers = nn.ModuleList(layers)
        self.sizes = (*sizes, *fc)
        self._start(init, generator)

    def _sums(self, layer: int, x: Tensor) -> Tensor:
        if layer == 0:
            height, width, channels = self.image
            if channels == 1:
                x = x.reshape(-1, 1, height, width)
            else:
                x = x.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
        sums: Tensor = self.layers[layer](x)
        return sums

    def _received(self, layer: int, x: Tensor) -> Tensor:
        if layer >= self.convolutions:
            return x
        window = self.pool[layer]
        if window > 1:
            x = F.max_pool2d(x, window) if self.pooling == "max" else F.avg_pool2d(x, window)
        return x.flatten(1) if layer == self.convolutions - 1 else x
