"""What a sleep needs in memory: no more for a long one than for a short one, unless the spikes are recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Peaks are read from /proc, of the process itself: getrusage would count what the parent had when it forked.
PROGRAM = """
import json, re, sys
import numpy as np
import torch
from neurosleep.functional import MeanDrive, SRCRule
from neurosleep.replay import sleep
from neurosleep.spiking import Dense, Population, Record, SpikingNetwork

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])

hidden, short, long = json.load(sys.stdin)
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
network = SpikingNetwork(
    (
        Population("input", "input", (784,)),
        Population("hidden1", "lif", (hidden,), threshold=8.0, decay=0.999),
        Population("output", "lif", (10,), threshold=8.0, decay=0.999),
    ),
    (
        Dense("input", "hidden1", torch.rand(hidden, 784, generator=generator) - 0.45),
        Dense("hidden1", "output", torch.rand(10, hidden, generator=generator) - 0.45),
    ),
)
drive = MeanDrive(np.full(784, 0.5), 40.0)
rule = SRCRule(inc=1e-7, dec=1e-7, factor="constant")
found = []
for steps, spikes in ((short, "counts"), (long, "counts"), (long, "all")):
    recording = sleep(network, drive=drive, rule=rule, steps=steps, record=Record(spikes=spikes)).recording
    spikes = {name: int(counts.sum()) for name, counts in recording.counts.items()}
    found.append({"steps": steps, "peak": peak(), "spikes": spikes})
    del recording
print(json.dumps(found))
"""


def assert_flat(hidden: int, short: int, long: int) -> None:
    given = json.dumps([hidden, short, long])
    result = subprocess.run([sys.executable, "-c", PROGRAM], input=given, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    few, many, kept = json.loads(result.stdout)
    print(few, many, kept)
    assert few["spikes"]["hidden1"] > 0
    size = 4 * sum(many["spikes"].values())
    # What a thousand steps take for a while leaves gaps in the heap, a few MB at random, but no more with more steps.
    assert many["peak"] - few["peak"] < size / 4
    # When the spikes are kept, the peak rises by their size at least: what it measures is not blind to them.
    assert kept["peak"] - many["peak"] > size


pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")


def test_a_longer_sleep_needs_no_more_memory() -> None:
    assert_flat(hidden=60, short=5_000, long=100_000)


@pytest.mark.full
def test_a_longer_sleep_of_the_published_size_needs_no_more_memory() -> None:
    assert_flat(hidden=1200, short=5_000, long=100_000)
