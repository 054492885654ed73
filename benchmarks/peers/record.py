"""Runs a benchmark and writes its dated record, with what it was measured on.

``python benchmarks/peers/record.py --out benchmarks/DATE-growth.json growth``, and what follows goes to
``neurosleep bench``. SpikingJelly is timed by ``simulate --network cnn`` where it is installed; it wants an environment
of its own::

    python -m venv --system-site-packages sj; sj/bin/pip install spikingjelly
    python benchmarks/peers/record.py --python sj/bin/python --out benchmarks/DATE-simulate-cnn.json \
        simulate --network cnn --data DIR
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def processor() -> str:
    """Its name, and the number of cores."""
    try:
        name = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        name = None
    return f"{name[1] if name else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def written(out: Path, command: str, result: dict[str, Any], note: str, others: dict[str, str]) -> None:
    """Write the record ``out``: what was run, where and when, and then the result."""
    head = {
        "date": datetime.date.today().isoformat(),
        "command": command,
        "processor": processor(),
        "versions": versions(("numpy", "torch", "numba", "snntorch", "norse")) | others,
        "note": note or f"load of the machine when it ended: {os.getloadavg()[0]:.1f}",
    }
    out.write_text(json.dumps(head | result, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--python", default=sys.executable, help="whose neurosleep is run")
    options.add_argument("--out", type=Path, required=True, help="the record to write")
    options.add_argument("--note", default="", help="what else the machine did")
    options.add_argument("bench", nargs=argparse.REMAINDER, help="what to give to neurosleep bench")
    asked = options.parse_args()
    command = [asked.python, "-m", "neurosleep", "bench", *asked.bench, "--json"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told = " ".join(["neurosleep bench", *asked.bench, "--json"])
    # Paths of this machine say nothing to others.
    told = re.sub(r"(--data) \S+", r"\1 DIR", told)
    of_peers = "from importlib.metadata import version; print(version('spikingjelly'))"
    jelly = subprocess.run([asked.python, "-c", of_peers], capture_output=True, text=True)
    others = {"spikingjelly": jelly.stdout.strip()} if jelly.returncode == 0 else {}
    written(asked.out, told, json.loads(ran.stdout), asked.note, others)


if __name__ == "__main__":
    main()
