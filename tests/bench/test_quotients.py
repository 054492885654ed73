"""The quotients of ``neurosleep bench sleep``, with a margin on the targets: 1000, 200 and 3."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.full
def test_the_event_engine_is_far_ahead_of_dense_steps_and_near_the_memorys_limit() -> None:
    # In a process of its own, without coverage, which would slow the peers in plain Python and flatter the quotients.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_"))}
    command = [sys.executable, "-m", "neurosleep", "bench", "sleep", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    print(found)
    assert found["threads"] == 1
    assert found["ratios"]["snntorch_over_event"] >= 500
    assert found["ratios"]["reference_over_event"] >= 60
    assert found["ratios"]["event_over_roofline"] <= 6
