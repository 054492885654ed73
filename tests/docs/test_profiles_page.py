"""The pages of hardware profiles are those that their script makes, and show what nobody has verified."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from neurosleep.hardware import load_profile, profile_names

ROOT = Path(__file__).parents[2]


def test_the_committed_pages_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_profiles", ROOT / "tools" / "make_profiles.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = ROOT / "docs" / "profiles"
    committed = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert committed == module.pages(), "run: python tools/make_profiles.py"
    assert all(f"]({name}.md) | " in committed["index.md"].split("Grades say")[0] for name in profile_names())


def test_recalled_figures_are_marked_and_all_others_are_not() -> None:
    for name in profile_names():
        part = (ROOT / "docs" / "profiles" / f"{name}.md").read_text(encoding="utf-8")
        for figure in load_profile(name).figures():
            (line,) = [line for line in part.splitlines() if line.startswith(f"| `{figure.key}` |")]
            assert figure.source is not None
            assert ("recalled, not verified" in line) == (figure.source.grade == "recalled"), line
