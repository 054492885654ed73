"""Write a Jupyter notebook of each example: the text at its head, its cells (``# %% ...``) and the figure at its end.

    python tools/make_notebooks.py [FOLDER]        else out/notebooks

They hold no outputs; run them in Jupyter, or let `jupyter nbconvert --execute` do it.
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
# What a script does with its figure; a notebook shows it instead.
TAIL = re.compile(r'\nif __name__ == "__main__":\n.*\Z', flags=re.DOTALL)


def head_and_cells(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The text at the head of an example, and its cells as pairs of a sentence (of the first: none) and code."""
    told = ast.get_docstring(ast.parse(text))
    if told is None:
        raise SystemExit("An example starts with a text that says what it shows.")
    code = TAIL.sub("\n", text.split('"""', 2)[2])
    first, *rest = re.split(r"^# %% (.*)$", code, flags=re.MULTILINE)
    cells = [("", first), *zip(rest[::2], rest[1::2], strict=True)]
    return told, [(sentence, part.strip("\n")) for sentence, part in cells]


def notebook(path: Path) -> nbformat.NotebookNode:
    """The notebook of one example."""
    told, cells = head_and_cells(path.read_text(encoding="utf-8"))
    title, _, body = told.partition("\n")
    made = [new_markdown_cell(f"# {title.rstrip('.')}\n{body}")]
    for sentence, code in cells:
        made += [new_markdown_cell(sentence)] if sentence else []
        made.append(new_code_cell(code))
    made.append(new_code_cell("fig"))
    for number, cell in enumerate(made):
        cell["id"] = f"{path.stem.removeprefix('plot_').replace('_', '-')}-{number}"  # the same each time
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return new_notebook(cells=made, metadata=metadata)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(EXAMPLES.glob("plot_*.py")):
        made = notebook(path)
        nbformat.validate(made)
        nbformat.write(made, folder / f"{path.stem.removeprefix('plot_')}.ipynb")
    print(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "out" / "notebooks")
