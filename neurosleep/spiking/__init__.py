"""SpikingNetwork, recordings, and the engines that step it."""

from neurosleep.spiking.engines import Engine, Session, engine_names, get_engine, register_engine
from neurosleep.spiking.network import Population, Projection, SpikingNetwork
from neurosleep.spiking.recording import Record, Recorder, Recording

__all__ = [
    "Engine",
    "Population",
    "Projection",
    "Record",
    "Recorder",
    "Recording",
    "Session",
    "SpikingNetwork",
    "engine_names",
    "get_engine",
    "register_engine",
]
