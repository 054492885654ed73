"""SpikingNetwork, recordings, and the engines that step it."""

from neurosleep.spiking._coding import CODINGS, SPIKE_CODINGS, Coding
from neurosleep.spiking._simulate import simulate
from neurosleep.spiking.engines import Engine, Session, engine_names, fastest_engine, get_engine, register_engine
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.parts import Population
from neurosleep.spiking.projections import Conv, Dense, Identity, Pool, Projection, Reshape, Transposed
from neurosleep.spiking.recording.rate_monitor import RateMonitor
from neurosleep.spiking.recording.record import Record
from neurosleep.spiking.recording.recorder import Recorder
from neurosleep.spiking.recording.recording import Recording
from neurosleep.spiking.recording.samples import States, WeightSamples
from neurosleep.spiking.recording.sleep_span import SleepSpan
from neurosleep.spiking.recording.spike_monitor import SpikeMonitor
from neurosleep.spiking.recording.state_monitor import NeuronState, StateMonitor
from neurosleep.spiking.recording.weight_monitor import WeightMonitor

__all__ = [
    "CODINGS",
    "SPIKE_CODINGS",
    "Coding",
    "Conv",
    "Dense",
    "Engine",
    "Identity",
    "NeuronState",
    "Pool",
    "Population",
    "Projection",
    "RateMonitor",
    "Record",
    "Recorder",
    "Recording",
    "Reshape",
    "Session",
    "SleepSpan",
    "SpikeMonitor",
    "SpikingNetwork",
    "StateMonitor",
    "States",
    "Transposed",
    "WeightMonitor",
    "WeightSamples",
    "engine_names",
    "fastest_engine",
    "get_engine",
    "register_engine",
    "simulate",
]
