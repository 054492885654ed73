"""Where networks sleep in an experiment: the setting device, and --device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from neurosleep.continual import SRC, HomeostaticSleep
from neurosleep.errors import NeurosleepError
from neurosleep.experiments import RunRequest, apply_changes, load_settings
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.run.check import check_request
from tests.experiments.test_bad_input import refused

# None of these tests looks at a figure.
pytestmark = pytest.mark.usefixtures("no_run_figures")

NAME, SETTINGS = load_settings("demo/mnist-mini", strategy="src")


def request(strategy: str, out: Path, **changes: object) -> RunRequest:
    settings = apply_changes(SETTINGS, list(changes.items()))
    return RunRequest(NAME, "default", strategy, 0, settings, None, str(out))


def test_on_the_cpu_files_do_not_name_it() -> None:
    assert SETTINGS.device == "cpu" and "device" not in dump_toml(SETTINGS)
    assert apply_changes(SETTINGS, [("device", "cpu")]) == SETTINGS
    assert 'device = "cuda:1"' in dump_toml(apply_changes(SETTINGS, [("device", "cuda:1")]))


def test_the_engine_is_that_of_the_device_unless_one_is_named() -> None:
    engines = [
        apply_changes(SETTINGS, changes).stepping
        for changes in (
            [],
            [("device", "cuda")],
            [("device", "cuda"), ("engine", "reference")],
            [("engine", "snntorch")],
        )
    ]
    assert engines == ["event", "torch", "reference", "snntorch"]


def test_what_sleeps_is_told_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    made = check_request(request("sleep", tmp_path, device="cuda:1")).strategy
    assert isinstance(made, HomeostaticSleep) and made.device == "cuda:1" and made.engine is None
    with pytest.raises(NeurosleepError, match="'cuda:7' is not on this machine"):
        check_request(request("sleep", tmp_path, device="cuda:7"))
    with pytest.raises(NeurosleepError, match="device is 'meta'"):
        check_request(request("src", tmp_path, device="meta"))
    made = check_request(request("src", tmp_path)).strategy
    assert isinstance(made, SRC) and (made.device, made.engine) == ("cpu", "event")


@pytest.mark.parametrize("device", ["cuda:99", "tpu"])
def test_a_device_that_is_not_here_is_said_before_anything_is_written(device: str, tmp_path: Path) -> None:
    error = refused("run", "demo/mnist-mini", "--device", device, "--out", str(tmp_path / "runs"), "--json")
    assert device in error["message"]
    assert not (tmp_path / "runs").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.cuda.is_available() is False")
@pytest.mark.parametrize("strategy", ["src", "sleep"])
def test_a_run_on_a_gpu_is_near_that_on_the_cpu(strategy: str, tmp_path: Path) -> None:
    from neurosleep.experiments import run_one

    changes = {"data.images_per_task": 100, "network.sizes": [784, 30, 30, 10], "sleep.steps": 200}
    cpu, gpu = (run_one(request(strategy, tmp_path / device, device=device, **changes)) for device in ("cpu", "cuda"))
    assert gpu["accuracy_all"] == pytest.approx(cpu["accuracy_all"], abs=0.02)
    found = next((tmp_path / "cuda").rglob("environment.json"))
    assert json.loads(found.read_text())["device"] == "cuda"
