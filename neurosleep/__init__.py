"""neurosleep: a trained network that forgets becomes a spiking network, sleeps, wakes up and remembers.

The package is lazy (PEP 562): names and subpackages are imported when they are first used.
"""

import importlib as _importlib
from typing import Any as _Any

__version__ = "0.1.0"

# Public name -> module that defines it.
_PUBLIC = {
    "Balance": "neurosleep.conversion",
    "Consolidation": "neurosleep.replay",
    "Consolidator": "neurosleep.replay",
    "Conv": "neurosleep.spiking",
    "ConversionError": "neurosleep.errors",
    "ConvertedNetwork": "neurosleep.conversion",
    "DataError": "neurosleep.errors",
    "Dense": "neurosleep.spiking",
    "DeviceMemoryError": "neurosleep.errors",
    "EquilibriumMLP": "neurosleep.networks",
    "ExchangeError": "neurosleep.errors",
    "Feedback": "neurosleep.conversion",
    "Guard": "neurosleep.replay",
    "HardwareProfile": "neurosleep.hardware",
    "HardwareProfileError": "neurosleep.errors",
    "Homeostasis": "neurosleep.functional",
    "Identity": "neurosleep.spiking",
    "Limits": "neurosleep.replay",
    "MLP": "neurosleep.networks",
    "MappingError": "neurosleep.errors",
    "Maximum": "neurosleep.conversion",
    "MeanDrive": "neurosleep.functional",
    "MissingExtraError": "neurosleep.errors",
    "NREM": "neurosleep.replay",
    "NeurosleepError": "neurosleep.errors",
    "NeurosleepWarning": "neurosleep.errors",
    "PairSTDP": "neurosleep.functional",
    "Percentile": "neurosleep.conversion",
    "Pool": "neurosleep.spiking",
    "Population": "neurosleep.spiking",
    "Projection": "neurosleep.spiking",
    "REM": "neurosleep.replay",
    "Ratio": "neurosleep.conversion",
    "Record": "neurosleep.spiking",
    "Recording": "neurosleep.spiking",
    "Recursive": "neurosleep.conversion",
    "Reshape": "neurosleep.spiking",
    "RunFolderError": "neurosleep.errors",
    "RunsFailedError": "neurosleep.errors",
    "SRCRule": "neurosleep.functional",
    "SettingsError": "neurosleep.errors",
    "Sleep": "neurosleep.replay",
    "SleepResult": "neurosleep.replay",
    "SpikeEvents": "neurosleep.functional",
    "SpikingNetwork": "neurosleep.spiking",
    "Transposed": "neurosleep.spiking",
    "UnknownNameError": "neurosleep.errors",
    "UnsupportedError": "neurosleep.errors",
    "consolidate": "neurosleep.replay",
    "convert": "neurosleep.conversion",
    "from_nir": "neurosleep.exchange",
    "from_norse": "neurosleep.exchange",
    "from_snntorch": "neurosleep.exchange",
    "from_spikingjelly": "neurosleep.exchange",
    "load": "neurosleep.exchange",
    "load_dataset": "neurosleep.data",
    "load_profile": "neurosleep.hardware",
    "map_to": "neurosleep.hardware",
    "save": "neurosleep.exchange",
    "show_progress": "neurosleep.replay",
    "simulate": "neurosleep.spiking",
    "sleep": "neurosleep.replay",
    "thresholds_for_rates": "neurosleep.replay",
    "to_nir": "neurosleep.exchange",
    "to_norse": "neurosleep.exchange",
    "to_snntorch": "neurosleep.exchange",
    "wake": "neurosleep.conversion",
}
_SUBPACKAGES = (
    "analysis",
    "bench",
    "cli",
    "continual",
    "conversion",
    "data",
    "errors",
    "exchange",
    "experiments",
    "functional",
    "hardware",
    "learning",
    "networks",
    "plot",
    "replay",
    "spiking",
)

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> _Any:
    if name in _SUBPACKAGES:
        return _importlib.import_module(f"neurosleep.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'neurosleep' has no attribute {name!r}", name=name)
    value = getattr(_importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBPACKAGES])
