"""SpikingNetwork, recordings, and the engines that step it."""

from neurosleep.spiking._batch import BATCH_CODINGS, BatchCoding, BatchRecording, simulate_batch
from neurosleep.spiking._simulate import CODINGS, Coding, simulate
from neurosleep.spiking.engines import Engine, Session, engine_names, get_engine, register_engine
from neurosleep.spiking.network import Population, Projection, SpikingNetwork
from neurosleep.spiking.recording import Record, Recorder, Recording

__all__ = [
    "BATCH_CODINGS",
    "CODINGS",
    "BatchCoding",
    "BatchRecording",
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
    "simulate_batch",
]
