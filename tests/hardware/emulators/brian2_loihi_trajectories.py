"""Run by a Python that has brian2-loihi: cases from standard input, trajectories to standard output.

One group of neurons with the same decays, threshold and refractoriness, as brian2-loihi has them; it knows no biases.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")

import brian2  # noqa: E402
import numpy as np  # noqa: E402
from brian2_loihi import (  # noqa: E402
    LoihiNetwork,
    LoihiNeuronGroup,
    LoihiSpikeGeneratorGroup,
    LoihiSpikeMonitor,
    LoihiStateMonitor,
    LoihiSynapses,
    synapse_sign_mode,
)

brian2.prefs.codegen.target = "numpy"


def trajectory(case: dict[str, Any]) -> dict[str, Any]:
    brian2.start_scope()
    n, spikes = case["n"], np.array(case["spikes"])
    times, inputs = np.nonzero(spikes)
    neurons = LoihiNeuronGroup(
        n,
        refractory=case["refractory"] + 1,
        threshold_v_mant=case["threshold"][0] // 64,
        decay_v=case["d_v"][0],
        decay_I=case["d_u"][0],
    )
    generator = LoihiSpikeGeneratorGroup(spikes.shape[1], inputs, times)
    parts = [neurons, generator]
    for source, weights, delay in (
        (generator, case["w_in"], case["in_delay"]),
        (neurons, case["w"], case["delay"] - 1),
    ):
        synapses = LoihiSynapses(
            source, neurons, delay=delay, sign_mode=synapse_sign_mode.MIXED, w_exp=case["exponent"]
        )
        synapses.connect()
        mantissas = np.array(weights) // 2 ** (6 + case["exponent"])
        synapses.w = mantissas.T.reshape(-1)
        parts.append(synapses)
    currents, potentials, fired = (
        LoihiStateMonitor(neurons, "I"),
        LoihiStateMonitor(neurons, "v"),
        LoihiSpikeMonitor(neurons),
    )
    network = LoihiNetwork(*parts, currents, potentials, fired)
    network.run(len(spikes))
    out = np.zeros((len(spikes), n), dtype=bool)
    out[np.array(fired.t, dtype=int), np.array(fired.i, dtype=int)] = True
    return {
        "u": np.array(currents.I).T.astype(int).tolist(),
        "v": np.array(potentials.v).T.astype(int).tolist(),
        "fired": out.tolist(),
    }


if __name__ == "__main__":
    json.dump([trajectory(case) for case in json.load(sys.stdin)], sys.stdout)
