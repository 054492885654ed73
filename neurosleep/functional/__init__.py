"""Pure step maths: LIF units, plasticity rules and their specifications, drives, random streams, spike events."""

from neurosleep.functional.drives import PROCESSES, MeanDrive, Process
from neurosleep.functional.events import SpikeEvents
from neurosleep.functional.factors import FACTORS, Factor, weight_factor
from neurosleep.functional.lif import Compare, LIFParams, LIFState, Refractory, Reset, lif_step, reset_spiked
from neurosleep.functional.pair_stdp import PairSTDP, pair_stdp_step
from neurosleep.functional.plasticity import RULES, PlasticityRule, make_rule
from neurosleep.functional.random import check_seed, numpy_generator, torch_generator
from neurosleep.functional.src_rule import SRCRule, src_rows, src_step

__all__ = [
    "FACTORS",
    "PROCESSES",
    "RULES",
    "Compare",
    "Factor",
    "LIFParams",
    "LIFState",
    "MeanDrive",
    "PairSTDP",
    "PlasticityRule",
    "Process",
    "Refractory",
    "Reset",
    "SRCRule",
    "SpikeEvents",
    "check_seed",
    "lif_step",
    "make_rule",
    "numpy_generator",
    "pair_stdp_step",
    "reset_spiked",
    "src_rows",
    "src_step",
    "torch_generator",
    "weight_factor",
]
