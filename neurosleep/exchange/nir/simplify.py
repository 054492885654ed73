"""The graph of a network that is being read, with fewer relays and with a step on every loop."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosleep.errors import ExchangeError
from neurosleep.exchange.nir.nodes import Floats
from neurosleep.spiking import Conv, Identity, Pool, Population, Projection

__all__ = ["Parts", "contract", "delay_loops"]


@dataclass
class Parts:
    """What a network is going to consist of."""

    populations: dict[str, Population] = field(default_factory=dict)
    projections: list[Projection] = field(default_factory=list)
    biases: dict[str, Floats] = field(default_factory=dict)

    def add_bias(self, key: str, target: str, bias: Floats) -> None:
        """Add to the biases of ``target`` those that stand at node ``key``."""
        size = self.populations[target].size
        if len(bias) != size:
            raise ExchangeError(f"The node {key!r} has {len(bias)} biases.", expected=f"{size}, for {target!r}")
        if bias.any():
            self.biases[target] = self.biases.get(target, np.zeros(size)) + bias


def contract(parts: Parts) -> None:
    """Take out relays that only pass on or delay what one projection brings, or that one alone takes up."""
    projections = dict(enumerate(parts.projections))
    into: dict[str, list[int]] = {name: [] for name in parts.populations}
    out: dict[str, list[int]] = {name: [] for name in parts.populations}
    for k, q in projections.items():
        into[q.target].append(k)
        out[q.source].append(k)
    waiting = [name for name, p in parts.populations.items() if p.kind == "relay"]
    while waiting:
        name = waiting.pop()
        if name not in parts.populations or not into[name] or set(into[name]) & set(out[name]):
            continue
        if not out[name]:
            only = projections[into[name][0]]
            if (len(into[name]), type(only), only.scale, only.delay) == (1, Identity, 1, 0) and (
                name not in parts.biases and parts.populations[only.source].kind != "input"
            ):
                (gone,) = into[name]
                out[only.source].remove(gone)
                del projections[gone], parts.populations[name], into[name], out[name]
                waiting += [only.source] * (parts.populations[only.source].kind == "relay")
            continue
        first, last = projections[into[name][0]], projections[out[name][0]]
        if len(into[name]) == 1 and isinstance(first, Identity) and name not in parts.biases:
            if first.scale != 1 and any(projections[k].scale != 1 for k in out[name]):
                continue
            (gone,), kept = into[name], out[name]
            fields = {"source": first.source}
            out[first.source] = [k for k in out[first.source] if k != gone] + kept
        elif len(out[name]) == 1 and isinstance(last, Identity) and not (name in parts.biases and last.delay):
            arriving = [projections[k] for k in into[name]]
            maps = any(isinstance(q, Conv | Pool) for q in arriving)
            if maps and parts.populations[last.target].shape != parts.populations[name].shape:
                continue
            if last.scale != 1 and any(q.scale != 1 for q in arriving):
                continue
            if name in parts.biases:
                parts.add_bias(name, last.target, parts.biases.pop(name) * last.scale)
            (gone,), kept = out[name], into[name]
            fields = {"target": last.target}
            into[last.target] = [k for k in into[last.target] if k != gone] + kept
        else:
            continue
        taken = projections.pop(gone)
        for k in kept:
            q = projections[k]
            projections[k] = _replaced(q, **fields, delay=q.delay + taken.delay, scale=q.scale * taken.scale)
        del parts.populations[name], into[name], out[name]
        for neighbour in (taken.source, taken.target):
            if neighbour in parts.populations and parts.populations[neighbour].kind == "relay":
                waiting.append(neighbour)
    parts.projections = list(projections.values())


def _replaced(projection: Projection, **fields: Any) -> Projection:
    return dataclasses.replace(projection, **fields)


def delay_loops(parts: Parts) -> None:
    """One step for every edge that closes a loop without delay."""
    leaving: dict[str, list[int]] = {name: [] for name in parts.populations}
    for k, q in enumerate(parts.projections):
        leaving[q.source].append(k)
    done: dict[str, bool] = {}  # False: on the way down from it
    for start in sorted(parts.populations, key=lambda name: parts.populations[name].kind != "input"):
        if start in done:
            continue
        done[start] = False
        stack = [(start, iter(leaving[start]))]
        while stack:
            name, rest = stack[-1]
            for k in rest:
                q = parts.projections[k]
                if q.delay == 0 and q.target not in done:
                    done[q.target] = False
                    stack.append((q.target, iter(leaving[q.target])))
                    break
                if q.delay == 0 and not done[q.target]:
                    parts.projections[k] = dataclasses.replace(q, delay=1)
            else:
                done[name] = True
                stack.pop()
