"""The integer engine against Loihi's public emulators, which need an environment of their own.

``NEUROSLEEP_EMULATORS`` names the Python of that environment, for example one of Python 3.11 with ``brian2-loihi==0.5.2
nengo-loihi==1.1.0 "nengo<4" "numpy<1.24" "setuptools<70"``. Without it these tests are skipped; test_fixed_engine.py
holds the engine against the same arithmetic written out in integers of Python.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.hardware import Arithmetic, MappedNetwork, Register
from neurosleep.hardware.emulation.fixed_engine import FixedSession
from neurosleep.spiking import Dense, Population, get_engine

PYTHON = os.environ.get("NEUROSLEEP_EMULATORS")
LOIHI = Arithmetic(
    membrane=Register(24, minimum=-(2**23 - 1)),
    current=Register(24, overflow="wrap"),
    accumulator=Register(22, overflow="wrap"),
)


def cases(number: int, *, overflow: bool) -> list[dict[str, Any]]:
    """Random networks; without ``overflow`` every sum fits, decays are shared and there is no bias."""
    found = []
    for k in range(number):
        rng = np.random.default_rng(k)
        n, inputs = int(rng.integers(1, 7)), int(rng.integers(1, 6))
        exponent = int(rng.integers(0, 7 if overflow else 3))

        def weights(rows: int, columns: int, rng: Any = rng, exponent: int = exponent) -> list[list[int]]:
            mantissas = 2 * rng.integers(-128, 128, (rows, columns))
            return np.clip(mantissas * 2 ** (6 + exponent), 64 - 2**21, 2**21 - 64).tolist()  # type: ignore[no-any-return]

        def each(low: int, high: int, rng: Any = rng, n: int = n) -> list[int]:
            drawn = rng.integers(low, high, n)
            return (drawn if overflow else np.full(n, drawn[0])).tolist()

        bits = int(rng.integers(0, 18))
        mantissas, shifts = each(-4095, 4096), each(0, 8)
        found.append(
            {
                "n": n,
                "inputs": inputs,
                "exponent": exponent,
                "w_in": weights(n, inputs),
                "w": weights(n, n),
                "in_delay": int(rng.integers(0, 5)),
                "delay": int(rng.integers(1, 6)),
                "d_u": each(1 if overflow else 512, 4097),
                "d_v": each(0, 4096),
                "threshold": [64 * m for m in each(0, 2**bits)],
                "bias": [m << e if overflow else 0 for m, e in zip(mantissas, shifts, strict=True)],
                "refractory": int(rng.integers(0, 5)),
                "spikes": (rng.random((40, inputs)) < 0.4).astype(int).tolist(),
            }
        )
    return found


def ours(case: dict[str, Any]) -> dict[str, Any]:
    def tensor(values: Any) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64)

    neurons = Population(
        "n",
        "cuba_lif",
        (case["n"],),
        threshold=tensor(case["threshold"]),
        decay=1 - tensor(case["d_v"]) / 4096,
        synaptic_decay=1 - tensor(case["d_u"]) / 4096,
        bias=tensor(case["bias"]),
        refractory=case["refractory"],
        compare=">",
    )
    network = MappedNetwork(
        (Population("in", "input", (case["inputs"],)), neurons),
        (
            Dense("in", "n", tensor(case["w_in"]), delay=case["in_delay"]),
            Dense("n", "n", tensor(case["w"]), delay=case["delay"]),
        ),
        arithmetic=LOIHI,
    )
    session = get_engine("fixed").start(network)
    assert isinstance(session, FixedSession)
    found: dict[str, Any] = {"u": [], "v": [], "fired": []}
    for row in torch.tensor(case["spikes"], dtype=torch.bool):
        found["fired"].append(session.step({"in": row[None]})["n"][0].tolist())
        found["u"].append(session.currents()["n"][0].tolist())
        found["v"].append(session.membranes()["n"].tolist())
    return found


def agreed(case: dict[str, Any], expected: dict[str, Any]) -> int:
    """Steps before current and bias together exceed 24 bits, which the emulators do not agree on.

    nengo-loihi wraps that sum; Lava, whose equations the engine has, adds all of it to the potential, which saturates.
    """
    beyond = np.abs(np.array(expected["u"]) + np.array(case["bias"])).max(1) >= 2**23 - 1
    return int(beyond.argmax()) if beyond.any() else len(beyond)


def compare(script: str, given: list[dict[str, Any]]) -> int:
    """Check every trajectory; returns the number of spikes in all of them."""
    assert PYTHON is not None
    done = subprocess.run(
        [PYTHON, str(Path(__file__).parent / "emulators" / script)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    spikes = 0
    for number, (case, expected) in enumerate(zip(given, json.loads(done.stdout), strict=True)):
        found, end = ours(case), agreed(case, expected)
        for key in expected:
            assert found[key][:end] == expected[key][:end], f"network {number}: {key}"
        spikes += int(np.sum(expected["fired"][:end]))
    return spikes


@pytest.mark.full
@pytest.mark.skipif(PYTHON is None, reason="NEUROSLEEP_EMULATORS names no Python with Loihi's emulators")
def test_a_thousand_networks_as_nengo_loihi_steps_them() -> None:
    given = cases(1000, overflow=True)
    assert compare("nengo_loihi_trajectories.py", given) > 1000


@pytest.mark.full
@pytest.mark.skipif(PYTHON is None, reason="NEUROSLEEP_EMULATORS names no Python with Loihi's emulators")
def test_networks_as_brian2_loihi_steps_them() -> None:
    # Each of them takes it most of a second.
    assert compare("brian2_loihi_trajectories.py", cases(200, overflow=False)) > 200
