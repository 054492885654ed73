"""What recording every spike of a whole run adds: the full sleep of the published network, on the embedded images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# The peak is read from /proc, of the process itself: getrusage would count what the parent had when it forked.
PROGRAM = """
import re, sys
from neurosleep.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1], file=sys.stderr)
"""


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_every_spike_of_125000_steps_adds_under_100_mb_of_memory_and_of_disk(tmp_path: Path) -> None:
    settings = ["data.name=mnist-mini", "data.images_per_task=400"]
    peak, disk = {}, {}
    for record in ("counts", "all"):
        out = tmp_path / record
        given = [part for setting in (*settings, f"record={record}") for part in ("--set", setting)]
        command = ["run", "src2022/mnist", "--strategy", "src", *given, "--out", str(out), "--json"]
        result = subprocess.run([sys.executable, "-c", PROGRAM, *command], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        (run,) = json.loads(result.stdout)["runs"]
        assert sum(run["sleep"]["steps"]) == 125_000
        peak[record] = 1024 * int(result.stderr.split()[-1])
        disk[record] = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    spikes = sum(
        steps * sum(each) for steps, each in zip(run["sleep"]["steps"], run["sleep"]["spikes_per_step"], strict=True)
    )
    added = {"peak": peak["all"] - peak["counts"], "disk": disk["all"] - disk["counts"]}
    print({key: f"{value / 2**20:.1f} MiB" for key, value in added.items()}, f"{spikes:.0f} spikes")
    assert spikes > 1e6 and added["peak"] < 100e6 and 0 < added["disk"] < 100e6
