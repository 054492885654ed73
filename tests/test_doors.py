"""Images of any float type, as arrays or tensors, and bytes go in at every door; others are refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.analysis import activation_spread, class_correlation, preferred_class, settling, sparseness
from neurosleep.conversion import compare
from neurosleep.errors import NeurosleepError, NeurosleepWarning
from neurosleep.exchange import read_calibration
from neurosleep.functional import numpy_generator
from neurosleep.hardware import map_file
from neurosleep.learning import accuracy, predict
from neurosleep.replay import answers

BYTES = np.random.default_rng(0).integers(0, 256, (12, 6), dtype=np.uint8)
LABELS = np.arange(12) % 3


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False))


def mlp() -> ns.MLP:
    return ns.MLP([6, 5, 3], init=0.5, generator=torch.Generator().manual_seed(0))


def settles() -> ns.EquilibriumMLP:
    return ns.EquilibriumMLP([6, 5, 3], free_steps=5, generator=torch.Generator().manual_seed(0))


def converted() -> ns.SpikingNetwork:
    return ns.convert(chain(), torch.from_numpy(BYTES / 255).float())


def consolidated(mean: Any, calibration: Any) -> Any:
    sleep = ns.Sleep.src2022(steps=50, thresholds=[0.1, 0.1], rule=ns.SRCRule(1e-6, 1e-7))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The sleep changed")
        slept = ns.consolidate(chain(), mean=mean, calibration=calibration, sleep=sleep).model
    return [weight.tolist() for weight in slept.parameters()]


def regulated(std: Any = None, x: Any = None) -> Any:
    """With a spread of the inputs, or with the newest samples, of which the guard asks how many are recognised."""
    holdout = None if x is None else (x, LABELS)
    guard = ns.Guard(gain=-100.0, recall=0.0)
    result = ns.consolidate(chain(), plain_mean(), std, new_classes=[2], holdout=holdout, guard=guard)
    return [result.report.answers_changed, result.verdict.gain, result.verdict.recall]


def plain_mean() -> Any:
    return torch.from_numpy(BYTES / 255).float().mean(0)


def observed(x: Any) -> Any:
    keeper = ns.replay.Consolidator()
    keeper.observe(x, LABELS)
    return keeper.mean.tolist()


#: By door: what it makes of images, and the name of the argument. Numbers in the type of the model.
DOORS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "simulate a batch": (lambda x: ns.simulate(converted(), x, 20).read_out.tolist(), "x"),
    "simulate one": (lambda x: ns.simulate(converted(), x[0], 20).read_out.tolist(), "x"),
    "simulate spikes": (lambda x: ns.simulate(converted(), x, 20, coding="poisson").read_out.tolist(), "x"),
    "compare": (lambda x: [layer.error for layer in compare(chain(), converted(), x).layers], "images"),
    "consolidate": (lambda x: consolidated(plain_mean(), x), "calibration"),
    "the mean of consolidate": (lambda x: consolidated(x[0], torch.from_numpy(BYTES / 255).float()), "mean"),
    "the spread of consolidate": (lambda x: regulated(std=x[0]), "std"),
    "the holdout of consolidate": (lambda x: regulated(x=x), "holdout"),
    "a drive": (lambda x: ns.MeanDrive(x[0], 100.0).probability(0.001).tolist(), "mean"),
    "observe": (observed, "x"),
    "predict": (lambda x: predict(chain(), x).tolist(), "images"),
    "accuracy": (lambda x: accuracy(mlp(), x, LABELS), "images"),
    "answers": (lambda x: answers(chain(), x).tolist(), "images"),
    "class_correlation": (lambda x: class_correlation(mlp(), mlp(), x, LABELS).rows(), "images"),
    "sparseness": (lambda x: sparseness(mlp(), mlp(), x, LABELS).rows(), "images"),
    "preferred_class": (lambda x: {k: v.tolist() for k, v in preferred_class(mlp(), x, LABELS).items()}, "images"),
    "settling": (lambda x: settling(settles(), x).rows(), "images"),
    "activation_spread": (lambda x: activation_spread(settles(), x).rows(), "images"),
}
CONVERT = (lambda x: [w.tolist() for w in ns.convert(chain(), x).weights], "calibration")

GIVEN: dict[str, Callable[[Any], Any]] = {
    "float32 array": lambda x: x.astype(np.float32),
    "float64 array": lambda x: x.astype(np.float64),
    "float64 tensor": lambda x: torch.from_numpy(x).double(),
    "array that is not contiguous": lambda x: np.asfortranarray(x.astype(np.float32)),
}


def nearly(found: Any, expected: Any) -> bool:
    """Equal up to the rounding of single precision."""
    if isinstance(expected, dict):
        return all(nearly(found[key], value) for key, value in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(nearly(a, b) for a, b in zip(found, expected, strict=True))
    return bool(found == expected) or bool(np.isclose(found, expected, rtol=1e-4, atol=1e-6, equal_nan=True))


@pytest.mark.parametrize("kind", GIVEN)
@pytest.mark.parametrize("door", [*DOORS, "convert"])
def test_images_of_any_float_type_are_the_same_images(door: str, kind: str) -> None:
    made, _ = DOORS.get(door, CONVERT)
    expected = made(torch.from_numpy(BYTES / 255).float())
    # Values that single precision holds, so that nothing is rounded on the way.
    assert nearly(made(GIVEN[kind]((BYTES / 255).astype(np.float32))), expected)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("door", [*DOORS, "convert"])
def test_half_precision_is_read_as_the_single_that_it_is(door: str, kind: torch.dtype) -> None:
    made, _ = DOORS.get(door, CONVERT)
    x = torch.from_numpy(BYTES / 255).to(kind)
    assert nearly(made(x), made(x.float()))


@pytest.mark.parametrize("give", [lambda x: x, torch.from_numpy])
@pytest.mark.parametrize("door", DOORS)
def test_bytes_are_scaled_and_said_so_once(door: str, give: Callable[[Any], Any]) -> None:
    made, name = DOORS[door]
    expected = made(torch.from_numpy(BYTES).float() / 255)
    with pytest.warns(NeurosleepWarning) as caught:
        found = made(give(BYTES))
    assert nearly(found, expected)
    said = [one for one in caught if "divided by 255" in str(one.message)]
    assert len(said) == 1 and name in str(said[0].message)
    assert said[0].filename == __file__, "it points at the user's own line"


def test_convert_says_it_in_its_report() -> None:
    network = ns.convert(chain(), BYTES)
    assert [w.tolist() for w in network.weights] == [w.tolist() for w in converted().weights]
    assert any("bytes were scaled" in note for note in network.report.notes)


WRONG = ["images", None, np.array(["a", "b"]), torch.rand(12, 6, dtype=torch.complex64)]
#: Doors that do without, where nothing is given.
OPTIONAL = ("consolidate", "the spread of consolidate", "the holdout of consolidate")


@pytest.mark.parametrize(
    ("door", "wrong"),
    [
        (door, wrong)
        for door in [*DOORS, "convert"]
        for wrong in WRONG
        if door not in ("simulate one", "a drive") and not (door in OPTIONAL and wrong is None)
    ],
)
def test_what_is_no_image_is_refused_by_the_name_of_the_argument(door: str, wrong: Any) -> None:
    made, name = DOORS.get(door, CONVERT)
    given = [wrong] if door in ("the mean of consolidate", "the spread of consolidate") else wrong
    with pytest.raises(NeurosleepError, match=name):
        made(given)


def test_bytes_in_a_file_are_scaled_too(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", BYTES)
    with pytest.warns(NeurosleepWarning, match="calibration file: bytes"):
        found = read_calibration(tmp_path / "x.npy")
    assert torch.equal(found, torch.from_numpy(BYTES).float() / 255)
    fires = ns.convert(chain(), found, read_out="spikes")
    ns.save(fires, tmp_path / "network.safetensors")
    np.save(tmp_path / "y.npy", BYTES / 255)
    options: dict[str, Any] = {"steps": 10}
    with pytest.warns(NeurosleepWarning, match="file of inputs: bytes"):
        of_bytes = map_file(tmp_path / "network.safetensors", "ideal", inputs=tmp_path / "x.npy", **options)
    assert of_bytes == map_file(tmp_path / "network.safetensors", "ideal", inputs=tmp_path / "y.npy", **options)


def test_a_mean_of_bytes_drives_as_its_intensities() -> None:
    mean = np.array([0, 51, 255], dtype=np.uint8)
    with pytest.warns(NeurosleepWarning, match="The mean input of the drive: bytes"):
        drive = ns.MeanDrive(mean, 100.0)
    assert drive.mean.tolist() == pytest.approx([0.0, 0.2, 1.0])
    plain = ns.MeanDrive(drive.mean, 100.0)
    assert drive.draw(numpy_generator(0, "a"), 50, 0.001).equals(plain.draw(numpy_generator(0, "a"), 50, 0.001))
