"""No test can fail for being slow: guards against hanging are 600 s or more, and times of work are processor times.

A machine beside other work, or an older one, takes any number of times longer for the same test.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LEAST = 600

# Calls that take a limit in seconds, and where it stands if it has no name.
LIMITS = {"join": 0, "wait": 0, "communicate": 1, "Timer": 0, "alarm": 0, "setitimer": 1, "timeout": 0}
CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "time", "time_ns", "default_timer"}
WRITTEN = re.compile(r"(?:timeout|deadline)\s*=\s*([\d._]+)")


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def _number(value: ast.expr | None) -> float | None:
    """A number that is written down, products of such too; None for anything else."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
        left, right = _number(value.left), _number(value.right)
        return None if left is None or right is None else left * right
    if isinstance(value, ast.Constant) and isinstance(value.value, int | float) and not isinstance(value.value, bool):
        return float(value.value)
    return None


def _is_clock(called: ast.expr) -> bool:
    if isinstance(called, ast.Attribute):
        return called.attr in CLOCKS and isinstance(called.value, ast.Name) and called.value.id in ("time", "timeit")
    return isinstance(called, ast.Name) and called.id in CLOCKS - {"time"}


def _guards(tree: ast.Module) -> set[ast.AST]:
    """Readings of a clock for a guard: those to which a constant of the module that is long enough is added, and those
    that are compared with the sum."""
    long = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and (_number(node.value) or 0) >= LEAST
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            if isinstance(node.right, ast.Name) and node.right.id in long:
                found.add(node.left)
        elif isinstance(node, ast.Compare) and isinstance(node.comparators[0], ast.Name):
            found.add(node.left)
    return found


def _polls(tree: ast.AST) -> set[ast.AST]:
    """All that stands in a while loop, where a sleep only spares the processor between two looks."""
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.While)]
    return {inner for loop in loops for inner in ast.walk(loop)}


def findings(source: str) -> Iterator[tuple[int, str]]:
    """Line and fault of everything in a test's source that a slow machine would fail at."""
    tree = ast.parse(source)
    polls, guards = _polls(tree), _guards(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for written in WRITTEN.finditer(node.value):
                if float(written[1]) < LEAST:
                    yield node.lineno, f"a program has the limit {written[0]}"
        if not isinstance(node, ast.Call):
            continue
        name = _name(node.func)
        for keyword in node.keywords:
            value = _number(keyword.value)
            if keyword.arg == "deadline" and not (
                isinstance(keyword.value, ast.Constant) and keyword.value.value is None
            ):
                yield node.lineno, "hypothesis has a deadline"
            elif keyword.arg in ("timeout", "timeout_s") and value is not None and value < LEAST:
                yield node.lineno, f"{name} has a timeout of {value:g} s"
        if name in LIMITS and len(node.args) > LIMITS[name]:
            value = _number(node.args[LIMITS[name]])
            if value is not None and value < LEAST:
                yield node.lineno, f"{name} has a limit of {value:g} s"
        if _is_clock(node.func) and node not in guards:
            yield node.lineno, f"{name} is read, which counts the work of others: take time.process_time"
        if (
            name == "sleep"
            and isinstance(node.func, ast.Attribute)
            and _name(node.func.value) == "time"
            and node not in polls
        ):
            yield node.lineno, "a sleep stands for an event: take the fixture wait_until"


def test_no_test_is_limited_by_the_wall_clock() -> None:
    faults = []
    for path in sorted(TESTS.rglob("*.py")):
        if path == Path(__file__):  # which has such limits as examples
            continue
        found = findings(path.read_text(encoding="utf-8"))
        faults += [f"{path.relative_to(TESTS).as_posix()}:{line}: {fault}" for line, fault in found]
    assert faults == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("subprocess.run(command, timeout=100)", "timeout of 100 s"),
        ("subprocess.run(command, timeout=5 * 60)", "timeout of 300 s"),
        ("process.communicate(None, 10)", "limit of 10 s"),
        ("process.wait(5)", "limit of 5 s"),
        ("threading.Timer(120, stop)", "limit of 120 s"),
        ("thread.join(1.5)", "limit of 1.5 s"),
        ("@settings(deadline=200)\ndef test(): pass", "deadline"),
        ("@settings(deadline=timedelta(seconds=1))\ndef test(): pass", "deadline"),
        ("@pytest.mark.timeout(30)\ndef test(): pass", "limit of 30 s"),
        ("end = time.monotonic() + 20", "monotonic"),
        ("PATIENCE = 20\nend = time.monotonic() + PATIENCE\nassert time.monotonic() < end", "monotonic"),
        ("assert time.monotonic() - start < LONGEST", "monotonic"),
        ("from time import perf_counter\nstart = perf_counter()", "perf_counter"),
        ("time.sleep(1)", "wait_until"),
        ("for _ in range(100):\n    time.sleep(0.1)", "wait_until"),
        ("PROGRAM = 'queue.get(timeout=5)'", "limit timeout=5"),
    ],
)
def test_limits_would_be_noticed(source: str, fault: str) -> None:
    ((_, found),) = findings(source)
    assert fault in found


@pytest.mark.parametrize(
    "source",
    [
        "subprocess.run(command, timeout=600)",
        "settings(deadline=None)",
        "start = time.process_time()",
        "PATIENCE = 600\nend = time.monotonic() + PATIENCE\nassert time.monotonic() < end",
        "', '.join(names); os.path.join('a', 'b'); process.wait()",
        "while not ready():\n    time.sleep(0.05)",
        "sleep(network, steps=5)",
    ],
)
def test_what_waits_long_enough_is_let_be(source: str) -> None:
    assert list(findings(source)) == []
