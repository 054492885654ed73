"""Damaged and hostile files: each is a network or a clear error, in bounded time; the small tier tries some 300."""

from __future__ import annotations

import io
import json
import pickle
import random
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as to_bytes
from torch import nn

import neurosleep as ns
from neurosleep.errors import ExchangeError, NeurosleepError
from neurosleep.exchange import ExchangeWarning
from neurosleep.spiking import Population, Projection, SpikingNetwork


def _network() -> SpikingNetwork:
    populations = (Population("in", "input", (4,)), Population("a", "lif", (3,), threshold=torch.ones(3)))
    return SpikingNetwork(populations, (Projection("in", "a", weight=torch.rand(3, 4)),))


def _safetensors(folder: Path) -> bytes:
    return ns.save(_network(), folder / "net.safetensors").read_bytes()


def _mlp(folder: Path) -> bytes:
    return ns.save(ns.MLP([5, 4, 3], dropout=0.2), folder / "mlp.safetensors").read_bytes()


def _onnx(folder: Path) -> bytes:
    pytest.importorskip("onnx")
    layers = (
        nn.Conv2d(1, 2, 3, padding=1),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    return ns.save(nn.Sequential(*layers), folder / "net.onnx", input_shape=(1, 4, 4)).read_bytes()


def _nir(folder: Path) -> bytes:
    pytest.importorskip("nir")
    net = SpikingNetwork(
        (
            Population("in", "input", (1, 4, 4)),
            Population("a", "lif", (2, 4, 4), decay=0.9),
            Population("b", "cuba_lif", (3,), decay=0.5, synaptic_decay=0.25),
            Population("c", "li", (2,), decay=0.5),
        ),
        (
            Projection("in", "a", "conv", weight=torch.rand(2, 1, 3, 3), options=(("padding", (1, 1)),)),
            Projection("a", "b", weight=torch.rand(3, 32)),
            Projection("b", "b", "recurrent", weight=torch.rand(3, 3), delay=1),
            Projection("b", "c", weight=torch.rand(2, 3)),
        ),
    )
    return ns.save(net, folder / "net.nir").read_bytes()


def _pt(folder: Path) -> bytes:
    stream = io.BytesIO()
    torch.save(nn.Linear(3, 2).state_dict(), stream)
    return stream.getvalue()


def _mutated(content: bytes, draw: random.Random) -> bytes:
    """One to four changes: bytes set, bits turned, pieces cut out or doubled, numbers made huge, the end cut off."""
    data = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data)) if data else 0
        end = min(len(data), at + draw.randint(1, 16))
        kind = draw.randrange(7)
        if kind == 0 and data:
            data[at] = draw.randrange(256)
        elif kind == 1 and data:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = data[at:end] * draw.choice([1, 2, 50])
        elif kind == 4:
            data[at:end] = draw.randbytes(end - at)
        elif kind == 5:
            data[at:end] = draw.choice(
                [b"\xff" * 8, b"\x7f\xff\xff\xff", b"9" * 12, b"-1", b"NaN", b"\x80" * 9, b"[[[["]
            )
        elif draw.random() < 0.3:
            del data[at:]
    return bytes(data)


KINDS: dict[str, tuple[Callable[[Path], bytes], str, bool]] = {
    "safetensors": (_safetensors, "f.safetensors", False),
    "mlp": (_mlp, "f.safetensors", False),
    "onnx": (_onnx, "f.onnx", False),
    "nir": (_nir, "f.nir", False),
    "pt": (_pt, "f.pt", True),
}


def _fuzz(kind: str, count: int, folder: Path) -> tuple[int, int, float]:
    """Networks read, files refused, and the longest time of the processor for one, in seconds."""
    make, name, into_module = KINDS[kind]
    whole, draw = make(folder), random.Random(f"fuzz {kind}")
    read = refused = 0
    longest = 0.0
    path = folder / name
    for _ in range(count):
        path.write_bytes(_mutated(whole, draw))
        start = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExchangeWarning)  # of graphs that others may have changed
                found: Any = ns.load(path, nn.Linear(3, 2)) if into_module else ns.load(path)
            assert isinstance(found, SpikingNetwork | nn.Module)
            read += 1
        except NeurosleepError as error:
            assert len(str(error)) < 5000
            refused += 1
        longest = max(longest, time.process_time() - start)
    return read, refused, longest


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(kind: str, tmp_path: Path) -> None:
    read, refused, longest = _fuzz(kind, 300, tmp_path)
    assert read + refused == 300 and refused > 30
    assert longest < 10  # no hang


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_mutated_files(kind: str, tmp_path: Path) -> None:
    read, refused, longest = _fuzz(kind, 10_000, tmp_path)
    print(f"{kind}: {read} read, {refused} refused, longest {longest:.3f} s")
    assert read + refused == 10_000 and refused > 1000
    assert longest < 10


def _with_header(path: Path, header: object, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    text = header if isinstance(header, str) else json.dumps(header)
    path.write_bytes(to_bytes(tensors or {"layers.0.weight": torch.ones(2, 3)}, {"neurosleep": text}))
    return path


def test_declared_sizes_are_compared_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    for kind in ("mlp", "equilibrium-mlp"):
        for sizes in ([10**6, 10**6], [3, 2, 10**9], [10**30], [], "abc", [3, "2"], None):
            with pytest.raises(ExchangeError):
                ns.load(_with_header(path, {"format": 1, "kind": kind, "sizes": sizes, "dropout": 0.0}))
    for text in ("[" * 100_000, "{}", "null", '{"format": "x"}', '{"format": 1, "kind": []}'):
        with pytest.raises(ExchangeError):
            ns.load(_with_header(path, text))


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    bad = {"layers.0.weight": torch.tensor([[1.0, float("nan"), 2.0]])}
    header = {"format": 1, "kind": "mlp", "sizes": [3, 1], "dropout": 0.0}
    with pytest.raises(ExchangeError, match="NaN"):
        ns.load(_with_header(tmp_path / "f.safetensors", header, bad))
    torch.save({"weight": torch.full((2, 3), float("nan")), "bias": torch.zeros(2)}, tmp_path / "f.pt")
    with pytest.raises(ExchangeError, match=r"'weight' in 'f\.pt' holds NaN"):
        ns.load(tmp_path / "f.pt", nn.Linear(3, 2))


def test_a_zip_bomb_is_found_before_torch_unpacks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "f.pt")
    with (
        zipfile.ZipFile(tmp_path / "f.pt") as whole,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for part in whole.infolist():
            bomb.writestr(part.filename, bytes(10**7) if part.filename.endswith("data/0") else whole.read(part))
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("torch must not see it"))
    with pytest.raises(ExchangeError, match="more than its own size"):
        ns.load(tmp_path / "b.pt", nn.Linear(3, 2))


def test_old_pt_files_are_read_and_a_huge_one_is_refused(tmp_path: Path) -> None:
    model = nn.Linear(3, 2, bias=False)
    path = tmp_path / "old.pt"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    assert torch.equal(ns.load(path, nn.Linear(3, 2, bias=False)).weight, model.weight)
    content = path.read_bytes()
    assert content.count(b"K\x06N") == 1  # the number of values, as the pickle declares it
    path.write_bytes(content.replace(b"K\x06N", b"\x8a\x06" + (10**14).to_bytes(6, "little") + b"N"))
    with pytest.raises(ExchangeError, match="cannot be read as weights"):
        ns.load(path, nn.Linear(3, 2, bias=False))


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return open, ("executed", "w")  # type: ignore[return-value]


@pytest.mark.parametrize("ending", ["pt", "onnx", "safetensors"])
def test_a_pickle_is_never_executed(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"f.{ending}"
    path.write_bytes(pickle.dumps({"weight": _Code()}))
    for module in (None, nn.Linear(3, 2)):
        with pytest.raises(ExchangeError):
            ns.load(path, module) if module is not None else ns.load(path)
    assert not (tmp_path / "executed").exists()
