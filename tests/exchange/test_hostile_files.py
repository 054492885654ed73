"""Hostile files: each is a clear error, in bounded time and memory; changed ones at random are in tests/cases."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_bytes
from torch import nn

import neurosleep as ns
from neurosleep.errors import ExchangeError


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
