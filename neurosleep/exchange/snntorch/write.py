"""SpikingNetwork -> snnTorch module with the same spike trains, as an object and as a folder."""

from __future__ import annotations

import json
import keyword
import linecache
import re
import warnings
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from neurosleep.errors import UnsupportedError, unknown_name
from neurosleep.exchange.code_folder import WEIGHTS, write_folder
from neurosleep.exchange.inexact import ExchangeWarning
from neurosleep.exchange.snntorch.neuron import Neuron, snntorch_neuron
from neurosleep.spiking import Conv, Dense, Pool, Population, Projection, SpikingNetwork, Transposed
from neurosleep.spiking.given import check_spiking

__all__ = ["INEXACT", "Inexact", "to_snntorch", "write_snntorch"]

Inexact = Literal["refuse", "warn"]
INEXACT: tuple[str, ...] = get_args(Inexact)


def to_snntorch(network: SpikingNetwork, inexact: Inexact = "refuse") -> nn.Module:
    r"""A module of snnTorch neurons whose spike trains are those of the network.

    Its layers are ``nn.Linear``, ``nn.Conv`` and ``nn.AvgPool``, its neurons ``snntorch.Leaky`` and
    ``snntorch.Synaptic``, and its ``forward(x, *state)`` makes one step in the manner of snnTorch, with the state from
    ``rest()`` at first; it gives what every layer sends (the potential of one that never fires) and the next state.
    ``run(x)`` makes all steps of x ``[time, batch, ...]``. Sums are made in the order of the step contract, so that
    spike trains are equal to the last bit of a potential; weights are the network's own.

    A threshold for ``>=`` becomes the next smaller number. A soft reset in the same step that equals snnTorch's
    delayed one (decay times amount is the threshold, as in neurons without decay) is a line of ``forward``: the
    neuron's own would take away the smaller threshold, and round otherwise. One refractory step at a reset value of 0
    is the input that a delayed reset of ``Synaptic`` loses. Leaky integrators have an endless threshold.

    Parameters
    ----------
    network:
        Without transposed weights; one input.
    inexact:
        What to do where snnTorch's neurons cannot express a population: a soft reset of the same step with a leak,
        a threshold of 0, a resting potential, more refractory steps, other reset values. ``"refuse"`` it by name, or
        ``"warn"`` and write what is nearest, with the reset as a line of ``forward`` where that helps.

    Returns
    -------
    nn.Module
        :func:`~neurosleep.exchange.from_snntorch` makes a network with the same weights and spike trains of it.

    Raises
    ------
    SettingsError
        If ``network`` is no SpikingNetwork.
    UnsupportedError
        If something of the network has no counterpart, by name.

    Warns
    -----
    ExchangeWarning
        With ``inexact="warn"``, of everything that differs.

    See Also
    --------
    from_snntorch : the way back
    write_snntorch : into a folder

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> module = ns.to_snntorch(ns.convert(model, torch.rand(20, 4), recipe="percentile"))
    >>> sent = module.run(torch.ones(10, 1, 4))  # [time, batch, n]
    >>> {name: tuple(values.shape) for name, values in sent.items()}
    {'hidden1': (10, 1, 3), 'output': (10, 1, 2)}
    """
    check_spiking(network, "written for snnTorch")
    writer = _Writer(network, inexact)
    writer.warn()
    return writer.module()


def write_snntorch(network: SpikingNetwork, path: str | Path, inexact: Inexact = "refuse") -> Path:
    """Write a folder with the weights and a ``model.py`` that rebuilds the module without neurosleep.

    The module is that of :func:`to_snntorch`; ``model.py`` needs torch, snntorch and safetensors. What is inexact
    stands in the folder as well.

    Parameters
    ----------
    network, inexact:
        As for :func:`to_snntorch`.
    path:
        The folder. One that holds other things is refused.

    Raises
    ------
    UnsupportedError
        If something of the network has no counterpart, by name.
    ExchangeError
        If the folder cannot be written.

    See Also
    --------
    to_snntorch : without a folder

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import neurosleep as ns
    >>> from neurosleep.exchange import write_snntorch
    >>> network = ns.convert(torch.nn.Sequential(torch.nn.Linear(4, 2)), torch.rand(20, 4), recipe="percentile")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_snntorch(network, f"{folder}/snntorch")
    ...     print(sorted(file.name for file in path.iterdir()))
    ['model.py', 'weights.safetensors']
    """
    writer = _Writer(network, inexact)
    writer.warn()
    metadata = {"writer": "neurosleep", "tool": "snntorch", "inexact": json.dumps(writer.notes)}
    return write_folder(path, writer.module().state_dict(), writer.source(), metadata)


class _Writer:
    """The text of the module, from which it is made too: one truth for both."""

    def __init__(self, network: SpikingNetwork, inexact: Inexact) -> None:
        if inexact not in INEXACT:
            raise unknown_name("way with what is inexact", str(inexact), INEXACT)
        self.network, self.dtype = network, network.dtype
        if self.dtype not in (torch.float32, torch.float64):
            raise UnsupportedError(f"The weights are {self.dtype}.", expected="float32 or float64")
        if len(network.inputs) != 1:
            raise UnsupportedError(f"The network has {len(network.inputs)} input populations.", expected="one")
        self.notes: list[str] = []
        self.made: list[str] = []  # lines of __init__
        self.steps: list[str] = []  # lines of forward
        self.tensors: dict[str, Tensor] = {}
        self.states: list[tuple[str, str, str]] = []  # variable, the one that follows it, and its value at rest
        self._taken = {"self", "x", "torch", "snn", "nn"}
        self._ids = {p.name: self._unique(p.name) for p in network.populations}
        self._values = {network.inputs[0].name: "x"}
        longest: dict[str, int] = {}
        for q in network.projections:
            longest[q.source] = max(longest.get(q.source, 0), q.delay)
        self._longest = longest
        for name in network.order:
            self._declare(network.population(name))
        for name in network.order:
            p = network.population(name)
            if p.kind != "input":
                self._population(p, inexact)

    def warn(self) -> None:
        """Say what is inexact."""
        for note in self.notes:
            warnings.warn(note, ExchangeWarning, stacklevel=3)

    # --- names ---

    def _unique(self, name: str) -> str:
        plain = re.sub(r"[^0-9a-zA-Z]+", "_", name).strip("_")[:40] or "layer"
        unique, number = plain, 2
        while unique in self._taken or keyword.iskeyword(unique):
            unique, number = f"{plain}_{number}", number + 1
        self._taken.add(unique)
        return unique

    def _layer(self, prefix: str, p: Population, code: str) -> str:
        """Make a layer, and give what refers to it."""
        name = self._unique(f"{prefix}_{self._ids[p.name]}")
        self.made.append(f"self.{name} = {code}")
        return f"self.{name}"

    def _parameter(self, prefix: str, p: Population, value: Any) -> str:
        tensor = torch.as_tensor(value, dtype=self.dtype).detach()
        tensor = tensor if tensor.ndim == 0 else tensor.reshape(p.shape)
        zeros = f"torch.zeros({_shape(tensor.shape)})"
        # A bias is learned with the weights; what a reset takes away is a number like the threshold.
        if prefix == "bias":
            name = self._layer(prefix, p, f"nn.Parameter({zeros})")
        else:
            name = f"self.{self._unique(f'{prefix}_{self._ids[p.name]}')}"
            self.made.append(f'self.register_buffer("{name[5:]}", {zeros})')
        self.tensors[name[5:]] = tensor
        return name

    # --- populations ---

    def _declare(self, p: Population) -> None:
        """Variables of a population: what it sends, and what it sent in the steps before."""
        name = self._ids[p.name]
        if p.kind != "input":
            self._values[p.name] = self._unique(f"{'cur' if p.kind == 'relay' else 'spk'}_{name}")
        before = self._values[p.name]
        for step in range(1, self._longest.get(p.name, 0) + 1):
            variable = self._unique(f"{self._values[p.name]}_{step}_ago")
            self.states.append((variable, before, f"torch.zeros({_shape((1, *p.shape))})"))
            self._values[f"{p.name}@{step}"] = before = variable

    def _population(self, p: Population, inexact: Inexact) -> None:
        name = self._ids[p.name]
        incoming = [(k, self.network.projections[k]) for k in self.network.incoming(p.name)]
        if not incoming:
            raise UnsupportedError(f"Nothing feeds the population {p.name!r}.", expected="a projection into it")
        terms = [self._projection(k, q, p) for k, q in incoming]
        bias = torch.as_tensor(p.bias)
        if bias.any():
            terms.insert(0, self._parameter("bias", p, p.bias))
        current = " + ".join(terms)
        if p.kind == "relay":
            self.steps.append(f"{self._values[p.name]} = {current}")
            return
        neuron = snntorch_neuron(p, self.dtype)
        if neuron.inexact:
            if inexact == "refuse":
                raise UnsupportedError(
                    f"snnTorch cannot express the population {p.name!r}: {neuron.inexact[0]}.",
                    hint="inexact='warn' (--approximate) writes what is nearest, and says what differs",
                )
            self.notes += [f"Population {p.name!r}: {why}." for why in neuron.inexact]
        self._neuron(p, name, neuron, current)

    def _neuron(self, p: Population, name: str, neuron: Neuron, current: str) -> None:
        layer = self._layer("lif", p, neuron.code)
        for key, tensor in neuron.buffers.items():
            self.tensors[f"{layer[5:]}.{key}"] = tensor
        states = [self._unique(f"{state}_{name}") for state in neuron.states]
        self.states += [(variable, variable, "torch.zeros(0)") for variable in states]
        spk, mem = self._values[p.name], states[-1]
        cur = self._unique(f"cur_{name}")
        self.steps += [f"{cur} = {current}", f"{', '.join([spk, *states])} = {layer}({', '.join([cur, *states])})"]
        if self.dtype == torch.float64:
            self.steps.append(f"{spk} = {spk}.double()")
        if neuron.amount is not None:
            self.steps.append(f"{mem} = {mem} - {spk} * {self._parameter('amount', p, neuron.amount)}  # reset")
        elif neuron.value is not None:
            value = self._parameter("reset", p, neuron.value)
            self.steps.append(f"{mem} = torch.where({spk} > 0, {value}, {mem})  # reset")
        self._values[f"{p.name}@said"] = mem if p.kind == "li" else spk

    # --- projections ---

    def _projection(self, number: int, q: Projection, target: Population) -> str:
        where = f"{q.source!r} -> {q.target!r}"
        source = self.network.population(q.source)
        value = self._values[q.source if q.delay == 0 else f"{q.source}@{q.delay}"]
        match q:
            case Transposed():
                raise UnsupportedError(
                    f"The projection {where} uses a transposed weight.",
                    expected="projections with weights of their own",
                )
            case Dense():
                fc = self._layer("rec" if q.source == q.target else "fc", target, self._linear(q.weight))
                self.tensors[f"{fc[5:]}.weight"] = q.weight
                flat = value if len(source.shape) == 1 else f"{value}.flatten(1)"
                code = self._shaped(f"{fc}({flat})", (target.size,), target.shape)
            case Conv():
                code = self._conv(q, source, target, value)
            case Pool():
                arguments = f"{q.kernel}, stride={q.stride}, padding={q.padding}"
                if q.mode == "sum":
                    if len(q.kernel) == 1:
                        raise UnsupportedError(
                            f"The projection {where} sums over a line, which torch has no layer for.",
                            expected="mode 'average', or a pool over two dimensions",
                        )
                    arguments += ", divisor_override=1"
                code = f"{self._layer('pool', target, f'nn.AvgPool{len(q.kernel)}d({arguments})')}({value})"
            case _:
                code = self._shaped(value, source.shape, target.shape)
        return code if q.scale == 1 else f"{q.scale!r} * {code}"

    @staticmethod
    def _linear(weight: Tensor) -> str:
        return f"nn.Linear({weight.shape[1]}, {weight.shape[0]}, bias=False)"

    def _conv(self, q: Conv, source: Population, target: Population, value: str) -> str:
        window = f"stride={q.stride}, padding={q.padding}, dilation={q.dilation}, groups={q.groups}"
        code = f"nn.Conv{len(q.kernel)}d({source.shape[0]}, {target.shape[0]}, {q.kernel}, {window}, bias=False)"
        layer = self._layer("conv", target, code)
        self.tensors[f"{layer[5:]}.weight"] = q.weight
        return f"{layer}({value})"

    @staticmethod
    def _shaped(code: str, before: tuple[int, ...], after: tuple[int, ...]) -> str:
        if before == after:
            return code
        return f"{code}.flatten(1)" if len(after) == 1 else f"{code}.reshape(-1, {_shape(after)})"

    # --- the module ---

    def source(self) -> str:
        """The whole of ``model.py``."""
        names = [name for name in self.network.order if self.network.population(name).kind != "input"]
        said = [self._values.get(f"{name}@said", self._values[name]) for name in names]
        states = [variable for variable, _, _ in self.states]
        (source,) = self.network.inputs
        notes = "".join(f"\n# Not exact: {' '.join(note.split())}" for note in self.notes)
        double = "\n        self.double()" if self.dtype == torch.float64 else ""
        zeros = [rest[:-1] + (", dtype=torch.float64)" if double else ")") for _, _, rest in self.states]
        return _TEMPLATE.format(
            notes=notes,
            weights=WEIGHTS,
            populations=_tuple([ascii(name) for name in names]),
            input_shape=source.shape,
            dt=float(self.network.dt),
            made="\n        ".join(self.made),
            double=double,
            rest=_tuple(zeros),
            arguments="".join(f", {variable}" for variable in states),
            steps="\n        ".join(self.steps),
            said=_tuple(said),
            following=_tuple([following for _, following, _ in self.states]),
        )

    def module(self) -> nn.Module:
        """The module that the text makes, with the network's numbers."""
        text = self.source()
        name = f"<neurosleep snnTorch module {abs(hash(text)):x}>"
        # So that inspect and tracebacks show the lines.
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        namespace: dict[str, Any] = {"__name__": "neurosleep_snntorch_module"}
        exec(compile(text, name, "exec"), namespace)
        module: nn.Module = namespace["Network"]()
        with torch.no_grad():
            for key, tensor in self.tensors.items():
                owner, _, attribute = key.rpartition(".")
                getattr(module.get_submodule(owner), attribute).copy_(tensor)
        return module.eval()


def _shape(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape)) if len(shape) else "()"


def _tuple(parts: list[str]) -> str:
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


_TEMPLATE = '''"""A spiking network of snnTorch neurons, written by neurosleep.

    network = load()
    found = network.run(x)      # x: [time, batch, ...], spikes of 0 and 1, or numbers that are shown as they are
"""
{notes}
from pathlib import Path

import snntorch as snn
import torch
from safetensors.torch import load_file
from torch import nn


class Network(nn.Module):
    input_shape = {input_shape}
    populations = {populations}
    dt = {dt!r}  # seconds a step

    def __init__(self):
        super().__init__()
        {made}{double}

    def rest(self):
        """The state before the first step; zeros of no shape take that of their neuron's input."""
        return {rest}

    def forward(self, x{arguments}):
        """One step: what each of the populations sends (the potential, where it never fires), and the state after."""
        {steps}
        return {said}, {following}

    def run(self, x):
        """All steps of x [time, batch, ...], from rest: by population what it sent, [time, batch, ...]."""
        state, found = self.rest(), []
        for now in x:
            sent, state = self(now, *state)
            found.append(sent)
        # Before a delayed spike arrives, a step does not know the size of the batch.
        stacked = (torch.stack(torch.broadcast_tensors(*values)) for values in zip(*found))
        return {{name: values for name, values in zip(self.populations, stacked)}}


def load(folder=None):
    """The network with its weights, from the folder of this file."""
    folder = Path(__file__).parent if folder is None else Path(folder)
    network = Network()
    network.load_state_dict(load_file(folder / "{weights}"))
    return network.eval()
'''
