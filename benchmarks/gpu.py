"""A GPU against one core: many networks asleep at once, and a convolutional network; the same numbers asserted first.

    python benchmarks/gpu.py                         on the first CUDA device, meant for four minutes; writes a record
    python benchmarks/gpu.py --device cpu --quick    the same code in seconds, where there is none; times mean nothing

Input spikes are drawn beforehand: both sides step, and draw nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

import neurosleep as ns
from neurosleep.functional import SpikeEvents, SRCRule, numpy_generator, torch_generator
from neurosleep.spiking import SpikingNetwork, get_engine
from neurosleep.spiking.engines import TorchEngine

#: Of all spikes so many may differ from those of the definition, as sums are rounded in another order.
APART = 1e-4
RULE = SRCRule(inc=0.001, dec=0.0001)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What is timed."""

    layers: tuple[int, ...] = (784, 1200, 1200, 10)
    networks: int = 256
    steps: int = 512
    core_steps: int = 5000
    images: int = 2048
    core_images: int = 128
    channels: tuple[int, int] = (32, 64)
    image_steps: int = 50


QUICK = Sizes((40, 30, 20, 5), 8, 128, 200, 24, 8, (4, 6), 10)


def sleeping_networks(sizes: Sizes) -> list[SpikingNetwork]:
    """Networks that fire sparsely under noise, each with weights of its own."""
    model = ns.MLP(sizes.layers, init=0.05, generator=torch_generator(0, "init"))
    images = torch.rand(50, sizes.layers[0], generator=torch_generator(0, "images"))
    first = ns.convert(model, images, recipe="recursive", thresholds=[1.0] * (len(sizes.layers) - 1))
    drive = noise(sizes)
    first = ns.replay.thresholds_for_rates(first, drive, [0.02] * (len(sizes.layers) - 1), seed=0, strict=False)

    def other(number: int) -> SpikingNetwork:
        generator = torch_generator(number, "weights")
        weights = [w * (1 + 0.1 * torch.randn(w.shape, generator=generator)) for w in first.weights]
        return first.with_weights(weights)

    return [other(number) for number in range(sizes.networks)]


def noise(sizes: Sizes) -> ns.MeanDrive:
    """The drive of all of them."""
    return ns.MeanDrive(np.random.default_rng(0).random(sizes.layers[0]) * 0.5, max_rate=100.0)


def drawn(sizes: Sizes, number: int, steps: int) -> dict[str, SpikeEvents]:
    """The input of network ``number``."""
    return {"input": noise(sizes).draw(numpy_generator(number, "drive"), steps, 0.001)}


def apart(found: dict[str, SpikeEvents], expected: dict[str, SpikeEvents]) -> tuple[int, int]:
    """Spikes that only one of them holds, and all that the second does."""
    differing = spikes = 0
    for name, events in expected.items():
        own, other = (set(zip(e.times.tolist(), e.indices.tolist(), strict=True)) for e in (found[name], events))
        differing, spikes = differing + len(own ^ other), spikes + len(other)
    return differing, spikes


def assert_same_sleep(networks: list[SpikingNetwork], sizes: Sizes, device: str) -> dict[str, float]:
    """The spikes of each of a few networks are those of the definition, and so are its weights."""
    few, steps = networks[:4], min(128, sizes.steps)
    together = TorchEngine().start_many(few, RULE, device=device)
    inputs = [drawn(sizes, number, steps) for number in range(len(few))]
    found = together.run(inputs)
    differing = spikes = 0
    worst = 0.0
    for number, network in enumerate(few):
        alone = get_engine("reference").start(network, RULE)
        wrong, count = apart(found[number], alone.run(inputs[number]))
        differing, spikes = differing + wrong, spikes + count
        for weight, right in zip(together.weights(number), alone.weights(), strict=True):
            worst = max(worst, float((weight - right).abs().max()))
        changed = not all(map(torch.equal, together.weights(number), network.weights))
        assert changed, f"no weight of network {number} changed"
    assert spikes > 0 and differing <= APART * spikes, f"{differing} of {spikes} spikes differ"
    return {"spikes": spikes, "spikes_apart": differing / spikes, "largest_difference_of_weights": worst}


def seconds_of(work: Callable[[], Any], device: str) -> float:
    """Wall-clock seconds until the device is done."""
    if device != "cpu":
        torch.cuda.synchronize(device)
    start = perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize(device)
    return perf_counter() - start


def sleep(sizes: Sizes, device: str) -> dict[str, Any]:
    """Steps of networks a second: all on the device, and one on a core."""
    networks = sleeping_networks(sizes)
    same = assert_same_sleep(networks, sizes, device)
    together = TorchEngine().start_many(networks, RULE, device=device)
    inputs = [drawn(sizes, number, 2 * sizes.steps) for number in range(sizes.networks)]
    # Libraries choose their kernels, and the graph of a stretch is recorded.
    together.run([{"input": one["input"].slice(0, sizes.steps)} for one in inputs])
    rest = [{"input": one["input"].slice(sizes.steps, 2 * sizes.steps)} for one in inputs]
    seconds = seconds_of(lambda: together.run(rest), device)
    core = get_engine("event").start(networks[0], RULE)
    core.run(drawn(sizes, 0, 2))
    train = drawn(sizes, 0, sizes.core_steps)
    core_seconds = seconds_of(lambda: core.run(train), "cpu")
    rates = {"torch": sizes.networks * sizes.steps / seconds, "event": sizes.core_steps / core_seconds}
    return {"network_steps_per_second": rates, "ratio": rates["torch"] / rates["event"], **same}


def simulate(sizes: Sizes, device: str) -> dict[str, Any]:
    """Image-steps a second of a convolutional network: on the device, and on a core."""
    first, second = sizes.channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(1, first, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2)),
            *(nn.Conv2d(first, second, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2)),
            *(nn.Flatten(), nn.Linear(second * 49, 10)),
        )
    images = torch.rand(sizes.images, 1, 28, 28, generator=torch_generator(0, "images"))
    network = ns.convert(model.eval(), images[:100])

    def shown(count: int, engine: str, where: str) -> ns.Recording:
        return ns.simulate(network, images[:count], sizes.image_steps, engine=engine, device=where)

    few = min(8, sizes.core_images)
    found, expected = shown(few, "torch", device), shown(few, "reference", "cpu")
    fire = [p.name for p in network.layers if p.kind == "lif"]
    spikes = sum(int(expected.counts[name].sum()) for name in fire)
    differing = sum(int(np.abs(found.counts[name] - expected.counts[name]).sum()) for name in fire)
    assert spikes > 0 and differing <= APART * spikes, f"counts differ by {differing} of {spikes} spikes"
    shown(few, "event", "cpu")
    shown(min(256, sizes.images), "torch", device)
    seconds = seconds_of(lambda: shown(sizes.images, "torch", device), device)
    core_seconds = seconds_of(lambda: shown(sizes.core_images, "event", "cpu"), "cpu")
    rates = {
        "torch": sizes.images * sizes.image_steps / seconds,
        "event": sizes.core_images * sizes.image_steps / core_seconds,
    }
    return {
        "image_steps_per_second": rates,
        "ratio": rates["torch"] / rates["event"],
        "spikes": spikes,
        "spikes_apart": differing / spikes,
    }


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and on a GPU write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="sizes of a test, whose times mean nothing")
    parser.add_argument("--out", type=Path, help="the record; else benchmarks/DATE-gpu.json, with --quick none")
    given = parser.parse_args(arguments)
    sizes = QUICK if given.quick else Sizes()
    torch.set_num_threads(1)
    start = perf_counter()
    measured = {"sleep": sleep(sizes, given.device), "simulate": simulate(sizes, given.device)}
    on_gpu = torch.device(given.device).type == "cuda"
    record = {
        "date": date.today().isoformat(),
        "command": " ".join(["python benchmarks/gpu.py", *(sys.argv[1:] if arguments is None else arguments)]),
        "name": "gpu",
        "device": torch.cuda.get_device_name(given.device) if on_gpu else given.device,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "sizes": dataclasses.asdict(sizes),
        "quick": given.quick,
        "threads": 1,
        "seconds_of_all": perf_counter() - start,
        **measured,
    }
    out = given.out or (None if given.quick else Path(__file__).with_name(f"{record['date']}-gpu.json"))
    if out is not None:
        out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))
    return record


if __name__ == "__main__":
    main()
