"""Networks in files, by content and ending. Safetensors: tensors as they are, the rest as JSON in the metadata."""

from __future__ import annotations

import json
import math
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, cast, overload

import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from neurosleep._checks import check_unread
from neurosleep._files import write_whole
from neurosleep._guards.files import check_regular
from neurosleep.errors import ExchangeError, NeurosleepError
from neurosleep.exchange.digest import DIGEST as _DIGEST
from neurosleep.exchange.digest import UNSET as _UNSET
from neurosleep.exchange.digest import check_digest, signed
from neurosleep.exchange.network_format import network_of, network_parts
from neurosleep.exchange.other_kinds import check_network_file, is_hdf5
from neurosleep.functional.activations import ACTIVATIONS
from neurosleep.networks import MLP, EquilibriumMLP, EquilibriumNetwork
from neurosleep.spiking import SpikingNetwork

__all__ = ["is_onnx", "load", "save"]

Module = TypeVar("Module", bound=nn.Module)

# Format 2 knows transposed weights and equilibrium networks, format 3 resets at another time than a spike's own step,
# format 4 integrators with a synaptic current, format 5 an MLP with biases or a sigmoid read-out; the rest is still
# written as format 1, which an older neurosleep reads.
FORMAT = 5
# What every HDF5 file starts with (NIR files are such).


def save(obj: SpikingNetwork | nn.Module, path: str | Path, *, input_shape: Sequence[int] | None = None) -> Path:
    """Write a network to a file, whole or not at all; :func:`load` gives it back bit for bit.

    Parameters
    ----------
    obj:
        For ``.safetensors``: a SpikingNetwork, or neurosleep's MLP or EquilibriumMLP. For ``.onnx``: an awake network
        of ordinary layers. For ``.nir``: a SpikingNetwork (:func:`~neurosleep.exchange.write_nir`).
    path:
        The file; its ending says the format.
    input_shape:
        For ``.onnx``: shape of an image without the batch, where the network does not say it.

    Raises
    ------
    ExchangeError
        If the object cannot be stored, or the file cannot be written.

    See Also
    --------
    load : the way back
    to_snntorch, to_norse : other tools' modules

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import neurosleep as ns
    >>> network = ns.convert(torch.nn.Sequential(torch.nn.Linear(4, 2)), torch.rand(20, 4), recipe="percentile")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ns.save(network, f"{folder}/network.safetensors")
    ...     again = ns.load(path)
    >>> torch.equal(again.weights[0], network.weights[0])
    True
    """
    path = Path(path)
    if isinstance(obj, SpikingNetwork) and not obj.real_valued:
        raise ExchangeError(
            f"A {type(obj).__name__} holds more than a file keeps: the arithmetic of a chip.",
            expected="a SpikingNetwork",
            hint="save(mapped.plain(), path) keeps its populations and projections, as the chip's integers",
        )
    if path.suffix == ".onnx":
        return write_whole(path, _as_onnx(obj, input_shape), folders=False, error=ExchangeError)
    check_unread(f"The file {path.name!r}", {"input_shape": (input_shape, None)}, "an .onnx file has it", ExchangeError)
    if path.suffix == ".nir" and isinstance(obj, SpikingNetwork):
        from neurosleep.exchange.nir.files import write_nir

        return write_nir(obj, path)
    if path.suffix != ".safetensors":
        raise ExchangeError(
            f"{path.name!r} has an ending that says another format.",
            expected=".safetensors, .onnx, or .nir for a spiking network",
        )
    if isinstance(obj, SpikingNetwork):
        tensors, header = network_parts(obj)
    elif isinstance(obj, MLP):
        tensors = {name: tensor.detach() for name, tensor in obj.state_dict().items()}
        header = {"kind": "mlp", "sizes": list(obj.sizes), "dropout": obj.dropout}
        if obj.output != "relu":
            header |= {"format": 5 if obj.output == "sigmoid" else 3, "output": obj.output}
        if obj.biases:
            header |= {"format": 5, "bias": True}
    elif type(obj) is EquilibriumMLP:
        if ACTIVATIONS.get(obj.activation.name) is not obj.activation:
            raise ExchangeError(
                f"The activation {obj.activation.name!r} is code of your own, which no file holds.",
                expected="one of: " + ", ".join(sorted(ACTIVATIONS)),
                hint="torch.save(model.state_dict(), path) keeps the weights, biases and time steps",
            )
        tensors = {name: tensor.detach() for name, tensor in obj.state_dict().items()}
        header = {
            "kind": "equilibrium-mlp",
            "format": 2,
            "sizes": list(obj.sizes),
            "activation": obj.activation.name,
            "read_out": obj.read_out_kind,
            "bias": obj.biases[0] is not None,
            "free_steps": obj.free_steps,
            "dynamics": obj.dynamics,
        }
    else:
        raise ExchangeError(
            f"An object of type {type(obj).__name__} cannot be saved.",
            expected="a SpikingNetwork, or neurosleep's MLP or EquilibriumMLP",
            hint="torch.save(model.state_dict(), path) keeps the weights of a module of your own",
        )
    content = to_bytes(
        {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
        {"neurosleep": json.dumps({"format": 1, **header, "checked": True}, allow_nan=False), _DIGEST: _UNSET},
    )
    return write_whole(path, signed(content), folders=False, error=ExchangeError)


def _as_onnx(obj: object, input_shape: Sequence[int] | None) -> bytes:
    if not isinstance(obj, nn.Module) or isinstance(obj, EquilibriumNetwork):
        raise ExchangeError(
            f"An object of type {type(obj).__name__} cannot be saved as an ONNX file.",
            expected="a feed-forward awake network",
            hint="spiking and equilibrium networks: a .safetensors file",
        )
    from neurosleep.exchange.onnx.write import onnx_bytes

    return onnx_bytes(obj, input_shape)


def is_onnx(path: Path) -> bool:
    """Whether a file is to be read as ONNX: by its first bytes, and by its ending where they do not say."""
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{" and path.suffix != ".onnx":
        return False  # a safetensors file: eight bytes of length, then JSON
    known = head.startswith((b"PK", b"\x89HDF", b"\x80"))
    return not known and (path.suffix == ".onnx" or head[:1] == b"\x08")


@overload
def load(
    path: str | Path,
    *,
    input_shape: tuple[int, ...] | None = ...,
    external_data: str | Path | None = ...,
    output_name: str | None = ...,
    dt: float | None = ...,
) -> SpikingNetwork | nn.Module: ...


@overload
def load(path: str | Path, module: Module) -> Module: ...


def load(
    path: str | Path,
    module: Module | None = None,
    *,
    input_shape: tuple[int, ...] | None = None,
    external_data: str | Path | None = None,
    output_name: str | None = None,
    dt: float | None = None,
) -> SpikingNetwork | nn.Module | Module:
    """Read what :func:`save` wrote, an ONNX file, or weights into ``module``.

    The content decides, not the ending. A ``.pt`` file of weights (``torch.save(model.state_dict(), path)``) needs the
    ``module`` they belong to, which is filled in place and returned; nothing in it is executed. So does a checkpoint of
    Lightning (``.ckpt``): the LightningModule, or the network in it (whose names the file has with ``model.`` or
    another prefix before them). An ONNX file becomes a
    module of ordinary torch layers; ``input_shape`` and ``external_data`` are for files that leave the shape of an
    image open, or keep their weights in a second file (``model.onnx.data``), which is opened if it is given here or
    lies beside the file under this very name; ``output_name`` chooses one of several outputs.
    A NIR file of another tool needs ``dt``, the length of a step in seconds; more is chosen with
    :func:`~neurosleep.exchange.read_nir`.

    Raises
    ------
    ExchangeError
        If the file is missing, damaged, of an unknown kind, or does not fit ``module``.

    See Also
    --------
    save : the way there
    read_nir : NIR files of other tools, with all options

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import neurosleep as ns
    >>> model = ns.MLP([4, 3, 2])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = ns.load(ns.save(model, f"{folder}/model.safetensors"))
    >>> torch.equal(again.weights[0], model.weights[0])
    True
    """
    path = Path(path)
    given = {
        "input_shape": (input_shape, None),
        "external_data": (external_data, None),
        "output_name": (output_name, None),
        "dt": (dt, None),
    }
    if module is not None:
        check_regular(path, ExchangeError, expected="a .pt or .safetensors file of weights")
        check_unread(f"The file {path.name!r}, of weights,", given, "files of networks have them", ExchangeError)
        return _fill(module, _state(path), path)
    check_network_file(path)
    if is_hdf5(path):
        from neurosleep.exchange.nir.files import read_nir

        del given["dt"]
        check_unread(f"The NIR file {path.name!r}", given, "an ONNX file has them", ExchangeError)
        return read_nir(path, dt=dt)
    if is_onnx(path):
        from neurosleep.exchange.onnx.read import read_onnx

        check_unread(f"The ONNX file {path.name!r}", {"dt": (dt, None)}, "a NIR file has it", ExchangeError)
        return read_onnx(path, input_shape=input_shape, external_data=external_data, output_name=output_name)
    check_unread(f"The file {path.name!r}", given, "ONNX files have them, and NIR files dt", ExchangeError)
    try:
        with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call, unused-ignore]
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # a damaged header also makes torch's side of the library fail, in ways of its own
        raise ExchangeError(
            f"{path.name!r} is no safetensors file, or a damaged one.",
            found=str(error)[:300],
            hint="a .pt file of weights is read with load(path, module=...)",
        ) from error
    try:
        header = json.loads(metadata["neurosleep"], parse_constant=_not_finite)
        check_digest(path, metadata)
        if header["format"] > FORMAT:
            raise ExchangeError(
                f"{path.name!r} was written by a newer neurosleep.",
                found=f"format {header['format']}",
                expected=f"format {FORMAT} or below",
            )
        _check_tensors(header, tensors, path)
        if header["kind"] == "spiking-network":
            return network_of(tensors, header)
        if header["kind"] == "mlp":
            model = MLP(
                header["sizes"],
                dropout=header["dropout"],
                output=header.get("output", "relu"),
                bias=header.get("bias", False),
            )
            return _fill(model.to(tensors["layers.0.weight"].dtype), tensors, path)
        if header["kind"] == "equilibrium-mlp":
            keys = ("activation", "read_out", "bias", "free_steps", "dynamics")
            settled = EquilibriumMLP(header["sizes"], dt=tensors["dt"], **{key: header[key] for key in keys})
            return _fill(settled.to(tensors["layers.0.weight"].dtype), tensors, path)
        raise KeyError(header["kind"])
    except ExchangeError as error:
        if repr(path.name) in error.message:
            raise
        raise ExchangeError(f"{path.name!r}: {error.message}", found=error.found, expected=error.expected) from error
    except NeurosleepError as error:
        raise ExchangeError(
            f"{path.name!r} holds a network that cannot be: {error.message}", found=error.found, expected=error.expected
        ) from error
    except Exception as error:  # whatever a made-up header leads to
        raise ExchangeError(
            f"{path.name!r} does not say which network it holds.",
            found=str(error)[:300],
            expected="a file written by neurosleep.save",
            hint="weights alone are read with load(path, module=...)",
        ) from error


def _not_finite(text: str) -> float:
    raise ExchangeError(f"{text} stands among the settings of the network.", expected="finite numbers")


def _check_tensors(header: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse values that are no finite numbers, and sizes that the tensors do not bear out, before they cost memory."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ExchangeError(f"{name!r} in {path.name!r} holds NaN or infinite values.", expected="finite numbers")
    if header["kind"] in ("mlp", "equilibrium-mlp"):
        expected = [list(pair) for pair in zip(header["sizes"][1:], header["sizes"], strict=False)]
        count = sum(name.startswith("layers.") and name.endswith(".weight") for name in tensors)
        shapes = [list(tensors[f"layers.{k}.weight"].shape) for k in range(count)]
        if shapes != expected:
            raise ExchangeError(
                f"The weights in {path.name!r} have other sizes than it says.",
                found=str(shapes)[:200],
                expected=str(expected)[:200],
            )
    elif header["kind"] == "spiking-network":
        for entry in header["populations"]:
            if any(type(size) is not int or size < 1 for size in entry["shape"]) or math.prod(entry["shape"]) > 2**28:
                raise ExchangeError(
                    f"A population in {path.name!r} has the shape {str(entry['shape'])[:80]}.",
                    expected=f"sizes of at least 1, and no more than {2**28} neurons",
                )


def _state(path: Path) -> Mapping[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call, unused-ignore]
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception:  # no such file, or a damaged one: then torch says the same below
        pass
    else:
        check_digest(path, metadata)
        return weights
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile pickle makes torch's reader fail in many ways; it executes none of it
        raise ExchangeError(
            f"{path.name!r} cannot be read as weights.",
            found=(str(error).splitlines() or [type(error).__name__])[0][:300],
            expected="a state_dict of tensors; files that hold code, whole modules, hyperparameters or other objects "
            "of classes are refused",
            hint="store it again with torch.save(model.state_dict(), path); of Lightning, where you trust the file, "
            "model = YourLightningModule.load_from_checkpoint(path, weights_only=False)",
        ) from error
    if _are_weights(state):
        return state
    entries = state if isinstance(state, Mapping) else {}
    # A checkpoint holds them beside the number of the epoch, the optimiser's state and other things.
    inside = [key for key in ("state_dict", "model_state_dict", "model") if _are_weights(entries.get(key))]
    if len(inside) == 1:
        return cast("Mapping[str, Tensor]", entries[inside[0]])
    raise ExchangeError(
        f"{path.name!r} holds something other than the weights of a module.",
        found=f"entries {', '.join(map(repr, list(entries)[:6]))}" if entries else type(state).__name__,
        expected="names with tensors, or a checkpoint with these under 'state_dict' or 'model_state_dict'",
        hint="torch.save(module.state_dict(), path)",
    )


def _are_weights(value: object) -> TypeGuard[Mapping[str, Tensor]]:
    """Whether it is what a module's ``state_dict`` gives."""
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(t, Tensor) and t.layout == torch.strided and t.device.type == "cpu"
        for name, t in value.items()
    )


def _check_archive(path: Path) -> None:
    """Refuse a .pt file whose parts would unpack to more than the file itself: torch stores them uncompressed."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        # NotImplementedError: what zipfile raises for an archive of a version that it does not know.
        raise ExchangeError(
            f"{path.name!r} is damaged.", found=str(error)[:300], hint="write or copy it again"
        ) from error
    if any("/code/" in part.filename or part.filename.endswith("constants.pkl") for part in parts):
        raise ExchangeError(
            f"{path.name!r} is a TorchScript archive, which holds code.",
            expected="a state_dict of tensors",
            hint="torch.save(torch.jit.load(path).state_dict(), other) takes the weights out of a file that you trust",
        )
    packed = [part.filename for part in parts if part.compress_type != zipfile.ZIP_STORED]
    if packed or sum(part.file_size for part in parts) > path.stat().st_size:
        raise ExchangeError(
            f"{path.name!r} would unpack to more than its own size.",
            found=f"{sum(part.file_size for part in parts)} bytes from {path.stat().st_size}",
            expected="a file as torch.save writes it, without compression",
        )


def _part(state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], path: Path) -> Mapping[str, Tensor]:
    """The weights of a module among those of what holds it, ``model.0.weight`` for ``0.weight``; all where none fit."""
    first = next(iter(expected), "")
    prefixes = dict.fromkeys(name.removesuffix(first) for name in state if name.endswith(f".{first}"))
    parts = {prefix: {n: t for n, t in state.items() if n.startswith(prefix)} for prefix in prefixes}
    fitting = {
        prefix: {n.removeprefix(prefix): t for n, t in part.items()}
        for prefix, part in parts.items()
        if {n.removeprefix(prefix): tuple(t.shape) for n, t in part.items()} == expected
    }
    if len(fitting) > 1:
        raise ExchangeError(
            f"{path.name!r} holds several parts that fit the module.",
            found=", ".join(fitting),
            expected="one",
            hint="load the file into the whole module, and take its part",
        )
    return next(iter(fitting.values()), state)


def _fill(module: Module, state: Mapping[str, Tensor], path: Path) -> Module:
    present = module.state_dict()
    expected = {name: tuple(t.shape) for name, t in present.items()}
    if expected.keys() != state.keys():
        state = _part(state, expected, path)
    shapes = {name: tuple(t.shape) for name, t in state.items()}
    wrong = [name for name in {**expected, **shapes} if shapes.get(name) != expected.get(name)]
    if wrong:
        shown = wrong if shapes.keys() & expected else list(shapes)
        raise ExchangeError(
            f"The weights in {path.name!r} do not fit the module.",
            found="; ".join(f"{n} {shapes.get(n, 'missing')}" for n in shown[:4]),
            expected="; ".join(f"{n} {expected.get(n, 'nothing')}" for n in wrong[:4]),
        )
    learned = {name for name, _ in module.named_parameters()}
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            continue
        # Buffers may be infinite: the mask of an attention is.
        if torch.isnan(tensor).any() or (name in learned and not torch.isfinite(tensor).all()):
            raise ExchangeError(f"{name!r} in {path.name!r} holds NaN or infinite values.", expected="finite numbers")
    module.load_state_dict(dict(state))
    return module
