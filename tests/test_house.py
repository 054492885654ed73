"""The package as a house: no circle between files, few arrows between wings, nothing longer than one reads."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "measure_house.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    specification = importlib.util.spec_from_file_location("measure_house", TOOL)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["measure_house"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measures(tool: ModuleType) -> dict[str, Any]:
    found: dict[str, Any] = tool.measure()
    return found


def test_no_files_import_each_other_in_a_circle(measures: dict[str, Any]) -> None:
    assert measures["circles"] == []


def test_wings_of_hardware_know_little_of_each_other(tool: ModuleType, measures: dict[str, Any]) -> None:
    assert 0 < measures["arrows_between_wings"]["hardware"] <= tool.ARROWS


def test_no_file_is_longer_than_one_reads(measures: dict[str, Any]) -> None:
    assert measures["long_files"] == {}


def test_what_is_counted(tool: ModuleType, tmp_path: Path) -> None:
    text = '"""Words."""\n\n# a comment\ndef f(self, a, b):\n    """More\n    words."""\n    return a + b\n'
    assert tool.code_lines(text) == 2
    assert list(tool.functions(tool.ast.parse(text))) == [("f", 2, 2)]


def test_no_module_bears_the_name_of_what_its_package_exports() -> None:
    """``package.name`` would be the one or the other, whichever was imported last."""
    package = TOOL.parents[1] / "neurosleep"
    clashes = []
    for door in sorted(package.glob("*/**/__init__.py")):
        exported = {
            entry.value
            for node in ast.parse(door.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "__all__"
            for entry in ast.walk(node.value)
            if isinstance(entry, ast.Constant)
        }
        modules = {path.stem for path in door.parent.glob("*.py")}
        modules |= {path.parent.name for path in door.parent.glob("*/__init__.py")}
        clashes += [f"{door.parent.name}.{name}" for name in sorted(exported & modules)]
    assert clashes == []


def test_rooms_enter_replay_by_its_doors() -> None:
    """Modules with an underscore are the room's own."""
    inside = re.compile(r"^\s*(from|import) neurosleep\.replay\._", re.MULTILINE)
    files = [path for path in (TOOL.parents[1] / "neurosleep").rglob("*.py") if path.parent.name != "replay"]
    assert len(files) > 300 and [str(path) for path in files if inside.search(path.read_text())] == []
