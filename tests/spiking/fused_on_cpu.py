"""Run with TRITON_INTERPRET=1: sleep with the kernel of Triton, in its interpreter, against the reference."""

import dataclasses

import numpy as np
import torch

from neurosleep.functional import SpikeEvents, SRCRule
from neurosleep.spiking import Dense, Population, SpikingNetwork, get_engine
from neurosleep.spiking.engines import TorchEngine
from neurosleep.spiking.engines.tensor import fused

fused._compiles_for = lambda device: True
runs: list[int] = []
run = fused.Fused.run
fused.Fused.run = lambda self, *given: runs.append(1) or run(self, *given)  # type: ignore[method-assign]


def network(seed: int) -> SpikingNetwork:
    """Two layers and what only the plain operations step, dyadic."""
    rng = np.random.default_rng(seed)
    sizes = {"input": 37, "a": 40, "b": 5, "late": 6}
    soft, strict = bool(rng.integers(2)), bool(rng.integers(2))
    layers = [
        Population(
            name,
            "lif",
            (n,),
            threshold=torch.tensor(rng.integers(4, 24, n) / 8),
            decay=0.5,
            leak=0.25,
            bias=torch.tensor(rng.integers(-2, 3, n) / 8),
            reset="subtract" if soft else "to_value",
            compare=">" if strict else ">=",
            refractory=2 if name == "late" else 0,
        )
        for name, n in list(sizes.items())[1:]
    ]

    def dense(a: str, b: str, **more: object) -> Dense:
        weight = torch.tensor(rng.integers(-8, 9, (sizes[b], sizes[a])) / 8, dtype=torch.float32)
        return Dense(a, b, weight, scale=0.5, **more)  # type: ignore[arg-type]

    projections = (
        *(dense("input", "a", delay=int(rng.integers(0, 3))), dense("input", "b", plastic=False)),
        *(dense("a", "b"), dense("b", "late"), dense("b", "a", delay=4, plastic=False)),
    )
    return SpikingNetwork((Population("input", "input", (37,)), *layers), projections)


for seed in range(4):
    first = network(seed)
    networks = [first, *(first.with_weights([w.flip(0) / k for w in first.weights]) for k in (1, 2))]
    networks[2] = dataclasses.replace(
        networks[2], projections=tuple(dataclasses.replace(q, scale=1.0) for q in networks[2].projections)
    )
    factor = ("constant", "steep", "logistic")[seed % 3]
    rule = SRCRule(0.25, 0.125, factor)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    inputs = [{"input": SpikeEvents.from_dense(rng.random((30, 37)) < 0.2)} for _ in networks]
    together = TorchEngine().start_many(networks, rule)
    found = together.run(inputs)
    for k, one in enumerate(networks):
        alone = get_engine("reference").start(one, rule)
        expected = alone.run(inputs[k])
        for name, events in expected.items():
            assert found[k][name].equals(events), (seed, k, name)
        for w, right in zip(together.weights(k), alone.weights(), strict=True):
            assert torch.equal(w, right) if factor == "constant" else torch.allclose(w, right, rtol=1e-5, atol=1e-6)
        for name, v in alone.membranes().items():
            assert torch.allclose(together.membranes(k)[name], v, atol=1e-5), (seed, k, name)
    assert sum(events.count for events in expected.values()) > 100
assert len(runs) > 20
print("equal")
