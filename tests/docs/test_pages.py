"""The pages of the documentation do what they say: Python and commands run, and commands that take hours are legal.

Blocks of a page run in order, in one folder and one namespace, as a reader would run them. A block of commands that
would take hours is marked ``{.sh .long}``; of those the arguments, names and settings are checked.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.experiments import load_settings, parse_change
from neurosleep.experiments.strategy_names import check_strategies
from neurosleep.spiking.engines import base

ROOT = Path(__file__).parents[2]
GENERATED = {"supported.md"}
PAGES = sorted(
    path
    for path in (ROOT / "docs").rglob("*.md")
    if path.name not in GENERATED and path.parent.name not in ("results", "profiles")
)
BLOCK = re.compile(
    r"^```(?:\{(?P<classes>[^}]*)\}|(?P<kind>[\w.]*))(?: .*)?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
# What readers of a page need beside the package, and pages that take more than some seconds.
NEEDS = {
    "avalanche.md": ("avalanche",),
    "exchange.md": ("nir", "onnx"),
    "convert.md": ("onnx",),
    "lightning.md": ("lightning",),
    "nwb.md": ("pynwb",),
    "sonata.md": ("h5py", "libsonata"),
    "to-hardware-tools.md": ("nir",),
    "transformers.md": ("transformers", "accelerate"),
    "tune.md": ("optuna",),
}
LONG = {"cluster.md", "index.md", "tune.md", "experiment.md"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Kind and text of each block that is fenced."""
    found = []
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        classes = [name.lstrip(".") for name in (match["classes"] or "").split()]
        kind = "long" if "long" in classes else classes[0] if classes else match["kind"]
        found.append((kind, match["text"]))
    return found


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a block; a backslash at the end of a line goes on with the next."""
    for line in text.replace("\\\n", " ").splitlines():
        parts = shlex.split(line, comments=True)
        if parts:
            yield parts


def run_command(parts: list[str], where: str) -> None:
    """One command as a reader would give it: neurosleep here, anything else must be of a few harmless ones."""
    if parts[0] == "neurosleep":
        result = CliRunner().invoke(app, parts[1:])
        assert result.exit_code == 0, f"{where}: {shlex.join(parts)}\n{result.output}\n{result.exception}"
        if "--json" in parts:
            assert result.stdout.count("\n") == 1
        return
    assert parts[0] == "cat" and all(Path(part).is_file() for part in parts[1:]), f"{where}: {parts}"


def check_long(parts: list[str], where: str) -> None:
    """Whether a command that is not run could be: its arguments parse, and what they name exists."""
    assert parts[0] == "neurosleep", where
    command: Any = typer.main.get_command(app)
    sub = command.commands[parts[1]]
    with sub.make_context(parts[1], list(parts[2:])) as context:
        given = context.params
    if parts[1] in ("run", "tune") and not str(given["experiment"]).endswith(".toml"):
        changes = [parse_change(text) for text in given["changes"] or []]
        strategies = [name.strip() for name in (given["strategy"] or "src").split(",")]
        check_strategies(strategies)
        for variant in (given.get("variant") or "default").split(","):
            for strategy in strategies:
                load_settings(given["experiment"], strategy=strategy, variant=variant, changes=changes)


def params() -> list[Any]:
    return [
        pytest.param(page, id=str(page.relative_to(ROOT / "docs")), marks=[pytest.mark.full] * (page.name in LONG))
        for page in PAGES
        if any(kind in ("python", "sh", "toml", "long") for kind, _ in blocks(page))
    ]


@pytest.mark.parametrize("page", params())
def test_the_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in NEEDS.get(page.name, ()):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base, "_ENGINES", dict(base._ENGINES))  # what a page registers is not there for other tests
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, (kind, text) in enumerate(blocks(page), start=1):
        where = f"{page.relative_to(ROOT)}, block {number}"
        if kind == "python":
            if file := re.match(r"# ([\w/-]+\.py)\n", text):  # a file of the reader's, which commands below name
                Path(file[1]).write_text(text, encoding="utf-8")
            with contextlib.redirect_stdout(sys.stderr):
                exec(compile(text, where, "exec"), names)
        elif kind == "toml":
            first = text.splitlines()[0]
            assert re.fullmatch(r"# [\w./-]+\.toml", first), f"{where} names its file in its first line"
            Path(first[2:]).write_text(text, encoding="utf-8")
        elif kind == "sh":
            for parts in commands(text):
                run_command(parts, where)
        elif kind == "long":
            for parts in commands(text):
                check_long(parts, where)
        else:
            assert kind in ("", "text", "pycon"), f"{where} is of a kind that no test knows: {kind!r}"


def test_figures_of_what_to_choose_are_those_of_the_results() -> None:
    results = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "results").glob("*.md"))
    for name in ("which.md", "limitations.md"):
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        figures = re.findall(r"\d+\.\d\d(?: ± \d+\.\d\d)?", text)
        assert len(figures) >= 4
        assert [figure for figure in figures if f"| {figure} |" not in results.replace("\u00a0", " ")] == []


def test_the_first_page_names_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").split("| extra | for |")[1].split("\n\n")[0]
    named = {name for row in table.splitlines() if row for name in re.findall(r"`([\w-]+)`", row.split("|")[1])}
    assert named == set(project["optional-dependencies"]) - {"dev"}


def test_a_wrong_command_is_found() -> None:
    for line in ("neurosleep run src2022/mnits", "neurosleep run src2022/mnist --sead 1", "neurosleep runn x"):
        with pytest.raises(Exception, match=r"mnits|sead|runn"):
            check_long(line.split(), "here")


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), flags=re.MULTILINE))
    there = {str(path.relative_to(ROOT / "docs")).replace(os.sep, "/") for path in (ROOT / "docs").rglob("*.md")}
    assert there <= listed
    made = {"gallery/index.md", "performance.md", "concepts/guard.md"}
    made |= {f"api/{name}.md" for name in ("index", "cli", "runs", "settings")}
    made |= {f"tutorial/{path.stem}.md" for path in (ROOT / "examples" / "tutorial").glob("*.py")}
    assert listed - there == made, "pages that are made in each build"
