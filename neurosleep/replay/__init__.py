"""One sleep phase: drive, rule and engine; the verbs sleep and consolidate."""

from neurosleep._progress import show_progress
from neurosleep.replay._consolidate import consolidate
from neurosleep.replay._effect import answers, evenly, outputs, warn_of_biases, warn_of_effect
from neurosleep.replay._sleep import CHUNK, Limits, Moment, sleep
from neurosleep.replay._sleeping_layers import sleeping_layers
from neurosleep.replay._thresholds import thresholds_for_rates
from neurosleep.replay.consolidation import Consolidation, StageOutcome
from neurosleep.replay.consolidator import Consolidator
from neurosleep.replay.drift import Drift, PageHinkley
from neurosleep.replay.guard import Guard, OutputDrive, Verdict, gain_score, newest_recall
from neurosleep.replay.homeostasis import Regulation, regulate
from neurosleep.replay.moved_answers import MovedAnswers
from neurosleep.replay.noise_response import NoiseResponse
from neurosleep.replay.options import OWN_NETWORK, RATE, Sleep
from neurosleep.replay.population import regulate_many, sleep_many
from neurosleep.replay.regulated_layers import RegulatedLayer, RegulatedLayers
from neurosleep.replay.result import Divergence, LayerChange, SleepReport, SleepResult
from neurosleep.replay.spiking_homeostasis import SpikingRegulation, regulate_spikes
from neurosleep.replay.stages import NREM, REM
from neurosleep.replay.streams import Streams

__all__ = [
    "CHUNK",
    "NREM",
    "OWN_NETWORK",
    "RATE",
    "REM",
    "Consolidation",
    "Consolidator",
    "Divergence",
    "Drift",
    "Guard",
    "LayerChange",
    "Limits",
    "Moment",
    "MovedAnswers",
    "NoiseResponse",
    "OutputDrive",
    "PageHinkley",
    "RegulatedLayer",
    "RegulatedLayers",
    "Regulation",
    "Sleep",
    "SleepReport",
    "SleepResult",
    "SpikingRegulation",
    "StageOutcome",
    "Streams",
    "Verdict",
    "answers",
    "consolidate",
    "evenly",
    "gain_score",
    "newest_recall",
    "outputs",
    "regulate",
    "regulate_many",
    "regulate_spikes",
    "show_progress",
    "sleep",
    "sleep_many",
    "sleeping_layers",
    "thresholds_for_rates",
    "warn_of_biases",
    "warn_of_effect",
]
