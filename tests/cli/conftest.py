"""What tests of commands share: a program whose messages go to a terminal."""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from fcntl import ioctl

import pytest


@pytest.fixture
def on_terminal() -> Callable[..., str]:
    """Run a program whose standard error is a terminal, and return what it wrote there; it has to end well.

    ``on_terminal(command, columns=80, env={"TERM": "xterm"})``: the size is that of the terminal itself, as a window
    has it, so ``COLUMNS`` and ``LINES`` are taken away; ``env`` is added to the environment then (None takes a
    variable away).
    """

    def run(command: Sequence[str], *, columns: int = 80, env: Mapping[str, str | None] | None = None) -> str:
        surroundings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": None, "LINES": None, **(env or {})}
        terminal, side = pty.openpty()
        ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=side,
            env={name: value for name, value in surroundings.items() if value is not None},
        )
        os.close(side)
        seen = b""
        with process:
            while True:
                try:
                    part = os.read(terminal, 4096)
                except OSError:  # nobody has the other side any more
                    break
                if not part:
                    break
                seen += part
        os.close(terminal)
        assert process.returncode == 0, seen.decode(errors="replace")
        return seen.decode(errors="replace")

    return run
