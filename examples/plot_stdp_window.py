"""The window of spike-timing-dependent plasticity.

One synapse, one spike on either side, and the time between them varied: an input just before the unit's spike
strengthens the synapse, one after it weakens it. Pairs within the same step count as causal. The published sleep
rule has no window of this kind: it looks at one step only.
"""

import numpy as np
import torch

import neurosleep as ns
from neurosleep import plot
from neurosleep.functional import pair_stdp_step, src_step

dt = 0.001  # seconds
stdp = ns.PairSTDP(a_plus=1.0, a_minus=0.6, decay_plus=np.exp(-dt / 0.020), decay_minus=np.exp(-dt / 0.030))
src = ns.SRCRule(inc=0.5, dec=0.1)


# %% The change of a weight from 0, for an input spike in step 60 and a spike of the unit `lag` steps later.
def change(lag: int) -> tuple[float, float]:
    pairs, hebb = torch.zeros(1, 1), torch.zeros(1, 1)
    traces = stdp.initial_traces(pairs)
    for step in range(121):
        pre, post = torch.tensor([step == 60]), torch.tensor([step == 60 + lag])
        pairs, traces = pair_stdp_step(pairs, pre, post, traces, stdp)
        hebb = src_step(hebb, pre, post, src)
    return pairs.item(), hebb.item()


lags = np.arange(-60, 61)
found = np.array([change(int(lag)) for lag in lags])

# %% Both rules over the same lags.
fig = plot.figure(7.0, 3.6)
ax = fig.add_subplot()
ax.plot(1000 * dt * lags, found[:, 0], color=plot.PALETTE[0], label="pair STDP, 20 and 30 ms")
ax.plot(
    1000 * dt * lags, found[:, 1], color=plot.PALETTE[1], marker=".", markersize=5, linestyle="none", label="SRC rule"
)
ax.axhline(0, color="#b0b0b0", linewidth=0.8)
ax.set(xlabel="spike of the unit after that of the input (ms)", ylabel="change of the weight")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

if __name__ == "__main__":
    plot.save(fig, "plot_stdp_window.png")
