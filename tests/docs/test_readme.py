"""The README: short, its Python runs as pasted, its figures are those of results/, and what it names is there."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from neurosleep.data import load_dataset, to_float
from neurosleep.learning import accuracy

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short_and_starts_with_a_picture() -> None:
    assert len(README.splitlines()) <= 100
    title, empty, picture, *_ = README.splitlines()
    assert title == "# neurosleep" and empty == ""
    shown = re.fullmatch(r"!\[.{40,}\]\((.+)\)", picture)
    assert shown is not None
    path = ROOT / shown[1]
    assert path.stat().st_size < 150_000
    with Image.open(path) as image:
        # Light, so that it can be read on a light page and on a dark one.
        assert image.width >= 1200 and image.convert("L").resize((1, 1)).getpixel((0, 0)) > 200


@pytest.mark.slow
def test_the_python_runs_as_pasted_and_ends_where_it_says() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    dataset = load_dataset("mnist-mini")
    x, labels = torch.from_numpy(to_float(dataset.test_images)), torch.from_numpy(dataset.test_labels)
    reached = []
    without = "".join(line for line in block.splitlines(keepends=True) if "slept" not in line)
    for code in (block, without):
        torch.manual_seed(0)
        names: dict[str, Any] = {}
        exec(compile(code, "README.md", "exec"), names)
        reached.append(round(100 * accuracy(names["model"], x, labels)))
    said = re.search(
        r"ends at about (\d+) % on all ten digits, where the same loop without sleep ends at (\d+) %", README
    )
    assert said is not None and reached == [int(said[1]), int(said[2])]
    assert len([line for line in block.splitlines() if line.strip()]) <= 18


def test_its_table_is_that_of_the_results() -> None:
    path = ROOT / "tools" / "readme_table.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert f"\n{tool.table()}\n" in README


def test_its_two_commands_are_there() -> None:
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in re.findall(r"(?m)^ {4}make (\w+) +#", README):
        assert f"make {target} " in listed
    assert re.findall(r"(?m)^ {4}make (\w+) +#", README) == ["demo", "test"]


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    local = [link for link in links if "://" not in link]
    assert len(local) > 10 and [link for link in local if not (ROOT / link).exists()] == []
