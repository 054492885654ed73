"""Engines: ways to step one and the same SpikingNetwork."""

from neurosleep.spiking.engines.base import Engine, Session, engine_names, fastest_engine, get_engine, register_engine
from neurosleep.spiking.engines.event.engine import EventEngine
from neurosleep.spiking.engines.norse_engine import NorseEngine
from neurosleep.spiking.engines.reference import ReferenceEngine
from neurosleep.spiking.engines.snntorch_engine import SnnTorchEngine
from neurosleep.spiking.engines.tensor.engine import TorchEngine

__all__ = [
    "Engine",
    "EventEngine",
    "NorseEngine",
    "ReferenceEngine",
    "Session",
    "SnnTorchEngine",
    "TorchEngine",
    "engine_names",
    "fastest_engine",
    "get_engine",
    "register_engine",
]
