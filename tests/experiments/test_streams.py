"""Experiments on streams: which sleeps there were and why, what grows, and what is refused before any work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from neurosleep.errors import NeurosleepError, SettingsError
from neurosleep.experiments import RunRequest, load_settings, run_one
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.run import one
from neurosleep.experiments.run.scenario import tasks_of

SMALL: list[tuple[str, Any]] = [
    ("data.name", "mnist-mini"),
    ("network.sizes", [784, 20, 10]),
    ("wake.batch", 50),
    ("joint.epochs", 1),
    ("nrem.draws", 200),
]


class StopError(Exception):
    """Stands for whatever ends a run from outside."""


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one, "write_run_figures", lambda folder: None)


def request(
    out: Path, *changes: tuple[str, Any], strategy: str = "sleep", variant: str = "default", resume: bool = False
) -> RunRequest:
    _, settings = load_settings("homeostatic/stream", strategy=strategy, variant=variant, changes=[*SMALL, *changes])
    return RunRequest("homeostatic/stream", variant, strategy, 0, settings, None, str(out), resume)


def test_metrics_say_when_it_slept_and_why_and_what_grew(tmp_path: Path) -> None:
    metrics = run_one(request(tmp_path))
    assert [sleep["samples"] for sleep in metrics["stream"]] == [3000, 6000, 9000, 10000]
    assert metrics["stream"][0]["trigger"] == "3000 samples since the last sleep"
    assert metrics["stream"][-1]["trigger"] == "the stream ended"
    growth = metrics["growth"]
    assert {len(growth[key]) for key in ("train_s", "sleep_s", "memory_bytes")} == {5}  # type: ignore[literal-required]
    assert sum(value or 0 for value in growth["sleep_s"]) == pytest.approx(metrics["seconds"]["sleep"], abs=0.01)
    assert sum(value or 0 for value in growth["train_s"]) == pytest.approx(metrics["seconds"]["train"], abs=0.01)
    assert all(value is None or value > 1e6 for value in growth["memory_bytes"])
    assert metrics["results"]["accuracy_all_before_last_sleep"] is not None
    assert metrics["accuracy_all"] is not None and metrics["accuracy_all"] > 0.5


def test_without_a_sleep_at_the_end_there_is_no_accuracy_before_it(tmp_path: Path) -> None:
    metrics = run_one(request(tmp_path, ("nrem.every_samples", 5000)))
    assert [sleep["samples"] for sleep in metrics["stream"]] == [5000, 10000]
    assert "accuracy_all_before_last_sleep" not in metrics["results"]


@pytest.mark.parametrize("variant", ["smooth", "smooth-drift"])
def test_a_smooth_stream_is_gone_on_with_in_the_middle(variant: str, tmp_path: Path) -> None:
    changes = [("data.parts", 6), *([("nrem.drift", 3.0)] if variant == "smooth-drift" else [])]
    whole = run_one(request(tmp_path / "a", *changes, variant=variant))
    assert whole["kind"] == "smooth stream" and len(whole["accuracy_matrix"]) == 6 and len(whole["stream"]) > 2

    def stop(text: str) -> None:
        if re.search(r"^task \d of \d", text):
            raise StopError

    for _ in range(12):
        with pytest.raises(StopError):
            run_one(request(tmp_path / "b", *changes, variant=variant, resume=True), stop)
    parts = run_one(request(tmp_path / "b", *changes, variant=variant, resume=True))

    def same(metrics: Any) -> dict[str, Any]:
        kept = {key: value for key, value in metrics.items() if key not in ("seconds", "growth")}
        return kept | {"stream": [{**sleep, "seconds": 0} for sleep in metrics["stream"]]}

    assert same(whole) == same(parts)


def test_sleep_after_tasks_has_no_stream_and_files_stay_as_they_were(tmp_path: Path) -> None:
    metrics = run_one(request(tmp_path, ("nrem.every_samples", None), ("data.images_per_task", 100)))
    assert "stream" not in metrics and len(metrics["growth"]["sleep_s"]) == 5
    text = dump_toml(load_settings("homeostatic/mnist")[1])
    assert not re.search("every_samples|drift|blur|parts|tests_per_task", text)


def test_fifty_permutations_are_of_the_images_that_are_used() -> None:
    _, settings = load_settings("homeostatic/permuted", variant="fifty", changes=[("data.name", "mnist-mini")])
    first, second, *_ = tasks = tasks_of(settings, None, 0)
    assert len(tasks) == 50 and len(first.pool_labels) == 10000 and len(first.test_labels) == 500
    _, usual = load_settings("homeostatic/permuted", changes=[("data.name", "mnist-mini")])
    again = tasks_of(usual, None, 0)[1]
    assert (again.train_images == second.train_images).all() and (again.test_images[::4] == second.test_images).all()


BLUR = [("data.blur", 0.3), ("data.parts", 5)]


@pytest.mark.parametrize(
    ("changes", "strategy", "text"),
    [
        ([("nrem.every_samples", 0)], "sleep", "nrem.every_samples cannot be 0"),
        ([("nrem.every_samples", -3)], "sleep", "nrem.every_samples cannot be -3"),
        ([("nrem.every_samples", "many")], "sleep", "nrem.every_samples is 'many'"),
        ([("nrem.every_samples", 2.5)], "sleep", "nrem.every_samples is 2.5"),
        ([("nrem.drift", 10.0)], "sleep", "nrem.every_samples is 3000, and nrem.drift 10"),
        ([("nrem.every_samples", None), ("nrem.drift", 0)], "sleep", "nrem.drift is 0"),
        ([("nrem.every_samples", None), ("nrem.drift", -1.0)], "sleep", "nrem.drift is -1"),
        ([("nrem.drift_window", 50)], "sleep", "nrem.drift_window is given, and no drift"),
        ([("nrem.after", [1])], "sleep", "nrem.every_samples is 3000, and nrem.after is given"),
        ([("nrem.every_batches", 5)], "sleep", "nrem.every_samples is 3000, and nrem.every_batches is given"),
        ([("nrem.profile", "loihi1")], "sleep", "nrem.every_samples is 3000, and nrem.profile is given"),
        ([], "rehearsal+sleep", "nrem.every_samples is 3000: .* the strategy 'rehearsal' asks for it"),
        ([], "sleep+src", "nrem.every_samples is 3000: .* the strategy 'src' asks for it"),
        ([*BLUR], "ewc", "data.blur is 0.3: .* the strategy 'ewc' asks for it"),
        ([*BLUR, ("nrem.every_samples", None)], "sleep", "data.blur is 0.3: .* the strategy 'sleep' asks for it"),
        ([("wake.lr_per_task", [0.1, 0.2])], "sleep", "wake.lr_per_task is"),
        ([*BLUR, ("wake.freeze_after_first", ["hidden"])], "sequential", "wake.freeze_after_first is"),
        ([("wake.loss", "task-cross-entropy")], "sleep", "wake.loss is 'task-cross-entropy'"),
        ([("data.blur", 0.3)], "sequential", "data.blur is 0.3 and data.parts None"),
        ([*BLUR, ("data.permutations", 3)], "sequential", "data.blur and data.permutations are both given"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    changes: list[tuple[str, Any]], strategy: str, text: str, tmp_path: Path
) -> None:
    with pytest.raises(NeurosleepError, match=text) as refused:
        run_one(request(tmp_path / "out", *changes, strategy=strategy))
    assert isinstance(refused.value, SettingsError) and not (tmp_path / "out").exists()
