"""Measure the package as a house: circles between files, arrows between wings, long files and functions, loose types.

    python tools/measure_house.py            # a table of what is over its limit, exit code 1 where something is

Counted with grimp: an import is *between wings* where its two modules lie in different folders of one subpackage, and
counts once for an importing wing and an imported module. Code lines have a token that is neither comment nor docstring.
"""

from __future__ import annotations

import ast
import io
import json
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import grimp

PACKAGE = Path(__file__).resolve().parents[1] / "neurosleep"
# Longest file and function in lines, most parameters of a function, most arrows between the wings of `hardware`.
FILE_LINES, FUNCTION_LINES, PARAMETERS, ARROWS = 500, 80, 12, 40
ROOMS = ("hardware", "exchange", "spiking", "experiments")


def docstrings(tree: ast.Module) -> set[int]:
    """The numbers of the lines that docstrings stand in."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def code_lines(text: str, first: int = 1, last: int | None = None) -> int:
    """Lines of code: neither blank, nor comment, nor docstring."""
    words = docstrings(ast.parse(text))
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    return sum(1 for line in lines - words if line >= first and (last is None or line <= last))


def functions(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Name, lines without the docstring, and parameters (``self`` apart) of every function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            words = docstrings(ast.Module(body=[node], type_ignores=[]))
            own = {line for line in words if node.lineno <= line <= (node.end_lineno or 0)}
            length = (node.end_lineno or node.lineno) - node.lineno + 1 - len(own)
            yield node.name, length, len([name for name in names if name not in ("self", "cls")])


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Groups of modules that import each other (strongly connected components of more than one)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(start: str) -> None:
        work = [(start, iter(sorted(graph.find_modules_directly_imported_by(start))))]
        index[start] = low[start] = len(index)
        stack.append(start)
        while work:
            module, successors = work[-1]
            for other in successors:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    work.append((other, iter(sorted(graph.find_modules_directly_imported_by(other)))))
                    break
                if other in stack:
                    low[module] = min(low[module], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[module])
                if low[module] == index[module]:
                    group = stack[stack.index(module) :]
                    del stack[stack.index(module) :]
                    if len(group) > 1:
                        groups.append(sorted(group))

    for module in sorted(graph.modules):
        if module not in index:
            visit(module)
    return groups


def wing(module: str) -> str:
    """The folder of a module: ``hardware.mapping``, or ``hardware`` for what lies beside the wings."""
    parts = module.split(".")[1:]
    folder = PACKAGE.joinpath(*parts)
    return ".".join(parts if folder.is_dir() else parts[:-1])


def arrows(graph: grimp.ImportGraph, room: str) -> set[tuple[str, str]]:
    """Distinct imports between the wings of a room: (importing wing, imported module)."""
    pairs = set()
    for module in graph.modules:
        if module.startswith(f"neurosleep.{room}."):
            for other in graph.find_modules_directly_imported_by(module):
                if other.startswith(f"neurosleep.{room}.") and wing(module) != wing(other):
                    pairs.add((wing(module), other))
    return pairs


def measure() -> dict[str, object]:
    """All figures."""
    graph = grimp.build_graph("neurosleep", exclude_type_checking_imports=True, cache_dir=None)
    files = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in files.items()}
    name = {path: str(path.relative_to(PACKAGE)) for path in files}
    loose = {
        room: sum(
            isinstance(node, ast.Name) and node.id == "Any"
            for path, tree in trees.items()
            if name[path].startswith(f"{room}/")
            for node in ast.walk(tree)
        )
        for room in ROOMS
    }
    found = [(name[path], *function) for path, tree in trees.items() for function in functions(tree)]
    lines = {name[path]: len(text.splitlines()) for path, text in files.items()}
    return {
        "circles": circles(graph),
        "arrows_between_wings": {room: len(arrows(graph, room)) for room in ROOMS},
        "code_lines": sum(code_lines(text) for text in files.values()),
        "long_files": {file: count for file, count in lines.items() if count > FILE_LINES},
        "long_functions": {f"{file}:{def_}": length for file, def_, length, _ in found if length > FUNCTION_LINES},
        "many_parameters": {f"{file}:{def_}": count for file, def_, _, count in found if count > PARAMETERS},
        "any": loose,
    }


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=1)
    print()
