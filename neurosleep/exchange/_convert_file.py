"""A network's file into another format: what ``neurosleep convert`` does."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from neurosleep._checks import as_images, check_unread
from neurosleep._guards.arrays import read_npy, read_npz
from neurosleep._guards.files import check_regular
from neurosleep._shown import brief
from neurosleep.conversion import Recipe, RecipeName, convert
from neurosleep.errors import DataError, ExchangeError, SettingsError, unknown_name
from neurosleep.exchange._labels import read_labels
from neurosleep.exchange.files import is_onnx, load, save
from neurosleep.exchange.inexact import ExchangeWarning
from neurosleep.exchange.nir.build import NIRReset, NIRWriter
from neurosleep.exchange.nir.files import read_nir
from neurosleep.exchange.nir.write import nir_network
from neurosleep.exchange.norse.folder import write_norse
from neurosleep.exchange.onnx.read import read_onnx
from neurosleep.exchange.other_kinds import check_network_file, is_hdf5
from neurosleep.exchange.snntorch.write import Inexact, write_snntorch
from neurosleep.learning import accuracy
from neurosleep.networks import EquilibriumNetwork
from neurosleep.spiking import CODINGS, SpikingNetwork, simulate
from neurosleep.spiking.projections import Weighted

__all__ = ["TARGETS", "ReadOptions", "convert_file", "read_calibration", "read_spiking"]

#: What can be written, and the ending of its file; a folder has none.
TARGETS = {"snn": ".safetensors", "nir": ".nir", "onnx": ".onnx", "snntorch": "", "norse": ""}


@dataclass(frozen=True)
class ReadOptions:
    """How a network is read from a file, and how an awake one becomes a spiking one.

    Parameters
    ----------
    calibration, recipe:
        For an awake network that becomes a spiking one: its images (``.npy`` or ``.npz``), and how it is scaled, as for
        :func:`~neurosleep.convert` (``percentile`` where not given; equilibrium networks ``recursive``).
    approximate:
        Whether average pooling takes the place of max-pooling, which differences of neurons make exactly otherwise.
    external_data, output_name, input_shape:
        For an ONNX file: the second file that holds its weights, which of several outputs is read, and the shape of an
        image where the file leaves it open.
    dt, writer:
        For a NIR file of another tool: the length of a step in seconds, and the tool (``nir``, ``snntorch``,
        ``norse``, ``sinabs``), as for :func:`~neurosleep.exchange.from_nir`.
    reset:
        That of the neurons of an awake network that becomes a spiking one (None: the recipe's), or of a NIR file
        (None: that of NIR).

    See Also
    --------
    convert_file, read_spiking : what read with it

    Examples
    --------
    >>> ReadOptions("images.npy", recipe="max")
    ReadOptions(calibration='images.npy', recipe='max')
    """

    calibration: str | Path | None = None
    recipe: Recipe | str | None = None
    approximate: bool = False
    external_data: str | Path | None = None
    output_name: str | None = None
    input_shape: tuple[int, ...] | None = None
    dt: float | None = None
    writer: NIRWriter | None = None
    reset: NIRReset | None = None

    __repr__ = brief


_PLAIN = ReadOptions()


def convert_file(
    model: str | Path,
    *,
    to: str,
    out: str | Path,
    read: ReadOptions = _PLAIN,
    inexact: bool = False,
    inputs: str | Path | None = None,
    labels: str | Path | None = None,
    steps: int = 100,
    coding: str = "bernoulli",
    seed: int = 0,
) -> dict[str, Any]:
    """Read a network, convert it where the format asked for holds another kind of network, and write it.

    Parameters
    ----------
    model:
        File of the network, as :func:`~neurosleep.load` reads it.
    to, out:
        One of :data:`TARGETS`, and the file to write; for ``snntorch`` and ``norse`` a folder.
    read:
        How it is read, and how an awake network becomes a spiking one.
    inexact:
        Whether what is nearest may take the place of what the modules of another tool cannot express, which is refused
        otherwise; the report then names it under ``inexact``.
    inputs, labels:
        File of images, and file (.npy) of the class of each of them, for the accuracy before and after.
    steps, coding, seed:
        How these images are shown to the spiking network, as for :func:`~neurosleep.simulate`.

    Returns
    -------
    dict
        ``out``, ``layers`` and ``report``, as the command line prints them; ``report`` is empty where nothing was
        converted and all of it is exact. With labels ``accuracy`` too: fractions of the ``images``, of the trained
        ``model`` before (None: the file holds a spiking network) and of the spiking ``network`` after, with ``steps``
        and ``coding``.

    Raises
    ------
    NeurosleepError
        If a file cannot be read or written, or the network cannot be converted.

    See Also
    --------
    neurosleep.convert, save : the same of a network in memory
    read_spiking : without writing

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import neurosleep as ns
    >>> from neurosleep.exchange import ReadOptions, convert_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ns.save(ns.MLP([4, 3, 2]), f"{folder}/model.safetensors")
    ...     np.save(f"{folder}/images.npy", np.random.rand(20, 4).astype("float32"))
    ...     done = convert_file(path, to="nir", out=f"{folder}/model.nir", read=ReadOptions(f"{folder}/images.npy"))
    >>> sorted(done)
    ['layers', 'out', 'report']
    """
    if to not in TARGETS:
        raise unknown_name("format", to, TARGETS)
    out = Path(out)
    _check_ending(out, to)
    if inexact and TARGETS[to]:
        raise SettingsError(f"--inexact has no place here: a file of format {to!r} holds all.", expected="no --inexact")
    if coding not in CODINGS:
        raise unknown_name("coding", coding, CODINGS)
    if labels is None:
        shown = {"--steps": (steps, 100), "--coding": (coding, "bernoulli"), "--seed": (seed, 0)}
        unread = {"--inputs": (inputs, None), **shown}
        check_unread("A conversion without --labels", unread, "--labels with the classes of the images in --inputs")
    expected = None if labels is None else read_labels(labels, inputs)
    found = read_file(model, read)
    if to == "onnx":
        if labels is not None:
            raise SettingsError("--labels has no place here: an ONNX file holds the awake network as it is.")
        if isinstance(found, SpikingNetwork):
            raise ExchangeError(
                f"{Path(model).name!r} holds a spiking network, which no ONNX file can hold.",
                expected="an awake network",
            )
        _unused(read, "an ONNX file holds the awake network as it is")
        save(found, out)
        return {"out": str(out), "layers": _awake_layers(found), "report": {}}
    network, report = _spiking(found, model, read)
    measured: dict[str, Any] = {}
    if inputs is not None and expected is not None:
        # Before anything is written, as labels of other images are an error.
        images = read_calibration(inputs, "file of inputs")
        right = simulate(network, images, steps, coding=coding, seed=seed).accuracy(expected)
        measured["accuracy"] = {
            "images": len(expected),
            "steps": steps,
            "coding": coding,
            "model": accuracy(found, images, expected) if isinstance(found, nn.Module) else None,
            "network": float(right[-1]),
        }
    if TARGETS[to]:
        save(network, out)
        network = nir_network(network)[0] if to == "nir" else network
    elif differences := _write_folder(network, out, to, "warn" if inexact else "refuse"):
        report = report | {"inexact": differences}
    return {"out": str(out), "layers": _spiking_layers(network), "report": report, **measured}


def read_spiking(model: str | Path, read: ReadOptions = _PLAIN) -> SpikingNetwork:
    """The spiking network in a file, or what the awake network in it becomes, as :func:`convert_file` makes it.

    Raises
    ------
    NeurosleepError
        If the file cannot be read, or the network cannot be converted.

    See Also
    --------
    convert_file : writes it, too
    load : any network as it is in the file

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import neurosleep as ns
    >>> from neurosleep.exchange import ReadOptions, read_spiking
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ns.save(ns.MLP([4, 3, 2]), f"{folder}/model.safetensors")
    ...     np.save(f"{folder}/images.npy", np.random.rand(20, 4).astype("float32"))
    ...     network = read_spiking(path, ReadOptions(f"{folder}/images.npy"))
    >>> [population.size for population in network.populations]
    [4, 3, 2]
    """
    return _spiking(read_file(model, read), model, read)[0]


def read_file(model: str | Path, read: ReadOptions, *, unread: bool = False) -> SpikingNetwork | nn.Module:
    """The network in a file; options that a file of its kind does not have are refused.

    With ``unread``, layers that hold errors take the place of what cannot be read of an ONNX file.
    """
    check_network_file(Path(model))
    if is_hdf5(Path(model)):
        for name in ("external_data", "output_name", "input_shape"):
            if getattr(read, name) is not None:
                raise SettingsError(
                    f"--{name.replace('_', '-')} has no place here: {Path(model).name!r} is a NIR file.",
                    expected="an ONNX file",
                )
        return read_nir(model, dt=read.dt, writer=read.writer or "nir", reset=read.reset)
    for name in ("dt", "writer"):
        if getattr(read, name) is not None:
            raise SettingsError(
                f"--{name} has no place here: {Path(model).name!r} is no NIR file.", expected="a NIR file"
            )
    if unread and is_onnx(Path(model)):
        given = {"external_data": read.external_data, "output_name": read.output_name, "input_shape": read.input_shape}
        return read_onnx(model, **given, unread=True)  # type: ignore[arg-type]
    return load(model, external_data=read.external_data, output_name=read.output_name, input_shape=read.input_shape)


def _spiking(
    found: SpikingNetwork | nn.Module, model: str | Path, read: ReadOptions
) -> tuple[SpikingNetwork, dict[str, Any]]:
    if isinstance(found, SpikingNetwork):
        # The reset of a NIR file has been seen to.
        given = replace(read, reset=None) if is_hdf5(Path(model)) else read
        _unused(given, f"{Path(model).name!r} holds a spiking network already")
        return found, {}
    if read.reset == "subtract-next":
        raise SettingsError(
            f"--reset subtract-next has no place here: {Path(model).name!r} holds an awake network.",
            expected="to_value or subtract",
        )
    if read.calibration is None:
        raise SettingsError(
            f"{Path(model).name!r} holds an awake network, whose layers are scaled by its activities.",
            expected="--calibration with a file of images (.npy or .npz), e.g. a hundred training images",
        )
    images = read_calibration(read.calibration)
    # The published recipe of sleep knows neither biases nor convolutions; only equilibrium networks need it.
    usual = "recursive" if isinstance(found, EquilibriumNetwork) else "percentile"
    network = convert(
        found,
        images,
        recipe=cast("Recipe | RecipeName", usual if read.recipe is None else read.recipe),
        maxpool="approximate" if read.approximate else "exact",
        reset=read.reset,
    )
    return network, network.report.to_json()


def _check_ending(out: Path, to: str) -> None:
    if TARGETS[to]:
        if out.suffix != TARGETS[to]:
            raise SettingsError(
                f"--out {out.name!r} has another ending than the format.", expected=f"a name that ends in {TARGETS[to]}"
            )
    elif out.suffix in TARGETS.values() and out.suffix:
        raise SettingsError(
            f"--out {out.name!r} has the ending of a file, and {to} is written as a folder.", expected="a folder"
        )


def _write_folder(network: SpikingNetwork, out: Path, to: str, inexact: Inexact) -> list[str]:
    """Write the folder; returns what of it is inexact."""
    write: Callable[..., Path] = write_norse if to == "norse" else write_snntorch
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ExchangeWarning)
        write(network, out, inexact=inexact)
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return [str(warning.message) for warning in caught if warning.category is ExchangeWarning]


def _unused(read: ReadOptions, why: str) -> None:
    for name in ("calibration", "recipe", "reset"):
        if getattr(read, name) is not None:
            raise SettingsError(f"--{name} has no place here: {why}.", expected=f"no --{name}")


def read_calibration(path: str | Path, what: str = "calibration file") -> Tensor:
    """Images ``[n, ...]`` of a ``.npy`` file, or of an ``.npz`` file with one array; nothing in it is executed.

    Bytes (``uint8``) are scaled to 0..1, with a warning.

    Raises
    ------
    DataError
        If it is no such file, holds other things than finite numbers, or would unpack to far more than its size.

    See Also
    --------
    convert_file : which takes such a file

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from neurosleep.exchange import read_calibration
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/images.npy", np.zeros((20, 4)))
    ...     images = read_calibration(f"{folder}/images.npy")
    >>> images.shape
    torch.Size([20, 4])
    """
    path = Path(path)
    wrong = "a .npy file of numbers [images, ...], or an .npz file with one such array"
    size = check_regular(path, DataError, expected=wrong)
    try:
        if zipfile.is_zipfile(path):
            arrays, shapes = read_npz(path, size)
            if len(shapes) != 1:
                raise ValueError(f"it holds {len(shapes)} arrays: {', '.join(shapes)[:200]}")
            array = next(iter(arrays.values()))
        else:
            array = read_npy(path)
        if array.dtype.kind not in "fiub" or array.ndim < 2 or not array.size:
            raise ValueError(f"an array of type {array.dtype} and shape {array.shape}")
        if array.dtype == np.uint8:
            return as_images(what, array)
        with np.errstate(over="ignore"):  # a value too large for float32 becomes infinite, which is refused
            values = np.array(array, dtype=np.float64 if array.dtype == np.float64 else np.float32, copy=None)
        if not np.isfinite(values).all():
            raise ValueError("it holds NaN or infinite values")
        return torch.from_numpy(values)
    except Exception as error:  # a damaged file fails in many ways
        raise DataError(f"The {what} {path.name!r} cannot be read.", found=str(error)[:300], expected=wrong) from error


def _spiking_layers(network: SpikingNetwork) -> list[dict[str, Any]]:
    return [
        {
            "name": population.name,
            "kind": population.kind,
            "shape": list(population.shape),
            "from": [
                {
                    "source": q.source,
                    "kind": q.kind,
                    "weight": list(q.weight.shape) if isinstance(q, Weighted) else None,
                    "scale": q.scale,
                }
                for q in (network.projections[k] for k in network.incoming(population.name))
            ],
        }
        for population in network.layers
    ]


def _awake_layers(model: nn.Module) -> list[dict[str, Any]]:
    rows = []
    for name, layer in model.named_modules():
        if name and not any(layer.children()):
            weight = getattr(layer, "weight", None)
            shape = list(weight.shape) if isinstance(weight, Tensor) else None
            rows.append({"name": name, "kind": type(layer).__name__, "weight": shape})
    return rows
