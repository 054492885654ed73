"""Networks survive a file bit for bit; broken or foreign files are refused with a reason."""

from __future__ import annotations

import dataclasses
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import DataError, ExchangeError, NeurosleepWarning
from neurosleep.exchange import read_calibration, read_nir, read_nir_data
from neurosleep.functional.activations import Activation
from neurosleep.networks import DendriticMLP, EquilibriumMLP
from neurosleep.spiking import Dense, Population, SpikingNetwork, Transposed


def _random_network(seed: int) -> SpikingNetwork:
    """A graph with numbers and tensors as parameters, delays, options, and one of two weight types."""
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    dtype = draw.choice([torch.float32, torch.float64])

    def parameter(n: int) -> float | Tensor:
        return draw.random() if draw.random() < 0.5 else torch.rand(n, generator=generator, dtype=dtype)

    sizes = [draw.randint(1, 6) for _ in range(draw.randint(2, 4))]
    populations = [Population("in", "input", (sizes[0],))]
    populations += [
        Population(
            f"p{k}",
            draw.choice(["lif", "li", "cuba_lif"]),
            (n,),
            threshold=parameter(n),
            decay=parameter(n),
            leak=parameter(n),
            bias=parameter(n),
            refractory=draw.randint(0, 3),
            compare=draw.choice([">=", ">"]),
            reset=draw.choice(["to_value", "subtract"]),
            amount=draw.choice([None, 0.1]),
        )
        for k, n in enumerate(sizes[1:])
    ]
    names = [p.name for p in populations]
    projections = [
        Dense(
            source,
            target,
            torch.randn(m, n, generator=generator, dtype=dtype),
            scale=draw.random(),
            delay=draw.randint(0, 2),
        )
        for source, target, n, m in zip(names, names[1:], sizes, sizes[1:], strict=False)
    ]
    return SpikingNetwork(tuple(populations), tuple(projections), dt=draw.random(), discretisation="euler")


def _header(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["neurosleep"])  # type: ignore[no-any-return]


def _equal(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        return all(_equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("seed", range(200))
def test_spiking_network_round_trip(seed: int, tmp_path: Path) -> None:
    network = _random_network(seed)
    again = ns.load(ns.save(network, tmp_path / "net.safetensors"))
    assert _equal(network, again)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_shared_weight_round_trip(symmetric: bool, dtype: torch.dtype, tmp_path: Path) -> None:
    populations = (Population("in", "input", (4,)), Population("a", "lif", (3,)), Population("b", "lif", (2,)))
    forward = (
        Dense("in", "a", torch.rand(3, 4, dtype=dtype)),
        Dense("a", "b", torch.rand(2, 3, dtype=dtype)),
    )
    back = Transposed("b", "a", of=("a", "b"), scale=0.3, delay=2, symmetric_rule=symmetric)
    network = SpikingNetwork(populations, (*forward, back))
    path = ns.save(network, tmp_path / "net.safetensors")
    again = ns.load(path)
    assert isinstance(again, SpikingNetwork)
    assert _equal(network, again)
    assert again.projections[2].of == ("a", "b")
    assert again.projections[2].symmetric_rule is symmetric
    # One copy of the shared weight; and what has none is a file that an older neurosleep reads.
    assert _header(path)["format"] == 2
    with safe_open(path, framework="pt") as file:
        assert sorted(file.keys()) == ["projection/0/weight", "projection/1/weight"]
    plain = ns.save(SpikingNetwork(populations, forward), tmp_path / "plain.safetensors")
    assert _header(plain)["format"] == 1
    assert "transpose_of" not in plain.read_bytes().decode("latin-1")


@pytest.mark.parametrize("time", ["next", "guarded"])
def test_a_later_reset_round_trip(time: str, tmp_path: Path) -> None:
    populations = (
        Population("in", "input", (2,)),
        Population("a", "lif", (3,), reset="subtract", reset_time=time),  # type: ignore[arg-type]
    )
    network = SpikingNetwork(populations, (Dense("in", "a", torch.rand(3, 2)),))
    path = ns.save(network, tmp_path / "net.safetensors")
    assert _equal(network, ns.load(path)) and _header(path)["format"] == 3


@pytest.mark.parametrize("decay", [0.25, torch.tensor([0.0, 0.5, 1.0])])
def test_an_integrator_with_a_synaptic_current_round_trip(decay: float | Tensor, tmp_path: Path) -> None:
    populations = (Population("in", "input", (2,)), Population("a", "li", (3,), synaptic_decay=decay))
    network = SpikingNetwork(populations, (Dense("in", "a", torch.rand(3, 2)),))
    path = ns.save(network, tmp_path / "net.safetensors")
    assert _equal(network, ns.load(path)) and _header(path)["format"] == 4
    # The number had no effect in a network that an older neurosleep wrote, and gets none.
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    path.write_bytes(to_bytes(tensors, {"neurosleep": json.dumps(_header(path) | {"format": 1, "checked": False})}))
    older = ns.load(path)
    assert isinstance(older, SpikingNetwork) and older.population("a").synaptic_decay == 0.0


def test_a_file_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(to_bytes({"a": torch.zeros(1)}, {"neurosleep": json.dumps({"format": 6, "kind": "x"})}))
    with pytest.raises(ExchangeError, match="newer neurosleep") as refused:
        ns.load(path)
    assert refused.value.found == "format 6"


@pytest.mark.parametrize("output", ["relu", "softmax"])
def test_mlp_round_trip(output: Any, tmp_path: Path) -> None:
    model = ns.MLP([5, 7, 3], dropout=0.25, output=output, generator=torch.Generator().manual_seed(0)).double()
    again = ns.load(ns.save(model, tmp_path / "mlp.safetensors"))
    assert isinstance(again, ns.MLP) and again.dropout == 0.25 and again.output == output
    x = torch.rand(4, 5, dtype=torch.float64)
    assert torch.equal(again.eval()(x), model.eval()(x))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"bias": False, "activation": "my_hard_sig", "free_steps": 7},
        {"read_out": "softmax-read-out", "dt": torch.linspace(0.2, 1.0, 7)},
        {"dynamics": "hopfield", "dt": 0.3},
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equilibrium_network_round_trip(fields: dict[str, Any], dtype: torch.dtype, tmp_path: Path) -> None:
    model = EquilibriumMLP((5, 7, 3), generator=torch.Generator().manual_seed(0), **fields).to(dtype)
    again = ns.load(ns.save(model, tmp_path / "ep.safetensors"))
    assert isinstance(again, EquilibriumMLP)
    for key in ("sizes", "free_steps", "read_out_kind", "dynamics", "activation"):
        assert getattr(again, key) == getattr(model, key)
    ours, theirs = again.state_dict(), model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(ours[key].dtype == theirs[key].dtype and torch.equal(ours[key], theirs[key]) for key in ours)
    x = torch.rand(4, 5, dtype=dtype)
    assert torch.equal(again(x), model(x))


def test_what_an_equilibrium_network_file_cannot_hold(tmp_path: Path) -> None:
    double = Activation("double", lambda x: 2 * x, lambda x: x.mul_(2))
    with pytest.raises(ExchangeError, match="'double' is code of your own"):
        ns.save(EquilibriumMLP((3, 2), activation=double), tmp_path / "ep.safetensors")
    with pytest.raises(ExchangeError, match="DendriticMLP"):
        ns.save(DendriticMLP((3, 2)), tmp_path / "d.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_a_users_module(tmp_path: Path) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    assert ns.load(tmp_path / "w.pt", other) is other
    assert torch.equal(other.weight, model.weight) and torch.equal(other.bias, model.bias)


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("executed",)


def test_code_in_a_pt_file_is_not_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weight": _Code()}, tmp_path / "w.pt")
    with pytest.raises(ExchangeError, match="cannot be read as weights"):
        ns.load(tmp_path / "w.pt", nn.Linear(3, 2))
    assert "executed" not in capsys.readouterr().out


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="no file"):
        ns.load(tmp_path / "nothing.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ExchangeError, match="is a text"):
        ns.load(tmp_path / "text.safetensors")
    (tmp_path / "bytes.safetensors").write_bytes(b"\1\2\3\4")
    with pytest.raises(ExchangeError, match="no safetensors file"):
        ns.load(tmp_path / "bytes.safetensors")
    whole = ns.save(_random_network(0), tmp_path / "net.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExchangeError, match="damaged"):
        ns.load(tmp_path / "half.safetensors")
    with pytest.raises(ExchangeError, match="do not fit") as caught:
        ns.load(tmp_path / "net.safetensors", nn.Linear(3, 2))
    assert "weight" in str(caught.value)


def test_foreign_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2, 3), "bias": torch.ones(2)}, tmp_path / "f.safetensors")
    with pytest.raises(ExchangeError, match="does not say which network"):
        ns.load(tmp_path / "f.safetensors")
    assert torch.equal(ns.load(tmp_path / "f.safetensors", nn.Linear(3, 2)).bias, torch.ones(2))


def test_what_cannot_be_written(tmp_path: Path) -> None:
    network = _random_network(1)
    with pytest.raises(ExchangeError, match="ending"):
        ns.save(network, tmp_path / "net.pickle")
    with pytest.raises(ExchangeError, match="cannot be saved as an ONNX file"):
        ns.save(network, tmp_path / "net.onnx")
    with pytest.raises(ExchangeError, match="Linear"):
        ns.save(nn.Linear(2, 2), tmp_path / "net.safetensors")
    with pytest.raises(ExchangeError, match="cannot be written"):
        ns.save(network, tmp_path / "missing" / "net.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """Of a file of ours, whatever the bit stands for: names, sizes, settings, weights, the checksum itself."""
    path = ns.save(ns.MLP([3, 2, 2], generator=torch.Generator().manual_seed(0)), tmp_path / "mlp.safetensors")
    whole = path.read_bytes()
    model = ns.load(path)
    for bit in range(0, 8 * len(whole), 17):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        for into in (None, ns.MLP([3, 2, 2])):
            with pytest.raises(ExchangeError, match=r"mlp\.safetensors"):
                ns.load(path) if into is None else ns.load(path, into)
    path.write_bytes(whole)
    assert all(torch.equal(a, b) for a, b in zip(ns.load(path).parameters(), model.parameters(), strict=True))


def test_a_file_of_an_older_version_has_no_checksum(tmp_path: Path) -> None:
    model = ns.MLP([3, 2])
    path = tmp_path / "old.safetensors"
    header = {"format": 1, "kind": "mlp", "sizes": [3, 2], "dropout": 0.0}
    tensors = {"layers.0.weight": model.weights[0].detach()}
    path.write_bytes(to_bytes(tensors, {"neurosleep": json.dumps(header)}))
    assert torch.equal(ns.load(path).weights[0], model.weights[0])
    # One that says it has one, and has not, lost it.
    path.write_bytes(to_bytes(tensors, {"neurosleep": json.dumps(header | {"checked": True})}))
    with pytest.raises(ExchangeError, match="is damaged, or was changed"):
        ns.load(path)
    for text in ("NaN", "Infinity", "-Infinity"):
        path.write_bytes(to_bytes(tensors, {"neurosleep": json.dumps(header).replace("0.0", text)}))
        with pytest.raises(ExchangeError, match=f"{text} stands among the settings"):
            ns.load(path)


def special(path: Path, kind: str) -> Path:
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize(
    ("kind", "words"), [("folder", "is a folder"), ("pipe", "a named pipe"), ("device", "a device")]
)
def test_what_is_no_file_is_not_opened(kind: str, words: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("nir")
    for name in ("f.safetensors", "f.onnx", "f.nir", "f.pt"):
        path = special(tmp_path / name, kind)
        for call in (ns.load, lambda path: ns.load(path, torch.nn.Linear(2, 2))):
            with pytest.raises(ExchangeError, match=rf"'{name}' .*{words}"):
                call(path)
    with pytest.raises(ExchangeError, match=words):
        read_nir(tmp_path / "f.nir")
    with pytest.raises(ExchangeError, match=words):
        read_nir_data(tmp_path / "f.nir", 0.001)
    with pytest.raises(DataError, match=words):
        read_calibration(special(tmp_path / "x.npy", kind))
    model = ns.save(torch.nn.Sequential(torch.nn.Linear(2, 2)), tmp_path / "m.onnx")
    onnx.save(onnx.load(model), tmp_path / "e.onnx", save_as_external_data=True, location="w", size_threshold=0)
    (tmp_path / "w").unlink()
    with pytest.raises(ExchangeError, match=words):
        ns.load(tmp_path / "e.onnx", external_data=special(tmp_path / "w", kind))


def test_calibration_images_are_finite(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    for values in (np.array([[np.nan]]), np.array([[np.inf]]), np.array([[1e300]], np.longdouble)):
        np.save(path, values)
        with pytest.raises(DataError, match=r"(?s)'x\.npy' cannot be read.*(NaN or infinite|finite)"):
            read_calibration(path)
    np.savez(tmp_path / "x.npz", np.arange(6, dtype=np.uint8).reshape(2, 3))
    with pytest.warns(NeurosleepWarning, match="divided by 255"):
        found = read_calibration(tmp_path / "x.npz")
    assert torch.equal(found, torch.arange(6.0).reshape(2, 3) / 255)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.h5", b"\x89HDF\r\n\x1a\n" + bytes(40) + b"keras_version", r"is a model of Keras(?s:.*)model\.export"),
        ("model.keras", b"PK\x03\x04" + bytes(40), "is a model of Keras"),
        ("model.tflite", bytes(4) + b"TFL3" + bytes(40), "is a TensorFlow Lite model(?s:.*)--tflite"),
        ("renamed.onnx", bytes(4) + b"TFL3" + bytes(40), "is a TensorFlow Lite model"),
        ("saved_model.pb", b"\x08\x01\x12" + bytes(40), "is a graph of TensorFlow"),
        ("data.csv", b"1,2,3\n", "is a table of text(?s:.*)calibration"),
        ("data.npy", b"\x93NUMPY" + bytes(40), "is a file of arrays"),
        ("model.joblib", b"\x80\x04" + bytes(40), "is a pickle(?s:.*)skl2onnx"),
    ],
)
def test_files_of_other_kinds_are_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ExchangeError, match=said):
        ns.load(tmp_path / name)
    with pytest.raises(ExchangeError, match=said):
        ns.exchange.read_spiking(tmp_path / name)
