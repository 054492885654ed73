"""Every part of the tutorial runs, says what it promises, and ends with a figure in which something is drawn."""

from __future__ import annotations

import ast
import importlib.util
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest
from matplotlib.figure import Figure

from neurosleep.plot import to_png_bytes

FOLDER = Path(__file__).parents[2] / "examples" / "tutorial"
PARTS = sorted(FOLDER.glob("*.py"))
# Some seven seconds each: in the small tier they share a run with the pages, in the full one they have their own too.
LONG = {"2_sleep", "3_compare"}


def printed_by(name: str, text: str) -> None:
    """What a part prints shows what its page says."""
    percents = [int(number) for number in re.findall(r"(\d+)%", text)]
    if name == "1_forget":
        *_, last = re.findall(r"after .*", text)
        assert [int(number) for number in re.findall(r"(\d+)%", last)][:4] == [0, 0, 0, 0]
    elif name == "2_sleep":
        assert percents[-4] < 10 and percents[-2] > 70 and percents[-1] > 70
    elif name == "3_compare":
        reached = {line.split()[0]: float(line.split()[1]) for line in text.splitlines()}
        assert reached["sequential"] < 25 and reached["ewc"] < reached["owm"] < reached["sleep"] < reached["joint"]
    elif name == "4_your_own_model":
        assert percents[-1] > 70
    elif name == "5_to_a_chip":
        assert "fits: True" in text and "µJ an image" in text
    else:
        assert text.count(" done ") == 2


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What makes the pages of the tutorial. It keeps what an example gave for as long as the package is the same."""
    spec = importlib.util.spec_from_file_location("docs_pages", FOLDER.parents[1] / "tools" / "docs_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "docs_pages", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LONG))
def test_the_long_parts_keep_their_promise_on_their_pages(pages: ModuleType, name: str) -> None:
    made = pages.run_example(FOLDER / f"{name}.py", pages._state())
    printed_by(name, made.printed)
    assert len(made.picture) > 8000


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.full] if path.stem in LONG else []) for path in PARTS],
)
def test_it_runs_and_draws(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(path), run_name="tutorial")
    assert list(tmp_path.iterdir()) == []
    printed_by(path.stem, capsys.readouterr().out)
    assert isinstance(names["fig"], Figure) and all(ax.has_data() for ax in names["fig"].axes)
    assert len(to_png_bytes(names["fig"])) > 8000


def test_there_are_six_short_parts_of_text_and_code() -> None:
    assert [path.stem[0] for path in PARTS] == list("123456")
    for path in PARTS:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 80 and text.count("\n# %% ") >= 4, path.name
        assert ast.get_docstring(ast.parse(text))
        assert text.rstrip().endswith(f'if __name__ == "__main__":\n    plot.save(fig, "{path.stem}.png")')
