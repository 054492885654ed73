"""Pages of the documentation that are made anew in each build: the gallery, the command line, the public names."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import io
import json
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
# Pictures of earlier builds, by what they depend on; `make clean` removes them.
CACHE = ROOT / "out" / "gallery"


def _tool(name: str) -> ModuleType:
    """Another file of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Example:
    """One example with what it gives: title and text, code, printed lines, and its figure as PNG."""

    name: str
    title: str
    text: str
    code: str
    printed: str
    picture: bytes
    notebook: str


def _state() -> str:
    """Changes with any source file of the package."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "neurosleep").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run_example(path: Path, state: str) -> Example:
    """Run one example, or take what it gave when neither it nor the package was another."""
    code = path.read_text(encoding="utf-8")
    told = ast.get_docstring(ast.parse(code)) or ""
    title, _, text = told.partition("\n")
    key = hashlib.sha256((state + code).encode()).hexdigest()[:16]
    picture, lines = CACHE / f"{path.stem}-{key}.png", CACHE / f"{path.stem}-{key}.txt"
    if not (picture.is_file() and lines.is_file()):
        from neurosleep.plot import to_png_bytes

        with contextlib.redirect_stdout(io.StringIO()) as printed:
            names = runpy.run_path(str(path), run_name="gallery")
        CACHE.mkdir(parents=True, exist_ok=True)
        lines.write_text(printed.getvalue(), encoding="utf-8")
        picture.write_bytes(to_png_bytes(names["fig"], dpi=110))
    name = path.stem.removeprefix("plot_")
    notebook = json.dumps(_tool("make_notebooks").notebook(path), indent=1)
    printed_text = lines.read_text(encoding="utf-8")
    return Example(name, title.rstrip("."), text.strip(), code, printed_text, picture.read_bytes(), notebook)


_INDEX = """---
hide: [toc]
---

# Gallery

Each example shows one thing, in under 60 lines, on the embedded data; each takes seconds on a CPU. The pictures were
made when these pages were built.

<div class="ns-gallery">
{cards}
</div>
"""
_CARD = '<a class="ns-card" href="{0}.html"><img src="{0}.png" alt="" loading="lazy"><span>{1}</span></a>'
_EXAMPLE = """# {title}

{text}

![The figure that this example draws]({name}.png)

[Script](plot_{name}.py){{ download }} · [Notebook]({name}.ipynb){{ download }}

```python
{code}
```
"""


def gallery() -> Iterator[tuple[str, str | bytes]]:
    """Its files: an index with all pictures, and for each example a page, the picture, the script and a notebook."""
    state = _state()
    examples = [run_example(path, state) for path in sorted(EXAMPLES.glob("plot_*.py"), key=_order)]
    cards = "\n".join(_CARD.format(example.name, example.title) for example in examples)
    yield "gallery/index.md", _INDEX.format(cards=cards)
    for e in examples:
        printed = f"\nIt prints:\n\n```text\n{e.printed.rstrip()}\n```\n" if e.printed.strip() else ""
        page = _EXAMPLE.format(title=e.title, text=e.text, name=e.name, code=e.code.rstrip())
        yield f"gallery/{e.name}.md", page + printed
        yield f"gallery/{e.name}.png", e.picture
        yield f"gallery/plot_{e.name}.py", e.code
        yield f"gallery/{e.name}.ipynb", e.notebook


_PART = """# {number}. {title}

{text}

[Notebook]({name}.ipynb){{ download }} · [Script]({name}.py){{ download }}

{cells}

![The figure that the last cells draw]({name}.png)
"""


def tutorial() -> Iterator[tuple[str, str | bytes]]:
    """Its parts: for each a page of text and code in turn, the picture, the script and a notebook."""
    state, notebooks = _state(), _tool("make_notebooks")
    for path in sorted((EXAMPLES / "tutorial").glob("*.py")):
        e = run_example(path, state)
        _, parts = notebooks.head_and_cells(e.code)
        cells = "\n\n".join(f"{words}\n\n```python\n{code}\n```" if code else words for words, code in parts).strip()
        number = e.name.partition("_")[0]
        printed = f"\nIt prints:\n\n```text\n{e.printed.rstrip()}\n```\n" if e.printed.strip() else ""
        yield (
            f"tutorial/{e.name}.md",
            _PART.format(number=number, title=e.title, text=e.text, name=e.name, cells=cells) + printed,
        )
        yield f"tutorial/{e.name}.png", e.picture
        yield f"tutorial/{e.name}.py", e.code
        yield f"tutorial/{e.name}.ipynb", e.notebook


# What a newcomer should meet first; further ones follow by name.
_FIRST = (
    "forgetting",
    "consolidate",
    "sleep_stages",
    "raster",
    "monitors",
    "seen_in_sleep",
    "stdp_window",
    "convert",
    "hardware",
    "nir",
    "equilibrium",
    "dendrites",
)


def _order(path: Path) -> tuple[int, str]:
    name = path.stem.removeprefix("plot_")
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


_COMMANDS = """# Command line

`neurosleep --help` and `neurosleep COMMAND --help` say the same. Every command takes `--json`: exactly one JSON object
on standard output, and nothing else there. Exit codes: 0 done, 2 usage error, 1 internal error.
"""


def command_line() -> str:
    """The commands with their arguments and options, as the program itself describes them."""
    import typer.main

    from neurosleep.cli.app import app

    command: Any = typer.main.get_command(app)
    parts = [_COMMANDS]
    for name, sub in command.commands.items():
        parts.append(f"## neurosleep {name}\n\n{inspect.cleandoc(sub.help or '')}\n")
        rows = ["| option | default | meaning |", "| --- | --- | --- |"]
        for parameter in sub.params:
            if "--help" in parameter.opts:
                continue
            argument = parameter.param_type_name == "argument"
            shown = (parameter.metavar or parameter.name.upper()) if argument else ", ".join(parameter.opts)
            given = parameter.default
            default = "" if given is None or given is False or callable(given) else f"`{given}`"
            default = "required" if parameter.required else default
            rows.append(f"| `{shown}` | {default} | {(parameter.help or '').replace('|', chr(92) + '|')} |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


_NAMES = """# Python

`import neurosleep as ns` costs next to nothing: a name is imported from its subpackage when it is first used. These are
the top-level names; every subpackage has more, on a page of its own.

Weights are `[post, pre]`, tensors time first; times are in seconds, rates in hertz, and what is counted in steps says
so. Images are rows of floats, `[n, inputs]`.

| name | subpackage | what it is |
| --- | --- | --- |
"""


def names() -> str:
    """The top-level names of the package, each with its first line and a link to its subpackage."""
    package = importlib.import_module("neurosleep")
    docstrings, rows = _tool("docs_docstrings"), []
    for name in sorted(package._PUBLIC, key=str.lower):
        room = package._PUBLIC[name]
        first = docstrings.markdown((inspect.getdoc(getattr(package, name)) or "").partition("\n")[0]).strip()
        rows.append(f"| [`{name}`][{room}.{name}] | {room.removeprefix('neurosleep.')} | {first} |")
    return _NAMES + "\n".join(rows) + "\n"
