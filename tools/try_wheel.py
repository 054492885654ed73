"""Installs a wheel into a bare environment, and uses it from an empty folder: ``make try-wheel PYTHON=python3.12``.

Nothing of the checkout is within reach: no ``PYTHONPATH``, another folder, isolated mode. The environment gets the
wheel and what it requires, then one extra by the command that error messages name. Prints what each command took.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# What a newcomer does, small. The demo is the longest: about a minute on one core.
SMALL = "--set data.images_per_task=100 --set sleep.steps=200 --set 'network.sizes=[784, 30, 30, 10]'"
COMMANDS = (
    "list --json",
    "profiles",
    "profiles loihi1",
    f"run demo/mnist-mini --strategy sequential,src {SMALL} --out runs",
    "report runs",
    "cite runs",
    "reproduce",
    "demo --seeds 1 --out demo",
)
WRITTEN = ("runs/report.html", "demo/report.html")
# A trained network to a file of another tool, which needs an extra.
EXTRA = "nir"
EXPORT = """
import torch, neurosleep as ns
model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
ns.save(ns.convert(model, torch.rand(20, 4)), "network.nir")
print(ns.load("network.nir"))
"""


def clean_environment() -> dict[str, str]:
    """The environment variables, without what would let the checkout or its data in."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "NEUROSLEEP_DATA"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


def call(command: list[str | Path], folder: Path) -> str:
    """Run it there; what it printed, or the end of the program with that."""
    words = [str(part) for part in command]
    start = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)
    print(f"{time.perf_counter() - start:7.1f} s  {Path(words[0]).name} {shlex.join(words[1:])[:100]}", flush=True)
    if done.returncode:
        sys.exit(f"exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", default=sys.executable, help="the Python of the environment (this one)")
    parser.add_argument("--pip", default="", help="further arguments of pip install")
    given = parser.parse_args()
    wheel = given.wheel.resolve(strict=True)
    with tempfile.TemporaryDirectory() as temporary:
        empty = Path(temporary) / "empty"
        empty.mkdir()
        environment = Path(temporary) / "environment"
        call([given.python, "-m", "venv", environment], empty)
        python = environment / "bin" / "python"
        pip: list[str | Path] = [python, "-I", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        pip += shlex.split(given.pip)
        call([*pip, wheel], empty)
        place = Path(call([python, "-I", "-c", "import neurosleep; print(neurosleep.__file__)"], empty).strip())
        assert environment in place.parents, place
        printed = [call([environment / "bin" / "neurosleep", *shlex.split(line)], empty) for line in COMMANDS]
        assert all((empty / name).stat().st_size > 10_000 for name in WRITTEN)
        call([*pip, f"neurosleep[{EXTRA}]"], empty)
        call([python, "-I", "-c", EXPORT], empty)
        print(json.dumps({"python": call([python, "--version"], empty).split()[1], **json.loads(printed[0])}))


if __name__ == "__main__":
    main()
