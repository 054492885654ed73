"""Recording the up and down states of a slow oscillation, whose frames are stepped as a batch."""

from __future__ import annotations

import dataclasses

import numpy as np
from torch import Tensor

from neurosleep._checks import check_unread
from neurosleep.functional import SlowOscillation, SpikeEvents
from neurosleep.spiking import Record, Recorder, Recording, SleepSpan, SpikingNetwork
from neurosleep.spiking.engines.batch import BatchSession, ConstantInput

__all__ = ["UpStates"]


class UpStates:
    """Collects a recording of a slow oscillation, one frame after another, pass after pass.

    Frames are independent, since each starts from rest: stepped side by side, they are recorded one after another.
    Of inputs that are not 0 or 1, and of relays, nothing is recorded: what they send is no spike.
    """

    def __init__(self, record: Record, network: SpikingNetwork, oscillation: SlowOscillation, *, binary: bool) -> None:
        hint = "neurosleep.sleep, and a REM stage, have them"
        check_unread(
            "The recording of a slow oscillation",
            {
                "record.potentials": (dict(record.potentials), {}),
                "record.weights": (record.weights, "none"),
            },
            hint,
        )
        firing = [p for p in network.populations if p.kind in ("lif", "cuba_lif") or (p.kind == "input" and binary)]
        self._sizes = {population.name: population.size for population in firing}
        self._recorder = Recorder(record, self._sizes, network.dt)
        self._oscillation, self._frames = oscillation, 0

    def watch(self, session: BatchSession, sent: Tensor) -> None:
        """Step a new session through an up state of the frames ``sent``, one step at a time, and record it."""
        period, seen = self._oscillation.up + self._oscillation.down, session.totals()
        spikes = {name: np.zeros((len(sent), period, size), dtype=np.bool_) for name, size in self._sizes.items()}
        for step in range(self._oscillation.up):
            session.advance(ConstantInput(sent, 1))
            now = session.totals()
            for name, fired in spikes.items():
                fired[:, step] = (now[name] - seen[name]).round().bool().cpu().numpy()
            seen = now
        for frame in range(len(sent)):
            self._recorder.add({name: SpikeEvents.from_dense(fired[frame]) for name, fired in spikes.items()})
        self._frames += len(sent)

    def recording(self, engine: str) -> Recording:
        """What was recorded, with its hypnogram."""
        spans, start = [], 0
        for _ in range(self._frames):
            for state, length in (("up", self._oscillation.up), ("down", self._oscillation.down)):
                if length:
                    spans.append(SleepSpan("NREM", state, start, length))  # type: ignore[arg-type]
                start += length
        return dataclasses.replace(self._recorder.recording(), hypnogram=tuple(spans), engine=engine)
