"""What every public function does with what it was given: one check a kind of value, the same for every door.

A check returns the value in the form that the package computes with, or raises an error that names the argument.
"""

from __future__ import annotations

import math
import operator
import os
import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosleep.errors import DataError, NeurosleepError, NeurosleepWarning, SettingsError, UnsupportedError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "as_images",
    "as_labels",
    "as_reals",
    "check_count",
    "check_device",
    "check_memory",
    "check_number",
    "check_unread",
    "device_of",
]


def check_count(
    name: str, value: Any, least: int = 1, most: int | None = None, error: type[NeurosleepError] = SettingsError
) -> int:
    """An integer from ``least`` to ``most``; ``True``, ``2.0`` and ``"2"`` are none.

    >>> check_count("steps", 3)
    3
    """
    try:
        count = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        count = None
    if count is None or count < least or (most is not None and count > most):
        limits = f"at least {least}" if most is None else f"from {least} to {most}"
        raise error(f"{name} cannot be {value!r:.60}.", expected=f"an integer, {limits}")
    return count


def check_number(
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: float = -math.inf,
    error: type[NeurosleepError] = SettingsError,
) -> float:
    """A finite number from ``least`` to ``most`` and greater than ``above``; texts and truth values are none.

    >>> check_number("dt", 0.001, above=0)
    0.001
    """
    number = math.nan
    if not isinstance(value, bool | np.bool_ | str | bytes):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            number = math.nan
    if not (math.isfinite(number) and least <= number <= most and number > above):
        limits = [f"of at least {least:g}"] if least > -math.inf else []
        limits += [f"above {above:g}"] if above > -math.inf else []
        limits += [f"of at most {most:g}"] if most < math.inf else []
        expected = " ".join(["a finite number", " and ".join(limits)]).strip()
        raise error(f"{name} cannot be {value!r:.60}.", expected=expected)
    return number


def _memory() -> float:
    """Bytes that may be had, of a system that tells; of others infinitely many."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return 1024.0 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return math.inf


def check_memory(what: str, needed: float, hint: str) -> None:
    """Refuse what needs more bytes of memory than there are: before anything is computed, not when it runs out.

    >>> check_memory("A small thing", 1e3, "a smaller one")
    """
    there = _memory()
    if needed > there:
        raise SettingsError(
            f"{what} needs about {needed / 1e9:.3g} GB of memory.", found=f"{there / 1e9:.3g} GB", hint=hint
        )


def check_device(device: Any) -> torch.device:
    """A device of torch that this machine has.

    >>> check_device("cpu")
    device(type='cpu')
    """
    import torch

    try:
        wanted = torch.device(device)
    except (TypeError, RuntimeError, ValueError) as problem:
        raise SettingsError(f"There is no device {device!r:.60}.", expected="'cpu', 'cuda' or 'cuda:0'") from problem
    if wanted.type != "cuda":
        return wanted
    if not torch.cuda.is_available():
        built = "" if torch.version.cuda else f", and torch {torch.__version__} is built without CUDA"
        raise UnsupportedError(
            f"device={str(wanted)!r} is not on this machine: there is no CUDA device here.",
            found=f"torch.cuda.is_available() is False{built}",
            hint="device='cpu'",
        )
    count = torch.cuda.device_count()
    if (wanted.index or 0) >= count:
        raise UnsupportedError(
            f"device={str(wanted)!r} is not on this machine.",
            found=f"{count} CUDA devices",
            expected="'cuda:0'" if count == 1 else f"'cuda:0' to 'cuda:{count - 1}'",
            hint="device='cuda' is the first of them",
        )
    return wanted


def device_of(model: torch.nn.Module) -> str:
    """Where ``model`` is computed: the CUDA device of its parameters, or ``"cpu"``.

    >>> import torch
    >>> device_of(torch.nn.Linear(2, 1))
    'cpu'
    """
    parameter = next(iter(model.parameters()), None)
    return str(parameter.device) if parameter is not None and parameter.is_cuda else "cpu"


def check_unread(
    where: str, options: Mapping[str, tuple[Any, Any]], hint: str, error: type[NeurosleepError] = SettingsError
) -> None:
    """Refuse options, each with its value and its default, that nothing reads there: no option is ever ignored.

    >>> check_unread("The recipe 'max'", {"percentile": (99.9, 99.9)}, "recipe='percentile' has it")
    """
    given = [name for name, (value, default) in options.items() if value is not default and value != default]
    if given:
        raise error(f"{where} has no {', '.join(given)}.", expected="left out: nothing would read it", hint=hint)


def _users_level() -> int:
    """How far up the stack, seen from who asks, the first line is that is not of the package, nor torch's around it."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("neurosleep", "torch"):
        frame, level = frame.f_back, level + 1
    return level


def as_images(name: str, images: Any, error: type[NeurosleepError] = DataError, *, say_scaled: bool = True) -> Tensor:
    """Images or features ``[n, ...]`` as a floating-point tensor, from an array, a tensor or a list of equal ones.

    Float tensors and arrays keep their type, but half precision becomes float32, in which the package computes at
    least; ``uint8`` is scaled from 0..255 to 0..1, which a warning says unless the caller does (``say_scaled`` False);
    other integers and truth values become float32 as they are.

    >>> as_images("x", [[0, 1], [1, 1]])
    tensor([[0., 1.],
            [1., 1.]])
    """
    # Here, as in the other checks of tensors, so that reading data needs no torch.
    import torch
    from torch import Tensor

    try:
        if isinstance(images, list | tuple) and images and all(isinstance(one, Tensor) for one in images):
            values = torch.stack(list(images))
        else:
            values = images if isinstance(images, Tensor) else torch.as_tensor(np.asarray(images))
    except (TypeError, ValueError, RuntimeError) as problem:
        values = None
        cause: Exception | None = problem
    else:
        cause = None
    if values is None or values.is_complex() or values.is_sparse or values.is_quantized:
        raise error(
            f"{name} cannot be read as images.",
            found=type(images).__name__,
            expected="an array or a tensor [n, ...] of numbers",
            hint=_how_to_read(images),
        ) from cause
    if values.ndim < 1 or values.numel() == 0:
        raise error(f"{name} holds no image.", found=f"shape {tuple(values.shape)}", expected="at least one, [n, ...]")
    values = values.detach()
    if values.dtype == torch.uint8:
        if say_scaled:
            warnings.warn(
                f"{name}: bytes (uint8) are divided by 255, so that they are from 0 to 1.",
                NeurosleepWarning,
                stacklevel=_users_level(),
            )
        return values.float() / 255
    if values.dtype in (torch.float32, torch.float64):
        return values
    return values.float()


def _how_to_read(images: Any) -> str | None:
    """What makes a tensor of what people give in the place of one."""
    if isinstance(images, str | os.PathLike):
        return "neurosleep.exchange.read_calibration(path) reads a .npy or .npz file"
    if hasattr(images, "batch_size") or (hasattr(images, "__getitem__") and hasattr(images, "__len__")):
        pairs = "torch.stack([x for x, _ in dataset])" if not hasattr(images, "batch_size") else None
        return pairs or "torch.cat([x for x, _ in loader]) takes the images of a loader together"
    return None


def as_labels(name: str, labels: Any, count: int, error: type[NeurosleepError] = DataError) -> Tensor:
    """Class numbers, one for each of ``count`` samples, as int64 ``[count]`` on the CPU.

    >>> as_labels("y", [0, 2, 1], 3)
    tensor([0, 2, 1])
    """
    import torch

    expected, hint = f"{count} class numbers from 0, one a sample", None
    try:
        values = torch.as_tensor(labels).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as problem:
        found = type(labels).__name__
        raise error(f"{name} cannot be read as labels: {found}.", expected=expected) from problem
    if values.ndim != 1 or len(values) != count or values.is_floating_point() or values.is_complex():
        if values.ndim == 2 and len(values) == count:
            hint = f"{name}.argmax(1) of scores, one a class" if values.shape[1] > 1 else f"{name}[:, 0]"
        shape = f"shape {tuple(values.shape)} and type {values.dtype}"
        raise error(f"{name} has {shape}.", expected=expected, hint=hint)
    if count and int(values.min()) < 0:
        raise error(f"{name} holds the label {int(values.min())}.", expected=expected)
    return values.long()


def as_reals(name: str, value: Any, error: type[NeurosleepError] = SettingsError) -> Tensor:
    """Real numbers of any shape as a dense tensor of float32 or float64, the types in which networks are computed.

    Half precision becomes float32, integers float64; both hold it exactly. A tensor that has the type already
    shares its memory. Texts, truth values and complex numbers are refused; whether numbers are finite is not looked at.

    >>> as_reals("threshold", [1, 2])
    tensor([1., 2.], dtype=torch.float64)
    """
    import torch
    from torch import Tensor

    tensor, cause = None, None
    try:
        if isinstance(value, Tensor):
            tensor = value.detach()
        else:
            # NumPy makes objects of integers beyond int64; torch knows no foreign byte orders and strides.
            array = np.array(float(value) if type(value) is int else value, order="C")
            tensor = torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    except (TypeError, ValueError, RuntimeError, OverflowError) as problem:
        cause = problem
    plain = tensor is not None and tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
    if tensor is None or not plain or tensor.is_complex() or tensor.dtype == torch.bool:
        what = f"a tensor of {value.dtype}, {value.layout}" if isinstance(value, Tensor) else f"{value!r:.60}"
        raise error(f"{name} cannot be {what}.", expected="real numbers, in a dense array or tensor") from cause
    if tensor.dtype in (torch.float32, torch.float64):
        return tensor
    return tensor.to(torch.float32 if tensor.is_floating_point() else torch.float64)
