"""The notebooks made of the examples are valid, hold the same code, and run to the same end."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
EXAMPLES = [*sorted((ROOT / "examples").glob("plot_*.py")), *sorted((ROOT / "examples" / "tutorial").glob("*.py"))]
nbformat = pytest.importorskip("nbformat")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_notebooks", ROOT / "tools" / "make_notebooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_notebook_of_each_example_and_all_of_its_code(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool.main(tmp_path)
    assert capsys.readouterr().out.strip() == str(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(EXAMPLES)
    for path in EXAMPLES:
        made = nbformat.read(tmp_path / f"{path.stem.removeprefix('plot_')}.ipynb", as_version=4)
        nbformat.validate(made)
        code = [cell.source for cell in made.cells if cell.cell_type == "code"]
        assert all(not cell.outputs and cell.execution_count is None for cell in made.cells if "outputs" in cell)
        assert code[-1] == "fig" and "__main__" not in "\n".join(code)
        assert code[0] == tool.INSTALL and 'SOURCE = ""' in code[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # The text at the head is a cell of its own, the block for scripts is left out.
        wanted = [ast.dump(node) for node in tree.body[1:-1]]
        assert [ast.dump(node) for node in ast.parse("\n".join(code[1:-1])).body] == wanted
        told = [cell.source for cell in made.cells if cell.cell_type == "markdown"]
        assert told[0].startswith("# ") and len(told) == path.read_text(encoding="utf-8").count("\n# %% ") + 1


def test_the_same_example_gives_the_same_notebook(tool: ModuleType) -> None:
    path = EXAMPLES[0]
    assert tool.notebook(path) == tool.notebook(path)


def test_the_cells_run_one_after_another(tool: ModuleType) -> None:
    names: dict[str, object] = {"__name__": "__main__"}  # as in a kernel
    for cell in tool.notebook(ROOT / "examples" / "plot_own_drive.py").cells:
        if cell.cell_type == "code" and cell.source != "fig":
            exec(compile(cell.source, "cell", "exec"), names)
    assert isinstance(names["fig"], Figure)


def test_the_first_cell_installs_from_what_its_variable_names(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr("subprocess.run", lambda command, check: commands.append(command))
    exec(compile(tool.INSTALL, "cell", "exec"), {})
    assert commands == []
    for source in ("dist/neurosleep.whl", "a checkout"):
        exec(compile(tool.INSTALL.replace('SOURCE = ""', f"SOURCE = {source!r}"), "cell", "exec"), {})
        assert commands[-1][1:] == ["-m", "pip", "install", "--quiet", source]
