"""What a network did, as numbers that energies are counted by: events, updates, spikes, changes of synapses, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from neurosleep._shown import brief
from neurosleep.errors import SettingsError, UnsupportedError
from neurosleep.functional import (
    MultiplicativeSTDP,
    PairSTDP,
    PlasticityRule,
    SignSTDP,
    SpikeEvents,
    SRCRule,
    TripletSTDP,
)
from neurosleep.hardware.energy.synapses import Synapses, Zeros
from neurosleep.spiking import Recording, SpikingNetwork
from neurosleep.spiking.plastic import changes

__all__ = ["Activity", "count_activity", "sample_activities"]

# Steps whose spikes are looked at together, so that memory does not grow with the length of a recording.
_CHUNK = 1000

Split = Literal["given", "recorded", "estimated"]


@dataclass(frozen=True)
class Activity:
    """What happened, over all samples.

    Activities of recordings add up: ``a + b`` is the activity of one after the other.

    Attributes
    ----------
    synaptic_events:
        Emitted spikes, each times the synapses it reaches.
    active_updates, inactive_updates:
        Steps of neurons that received a spike in them, and of those that did not.
    seconds:
        Time, of one sample after another.
    spikes, input_spikes:
        Spikes of neurons, and of inputs.
    learning_updates:
        Changes of single synapses by a plasticity rule.
    steps, samples:
        Steps of all samples together, and their number.
    core_seconds, chip_seconds:
        Cores that hold neurons, and chips, times the time; None: not known, and with chips: one.
    messages:
        Spikes of neurons, each times the cores of the populations it goes to; None: not known.
    split:
        Where the two kinds of updates come from: ``given``, ``recorded`` spikes, or ``estimated`` of counts.
    zeros:
        Whether synapses of weight 0 were skipped or counted.

    See Also
    --------
    count_activity : counts one in a recording
    estimate_energy : what it takes on a chip

    Examples
    --------
    >>> from neurosleep.hardware import Activity
    >>> wake, sleep = Activity(1000.0, spikes=20.0), Activity(500.0, spikes=10.0)
    >>> (wake + sleep).synaptic_events
    1500.0
    """

    synaptic_events: float
    active_updates: float = 0.0
    inactive_updates: float = 0.0
    seconds: float = 0.0
    spikes: float = 0.0
    input_spikes: float = 0.0
    learning_updates: float = 0.0
    steps: float = 0.0
    samples: int = 1
    core_seconds: float | None = None
    chip_seconds: float | None = None
    messages: float | None = None
    split: Split = "given"
    zeros: Zeros = "skip"

    __repr__ = brief

    def __add__(self, other: Activity) -> Activity:
        parts: dict[str, Any] = {}
        for field in fields(self):
            a, b = getattr(self, field.name), getattr(other, field.name)
            if field.name == "zeros":
                if a != b:
                    raise SettingsError(
                        "Activities that count weights of 0 and that skip them do not add up.", expected="one way"
                    )
                parts["zeros"] = a
            elif field.name == "split":
                parts["split"] = "estimated" if "estimated" in (a, b) else a if a == b else "given"
            elif field.name == "chip_seconds" and (a is None) != (b is None):
                # Unknown means one chip, for all of the time.
                parts["chip_seconds"] = (self.seconds if a is None else a) + (other.seconds if b is None else b)
            else:
                parts[field.name] = None if a is None or b is None else a + b
        return Activity(**parts)

    def to_json(self) -> dict[str, Any]:
        """By name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def count_activity(
    network: SpikingNetwork,
    recording: Recording,
    *,
    rule: PlasticityRule | None = None,
    zeros: Zeros = "skip",
) -> Activity:
    """The activity in a recording of :func:`~neurosleep.simulate` or a sleep phase, of all samples.

    Parameters
    ----------
    network:
        The network that was recorded; of a sleep phase, which changes weights and leaves the graph, either end of it.
    recording:
        Spike counts are enough. With the spikes of all populations (``Record(spikes="all")``) updates with and without
        input are told apart exactly; of counts alone they are estimated, as if neurons fired independently and evenly.
    rule:
        The plasticity rule of a sleep phase; None: nothing learnt.
    zeros:
        Whether a weight of 0 is a synapse, ``count``, or none, ``skip``.

    Returns
    -------
    Activity
        A spike counts with all of its synapses, also where a delay lets it arrive after the end. Every neuron is
        updated in every step. Relays and inputs are no neurons: what leads to a relay, such as a pool, costs nothing,
        and each spike that it gets goes on as one.

    Raises
    ------
    SettingsError
        If the recording is none of this network.
    UnsupportedError
        If the changes of a rule cannot be counted: of kinds other than the two shipped, of convolutions, or without the
        spikes where the rule changes only part of a neuron's synapses. Of a loop of relays alone.

    See Also
    --------
    energy_of : what the activity takes on a chip

    Notes
    -----
    Learning, per plastic projection: the sleep replay rule changes every synapse of a neuron that fires, those of
    active inputs by ``inc`` and of silent ones by ``dec``; where one of these is 0 only the others count. Pair STDP
    changes the synapses of a neuron that fires, and those that a spike arrives at. It is not asked whether a change is
    felt, nor are weights of 0 left out, since rules change these too.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> from neurosleep.hardware import count_activity
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, read_out="spikes")
    >>> activity = count_activity(network, ns.simulate(network, images[:5], 50, coding="bernoulli"))
    >>> activity.samples, activity.steps, activity.synaptic_events > activity.spikes
    (5, 250.0, True)
    """
    return reduce(add, sample_activities(network, recording, rule=rule, zeros=zeros))


def sample_activities(
    network: SpikingNetwork,
    recording: Recording,
    *,
    rule: PlasticityRule | None = None,
    zeros: Zeros = "skip",
    cores: Mapping[str, int] | None = None,
) -> list[Activity]:
    """As :func:`count_activity`, of each sample by itself; with ``cores`` by population, messages too."""
    synapses = [Synapses(network, k, zeros) for k in range(len(network.projections))]
    counts = spike_counts(network, recording, synapses)
    events = torch.zeros(_samples(counts), dtype=torch.float64)
    for s in synapses:
        if s.target.kind != "relay":
            events += counts[s.source.name] @ s.fan_out
    trains = spike_trains(network, recording)
    neurons = [p for p in network.layers if p.kind != "relay"]
    every = float(sum(p.size for p in neurons) * recording.steps)
    if trains is None:
        chances = _chances(network, synapses, counts, recording.steps)
        active = recording.steps * sum((chances[p.name].sum(1) for p in neurons), torch.zeros_like(events))
    else:
        received = sum(_received(p.name, synapses, trains, recording.steps) for p in neurons)
        active = torch.tensor([float(received)], dtype=torch.float64)
    learnt = torch.zeros_like(events) if rule is None else _learning(network, counts, trains, rule)
    fired = sum((counts[p.name].sum(1) for p in neurons), torch.zeros_like(events))
    messages = _messages(network, counts, cores or {})
    sent = sum((counts[p.name].sum(1) for p in network.inputs), torch.zeros_like(events))
    return [
        Activity(
            synaptic_events=float(events[b]),
            active_updates=float(active[b]),
            inactive_updates=every - float(active[b]),
            seconds=recording.steps * recording.dt,
            spikes=float(fired[b]),
            input_spikes=float(sent[b]),
            learning_updates=float(learnt[b]),
            steps=float(recording.steps),
            messages=None if messages is None else float(messages[b]),
            split="estimated" if trains is None else "recorded",
            zeros=zeros,
        )
        for b in range(len(events))
    ]


def _samples(counts: Mapping[str, Tensor]) -> int:
    return len(next(iter(counts.values())))


def spike_counts(network: SpikingNetwork, recording: Recording, synapses: Sequence[Synapses]) -> dict[str, Tensor]:
    """Spikes of each neuron by population, float64 ``[batch, n]``; a relay sends each spike that it gets."""
    counts: dict[str, Tensor] = {}
    held = recording.counts
    for p in network.populations:
        if p.name not in held or np.shape(held[p.name])[-1] != p.size:
            raise SettingsError(
                f"The recording has no counts of {p.size} neurons {p.name!r}.",
                found=", ".join(f"{name}: {np.shape(value)[-1]}" for name, value in held.items()),
                expected="a recording of this network",
            )
        if p.kind == "relay":
            continue
        count = torch.as_tensor(held[p.name]).detach().cpu().to(torch.float64).reshape(-1, p.size)
        if p.kind == "input" and recording.coding == "constant":
            # The same value in every step: an event in each, unless it is 0.
            count = (count != 0).to(torch.float64) * recording.steps
        counts[p.name] = count
    for p in network.populations:
        _pass_on(p.name, counts, synapses, ())
    return counts


def _pass_on(name: str, found: dict[str, Tensor], synapses: Sequence[Synapses], path: tuple[str, ...]) -> Tensor:
    """What a population sends: known, or, of a relay, what arrives there."""
    if name in path:
        raise UnsupportedError(
            f"Spikes go round through the relays {', '.join(path)}.", expected="no loops of relays alone"
        )
    if name not in found:
        sent = [
            s.arriving(_pass_on(s.source.name, found, synapses, (*path, name)))
            for s in synapses
            if s.target.name == name
        ]
        found[name] = torch.stack(sent).sum(0)
    return found[name]


def spike_trains(network: SpikingNetwork, recording: Recording) -> dict[str, SpikeEvents] | None:
    """The spikes of every population, if all of them were recorded."""
    # A constant input sends a value in every step, and no spikes.
    if recording.coding == "constant" or any(p.name not in recording.spikes for p in network.populations):
        return None
    return dict(recording.spikes)


def sent_before(events: SpikeEvents, start: int, stop: int, delay: int) -> SpikeEvents:
    """The spikes that arrive in the steps ``start`` to ``stop - 1``."""
    low, high = max(start - delay, 0), max(stop - delay, 0)
    early = SpikeEvents.empty(events.n, (stop - start) - (high - low))
    return SpikeEvents.concatenate([early, events.slice(low, high)], events.n)


def _received(name: str, synapses: list[Synapses], trains: Mapping[str, SpikeEvents], steps: int) -> int:
    """Steps of the neurons of a population in which at least one spike arrived."""
    incoming, total = [s for s in synapses if s.target.name == name], 0
    for start in range(0, steps, _CHUNK):
        stop = min(start + _CHUNK, steps)
        arrived = torch.zeros(stop - start, incoming[0].target.size if incoming else 0, dtype=torch.bool)
        for s in incoming:
            arrived |= s.arriving(sent_before(trains[s.source.name], start, stop, s.delay).to_dense()) > 0.5
        total += int(arrived.sum())
    return total


def _chances(
    network: SpikingNetwork, synapses: Sequence[Synapses], counts: Mapping[str, Tensor], steps: int
) -> dict[str, Tensor]:
    r"""The chance of a spike in a step, of counts c over T steps: :math:`c_i / T`, for relays that of any arrival."""
    found = {p.name: (counts[p.name] / max(steps, 1)).clamp_max(1) for p in network.populations if p.kind != "relay"}

    def chance(name: str) -> Tensor:
        if name not in found:
            found[name] = arrival(name)
        return found[name]

    def arrival(name: str) -> Tensor:
        r""":math:`1 - \prod_i (1 - p_i)` over the synapses of each neuron."""
        total = torch.zeros_like(counts[name])
        for s in synapses:
            if s.target.name == name:
                # The logarithm of a chance that can be 0; its exponential is 0 again.
                total += s.arriving(torch.log((1 - chance(s.source.name)).clamp_min(1e-300)))
        return -torch.expm1(total)

    return {p.name: arrival(p.name) for p in network.layers}


def _reached(network: SpikingNetwork, name: str) -> set[str]:
    """The populations of neurons that spikes go to, straight or through relays."""
    reached: set[str] = set()
    ahead, seen = [name], {name}
    while ahead:
        here = ahead.pop()
        for target in {q.target for q in network.projections if q.source == here}:
            if network.population(target).kind != "relay":
                reached.add(target)
            elif target not in seen:
                seen.add(target)
                ahead.append(target)
    return reached


def _messages(network: SpikingNetwork, counts: Mapping[str, Tensor], cores: Mapping[str, int]) -> Tensor | None:
    """Spikes of neurons times the cores they go to, as if each went to all of a population; None: cores not known."""
    messages = torch.zeros(_samples(counts), dtype=torch.float64)
    for p in (p for p in network.layers if p.kind != "relay"):
        targets = _reached(network, p.name)
        if not targets <= set(cores):
            return None
        messages += counts[p.name].sum(1) * sum(cores[name] for name in targets)
    return messages


def _learning(
    network: SpikingNetwork,
    counts: Mapping[str, Tensor],
    trains: Mapping[str, SpikeEvents] | None,
    rule: PlasticityRule,
) -> Tensor:
    changed = torch.zeros(_samples(counts), dtype=torch.float64)
    for q in network.projections:
        if not changes(rule, q):
            continue
        where = f"Projection {q.source!r} -> {q.target!r}"
        pre, post = counts[q.source].sum(1), counts[q.target].sum(1)
        n_pre, n_post = counts[q.source].shape[1], counts[q.target].shape[1]
        if isinstance(rule, PairSTDP | MultiplicativeSTDP):
            changed += (rule.a_plus > 0) * post * n_pre + (rule.a_minus > 0) * pre * n_post
        elif isinstance(rule, TripletSTDP):
            changed += (rule.a2_plus + rule.a3_plus > 0) * post * n_pre
            changed += (rule.a2_minus + rule.a3_minus > 0) * pre * n_post
        elif isinstance(rule, SignSTDP):
            changed += (rule.a > 0) * post * n_pre
        elif not isinstance(rule, SRCRule):
            raise UnsupportedError(
                f"Changes by the rule {rule.name!r} are not counted.",
                expected="the rule 'src', or one of those of spike timing (stdp...)",
            )
        elif rule.inc > 0 and rule.dec > 0:
            changed += post * n_pre
        elif rule.inc > 0 or rule.dec > 0:
            if trains is None:
                raise UnsupportedError(
                    f"{where}: with {'inc' if rule.dec > 0 else 'dec'} 0 the rule changes part of a neuron's synapses, "
                    "which counts do not tell.",
                    expected="the spikes themselves",
                    hint='neurosleep.sleep(..., record=neurosleep.Record(spikes="all"))',
                )
            late = sent_before(trains[q.source], 0, trains[q.source].steps, q.delay)
            pairs = float(np.diff(late.offsets) @ np.diff(trains[q.target].offsets))
            changed += pairs if rule.inc > 0 else float(post) * n_pre - pairs
    return changed
