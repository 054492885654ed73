"""Run by a Python that has nengo-loihi: cases from standard input, trajectories to standard output.

The neurons are nengo-loihi's emulated compartments, given the case's integers; what their spikes add is summed here.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")

import nengo_loihi.emulator.interface as emulator  # noqa: E402
import numpy as np  # noqa: E402
from nengo_loihi.block import LoihiBlock  # noqa: E402


def trajectory(case: dict[str, Any]) -> dict[str, Any]:
    n, spikes = case["n"], np.array(case["spikes"], dtype=np.int64)
    block = LoihiBlock(n)
    block.compartment.configure_relu()
    for name in ("bias", "decay_u", "decay_v", "vth"):
        setattr(block.compartment, name, np.zeros(n, dtype=np.int32))
    block.compartment.refract_delay = np.full(n, case["refractory"] + 1, dtype=np.int32)
    block.compartment.vmin, block.compartment.vmax = -(2**23 - 1), 2**23 - 1
    block.compartment.scale_u = block.compartment.scale_v = False
    state = emulator.CompartmentState(emulator.BlockInfo([block]), strict=False)
    # The chip adds one to the current's register.
    state.decay_u[:] = np.array(case["d_u"]) - 1
    state.decay_v[:], state.vth[:], state.bias[:] = case["d_v"], case["threshold"], case["bias"]
    w_in, w = np.array(case["w_in"], dtype=np.int64), np.array(case["w"], dtype=np.int64)
    fired, us, vs = np.zeros((len(spikes), n), dtype=np.int64), [], []
    for t in range(len(spikes)):
        total = np.zeros(n, dtype=np.int64)
        if t >= case["in_delay"]:
            total += w_in @ spikes[t - case["in_delay"]]
        if t >= case["delay"]:
            total += w @ fired[t - case["delay"]]
        state.input[0, :] = total
        state.update(np.random)
        state.advance_input()
        fired[t] = state.spiked
        us.append(state.current.tolist())
        vs.append(state.voltage.tolist())
    return {"u": us, "v": vs, "fired": fired.astype(bool).tolist()}


if __name__ == "__main__":
    json.dump([trajectory(case) for case in json.load(sys.stdin)], sys.stdout)
