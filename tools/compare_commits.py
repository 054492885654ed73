"""Run the same experiments with two commits of the package and compare what they report, number for number.

    python tools/compare_commits.py OLD [NEW] [--data DIR]     # NEW: HEAD; exit code 1 where anything differs

Each commit is built into a wheel of its own and run from there, with the packages of the present environment. Compared
is all of every metrics.json but the seconds and what tells the two commits apart, and config.toml byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    *("--set", "data.name=mnist-mini", "--set", "data.images_per_task=60", "--set", "epochs=1"),
    *("--set", "data.tasks=[[0,1],[2,3]]"),
]
FEED_FORWARD = [*SMALL, "--set", "network.sizes=[784,30,30,10]", "--set", "sleep.steps=400"]
SETTLING = [*SMALL, "--set", "network.sizes=[784,20,10]", "--set", "sleep.steps=300"]
#: One small run of every strategy, kind of network and recipe; then published ones at their own size.
RUNS = {
    "strategies": ["src2022/mnist", "--strategy", "sequential,src,ewc,si,lwf,owm,rehearsal,icarl,joint", *FEED_FORWARD],
    "combined": ["src2022/mnist", "--strategy", "ewc+src,rehearsal+src,icarl+src", *FEED_FORWARD],
    "faithful": ["src2022/mnist", "--strategy", "src,icarl", "--set", "faithful=true", *FEED_FORWARD],
    "patches": ["src2022/patches-single", "--strategy", "src,sequential"],
    "equilibrium": ["ep2025/mnist", "--strategy", "sequential,src", *SETTLING],
    "bptt": ["ep2025/mnist-bptt", "--strategy", "src", *SETTLING],
    "dendritic": ["dendritic2026/mnist", "--strategy", "sequential", *SMALL, "--variant", "default"],
}
FULL = {
    "src2022/mnist": ["src2022/mnist", "--strategy", "src,sequential"],
    "src2022/fashion": ["src2022/fashion", "--strategy", "src"],
}
#: Kept apart: times, and what is of a commit and not of its numbers.
LEFT_OUT = ("seconds", "versions", "commit", "origin")


def build(commit: str, folder: Path) -> Path:
    """The package of a commit, installed below ``folder`` from its wheel."""
    source = folder / "source"
    subprocess.run(["git", "-C", str(ROOT), "worktree", "add", "--detach", str(source), commit], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    try:
        subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(source)], check=True)
    finally:
        subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "package"), str(wheel)], check=True)
    return folder / "package"


def run(package: Path, arguments: list[str], out: Path) -> dict[str, Any]:
    """What the runs of one command leave: metrics and settings by the folder of the run."""
    environment = {**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "neurosleep", "run", *arguments, "--out", str(out)]
    subprocess.run(command, env=environment, check=True, cwd=out.parent, stdout=subprocess.DEVNULL)
    left: dict[str, Any] = {}
    for path in sorted(out.rglob("metrics.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        name = str(path.parent.relative_to(out))
        left[name] = {key: value for key, value in metrics.items() if key not in LEFT_OUT}
        left[name]["config.toml"] = (path.parent / "config.toml").read_text(encoding="utf-8")
    return left


def differences(old: Any, new: Any, where: str) -> list[str]:
    """Where two values differ, as sentences."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for key in {**old, **new}
            for line in (
                differences(old[key], new[key], f"{where}.{key}")
                if key in old and key in new
                else [f"{where}.{key}: only in {'the old' if key in old else 'the new'} commit"]
            )
        ]
    return [] if old == new else [f"{where}: {old!r:.200} became {new!r:.200}"]


def main() -> int:
    """Build, run and compare; the number of differing values is printed last."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old")
    parser.add_argument("new", nargs="?", default="HEAD")
    parser.add_argument("--data", help="folder of the data sets; with it, published experiments run at full size too")
    given = parser.parse_args()
    runs = dict(RUNS)
    if given.data:
        runs |= {name: [*arguments, "--data", given.data] for name, arguments in FULL.items()}
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        places = {name: Path(temporary, name) for name in ("old", "new")}
        packages = {}
        for name, commit in (("old", given.old), ("new", given.new)):
            places[name].mkdir()
            packages[name] = build(commit, places[name])
        for title, arguments in runs.items():
            slug = title.replace("/", "-")
            left = {name: run(packages[name], arguments, places[name] / slug) for name in places}
            lines = differences(left["old"], left["new"], title)
            print(f"{title}: {len(left['new'])} runs, {len(lines)} differences", flush=True)
            wrong += lines
    print("\n".join(wrong[:50]))
    print(f"{len(wrong)} differences in all")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
