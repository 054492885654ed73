"""The windows of the plasticity rules.

One synapse, one spike on either side, and the time between them varied. Pair-based STDP strengthens the synapse if
the input fires before the unit and weakens it if it fires after; a pair within the same step counts as causal. Its
multiplicative form moves a strong weight less up and more down, triplets see a difference once there are more spikes
than two, and the sign-only rule knows one size. The rule of Sleep Replay Consolidation looks at one step only: it
strengthens what fired together, and weakens whatever did not, however long ago it fired. The rules of rates, Oja and
BCM, change weights in every step; theirs is the change up to the second spike.
"""

import math

import neurosleep as ns
from neurosleep import plot
from neurosleep.functional import BCM, MultiplicativeSTDP, Oja, SignSTDP, TripletSTDP

# %% Time constants of 20 and 30 ms, at steps of 1 ms; and the published sleep rule.
decays = {"decay_plus": math.exp(-1 / 20), "decay_minus": math.exp(-1 / 30)}
rules = {
    "sleep rule, w = 0": (ns.SRCRule(inc=0.032, dec=0.0033), 0.0),
    "pair-based STDP": (ns.PairSTDP(a_plus=1.0, a_minus=0.6, **decays), 0.0),
    "multiplicative, w = 0.8 of 1": (MultiplicativeSTDP(a_plus=1.0, a_minus=0.6, **decays), 0.8),
    "triplet STDP, of a single pair": (TripletSTDP(a2_plus=0.5, a2_minus=0.6, a3_plus=1.0, a3_minus=0.0), 0.0),
    "sign only": (SignSTDP(a=0.5, window=20), 0.0),
    "Oja, w = 0.5": (Oja(rate=0.1), 0.5),
    "BCM": (BCM(rate=0.1, target=0.5), 0.0),
}

# %% The picture is found by running the rule, so that any rule can be drawn, your own among them.
fig = plot.figure(13.0, 6.4)
for ax, (title, (rule, weight)) in zip(fig.subplots(2, 4).flat, rules.items(), strict=False):
    plot.stdp_window(rule, weight=weight, ax=ax).set_title(title, fontsize="medium")
    ax.get_legend().remove()
fig.axes[-1].remove()
fig.legend(*fig.axes[5].get_legend_handles_labels(), loc="center", bbox_to_anchor=(0.88, 0.27), frameon=False)

if __name__ == "__main__":
    plot.save(fig, "plot_stdp_window.png")
