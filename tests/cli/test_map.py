"""neurosleep map: the verdict first, warnings, helpers folded, the accuracy on the chip, and --strict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import neurosleep as ns
from neurosleep.cli.app import app


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with more inputs than a core of TrueNorth takes, and images with what it says of them as labels."""
    folder = tmp_path_factory.mktemp("map")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(300, 20, bias=False), nn.ReLU(), nn.Linear(20, 4, bias=False))
    images = torch.rand(30, 300)
    network = ns.convert(model, images, reset="to_value", read_out="spikes")
    ns.save(network, folder / "n.safetensors")
    ns.save(ns.convert(model, images, reset="subtract"), folder / "soft.safetensors")
    said = ns.simulate(network, images, 100, coding="bernoulli", seed=0).read_out[-1].argmax(-1)
    np.save(folder / "x.npy", images.numpy())
    np.save(folder / "y.npy", said)
    return folder


def shown(folder: Path, *more: object, profile: str = "truenorth") -> tuple[int, str]:
    arguments = ["map", str(folder / "n.safetensors"), "--profile", profile, *map(str, more)]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "140"})
    assert result.exit_code in (0, 2), result.output
    return result.exit_code, result.stdout + result.stderr


def test_what_does_not_fit_is_said_first_and_ends_strict(files: Path) -> None:
    code, text = shown(files)
    assert code == 0 and text.startswith("Does not fit truenorth: ") and "exceeded" in text.splitlines()[0]
    assert shown(files, "--strict") == (2, text)
    fitting = shown(files, "--strict", profile="loihi1")
    assert fitting[0] == 0 and fitting[1].startswith("Fits loihi1, on ")


def test_what_the_chip_lacks_is_an_error_with_what_to_do(files: Path) -> None:
    """Not a matter of size, so there is no verdict of what would be on a larger chip, with ``--strict`` or without."""
    arguments = ["map", str(files / "soft.safetensors"), "--profile", "loihi1"]
    for more in ([], ["--strict"]):
        result = CliRunner().invoke(app, arguments + more)
        assert result.exit_code == 2 and result.stdout == ""
        assert "cannot be mapped to 'loihi1'. hidden1: the reset subtracts" in " ".join(result.stderr.split())
        assert "Try:" in result.stderr and "--reset to_value" in result.stderr
    error = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)["error"]
    assert error["type"] == "MappingError" and "--reset to_value" in error["hint"]
    # The other of the two is a verdict, which the error does not claim.
    with pytest.raises(ns.MappingError, match="does not fit 'truenorth'"):
        ns.map_to(ns.load(files / "n.safetensors"), "truenorth")


def test_help_tells_both_ways_to_fail_and_their_exit_codes() -> None:
    text = CliRunner().invoke(app, ["map", "--help"], env={"COLUMNS": "80"}).output
    words = " ".join(text.split())
    assert "are told in the verdict: exit code 0 (--strict: 2)." in words
    assert "cannot be mapped: an error says what to change, exit code 2." in words


def test_helpers_and_their_notes_are_one_row_and_one_line(files: Path) -> None:
    code, text = shown(files, "--allow-split")
    assert code == 0 and "_plus" not in text and "_minus" not in text
    rows = json.loads(shown(files, "--allow-split", "--json")[1])
    helpers = [row for row in rows["layers"] if row["source"] == "input"]
    assert len(helpers) > 2
    table = [line for line in text.splitlines() if line.startswith("│")]
    assert "helpers)" in "".join(table) and f"{sum(row['zeroed'] for row in helpers):,}" in "".join(table)
    worst = max(row["error"] for row in rows["layers"])
    assert f"{100 * worst:.2f} %" in "".join(table)
    # All cores are in the rows.
    assert sum(int(line.split("│")[-2]) for line in table if line.split("│")[-2].strip().isdigit()) == rows["cores"]
    assert sum("later on the chip" in line for line in text.splitlines()) == 1


def test_a_large_loss_of_weights_is_a_warning(files: Path) -> None:
    words = " ".join(shown(files, "--allow-split")[1].split())
    errors = {row["layer"]: row["error"] for row in json.loads(shown(files, "--json")[1])["layers"]}
    assert max(errors.values()) > 0.05
    assert "warning: quantisation changes the weights of" in words
    assert "quantisation changes" not in shown(files, profile="ideal")[1]


def test_accuracy_of_labelled_images_on_the_chip(files: Path) -> None:
    given: tuple[Any, ...] = ("--inputs", files / "x.npy", "--labels", files / "y.npy")
    accuracy = json.loads(shown(files, *given, "--json", profile="loihi1")[1])["accuracy"]
    assert accuracy["network"] == 1.0 and accuracy["images"] == 30 and 0.3 < accuracy["chip"] <= 1.0
    mapped = ns.map_to(ns.load(files / "n.safetensors"), "loihi1")
    said = ns.simulate(mapped, np.load(files / "x.npy"), 100, coding="bernoulli", engine="fixed", seed=0)
    assert accuracy["chip"] == said.accuracy(np.load(files / "y.npy"))[-1]
    text = " ".join(shown(files, *given, profile="loihi1")[1].split())
    assert f"Accuracy on the chip: {100 * accuracy['chip']:.1f} % of 30 images; of the network before: 100.0 %." in text


def test_labels_that_do_not_serve(files: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.zeros(3, dtype=int))
    np.save(tmp_path / "floats.npy", np.zeros(30))
    (tmp_path / "text.npy").write_text("no array")
    for name in ("few", "floats", "text", "none"):
        code, text = shown(files, "--inputs", files / "x.npy", "--labels", tmp_path / f"{name}.npy")
        assert code == 2 and "Expected:" in text
    code, text = shown(files, "--labels", files / "y.npy")
    assert code == 2 and "--inputs" in text


def test_how_the_energy_was_counted_is_said_if_asked(files: Path) -> None:
    given = ("--inputs", files / "x.npy")
    brief, whole = (shown(files, *given, *more, profile="loihi1")[1] for more in ((), ("--verbose",)))
    assert "--verbose says how it was counted" in " ".join(brief.split())
    assert "synaptic events" in whole and "synaptic events" not in brief
    assert len(whole.splitlines()) > len(brief.splitlines()) + 5
