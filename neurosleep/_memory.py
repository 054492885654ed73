"""How much memory this process takes, where the system tells (Linux does)."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["forget_peak", "resident"]

# Of Linux, for the process itself: to write 5 there forgets the largest memory it ever had.
_FORGET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def resident(key: str) -> int | None:
    """Bytes of this process's memory: ``VmRSS`` now, ``VmHWM`` at most; None where the system does not tell."""
    try:
        line = re.search(rf"^{key}:\s*(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return None if line is None else 1024 * int(line[1])


def forget_peak() -> bool:
    """Let ``VmHWM`` start anew from what is taken now; False where the system cannot."""
    try:
        _FORGET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
