"""Every public name says by an example what it does, and where to look next; the examples come out as they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import neurosleep as ns


def public() -> Iterator[tuple[str, str, Any]]:
    """Every class and function of a public list: subpackage, name, object (types such as Literal have no docstring)."""
    for subpackage in ns._SUBPACKAGES:
        module = importlib.import_module(f"neurosleep.{subpackage}")
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield subpackage, name, value


def examples() -> list[Any]:
    finder, cases = doctest.DocTestFinder(recurse=False), []
    for subpackage, name, value in public():
        module = sys.modules[value.__module__]
        cases += [
            pytest.param(case, id=f"{subpackage}.{name}")
            for case in finder.find(inspect.unwrap(value), name, module=False, globs=dict(vars(module)))  # type: ignore[arg-type]
            if case.examples
        ]
    return cases


def section(docstring: str, title: str) -> str | None:
    """The text under a heading, up to the next one."""
    match = re.search(rf"(?m)^{title}\n-+\n((?:.*\n?)*?)(?=^[A-Z][A-Za-z ]+\n-+\n|\Z)", docstring)
    return match[1] if match else None


@pytest.mark.parametrize("case", examples())
def test_an_example_comes_out_as_it_says(case: doctest.DocTest) -> None:
    said: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(case, out=said.append)
    assert not said, "".join(said)


def test_every_public_name_has_an_example_and_says_what_to_see_also() -> None:
    lacking = []
    for subpackage, name, value in public():
        docstring = inspect.getdoc(value) or ""
        for title in ("See Also", "Examples"):
            text = section(docstring, title)
            if not text or (title == "Examples" and ">>> " not in text):
                lacking.append(f"{subpackage}.{name}: {title}")
    assert lacking == []


def test_what_to_see_also_is_public() -> None:
    known = {name for _, name, _ in public()}
    for subpackage in ns._SUBPACKAGES:
        module = importlib.import_module(f"neurosleep.{subpackage}")
        known |= {f"neurosleep.{subpackage}.{name}" for name in module.__all__}
    known |= {f"neurosleep.{name}" for name in ns.__all__}
    wrong = []
    for subpackage, name, value in public():
        for line in (section(inspect.getdoc(value) or "", "See Also") or "").splitlines():
            for other in line.partition(" : ")[0].split(", "):
                own = f"neurosleep.{subpackage}.{other}"
                if line.strip() and not line.startswith(" ") and not {other, own} & known:
                    wrong.append(f"{subpackage}.{name} sends to {other}")
    assert wrong == []
