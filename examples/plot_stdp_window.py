"""The window of a plasticity rule.

One synapse, one spike on either side, and the time between them varied. Pair-based STDP strengthens the synapse if
the input fires before the unit and weakens it if it fires after; a pair within the same step counts as causal. The
rule of Sleep Replay Consolidation looks at one step only: it strengthens what fired together, and weakens whatever
did not, however long ago it fired.
"""

import math

import neurosleep as ns
from neurosleep import plot

# %% Time constants of 20 and 30 ms, at steps of 1 ms; and the published sleep rule, at a weight of 0.
stdp = ns.PairSTDP(a_plus=1.0, a_minus=0.6, decay_plus=math.exp(-1 / 20), decay_minus=math.exp(-1 / 30))
sleep = ns.SRCRule(inc=0.032, dec=0.0033)

# %% The picture is found by running the rule, so that any rule can be drawn, your own among them.
fig = plot.figure(9.0, 3.4)
left, right = fig.subplots(1, 2)
plot.stdp_window(stdp, ax=left).set_title("pair-based STDP", fontsize="medium")
plot.stdp_window(sleep, ax=right).set_title("sleep rule", fontsize="medium")

if __name__ == "__main__":
    plot.save(fig, "plot_stdp_window.png")
