"""The page of hardware profiles is the one that its script makes, and shows what nobody has verified."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from neurosleep.hardware import load_profile, profile_names

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_profiles", ROOT / "tools" / "make_profiles.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
    assert page == module.page(), "run: python tools/make_profiles.py"


def test_recalled_figures_are_marked_and_all_others_are_not() -> None:
    page = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
    for name in profile_names():
        part = page.split(f"\n### {name}\n")[1].split("\n### ")[0]
        for figure in load_profile(name).figures():
            (line,) = [line for line in part.splitlines() if line.startswith(f"| `{figure.key}` |")]
            assert figure.source is not None
            assert ("recalled, not verified" in line) == (figure.source.grade == "recalled"), line
