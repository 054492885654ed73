"""Write a Jupyter notebook of each example and each part of the tutorial: text, cells (``# %% ...``), the figure.

    python tools/make_notebooks.py [FOLDER]        else out/notebooks

The first cell installs from a source that one variable names. They hold no outputs; run them in Jupyter, or let
`jupyter nbconvert --execute` do it.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
INSTALL = """# Where pip finds neurosleep: a wheel, a checkout or an address. Empty: it is installed already.
SOURCE = ""

if SOURCE:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", SOURCE], check=True)"""
# What a script does with its figure; a notebook shows it instead.
TAIL = re.compile(r'\nif __name__ == "__main__":\n.*\Z', flags=re.DOTALL)


def examples() -> list[Path]:
    """The scripts that become notebooks."""
    return [*sorted(EXAMPLES.glob("plot_*.py")), *sorted((EXAMPLES / "tutorial").glob("*.py"))]


def head_and_cells(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The text at the head of an example, and its cells as pairs of a text (of the first: none) and code.

    The text of a cell may go on in the lines of comments right below it.
    """
    told = ast.get_docstring(ast.parse(text))
    if told is None:
        raise SystemExit("An example starts with a text that says what it shows.")
    code = TAIL.sub("\n", text.split('"""', 2)[2])
    first, *rest = re.split(r"^# %% (.*(?:\n# .*)*)$", code, flags=re.MULTILINE)
    cells = [("", first), *zip(rest[::2], rest[1::2], strict=True)]
    return told, [(words.replace("\n# ", " "), part.strip("\n")) for words, part in cells]


def notebook(path: Path) -> nbformat.NotebookNode:
    """The notebook of one example."""
    told, cells = head_and_cells(path.read_text(encoding="utf-8"))
    title, _, body = told.partition("\n")
    made = [new_markdown_cell(f"# {title.rstrip('.')}\n{body}"), new_code_cell(INSTALL)]
    for words, code in cells:
        made += [new_markdown_cell(words)] if words else []
        made += [new_code_cell(code)] if code else []
    made.append(new_code_cell("fig"))
    for number, cell in enumerate(made):
        cell["id"] = f"{path.stem.removeprefix('plot_').replace('_', '-')}-{number}"  # the same each time
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return new_notebook(cells=made, metadata=metadata)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in examples():
        made = notebook(path)
        nbformat.validate(made)
        nbformat.write(made, folder / f"{path.stem.removeprefix('plot_')}.ipynb")
    print(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "out" / "notebooks")
