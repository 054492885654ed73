"""The folder of another tool's network: both files whole or neither, and nothing of the user's is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from neurosleep.errors import ExchangeError
from neurosleep.exchange.code_folder import SOURCE, WEIGHTS, write_folder


def test_what_was_written_is_there_and_is_replaced_by_the_next(tmp_path: Path) -> None:
    weight = torch.randn(3, 2)
    path = write_folder(tmp_path / "net", {"w": weight, "view": weight.T}, ["import torch", "", "x = 'ü'"], {"a": "b"})
    assert (path / SOURCE).read_text(encoding="utf-8") == "import torch\n\nx = 'ü'\n"
    found = load_file(path / WEIGHTS)
    assert torch.equal(found["w"], weight) and torch.equal(found["view"], weight.T)
    with safe_open(path / WEIGHTS, framework="pt") as file:
        assert file.metadata() == {"a": "b"}
    (path / "__pycache__").mkdir()
    write_folder(path, {}, "y = 1\n", {})
    assert (path / SOURCE).read_text(encoding="utf-8") == "y = 1\n"
    assert [p.name for p in tmp_path.iterdir()] == ["net"]
    assert sorted(p.name for p in path.iterdir()) == [SOURCE, WEIGHTS]


def test_what_else_is_there_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("more")
    for name in ("full", "file"):
        with pytest.raises(ExchangeError):
            write_folder(tmp_path / name, {}, "", {})
    with pytest.raises(ExchangeError, match="cannot be written"):
        write_folder(tmp_path / "missing" / "net", {}, "", {})
    assert (tmp_path / "full" / "thesis.tex").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "full"]


def test_a_fault_in_the_middle_leaves_the_folder_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_folder(tmp_path / "net", {}, "old", {})

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ExchangeError, match="No space left"):
        write_folder(path, {}, "new", {})
    assert (path / SOURCE).read_text() == "old\n"
    assert [p.name for p in tmp_path.iterdir()] == ["net"]
