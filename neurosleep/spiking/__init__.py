"""SpikingNetwork, recordings, and the engines that step it."""

from neurosleep.spiking._simulate import CODINGS, Coding, simulate
from neurosleep.spiking.engines import Engine, Session, engine_names, get_engine, register_engine
from neurosleep.spiking.network import Population, Projection, SpikingNetwork
from neurosleep.spiking.recording import Record, Recorder, Recording

__all__ = [
    "CODINGS",
    "Coding",
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
    "simulate",
]
