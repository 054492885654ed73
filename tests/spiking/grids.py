"""Random networks with convolutions, pooling and relays, with which all sums of a short run are exact."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neurosleep.spiking import Conv, Dense, Identity, Pool, Population, Projection, Reshape, SpikingNetwork
from neurosleep.spiking.geometry import output_shape


def dyadic(rng: np.random.Generator, *shape: int) -> Tensor:
    """Numbers with which all sums, products and comparisons of a short run are exact."""
    return torch.tensor(rng.integers(-8, 16, shape) / 8, dtype=torch.float64)


def window(rng: np.random.Generator, source: str, target: str, shape: tuple[int, ...], pools: bool) -> Projection:
    """A convolution or a pooling with random settings that fits a population of ``shape``."""

    def each(*choices: int) -> tuple[int, ...]:
        return tuple(int(rng.choice(choices)) for _ in shape[1:])

    scale, delay = float(rng.choice([0.5, 1.0, 2.0])), int(rng.choice([0, 0, 0, 2]))
    if pools:
        # Averages of powers of two are exact.
        kernel = tuple(min(k, n) for k, n in zip(each(1, 2, 4), shape[1:], strict=True))
        mode = "average" if all(k in (1, 2, 4) for k in kernel) else "sum"
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        return Pool(source, target, kernel, each(1, 2, 3), padding, mode, scale=scale, delay=delay)  # type: ignore[arg-type]
    channels = shape[0]
    groups = int(rng.choice([1, *(g for g in range(1, channels + 1) if channels % g == 0)]))
    kernel = tuple(min(k, n) for k, n in zip(each(1, 2, 3, 5), shape[1:], strict=True))
    weight = dyadic(rng, groups * int(rng.integers(1, 6)), channels // groups, *kernel)
    options = (each(1, 1, 2, 3), each(0, 1, 3), each(1, 1, 2), groups)
    made = Conv(source, target, weight, *options, scale=scale, delay=delay)
    fits = all(n + 2 * p > d * (k - 1) for n, p, d, k in zip(shape[1:], options[1], options[2], kernel, strict=True))
    return made if fits else Conv(source, target, weight, groups=groups, scale=scale, delay=delay)


def random_network(seed: int) -> SpikingNetwork:
    """A graph of up to five populations of any shape, one in four with feedback."""
    rng = np.random.default_rng(seed)
    grid = tuple(int(n) for n in rng.integers(3, 8, rng.integers(1, 3)))
    populations = [Population("in", "input", (int(rng.integers(1, 5)), *grid))]
    projections: list[Projection] = []
    for k in range(int(rng.integers(1, 6))):
        source, name = populations[int(rng.integers(max(0, k - 1), k + 1))], f"p{k}"
        kind = str(rng.choice(["lif", "lif", "lif", "relay", "li"]))
        how = str(rng.choice(["conv", "conv", "conv", "pool", "pool", "identity", "reshape", "dense"]))
        if len(source.shape) == 1 and how in ("conv", "pool"):
            how = "dense"
        shape = source.shape
        if how in ("conv", "pool"):
            made = window(rng, source.name, name, shape, how == "pool")
            assert isinstance(made, Conv | Pool)
            shape = output_shape(made, shape)
        elif how == "identity":
            made = Identity(source.name, name, scale=float(rng.choice([1.0, 0.5])))
        elif how == "reshape":
            made, shape = Reshape(source.name, name), (source.size,)
        else:
            shape = (int(rng.integers(1, 20)),)
            made = Dense(source.name, name, dyadic(rng, shape[0], source.size), scale=0.5, plastic=kind != "relay")
        size, soft = int(np.prod(shape)), bool(rng.integers(2))
        several = (size,) if rng.integers(2) else ()
        populations.append(
            Population(
                name,
                kind,  # type: ignore[arg-type]
                shape,
                threshold=torch.tensor(rng.integers(0, 24, several) / 8),
                decay=float(rng.choice([0.5, 1.0, 1.0])),
                leak=float(rng.choice([0.0, 0.0, 0.25])),
                reset_value=float(rng.choice([0.0, -0.25])),
                bias=dyadic(rng, *several) / 8,
                refractory=int(rng.choice([0, 0, 0, 2])),
                compare=">=" if rng.integers(2) else ">",
                reset="subtract" if soft else "to_value",
                while_refractory="hold" if rng.integers(2) else "integrate",
            )
        )
        projections.append(made)
        # Another source, as of a residual sum.
        for other in populations[:k]:
            if rng.integers(3):
                continue
            if other.size == size:
                projections.append(Identity(other.name, name, scale=0.5))
            else:
                projections.append(Dense(other.name, name, dyadic(rng, size, other.size) / 4, plastic=False))
    if len(populations) > 2 and not rng.integers(4):
        back, front = populations[-1], populations[1]
        weight, learns = dyadic(rng, front.size, back.size) / 8, front.kind != "relay"
        projections.append(Dense(back.name, front.name, weight, delay=1, plastic=learns))
    return SpikingNetwork(tuple(populations), tuple(projections))
