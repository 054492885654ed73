"""A folder that rebuilds a network with Norse: weights.safetensors, and a model.py that needs torch and norse alone."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from neurosleep.exchange.code_folder import WEIGHTS, write_folder
from neurosleep.exchange.norse.write import Inexact, NorseCells, to_norse
from neurosleep.spiking import SpikingNetwork
from neurosleep.spiking.engines.norse_engine import import_norse

__all__ = ["write_norse"]

_SURROGATE = ("method", "alpha")


def write_norse(
    network: SpikingNetwork, path: str | Path, *, inexact: Inexact = "refuse", cells: NorseCells = "norse"
) -> Path:
    """Write a network as a folder that rebuilds it with Norse, without neurosleep: ``from model import build``.

    Parameters
    ----------
    network, inexact, cells:
        As for :func:`~neurosleep.exchange.to_norse`.
    path:
        The folder, new or written before.

    Raises
    ------
    UnsupportedError
        If Norse cannot express the network.
    ExchangeError
        If the folder cannot be written.

    See Also
    --------
    to_norse : without a folder

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import neurosleep as ns
    >>> from neurosleep.exchange import write_norse
    >>> network = ns.convert(torch.nn.Sequential(torch.nn.Linear(4, 2)), torch.rand(20, 4), recipe="percentile")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_norse(network, f"{folder}/norse")
    ...     print(sorted(file.name for file in path.iterdir()))
    ['model.py', 'weights.safetensors']
    """
    module = to_norse(network, inexact=inexact, cells=cells)
    tensors = dict(module.state_dict())
    lines = [_constructor(str(k), layer, tensors) for k, layer in enumerate(module)]
    source = _source(network, lines)
    return write_folder(path, tensors, source, {"writer": "neurosleep", "norse": json.dumps({"dt": network.dt})})


def _constructor(place: str, layer: Any, tensors: dict[str, Tensor]) -> str:
    """The expression that makes a layer; what it reads besides the layer's own weights is added to ``tensors``."""
    kind = type(layer).__name__
    if not hasattr(layer, "p") or isinstance(layer, nn.Dropout):
        return f"nn.{kind}({', '.join(_arguments(layer))})"
    arguments = [f"{_parameters(f'cell.{place}', layer.p, tensors)}", f"dt={layer.dt!r}"]
    if kind == "LIFRecurrentCell":
        sizes = [str(int(size)) for size in (layer.input_size, layer.hidden_size)]
        arguments = [*sizes, *arguments, "autapses=True"]
    return f"{kind}({', '.join(arguments)})"


def _arguments(layer: Any) -> Iterator[str]:
    """What a torch layer was made with, of the layers that are written."""
    dtype = f"dtype={layer.weight.dtype}" if hasattr(layer, "weight") else ""
    if isinstance(layer, nn.Linear):
        yield from (str(layer.in_features), str(layer.out_features), f"bias={layer.bias is not None}", dtype)
    elif isinstance(layer, nn.Conv1d | nn.Conv2d):
        yield from (str(layer.in_channels), str(layer.out_channels), repr(layer.kernel_size))
        for key in ("stride", "padding", "dilation", "groups"):
            yield f"{key}={getattr(layer, key)!r}"
        yield from (f"bias={layer.bias is not None}", dtype)
    elif isinstance(layer, nn.AvgPool1d | nn.AvgPool2d):
        yield from (repr(layer.kernel_size), f"stride={layer.stride!r}", f"padding={layer.padding!r}")
        if getattr(layer, "divisor_override", None) is not None:
            yield f"divisor_override={layer.divisor_override!r}"
    elif isinstance(layer, nn.Flatten):
        yield str(layer.start_dim)
    else:
        assert isinstance(layer, nn.Unflatten)
        yield f"{layer.dim}, {tuple(layer.unflattened_size)!r}"


def _parameters(place: str, p: Any, tensors: dict[str, Tensor]) -> str:
    """The expression of a cell's parameters: tensors from the file, names of functions, nested parameters."""
    lines = []
    for key, value in p._asdict().items():
        if key in _SURROGATE:
            continue
        if isinstance(value, Tensor):
            tensors[f"{place}.{key}"] = value
            lines.append(f"{key}=t[{f'{place}.{key}'!r}]")
        elif hasattr(value, "_asdict"):
            lines.append(f"{key}={_parameters(f'{place}.{key}', value, tensors)}")
        else:
            lines.append(f"{key}={value.__name__ if callable(value) else repr(value)}")
    return f"{type(p).__name__}({', '.join(lines)})"


def _source(network: SpikingNetwork, lines: list[str]) -> str:
    layers = "\n".join(f"        {line}," for line in lines)
    norse, used = import_norse("Writing a Norse network"), " ".join(lines)
    names = sorted({name for name in re.findall(r"\b(\w+)\(", used) if hasattr(norse, name)} | {"SequentialState"})
    own = "Decay" in used or "subtract_reset" in used
    resets = [name for name in ("reset_subtract", "reset_value") if f"reset_method={name}" in used]
    size, dtype = ", ".join(map(str, network.inputs[0].shape)), str(network.dtype)
    imports = [
        "from pathlib import Path",
        *(["from typing import Any, NamedTuple"] if own else []),
        "",
        "import torch",
        *([f"from norse.torch.functional.reset import {', '.join(resets)}"] if resets else []),
        f"from norse.torch import {', '.join(names)}",
        *(
            ["from norse.torch.functional.threshold import threshold", "from norse.torch.module.snn import SNNCell"]
            * own
        ),
        "from safetensors.torch import load_file",
        "from torch import nn",
    ]
    head = "\n".join(imports)
    cells = f"\n\n{_own_cells()}" if own else ""
    output = "potentials" if network.layers[-1].kind == "li" else "spikes"
    return f'''"""A spiking network of Norse modules, written by neurosleep; needs torch, norse and safetensors.

    network = build()
    state = None
    for x in inputs:  # one time step of {network.dt:g} s each: {dtype} [batch, {size}]
        {output}, state = network(x, state)
"""

from __future__ import annotations

{head}
{cells}

def build(weights: str | Path = Path(__file__).with_name("{WEIGHTS}")) -> SequentialState:
    """The network, with the weights of a file."""
    t = load_file(weights)
    network = SequentialState(
{layers}
    )
    network.load_state_dict({{name: tensor for name, tensor in t.items() if not name.startswith("cell.")}})
    return network.eval()


if __name__ == "__main__":
    print(build())
'''


def _own_cells() -> str:
    """The text of our own cells, from the first definition on."""
    from neurosleep.exchange.norse import cells

    text = inspect.getsource(cells)
    return text[text.index("class DecayParameters") :].rstrip("\n") + "\n"
