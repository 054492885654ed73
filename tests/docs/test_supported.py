"""The page of what is supported is the one that its script makes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_supported", ROOT / "tools" / "make_supported.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "supported.md").read_text(encoding="utf-8")
    assert page == module.page(), "run: python tools/make_supported.py"
    for name in ("Gemm", "GlobalAveragePool", "BatchNorm2d", "Hardtanh"):
        assert re.search(rf"\b{name}\b", page)
