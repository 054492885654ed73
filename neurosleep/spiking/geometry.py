"""Projections with a geometry: convolution, pooling and re-shaping of spikes that lie on a grid."""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from neurosleep._checks import check_count
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.spiking.parts import Population, Projection

__all__ = ["GEOMETRIES", "check_geometry", "output_shape", "propagate"]

#: Kinds of projections that this module computes, and the options that each takes.
GEOMETRIES: dict[str, tuple[str, ...]] = {
    "conv": ("stride", "padding", "dilation", "groups"),
    "pool": ("mode", "kernel", "stride", "padding"),
    "flatten": (),
    "identity": (),
}
_MODES = ("average", "sum")


def _where(projection: Projection) -> str:
    return f"Projection {projection.source!r} -> {projection.target!r}"


def _tuple(projection: Projection, key: str, default: int | None, length: int, low: int) -> tuple[int, ...]:
    """The option ``key``, a whole number per axis."""
    value: Any = dict(projection.options).get(key, default)
    found = tuple(value) if isinstance(value, tuple | list) else (value,) * length
    if len(found) != length or any(isinstance(v, bool) or not isinstance(v, int) or v < low for v in found):
        raise SettingsError(
            f"{_where(projection)}: the option {key!r} is {value!r}.",
            expected=f"{length} whole number{'s' if length > 1 else ''} of at least {low}, one per axis",
        )
    return found


def _groups(projection: Projection) -> int:
    value: Any = dict(projection.options).get("groups", 1)
    return check_count(f"{_where(projection)}: the option 'groups'", value)


def _mode(projection: Projection) -> str:
    mode = dict(projection.options).get("mode", "average")
    if mode not in _MODES:
        raise unknown_name("pooling mode", str(mode), _MODES)
    return str(mode)


def output_shape(projection: Projection, source: tuple[int, ...]) -> tuple[int, ...]:
    r"""The shape that a projection of kind ``conv`` or ``pool`` makes of a population of shape ``source``.

    Along each axis :math:`\lfloor (n + 2p - d(k - 1) - 1) / s \rfloor + 1` with padding p, dilation d, kernel k and
    stride s, as in ``torch.nn.Conv2d``.

    Raises
    ------
    SettingsError
        If options, weight and ``source`` do not fit.
    """
    where = _where(projection)
    if len(source) not in (2, 3):
        raise SettingsError(
            f"{where}: a {projection.kind} projection starts at a population of shape {source}.",
            expected="(channels, length) or (channels, height, width)",
        )
    axes = len(source) - 1
    padding = _tuple(projection, "padding", 0, axes, 0)
    if projection.kind == "conv":
        weight = projection.weight
        if weight is None or weight.ndim != axes + 2:
            raise SettingsError(
                f"{where}: the weight has shape {None if weight is None else tuple(weight.shape)}.",
                expected="[out, in / groups, kernel" + (" height, kernel width]" if axes == 2 else "]"),
            )
        groups = _groups(projection)
        if source[0] % groups or weight.shape[0] % groups or weight.shape[1] != source[0] // groups:
            raise SettingsError(
                f"{where}: a weight of shape {tuple(weight.shape)} with {groups} groups does not fit {source[0]} "
                "input channels.",
                expected="[out, in / groups, ...], with in and out multiples of groups",
            )
        kernel, channels = tuple(weight.shape[2:]), int(weight.shape[0])
        stride, dilation = _tuple(projection, "stride", 1, axes, 1), _tuple(projection, "dilation", 1, axes, 1)
    else:
        _mode(projection)
        kernel, channels = _tuple(projection, "kernel", None, axes, 1), source[0]
        given = dict(projection.options).get("stride")
        stride = kernel if given is None else _tuple(projection, "stride", 1, axes, 1)
        dilation = (1,) * axes
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise SettingsError(f"{where}: padding {padding} with kernel {kernel}.", expected="at most half the kernel")
    lengths = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(source[1:], padding, dilation, kernel, stride, strict=True)
    )
    if any(length < 1 for length in lengths):
        raise SettingsError(
            f"{where}: the kernel {kernel} is larger than the population of shape {source} with its padding.",
            expected="a smaller kernel, or more padding",
        )
    return (channels, *lengths)


def check_geometry(projection: Projection, source: Population, target: Population) -> None:
    """Refuse a ``conv``, ``pool``, ``flatten`` or ``identity`` projection that does not fit its populations."""
    where, known = _where(projection), GEOMETRIES[projection.kind]
    for key, _ in projection.options:
        if key not in known:
            raise unknown_name(f"option of a {projection.kind} projection", str(key), known or ("(none)",))
    if projection.kind != "conv" and projection.weight is not None:
        raise SettingsError(
            f"{where}: a {projection.kind} projection was given a weight.",
            expected="weight=None",
            hint="a factor for all of its input is its scale",
        )
    if projection.kind in ("flatten", "identity"):
        if source.size != target.size:
            raise SettingsError(
                f"{where}: it joins {source.size} neurons to {target.size}.",
                expected=f"as many neurons on both sides of a {projection.kind} projection",
            )
        return
    shape = output_shape(projection, source.shape)
    if target.shape != shape:
        raise SettingsError(
            f"{where}: it makes the shape {shape} of {source.shape}, and {target.name!r} has shape {target.shape}.",
            expected=f"a target of shape {shape}",
        )


def propagate(projection: Projection, weight: Tensor | None, source: Tensor, shape: tuple[int, ...]) -> Tensor:
    """What arrives of ``source`` ``[batch, n]`` through the projection, its scale left out: ``[batch, m]``.

    ``shape`` is the shape of the source population; both sides are flattened in C order. Average pooling counts the
    zeros that padding adds.
    """
    if projection.kind in ("flatten", "identity"):
        return source
    axes = len(shape) - 1
    x = source.reshape(len(source), *shape)
    padding = _tuple(projection, "padding", 0, axes, 0)
    if projection.kind == "conv":
        assert weight is not None  # the network checks it
        conv = F.conv2d if axes == 2 else F.conv1d
        y = conv(
            x,
            weight,
            None,
            _tuple(projection, "stride", 1, axes, 1),
            padding,
            _tuple(projection, "dilation", 1, axes, 1),
            _groups(projection),
        )
        return y.reshape(len(source), -1)
    kernel = _tuple(projection, "kernel", None, axes, 1)
    given = dict(projection.options).get("stride")
    stride = kernel if given is None else _tuple(projection, "stride", 1, axes, 1)
    if axes == 1:
        x, kernel, stride, padding = x.unsqueeze(2), (1, *kernel), (1, *stride), (0, *padding)
    divisor = 1 if _mode(projection) == "sum" else math.prod(kernel)
    return F.avg_pool2d(x, kernel, stride, padding, divisor_override=divisor).reshape(len(source), -1)
