"""Every example runs, is short and of public names alone, and ends with a figure in which something is drawn."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from neurosleep.plot import to_png_bytes

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("plot_*.py"))
# Those that take some three seconds or more on one core: the gallery of `make docs` runs all, the full tier looks at
# the figures of these; the others run in both tiers.
LONG = {"plot_forgetting", "plot_consolidate", "plot_convert", "plot_monitors", "plot_sleep_stages", "plot_tuning"}
NEEDS = {"plot_nir": "nir", "plot_tuning": "optuna"}


def cases() -> list[object]:
    return [
        pytest.param(path, id=path.stem, marks=[pytest.mark.full] if path.stem in LONG else []) for path in EXAMPLES
    ]


def test_there_are_examples_of_everything_that_was_promised() -> None:
    assert len(EXAMPLES) >= 13 and {path.stem for path in EXAMPLES} >= LONG | set(NEEDS)


@pytest.mark.parametrize("path", cases())
def test_it_runs_and_draws(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(NEEDS.get(path.stem, "torch"))
    monkeypatch.chdir(tmp_path)
    found = runpy.run_path(str(path), run_name="gallery")
    assert list(tmp_path.iterdir()) == []  # only as a script does it write its picture
    fig = found["fig"]
    assert isinstance(fig, Figure) and fig.axes
    for ax in fig.axes:
        assert ax.has_data(), f"axes without anything in them: {ax}"
        assert ax.get_xlabel() or ax.get_ylabel() or ax.get_xticklabels()
        said = {text.get_text() for text in ax.texts}
        assert not any(re.search(r"no spike|nothing|no result", text) for text in said), said
    picture = to_png_bytes(fig)
    assert len(picture) > 8000  # empty axes of this size take less than that


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_short_and_tells_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    tree = ast.parse(text)
    told = ast.get_docstring(tree)
    assert told is not None
    title, empty, *body = told.splitlines()
    assert title.endswith(".") and len(title) < 70 and empty == "" and len(" ".join(body)) > 150
    assert text.rstrip().endswith(f'if __name__ == "__main__":\n    plot.save(fig, "{path.stem}.png")')
    assert text.count("\n# %% ") >= 2, "cells, each with a sentence, for the notebook"
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not any("pyplot" in name or re.search(r"neurosleep.*\._", name) for name in names), names


def test_as_a_script_it_writes_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(FOLDER / "plot_own_drive.py"), run_name="__main__")
    assert (tmp_path / "plot_own_drive.png").read_bytes().startswith(b"\x89PNG")
