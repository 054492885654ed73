"""Experiments whose networks are put on chips."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.errors import HardwareProfileError, SettingsError, UnknownNameError
from neurosleep.experiments import RunRequest, load_settings, parse_change, run_experiment
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.reading import default_strategy, default_variants
from neurosleep.experiments.run.deployment import deploy, deployment_of
from neurosleep.experiments.run.scenario import tasks_of
from neurosleep.hardware import load_profile, profile_names
from neurosleep.networks import MLP

# None of these tests looks at a figure.
pytestmark = pytest.mark.usefixtures("no_run_figures")


def request(out: Path, *changes: str, strategy: str = "src", experiment: str = "demo/mnist-mini") -> RunRequest:
    parsed = [parse_change(text) for text in changes]
    name, settings = load_settings(experiment, strategy=strategy, changes=parsed)
    return RunRequest(name, "default", strategy, 0, settings, None, str(out))


SMALL = ("network.sizes=[784, 60, 10]", "sleep.thresholds=[1.0, 1.0]", "sleep.steps=300", "wake.epochs=1")
CHIPS = (
    'hardware.profiles=["ideal", "generic_int8", "loihi1", "xylo_a2"]',
    "hardware.images=200",
    "hardware.steps=40",
)


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("chips")
    found = run_experiment([request(out, *SMALL, *CHIPS)])[0]
    return found | {"folder": out}


def test_a_run_says_what_is_left_on_each_chip(metrics: dict[str, Any]) -> None:
    assert metrics["kind"] == "hardware"
    rows = {row["profile"]: row for row in metrics["hardware"]}
    assert list(rows) == ["ideal", "generic_int8", "loihi1", "xylo_a2"]
    for name in ("ideal", "generic_int8", "loihi1"):
        row = rows[name]
        assert row["fits"] and not row["missing"] and row["images"] == 200
        assert abs(row["mapped"] - row["converted"]) < 0.1
        assert row["energy"]["statement"] == "estimate from a profile, not a chip"
        assert metrics["results"][f"{name}.accuracy"] == row["mapped"]
    assert rows["ideal"]["mapped"] == rows["ideal"]["converted"] and rows["ideal"]["weight_error"] == 0
    assert rows["generic_int8"]["reset"] == "subtract" and rows["loihi1"]["reset"] == "to_value"
    assert 0 < rows["generic_int8"]["weight_error"] < 0.05 and rows["loihi1"]["cores"] >= 1
    # Loihi's coefficients are public, those of the generic chip are not there: not estimated is no 0.
    assert 0 < rows["loihi1"]["energy"]["low_j"] < rows["loihi1"]["energy"]["high_j"]
    assert rows["generic_int8"]["energy"]["low_j"] is None and rows["generic_int8"]["energy"]["reason"]
    xylo = rows["xylo_a2"]
    assert not xylo["fits"] and xylo["mapped"] is None and xylo["energy"] is None
    assert any("xylo" in text or "needs" in text for text in xylo["missing"])


def test_the_rows_are_beside_the_metrics(metrics: dict[str, Any]) -> None:
    folder = metrics["folder"] / "demo/mnist-mini/default/src/seed0"
    stored = json.loads((folder / "metrics.json").read_text())
    assert stored["hardware"] == metrics["hardware"]
    with (folder / "hardware.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["profile"] for row in rows] == ["ideal", "generic_int8", "loihi1", "xylo_a2"]
    assert [row["slept"] for row in rows] == [row["slept"] for row in metrics["hardware"]]
    assert float(rows[2]["energy_low_j"]) == metrics["hardware"][2]["energy"]["low_j"]
    assert rows[1]["energy_low_j"] == "" and rows[3]["missing"] == "; ".join(metrics["hardware"][3]["missing"]) != ""


def test_what_is_said_of_a_chip_is_found_step_by_step() -> None:
    settings = request(Path(), *SMALL, *CHIPS).settings
    tasks, deployment = tasks_of(settings, None, 0), deployment_of(settings)
    assert deployment is not None
    network = MLP([784, 60, 10], init=0.1, generator=torch.Generator().manual_seed(0))
    row = deploy(network, tasks, deployment, seed=0)[2]
    assert network.training
    network.eval()
    images = np.concatenate([task.test_images for task in tasks])
    labels = torch.from_numpy(np.concatenate([task.test_labels for task in tasks]))
    chosen = ns.functional.numpy_generator(0, "deployment").permutation(len(labels))[:200]
    x = torch.from_numpy(ns.data.to_float(images[chosen])).flatten(1)
    newest = torch.from_numpy(ns.data.to_float(tasks[-1].pool_images)).flatten(1)
    snn = ns.convert(network, newest, recipe="percentile", reset="to_value").to(torch.float64)
    mapped = ns.map_to(snn, "loihi1", steps=40)
    read_out = ns.simulate(mapped, x, 40, coding="bernoulli", engine="fixed").read_out[-1]
    assert row["mapped"] == float((read_out.argmax(1) == labels[chosen].numpy()).mean())


# Weights that the sleeps' steps do not soon drive to the ends of a chip's grid, as in src2022/mnist after a search.
GENTLE = (
    "network.sizes=[784, 200, 200, 10]",
    "network.init=0.0425",
    "wake.epochs=3",
    "sleep.thresholds=[1.0, 0.4, 1.2]",
    "sleep.alpha_scale=1.0",
    "sleep.rule.inc=0.0128",
    "sleep.rule.dec=0.0022",
)


def test_sums_are_split_where_that_is_asked_for() -> None:
    chips = 'hardware.profiles=["tianjic"]', "hardware.images=50", "hardware.steps=40"
    rows = []
    for more in ((), ("hardware.allow_split=true",)):
        settings = request(Path(), *SMALL, *chips, *more).settings
        deployment = deployment_of(settings)
        assert deployment is not None
        network = MLP([784, 60, 10], init=0.1, generator=torch.Generator().manual_seed(0))
        rows += deploy(network, tasks_of(settings, None, 0), deployment, seed=0)
    plain, split = rows
    assert not plain["fits"] and any("fan-in 784 exceeds 256" in text for text in plain["missing"])
    assert split["fits"] and split["split"] and split["cores"] > 0 and split["mapped"] is not None


def test_what_is_missing_with_split_sums_is_no_advice_to_split_them() -> None:
    chips = 'hardware.profiles=["brainscales2", "xylo_a2"]', "hardware.images=10", "hardware.steps=10"
    settings = request(Path(), *SMALL, *chips, "hardware.allow_split=true").settings
    deployment = deployment_of(settings)
    assert deployment is not None
    network = MLP([784, 60, 10], init=0.1, generator=torch.Generator().manual_seed(0))
    for row in deploy(network, tasks_of(settings, None, 0), deployment, seed=0):
        assert not row["fits"] and row["missing"]
        assert not any("allow_split" in text for text in row["missing"]), row["missing"]
        assert any("with split sums, " in text for text in row["missing"])
        assert len(row["missing"]) < 6


@pytest.mark.full
def test_sleep_on_a_chip_in_a_whole_run(tmp_path: Path) -> None:
    chip = "sleep.profile=generic_int8", "sleep.headroom=2.0"
    asked = [request(tmp_path / str(k), *GENTLE, *more, strategy=s) for k, (s, more) in enumerate(
        [("sequential", ()), ("src", ()), ("src", chip)]
    )]  # fmt: skip
    without, slept, rounded = (found["accuracy_all"] for found in run_experiment(asked))
    assert slept > without + 0.1
    assert rounded - without > 0.5 * (slept - without)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        (["hardware.images=5"], SettingsError, "hardware.images is given without chips"),
        (["hardware.profiles=[]"], SettingsError, "hardware.profiles is []"),
        ([CHIPS[0], "hardware.steps=0"], SettingsError, "hardware.steps cannot be 0"),
        ([CHIPS[0], "hardware.recipe=best"], UnknownNameError, "recipe named 'best'"),
        (['hardware.profiles=["loihi9"]'], (UnknownNameError, HardwareProfileError), "loihi9"),
        (["sleep.profile=truenorth"], ns.errors.UnsupportedError, "cannot run on 'truenorth'"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_written(
    tmp_path: Path, changes: list[str], error: Any, text: str
) -> None:
    with pytest.raises(error) as refused:
        run_experiment([request(tmp_path / "out", *changes)])
    assert text in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_other_kinds_of_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not put on chips"):
        run_experiment([request(tmp_path, CHIPS[0], experiment="ep2025/mnist")])


def test_files_without_chips_are_written_as_before() -> None:
    assert "hardware" not in dump_toml(load_settings("src2022/mnist")[1])
    assert "[hardware]" in dump_toml(load_settings("on-chips/mnist")[1])


@pytest.mark.parametrize("experiment", ["on-chips/mnist", "on-chips/fashion"])
def test_the_packaged_experiments(experiment: str) -> None:
    _, settings = load_settings(experiment)
    assert sorted(settings.hardware.profiles or ()) == sorted(set(profile_names()))
    variants = default_variants(experiment)
    assert variants[0] == "default" and default_strategy(experiment) == "sequential,src"
    for variant in variants[1:]:
        _, own = load_settings(experiment, variant=variant)
        # The network without sleep does not depend on how it would have slept.
        assert default_strategy(experiment, variant) == "src"
        assert own.wake == settings.wake and own.network == settings.network
        if own.sleep.profile is not None:
            assert own.hardware.profiles == (own.sleep.profile,)
            assert load_profile(own.sleep.profile).learning.class_ in ("programmable", "sum_of_products")
