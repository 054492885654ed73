"""neurosleep: a trained network that forgets becomes a spiking network, sleeps, wakes up and remembers.

The package is lazy (PEP 562): a name is imported from its room when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> module that defines it.
_PUBLIC = {
    "HardwareProfile": "neurosleep.hardware",
    "HardwareProfileError": "neurosleep.errors",
    "MLP": "neurosleep.networks",
    "MappingError": "neurosleep.errors",
    "MeanDrive": "neurosleep.functional",
    "NeurosleepError": "neurosleep.errors",
    "NeurosleepWarning": "neurosleep.errors",
    "PairSTDP": "neurosleep.functional",
    "Population": "neurosleep.spiking",
    "Projection": "neurosleep.spiking",
    "Record": "neurosleep.spiking",
    "Recording": "neurosleep.spiking",
    "SRCRule": "neurosleep.functional",
    "SpikeEvents": "neurosleep.functional",
    "SpikingNetwork": "neurosleep.spiking",
    "consolidate": "neurosleep.replay",
    "convert": "neurosleep.conversion",
    "load": "neurosleep.exchange",
    "load_dataset": "neurosleep.data",
    "load_profile": "neurosleep.hardware",
    "map_to": "neurosleep.hardware",
    "save": "neurosleep.exchange",
    "simulate": "neurosleep.spiking",
    "simulate_batch": "neurosleep.spiking",
    "sleep": "neurosleep.replay",
    "thresholds_for_rates": "neurosleep.replay",
    "wake": "neurosleep.conversion",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'neurosleep' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
