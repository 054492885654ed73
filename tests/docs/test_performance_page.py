"""The page of records: every newest record is on it with its numbers, and what has none is said to be unmeasured."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_performance", ROOT / "tools" / "docs_performance.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_performance"] = module
    spec.loader.exec_module(module)
    return module


def test_every_newest_record_is_there_with_its_numbers(tool: ModuleType) -> None:
    files = dict(tool.files())
    page = files["performance.md"]
    for name, record in tool.records():
        assert files[f"benchmarks/{name}"] == (tool.FOLDER / name).read_text(encoding="utf-8")
        assert (
            f"[{name}](benchmarks/{name})" in page
            and f"Measured on {record['date']} with `{record['command']}`" in page
        )
        assert tool.kind(record) in tool.KINDS, f"say in KINDS what {name} compares"
        assert all(
            f"| {value:,.3g} |" in page or f"| {value:,.0f} |" in page for value in record.get("ratios", {}).values()
        )
    assert files["performance.png"].startswith(b"\x89PNG")


def test_of_several_records_of_a_kind_the_newest_counts_and_what_is_unknown_is_shown(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day, ratio in (("2030-01-01", 3.0), ("2030-02-02", 4.5)):
        record = {"date": day, "command": "neurosleep bench new", "name": "new", "ratios": {"a_over_b": ratio}}
        (tmp_path / f"{day}-new.json").write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr(tool, "FOLDER", tmp_path)
    page = dict(tool.files())["performance.md"]
    assert "| a / b | 4.5 | not recorded |" in page and "| a / b | 3 |" not in page
    for word in ("**GPU**: not measured", "**Brian 2**: no record", "**Growth**: no record"):
        assert word in page
