"""How long a recording takes on a chip: the length of its steps, and by how much published rates slow it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosleep._shown import brief
from neurosleep.hardware.energy.activity import sent_before, spike_counts, spike_trains
from neurosleep.hardware.energy.synapses import Synapses
from neurosleep.hardware.profiles.profile import HardwareProfile
from neurosleep.spiking import Recording, SpikingNetwork

__all__ = ["ChipTime", "Load", "chip_time"]

_DEADLINE = "capacity.packing.synaptic_events_per_s_per_core"


@dataclass(frozen=True)
class Load:
    """What is asked of a published rate.

    Attributes
    ----------
    key:
        The profile's figure.
    needed, available:
        In its unit: events, or clock cycles, a second.
    layer:
        The population whose cores are asked the most of; empty: the whole chip.

    See Also
    --------
    ChipTime : whose ``loads`` they are

    Examples
    --------
    >>> from neurosleep.hardware import Load
    >>> load = Load("throughput.core_events_per_s", needed=2.0e6, available=1.0e6, layer="hidden1")
    >>> load.needed > load.available  # the chip cannot keep up
    True
    """

    key: str
    needed: float
    available: float
    layer: str = ""


@dataclass(frozen=True)
class ChipTime:
    """Time on a chip.

    Attributes
    ----------
    step_s:
        Length of a step in seconds, before anything slows it down.
    slowdown:
        Times longer than that, so that cores keep their deadline; None: the profile has no deadline, or it is not known
        on how many cores the network runs.
    seconds_per_sample:
        Steps of a sample, so long each.
    loads:
        Every published rate, and what is asked of it.
    caveats:
        What was assumed.

    See Also
    --------
    chip_time : makes it
    Load : each of its ``loads``

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> from neurosleep.hardware import chip_time
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, reset="to_value", read_out="spikes")
    >>> mapped = ns.map_to(network, "loihi1")
    >>> recording = ns.simulate(mapped, images[:5], 50, coding="bernoulli", engine="fixed")
    >>> chip_time(mapped, recording, ns.load_profile("loihi1")).step_s
    0.001
    """

    step_s: float
    slowdown: float | None
    seconds_per_sample: float
    loads: tuple[Load, ...]
    caveats: tuple[str, ...]

    __repr__ = brief

    def to_json(self) -> dict[str, Any]:
        """By name."""
        return {**asdict(self), "loads": [asdict(load) for load in self.loads], "caveats": list(self.caveats)}


def chip_time(
    network: SpikingNetwork,
    recording: Recording,
    profile: HardwareProfile,
    cores: Mapping[str, int] | None = None,
) -> ChipTime:
    """How long the samples of a recording take on a chip.

    A step lasts as long as the profile says (``time.step_s``); where it has no length of its own, as long as one of the
    network's, over the chip's ``time.speedup``. A core that gets more synaptic events in a step than its deadline
    allows stretches all steps alike. Rates without a deadline are reported as loads and change nothing.

    Parameters
    ----------
    network, recording, profile:
        As for :func:`~neurosleep.hardware.energy_of`.
    cores:
        Cores by population, as the report of :func:`~neurosleep.map_to` has them; without it rates of a core are left
        out.

    See Also
    --------
    energy_of : which tells it with the energy

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> from neurosleep.hardware import chip_time
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, reset="to_value", read_out="spikes")
    >>> mapped = ns.map_to(network, "loihi1")
    >>> recording = ns.simulate(mapped, images[:5], 50, coding="bernoulli", engine="fixed")
    >>> chip_time(mapped, recording, ns.load_profile("loihi1")).seconds_per_sample
    0.05
    """
    caveats = []
    step = profile.time.step_s
    if step is None:
        step = network.dt / (profile.time.speedup or 1.0)
        caveats.append(f"the chip's step has no length of its own: {step:g} s, from the network's dt")
    elif profile.time.note is not None:
        caveats.append(profile.time.note.rstrip("."))
    work = _work(network, recording)
    loads = [*_core_loads(work, profile, cores or {}, step), *_chip_loads(network, work, profile, step)]
    deadlines = [load.needed / load.available for load in loads if load.key == _DEADLINE]
    slowdown = max(1.0, *deadlines) if deadlines else None
    if slowdown is not None and slowdown > 1:
        caveats.append(f"cores miss their deadline: every step takes {slowdown:.3g} times as long")
    caveats += [
        f"{load.layer or 'the chip'} needs {load.needed:.3g} of the {load.available:.3g} of {load.key}"
        for load in loads
        if load.needed > load.available and load.key != _DEADLINE
    ]
    if loads:
        caveats.append(f"rates are of {'the busiest step' if work.peaks else 'an average step: bursts are not seen'}")
    return ChipTime(step, slowdown, recording.steps * step * (slowdown or 1.0), tuple(loads), tuple(caveats))


@dataclass(frozen=True)
class _Work:
    """Synaptic events of one step by projection, ``[steps]`` of recorded spikes, else means ``[samples]``."""

    events: dict[int, npt.NDArray[np.float64]]
    targets: dict[int, str]
    peaks: bool

    def most(self, factors: Mapping[int, float]) -> float:
        """The most in a step of these projections together, each times its factor."""
        return float(sum(factor * self.events[k] for k, factor in factors.items()).max(initial=0.0))  # type: ignore[union-attr]


def _work(network: SpikingNetwork, recording: Recording) -> _Work:
    synapses = [Synapses(network, k) for k in range(len(network.projections))]
    targets = {k: s.target.name for k, s in enumerate(synapses)}
    targets = {k: name for k, name in targets.items() if network.population(name).kind != "relay"}
    # What a relay sends in one step is not recorded, only whether it is 0.
    relays = any(p.kind == "relay" for p in network.populations)
    trains = None if relays else spike_trains(network, recording)
    if trains is None:
        counts, steps = spike_counts(network, recording, synapses), max(recording.steps, 1)
        means = {k: (counts[synapses[k].source.name] @ synapses[k].fan_out).numpy() / steps for k in targets}
        return _Work(means, targets, False)
    by_step = {}
    for k, s in enumerate(synapses):
        events = sent_before(trains[s.source.name], 0, recording.steps, s.delay)
        reached = np.concatenate([[0.0], np.cumsum(s.fan_out.numpy()[events.indices])])
        by_step[k] = np.diff(reached[events.offsets])
    return _Work(by_step, targets, True)


def _core_loads(work: _Work, profile: HardwareProfile, cores: Mapping[str, int], step: float) -> list[Load]:
    deadline = profile.capacity.packing.synaptic_events_per_s_per_core
    rate = profile.throughput.synops_per_s_per_core if profile.throughput is not None else None
    onto: dict[str, dict[int, float]] = {}
    for k, name in work.targets.items():
        onto.setdefault(name, {})[k] = 1.0
    busy = {name: work.most(onto[name]) / n / step for name, n in cores.items() if n and name in onto}
    if not busy:
        return []
    most = max(busy, key=busy.__getitem__)
    pairs = ((_DEADLINE, deadline), ("throughput.synops_per_s_per_core", rate))
    return [Load(key, busy[most], float(limit), most) for key, limit in pairs if limit is not None]


def _chip_loads(network: SpikingNetwork, work: _Work, profile: HardwareProfile, step: float) -> list[Load]:
    rates = profile.throughput
    if rates is None:
        return []
    loads = []
    if rates.synops_per_s is not None:
        loads.append(
            Load("throughput.synops_per_s", work.most(dict.fromkeys(work.events, 1.0)) / step, rates.synops_per_s)
        )
    per = (rates.cycles_per_input_synop, rates.cycles_per_synop, rates.cycles_per_output_synop, rates.cycles_per_update)
    if rates.clock_hz is not None and None not in per:
        from_input, between, to_output, update = (float(cycles or 0.0) for cycles in per)
        inputs, last = {p.name for p in network.inputs}, network.last.name
        kinds = {
            k: from_input if q.source in inputs else to_output if q.target == last else between
            for k, q in enumerate(network.projections)
            if k in work.events
        }
        updates = update * sum(p.size for p in network.layers if p.kind != "relay")
        loads.append(Load("throughput.clock_hz", (updates + work.most(kinds)) / step, rates.clock_hz))
    return loads
