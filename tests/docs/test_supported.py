"""The page of what is supported is the one that its script makes, and what it says was tried."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "supported.md").read_text(encoding="utf-8")


def tool(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def committed_rows() -> list[str]:
    (table,) = re.findall(r"(?m)((?:^\| .*\n)+)", PAGE.partition("## Layer by layer")[2].partition("\n- **")[0])
    return table.splitlines()


def test_the_committed_page_is_up_to_date() -> None:
    assert tool("make_supported").page("\n".join(committed_rows())) == PAGE, "run: python tools/make_supported.py"
    for name in ("Gemm", "GlobalAveragePool", "BatchNorm2d", "Hardtanh"):
        assert re.search(rf"\b{name}\b", PAGE)


def test_nothing_computes_wrong_values() -> None:
    cells = [cell.strip() for row in committed_rows()[2:] for cell in row.split("|")[2:-1]]
    assert len(cells) > 300
    assert set(cells) == {"exact", "to 1/T", "left out", "spikes", "rates", "no", "-"}


# torch says once a process that it pads a copy for even kernels.
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.slow
def test_the_matrix_is_what_comes_of_trying() -> None:
    for package in ("onnx", "onnxruntime", "nir", "norse"):
        pytest.importorskip(package)
    assert tool("supported_matrix").matrix().splitlines() == committed_rows(), "run: python tools/make_supported.py"
