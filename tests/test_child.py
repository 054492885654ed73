"""The child process of the tests: its limits hold, and count from the end of the imports on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


def test_a_child_says_what_it_did(run_python: Callable[..., Any]) -> None:
    program = "import sys\nprint(sys.argv[1:], sys.stdin.read(), __name__)\nprint('no', file=sys.stderr)\nsys.exit(3)"
    child = run_python(program, "a", 1, imports=(), input="given")
    assert (child.code, child.out, child.err) == (3, "['a', '1'] given __main__\n", "no\n")
    assert 0 <= child.seconds < 5 and not child.out_of_time


def test_a_child_is_stopped_by_its_processor_time(run_python: Callable[..., Any]) -> None:
    child = run_python("print('started', flush=True)\nwhile True: pass", seconds=1, imports=())
    assert child.out_of_time and child.code == -signal.SIGXCPU and child.out == "started\n"
    assert child.seconds > 0.5
    # Waiting costs none.
    assert run_python("import time; time.sleep(2.5)", seconds=1, imports=()).code == 0


def test_a_child_gets_no_more_memory_than_its_limit(run_python: Callable[..., Any]) -> None:
    program = "import sys; print(len(bytearray(int(sys.argv[1]) * 2**20)) // 2**20)"
    assert run_python(program, 200, memory=400).out == "200\n"
    child = run_python(program, 600, memory=400)
    assert child.code == 1 and "MemoryError" in child.err
