"""Every strategy: a run stopped after each of its phases and resumed is as if it had never been stopped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from neurosleep.errors import SettingsError
from neurosleep.experiments import RunRequest, apply_changes, load_settings, run_experiment, run_one
from neurosleep.learning import Backprop

# None of these tests looks at a figure.
pytestmark = pytest.mark.usefixtures("no_run_figures")

SMALL: list[tuple[str, Any]] = [
    ("data.name", "mnist-mini"),
    ("data.tasks", [[1, 0], [7, 3], [5, 4]]),
    ("data.images_per_task", 200),
    ("network.sizes", [784, 30, 20, 10]),
    ("wake.epochs", 1),
    ("wake.batch", 20),
    ("joint.epochs", 1),
    ("sleep.steps", 50),
    ("sleep.thresholds", [0.5, 0.5, 0.5]),
    ("ewc.strength", 5.0),
    ("icarl.k", 40),
    ("rehearsal.fraction", 0.05),
]
SOFTMAX = ("wake.loss", "cross-entropy")


class StopError(Exception):
    """Stands for whatever ends a run from outside."""


def stop(text: str) -> None:
    if re.search(r"^task \d of \d, (wake|sleep): ", text):
        raise StopError


def request(out: Path, strategy: str, *changes: tuple[str, Any], resume: bool = False) -> RunRequest:
    settings = apply_changes(load_settings("src2022/mnist")[1], [*SMALL, *changes])
    return RunRequest("src2022/mnist", "small", strategy, 3, settings, None, str(out), resume)


def same(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key not in ("seconds", "growth")}


@pytest.mark.parametrize(
    ("strategy", "changes"),
    [
        ("sequential", []),
        ("joint", []),
        ("joint-matched", []),
        ("joint+src", []),
        ("ewc", []),
        ("ewc", [("ewc.mode", "online"), ("ewc.gamma", 0.7), ("ewc.fisher", "true"), SOFTMAX]),
        ("si", []),
        ("owm", []),
        ("lwf", [SOFTMAX]),
        ("rehearsal", []),
        ("icarl", [SOFTMAX, ("icarl.distillation", True)]),
        ("icarl", [("icarl.herding", False), ("data.order", "random")]),
        ("src", [("sleep.after", [2])]),
        ("src", [("sleep.statistics", "first"), ("sleep.lengths", [30, 1100])]),
        ("ewc+src", []),
        ("ewc+src", [("order", "sleep-last")]),
        ("si+src", []),
        ("owm+src", []),
        ("lwf+src", []),
        ("rehearsal+src", []),
        ("icarl+src", [SOFTMAX]),
        ("ewc+icarl+src", []),
        ("sleep", [("nrem.form", "rates"), ("nrem.every_batches", 2), ("nrem.nap_damping", 0.5)]),
        ("rehearsal+sleep", [("nrem.form", "rates"), ("nrem.target", "set-points"), ("nrem.every_batches", 1)]),
    ],
)
def test_stopped_after_every_phase_and_resumed_gives_the_same(
    tmp_path: Path, strategy: str, changes: list[tuple[str, Any]]
) -> None:
    whole = run_one(request(tmp_path / "whole", strategy, *changes))
    assert whole["status"] == "done"
    stops = 0
    wanted = request(tmp_path / "stopped", strategy, *changes)
    while True:
        try:
            found = run_one(wanted, stop)
        except StopError:
            stops += 1
            wanted = request(tmp_path / "stopped", strategy, *changes, resume=True)
        else:
            break
    assert stops == (2 if "joint" in strategy else 6)
    assert same(found) == same(whole)
    stored = [
        r.folder.load_bundle((r.folder.path / "config.toml").read_text(encoding="utf-8"))
        for r in (request(tmp_path / name, strategy, *changes) for name in ("whole", "stopped"))
    ]
    assert stored[0] is not None and stored[1] is not None
    one, other = stored[0][0], stored[1][0]
    assert one.keys() == other.keys()
    assert all(bool((one[key] == other[key]).all()) for key in one)
    # Without sleep nothing of the sleep is in the metrics, with it the read-outs of before are.
    assert (found["accuracy_before_sleep"] is not None) is ("src" in strategy or "sleep" in strategy)
    assert ("accuracy_all_nearest_mean" in found["results"]) is ("icarl" in strategy)


@pytest.mark.parametrize("strategy", ["icarl", "icarl+src", "ewc+icarl"])
@pytest.mark.parametrize(("k", "message"), [(5, "is 5"), (0, "cannot be 0")])
def test_fewer_exemplars_than_classes_are_refused_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, k: int, message: str
) -> None:
    monkeypatch.setattr(Backprop, "fit", lambda *arguments, **more: pytest.fail("training started"))
    with pytest.raises(SettingsError, match=rf"icarl\.k {message}"):
        run_experiment([request(tmp_path / "a", "sequential"), request(tmp_path / "b", strategy, ("icarl.k", k))])
    assert not list(tmp_path.iterdir())


def test_as_many_exemplars_as_classes_will_do(tmp_path: Path) -> None:
    # Six classes are learnt; that the highest is 7 does not matter.
    assert run_one(request(tmp_path, "icarl", ("icarl.k", 6)))["status"] == "done"


@pytest.mark.parametrize(
    ("strategy", "change", "said"),
    [
        ("rehearsal", ("rehearsal.fraction", 1.5), "rehearsal.fraction cannot be 1.5"),
        ("rehearsal+src", ("rehearsal.fraction", -0.1), "rehearsal.fraction cannot be -0.1"),
        ("ewc", ("ewc.mode", "offline"), "offline"),
        ("owm", ("owm.alpha", [0.9, 1.0]), "owm.alpha has 2"),
        ("owm", ("owm.decay", [0.9, 1.0]), "owm.decay 2"),
        ("ewc+src", ("order", "last"), "'last'"),
        ("src", ("sleep.after", [0]), "sleep.after holds 0"),
        ("sequential", ("wake.lr_per_task", [0.1, -0.1]), "learning rate is -0.1"),
        ("sequential", ("wake.epochs_per_task", [1, "two"]), "wake.epochs_per_task"),
        ("ewc+owm", ("engine", "event"), "'ewc\\+owm' cannot be composed"),
    ],
)
def test_what_a_strategy_cannot_use_is_refused_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, change: tuple[str, Any], said: str
) -> None:
    monkeypatch.setattr(Backprop, "fit", lambda *arguments, **more: pytest.fail("training started"))
    with pytest.raises(SettingsError, match=said):
        run_experiment([request(tmp_path / "a", "sequential"), request(tmp_path / "b", strategy, change)])
    assert not list(tmp_path.iterdir())
