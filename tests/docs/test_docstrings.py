"""The examples in the docstrings of public names say what comes out."""

from __future__ import annotations

import doctest
import importlib
import inspect
import sys
from typing import Any

import pytest

import neurosleep as ns


def examples() -> list[Any]:
    finder, cases = doctest.DocTestFinder(recurse=False), []
    for name, subpackage in ns._PUBLIC.items():
        value = getattr(importlib.import_module(subpackage), name)
        module = sys.modules[value.__module__]
        cases += [
            pytest.param(case, id=name)
            for case in finder.find(inspect.unwrap(value), name, module=False, globs=dict(vars(module)))  # type: ignore[arg-type]
            if case.examples
        ]
    return cases


@pytest.mark.parametrize("case", examples())
def test_an_example_comes_out_as_it_says(case: doctest.DocTest) -> None:
    said: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(case, out=said.append)
    assert not said, "".join(said)


def test_the_verbs_have_examples() -> None:
    assert {"convert", "wake", "simulate", "simulate_batch", "sleep", "map_to", "load_profile"} <= {
        case.id for case in examples()
    }
