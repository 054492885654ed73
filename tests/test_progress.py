"""How far a long call is: shown if it is asked for, never a change of what comes back."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep._progress import heard_by, show_progress, shows_progress, tell_progress
from neurosleep.experiments import RunRequest, apply_changes, load_settings, run_experiment
from neurosleep.functional import InputNoise, SlowOscillation, torch_generator
from neurosleep.replay import regulate, regulate_spikes
from tests.experiments.small_runs import SMALL

IMAGES = torch.rand(12, 6, generator=torch_generator(0, "images"))
NOISE = InputNoise(np.full(6, 0.5))


def model() -> ns.MLP:
    return ns.MLP([6, 5, 3], init="torch", generator=torch_generator(0, "init"))


def network() -> ns.ConvertedNetwork:
    return ns.convert(model(), IMAGES, recipe="recursive", thresholds=[0.2, 0.05])


def asleep(**more: Any) -> list[Any]:
    drive, rule = ns.MeanDrive(np.full(6, 0.5), 200.0), ns.SRCRule(0.01, 0.001)
    return [w.tolist() for w in ns.sleep(network(), drive=drive, rule=rule, steps=1500, **more).network.weights]


def in_spikes(**more: Any) -> list[Any]:
    converted = ns.convert(model(), IMAGES, reset="subtract")
    short = SlowOscillation(frames=300, up=20, down=10)
    return [w.tolist() for w in regulate_spikes(converted, NOISE, oscillation=short, **more).network.weights]


CALLS: dict[str, tuple[Callable[..., Any], str]] = {
    "sleep": (asleep, "sleep, steps: 1500 of 1500"),
    "simulate": (lambda **more: ns.simulate(network(), IMAGES, 20, **more).outputs.tolist(), "images: 12 of 12"),
    "regulate": (
        lambda **more: [p.tolist() for p in regulate(model(), NOISE, draws=100, **more).model.parameters()],
        "homeostasis in rates, layers: 2 of 2",
    ),
    "regulate_spikes": (in_spikes, "frames: 300 of 300"),
}


@pytest.mark.parametrize("name", CALLS)
def test_lines_are_shown_if_asked_for_and_nothing_changes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    call, last = CALLS[name]
    usual = call()
    # Here is no terminal.
    assert call(progress=True) == usual and capsys.readouterr() == ("", "")
    assert call(progress="lines") == usual
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1].endswith(last)
    with show_progress("lines"):
        assert call() == usual
    assert capsys.readouterr().err == err
    with pytest.raises(ns.SettingsError, match="progress is 'often'"):
        call(progress="often")


def test_a_terminal_has_a_bar_for_each_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with show_progress():
        for done in range(1, 4):
            tell_progress("steps [odd]", done, 3)
    assert "steps [odd]" in screen.getvalue() and "3/3" in screen.getvalue()
    monkeypatch.setattr(sys, "stderr", Terminal())
    with show_progress(False):
        tell_progress("steps", 1, 3)
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_there_is_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("lines"):
        for done in range(1, 1001):
            tell_progress("steps", done, 1000)
    assert len(capsys.readouterr().err.splitlines()) == 11


def test_who_hears_inside_and_outside_hears_the_same_until_the_end() -> None:
    inside, outside = list[Any](), list[Any]()
    with heard_by(lambda *told: outside.append(told)):
        with pytest.raises(ZeroDivisionError), heard_by(lambda *told: inside.append(told)):
            tell_progress("a", 1, 2)
            raise ZeroDivisionError
        tell_progress("a", 2, 2)
    tell_progress("a", 3, 2)
    assert inside == [("a", 1, 2)] and outside == [("a", 1, 2), ("a", 2, 2)]


def test_a_function_in_place_of_a_yes_is_called_with_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []
    asleep(progress=seen.append)
    assert seen == [1000, 1500] and capsys.readouterr() == ("", "")
    assert shows_progress(len)([1, 2]) == 2


def test_a_consolidator_shows_its_homeostasis(capsys: pytest.CaptureFixture[str]) -> None:
    keeper = ns.Consolidator()
    keeper.observe(IMAGES, torch.arange(12) % 3)
    keeper.consolidate(model(), sleep=ns.Sleep(stages=[ns.NREM(form="rates", draws=50)]), guard=False, progress="lines")
    assert "homeostasis in rates, layers: 2 of 2" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["rates", "spikes"])
def test_a_run_reports_what_its_homeostatic_sleep_is_at(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changes: dict[str, Any] = {**SMALL, "nrem.form": form, f"nrem.{'draws' if form == 'rates' else 'frames'}": 300}
    settings = apply_changes(load_settings("src2022/mnist")[1], list(changes.items()))
    asked = RunRequest("src2022/mnist", "small", "sleep", 0, settings, None, str(tmp_path))
    said: list[str] = []
    run_experiment([asked], report=lambda number, text: said.append(text), progress="lines")
    last = "layers: 2 of 2" if form == "rates" else "frames: 300 of 300"
    step = last.replace(": ", ", step ")
    for task in (1, 2):
        assert [text for text in said if text.startswith(f"task {task} of 2, homeostasis") and text.endswith(step)]
    err = capsys.readouterr().err
    assert "tasks: 2 of 2" in err and "runs: 1 of 1" in err and last in err


def test_linear_layers_alone_are_regulated_too() -> None:
    heard: list[Any] = []
    with heard_by(lambda *told: heard.append(told)):
        regulate(nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2)), NOISE, draws=10)
    assert heard == [("homeostasis in rates, layers", 2, 2)]
