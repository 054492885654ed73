"""Pure step maths: LIF units, plasticity rules and their specifications, drives, random streams, spike events."""

from neurosleep.functional.activations import ACTIVATIONS, Activation, get_activation
from neurosleep.functional.bcm import BCM, bcm_step
from neurosleep.functional.cuba_lif import CubaLIFState, cuba_lif_step
from neurosleep.functional.dendritic import DendriticLayer, dendritic_phi, dendritic_settle, dendritic_step
from neurosleep.functional.drive_moments import DriveMoments, Parts
from neurosleep.functional.drives import PROCESSES, MeanDrive, Process
from neurosleep.functional.equilibrium import (
    DYNAMICS,
    READ_OUTS,
    Dynamics,
    ReadOut,
    layered_phi,
    layered_settle,
    layered_step,
    output_force,
    soft_targets,
)
from neurosleep.functional.events import SpikeEvents
from neurosleep.functional.factors import FACTORS, Factor, weight_factor
from neurosleep.functional.heterogeneous_steps import DISTRIBUTIONS, Distribution, HeterogeneousSteps
from neurosleep.functional.homeostasis import (
    MEAN_BY,
    TARGETS,
    Homeostasis,
    HomeostaticChange,
    MeanBy,
    SetPoint,
    Shift,
    Target,
    driven_units,
    has_mean,
    homeostatic_change,
    homeostatic_rows,
    layer_set_point,
    spread_factor,
)
from neurosleep.functional.input_noise import InputNoise
from neurosleep.functional.li import cuba_li_step, li_step
from neurosleep.functional.lif import (
    Compare,
    LIFParams,
    LIFState,
    Refractory,
    Reset,
    ResetTime,
    lif_step,
    reset_spiked,
)
from neurosleep.functional.multiplicative_stdp import MultiplicativeSTDP
from neurosleep.functional.oja import Oja, oja_step
from neurosleep.functional.pair_stdp import PairSTDP, pair_stdp_step
from neurosleep.functional.plasticity import RULES, EngineRule, PlasticityRule, StreamRule, make_rule, plasticity_step
from neurosleep.functional.pooled_src import PooledSRC, Pooling
from neurosleep.functional.random import check_seed, numpy_generator, torch_generator
from neurosleep.functional.sign_stdp import SignSTDP
from neurosleep.functional.slow_oscillation import SlowOscillation
from neurosleep.functional.src_rule import (
    STREAM_UPDATES,
    SRCRule,
    StreamUpdates,
    src_rows,
    src_step,
    src_stream_rows,
)
from neurosleep.functional.triplet_stdp import TripletSTDP

__all__ = [
    "ACTIVATIONS",
    "BCM",
    "DISTRIBUTIONS",
    "DYNAMICS",
    "FACTORS",
    "MEAN_BY",
    "PROCESSES",
    "READ_OUTS",
    "RULES",
    "STREAM_UPDATES",
    "TARGETS",
    "Activation",
    "Compare",
    "CubaLIFState",
    "DendriticLayer",
    "Distribution",
    "DriveMoments",
    "Dynamics",
    "EngineRule",
    "Factor",
    "HeterogeneousSteps",
    "Homeostasis",
    "HomeostaticChange",
    "InputNoise",
    "LIFParams",
    "LIFState",
    "MeanBy",
    "MeanDrive",
    "MultiplicativeSTDP",
    "Oja",
    "PairSTDP",
    "Parts",
    "PlasticityRule",
    "PooledSRC",
    "Pooling",
    "Process",
    "ReadOut",
    "Refractory",
    "Reset",
    "ResetTime",
    "SRCRule",
    "SetPoint",
    "Shift",
    "SignSTDP",
    "SlowOscillation",
    "SpikeEvents",
    "StreamRule",
    "StreamUpdates",
    "Target",
    "TripletSTDP",
    "bcm_step",
    "check_seed",
    "cuba_li_step",
    "cuba_lif_step",
    "dendritic_phi",
    "dendritic_settle",
    "dendritic_step",
    "driven_units",
    "get_activation",
    "has_mean",
    "homeostatic_change",
    "homeostatic_rows",
    "layer_set_point",
    "layered_phi",
    "layered_settle",
    "layered_step",
    "li_step",
    "lif_step",
    "make_rule",
    "numpy_generator",
    "oja_step",
    "output_force",
    "pair_stdp_step",
    "plasticity_step",
    "reset_spiked",
    "soft_targets",
    "spread_factor",
    "src_rows",
    "src_step",
    "src_stream_rows",
    "torch_generator",
    "weight_factor",
]
