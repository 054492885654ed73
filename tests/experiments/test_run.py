"""Small runs on the embedded digits: repeatable, resumable, refused where they should be, and honest when diverged."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosleep._files import hold_lock
from neurosleep.errors import RunFolderError
from neurosleep.experiments import (
    RunFolder,
    RunRequest,
    apply_changes,
    load_settings,
    run_experiment,
    run_one,
    summarise,
    write_whole,
)
from neurosleep.experiments.divergence import told_divergence
from neurosleep.experiments.run.commit import own_commit
from neurosleep.experiments.run.message import message_of, request_from
from neurosleep.spiking import Recording

SMALL = [
    ("data.name", "mnist-mini"),
    ("data.images_per_task", 200),
    ("network.sizes", [784, 40, 30, 10]),
    ("wake.epochs", 1),
    ("joint.epochs", 1),
    ("sleep.steps", 300),
    # Low enough for so small a network to fire within 300 steps.
    ("sleep.thresholds", [5.0, 5.0, 5.0]),
]
Change = tuple[str, Any]


class StopError(Exception):
    """Stands for whatever ends a run from outside."""


def request(out: Path, *changes: Change, strategy: str = "src", seed: int = 0, resume: bool = False) -> RunRequest:
    settings = apply_changes(load_settings("src2022/mnist")[1], [*SMALL, *changes])
    return RunRequest("src2022/mnist", "small", strategy, seed, settings, None, str(out), resume, "neurosleep run")


def same(metrics: dict[str, Any]) -> dict[str, Any]:
    """What two runs of the same request must agree on."""
    return {key: value for key, value in metrics.items() if key not in ("seconds", "growth")}


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def stop_at(pattern: str) -> Callable[[str], None]:
    def report(text: str) -> None:
        if re.search(pattern, text):
            raise StopError(text)

    return report


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRequest, dict[str, Any]]:
    """An uninterrupted run."""
    wanted = request(tmp_path_factory.mktemp("whole"))
    return wanted, run_one(wanted)


def assert_as_whole(wanted: RunRequest, metrics: dict[str, Any], whole: tuple[RunRequest, dict[str, Any]]) -> None:
    assert same(metrics) == same(whole[1])
    for name in ("accuracy.csv", "firing.csv", "config.toml", "environment.json"):
        assert (wanted.folder.path / name).read_bytes() == (whole[0].folder.path / name).read_bytes()
    ours, _ = wanted.folder.load_bundle((wanted.folder.path / "config.toml").read_text(encoding="utf-8")) or ({}, None)
    theirs, _ = whole[0].folder.load_bundle((wanted.folder.path / "config.toml").read_text(encoding="utf-8")) or (
        {},
        None,
    )
    assert ours
    assert ours.keys() == theirs.keys()
    assert all(bool((ours[key] == theirs[key]).all()) for key in ours)


# --- the same again ---------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_metrics_and_another_seed_others(
    tmp_path: Path, whole: tuple[RunRequest, dict[str, Any]]
) -> None:
    again = request(tmp_path)
    assert_as_whole(again, run_one(again), whole)
    for name in ("accuracy.png", "rates.png"):
        figure = Path("figures", name)
        assert (again.folder.path / figure).read_bytes() == (whole[0].folder.path / figure).read_bytes()
    assert sum(sum(row) for row in whole[1]["sleep"]["spikes_per_step"]) > 0
    other = run_one(request(tmp_path, seed=1))
    assert other["accuracy_matrix"] != whole[1]["accuracy_matrix"]


def test_the_environment_says_what_it_was_made_with(whole: tuple[RunRequest, dict[str, Any]]) -> None:
    found = json.loads((whole[0].folder.path / "environment.json").read_text(encoding="utf-8"))
    assert set(found) >= {"versions", "device", "threads", "commit", "command", "dt"}
    assert found["command"] == "neurosleep run"
    assert found["threads"] == 1
    assert found["commit"] == own_commit()
    assert found["versions"]["neurosleep"] and found["versions"]["torch"]


def test_metrics_are_what_the_phases_gave(whole: tuple[RunRequest, dict[str, Any]]) -> None:
    wanted, metrics = whole
    assert json.loads((wanted.folder.path / "metrics.json").read_text()) == metrics
    assert metrics["status"] == "done"
    assert metrics["sleep"]["steps"] == [300, 400, 500, 600, 700]
    assert metrics["sleep"]["populations"] == ["input", "hidden1", "hidden2", "output"]
    assert np.array(metrics["accuracy_matrix"]).shape == (5, 5)
    # Every task has as many test images, so the whole is the plain mean of the last row.
    assert metrics["accuracy_all"] == pytest.approx(np.mean(metrics["accuracy_matrix"][-1]))
    assert metrics["accuracy_per_task"] == metrics["accuracy_matrix"][-1]
    assert 0 < metrics["accuracy_of_a_guess"] <= 1
    with (wanted.folder.path / "accuracy.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * 2 * 5
    slept = [float(row["accuracy"]) for row in rows if row["phase"] == "sleep"]
    awake = [float(row["accuracy"]) for row in rows if row["phase"] == "wake"]
    assert slept == [value for row in metrics["accuracy_matrix"] for value in row]
    assert awake == [value for row in metrics["accuracy_before_sleep"] for value in row]


@pytest.mark.parametrize("strategy", ["sequential", "joint"])
def test_strategies_without_sleep_run(tmp_path: Path, strategy: str) -> None:
    wanted = request(tmp_path, strategy=strategy)
    metrics = run_one(wanted)
    assert metrics["status"] == "done"
    assert metrics["strategy"] == strategy
    assert metrics["accuracy_before_sleep"] is None
    assert metrics["sleep"]["steps"] == []
    assert metrics["reads_old_data"] is (strategy == "joint")
    assert not (wanted.folder.path / "firing.csv").exists()
    drawn = {"accuracy", "confusion", "training"} | (set() if strategy == "joint" else {"accuracy_matrix"})
    found = {path.name for path in (wanted.folder.path / "figures").iterdir()}
    assert found == {f"{name}.{kind}" for name in drawn for kind in ("png", "csv")}
    # Joint training has one task, so nothing can be forgotten between tasks.
    assert (metrics["bwt"] is None) is (strategy == "joint")
    assert len(metrics["accuracy_per_task"]) == 5


def test_two_jobs_give_what_one_gives(tmp_path: Path, whole: tuple[RunRequest, dict[str, Any]]) -> None:
    said: list[tuple[int, str]] = []
    wanted = [request(tmp_path), request(tmp_path, strategy="sequential")]
    found = run_experiment(wanted, jobs=2, report=lambda number, text: said.append((number, text)))
    assert dict(said) == {0: "done", 1: "done"}
    # What other processes report is looked at now and then: not every line arrives.
    assert any(number == 0 and text.startswith("task ") for number, text in said)
    assert [run["strategy"] for run in found] == ["src", "sequential"]
    assert same(found[0]) == same(whole[1])
    assert same(found[1]) == same(run_one(request(tmp_path / "one", strategy="sequential")))


def test_recorded_spikes_are_as_many_as_counted(tmp_path: Path, whole: tuple[RunRequest, dict[str, Any]]) -> None:
    wanted = request(tmp_path, ("record", "all"))
    metrics = run_one(wanted)
    assert same(metrics) == same(whole[1])
    sleep = metrics["sleep"]
    names = {"accuracy", "accuracy_matrix", "raster", "rates", "confusion", "training", "weights"}
    names |= {"weight_change", "intervals", "sleep_images", "receptive_fields"}
    drawn = {f"{name}.{kind}" for name in names for kind in ("png", "csv")}
    assert {path.name for path in (wanted.folder.path / "figures").iterdir()} == drawn
    paths = sorted((wanted.folder.path / "spikes").iterdir())
    assert [path.name for path in paths] == [f"task{k}.npz" for k in range(1, 6)]
    for path, steps, per_step in zip(paths, sleep["steps"], sleep["spikes_per_step"], strict=True):
        spikes = Recording.open(path).spikes
        for name, mean, n in zip(sleep["populations"], per_step, [784, 40, 30, 10], strict=True):
            events = spikes[name]
            assert len(events.indices) == events.offsets[-1] == round(mean * steps)
            assert len(events.offsets) == steps + 1
            assert events.n == n
    rows = list(csv.DictReader(io.StringIO((wanted.folder.path / "weights.csv").read_text(encoding="utf-8"))))
    assert {row["projection"] for row in rows} == {"input -> hidden1", "hidden1 -> hidden2", "hidden2 -> output"}
    for number, steps in enumerate(sleep["steps"], start=1):
        times = [row["time_s"] for row in rows if row["after_task"] == str(number)]
        # From the start to the end, where the weights have moved.
        assert times[0] == "0.0" and float(times[-1]) == pytest.approx(steps * 0.001, abs=0.015)
    assert all((float(row["change"]) > 0) or row["time_s"] == "0.0" for row in rows if row["after_task"] == "5")
    preferred = (wanted.folder.path / "analysis" / "preferred_task.csv").read_text(encoding="utf-8")
    found = list(csv.DictReader(io.StringIO(preferred)))
    assert len(found) == 40 + 30 + 10 and {int(row["task"]) for row in found} <= set(range(6))
    # The outputs answer to several tasks, as they are trained to.
    assert len({row["task"] for row in found if row["population"] == "output"}) > 1


# --- stopped and resumed ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_run_figures")
def test_stopped_after_every_phase_and_resumed_is_as_if_never_stopped(
    tmp_path: Path, whole: tuple[RunRequest, dict[str, Any]]
) -> None:
    stops = 0
    wanted = request(tmp_path)
    while True:
        try:
            metrics = run_one(wanted, stop_at(r"^task \d of 5, (wake|sleep): "))
        except StopError as stop:
            stops += 1
            assert str(stop).startswith(f"task {(stops + 1) // 2} of 5, {'wake' if stops % 2 else 'sleep'}")
            assert not wanted.folder.finished
            wanted = request(tmp_path, resume=True)
        else:
            break
    assert stops == 10
    assert_as_whole(wanted, metrics, whole)


@pytest.mark.parametrize("call", [1, 2, 7])
@pytest.mark.usefixtures("no_run_figures")
def test_stopped_before_a_phase_was_stored_it_is_done_again(
    tmp_path: Path, whole: tuple[RunRequest, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    save, calls = RunFolder.save_bundle, 0

    def failing(self: RunFolder, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise StopError
        save(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save_bundle", failing)
        with pytest.raises(StopError):
            run_one(request(tmp_path))
    wanted = request(tmp_path, resume=True)
    assert_as_whole(wanted, run_one(wanted), whole)


def test_killed_in_its_sleep_and_resumed_is_as_if_never_killed(tmp_path: Path) -> None:
    longer = ("sleep.steps", 2400)
    wanted = request(tmp_path / "killed", longer)
    program = (
        "import pickle, sys, threading\n"
        "from neurosleep.experiments import run_one\n"
        "def report(text):\n"
        "    if text.endswith('sleep, step 2000 of 3200'):\n"
        "        print('asleep', flush=True)\n"
        "        threading.Event().wait()\n"
        "run_one(pickle.load(sys.stdin.buffer), report)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    with process:
        process.stdin.write(pickle.dumps(wanted))
        process.stdin.close()
        said = process.stdout.readline()
        # While the other process holds the folder, nobody else gets in.
        if said:
            with pytest.raises(RunFolderError, match="Another process"):
                run_one(request(tmp_path / "killed", longer, resume=True))
        process.kill()
        assert said == b"asleep\n", process.stderr.read().decode()
    assert process.returncode == -9
    assert not wanted.folder.finished
    resumed: list[str] = []
    killed = run_one(request(tmp_path / "killed", longer, resume=True), resumed.append)
    assert resumed[0] == "task 2 of 5, sleep, step 1000 of 3200"
    assert same(killed) == same(run_one(request(tmp_path / "whole", longer)))


def test_a_finished_run_is_not_run_again(
    whole: tuple[RunRequest, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(whole[0].folder.path)
    again = run_one(request(Path(whole[0].out), resume=True), lambda text: pytest.fail(text))
    assert again == whole[1]
    assert files(whole[0].folder.path) == before


# --- refused ----------------------------------------------------------------------------------------------------------


def test_an_existing_folder_is_refused_and_left_alone(whole: tuple[RunRequest, dict[str, Any]]) -> None:
    before = files(whole[0].folder.path)
    with pytest.raises(RunFolderError, match="exists already"):
        run_one(request(Path(whole[0].out)))
    assert files(whole[0].folder.path) == before


def test_one_bad_request_stops_all_before_the_first_starts(
    tmp_path: Path, whole: tuple[RunRequest, dict[str, Any]]
) -> None:
    with pytest.raises(RunFolderError, match="exists already"):
        run_experiment([request(tmp_path), request(Path(whole[0].out))])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("resume", [False, True])
def test_a_file_in_the_way_is_refused_and_left_alone(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "src2022").write_text("mine")
    with pytest.raises(RunFolderError, match="is a file"):
        run_one(request(tmp_path, resume=resume))
    assert files(tmp_path) == {"src2022": b"mine"}


def test_a_stopped_run_is_not_resumed_with_other_settings(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        run_one(request(tmp_path), stop_at("^task 1 of 5, wake: "))
    before = files(tmp_path)
    with pytest.raises(RunFolderError, match="other settings"):
        run_one(request(tmp_path, ("wake.lr", 0.2), resume=True))
    assert files(tmp_path) == before


def test_a_finished_run_is_not_taken_for_one_with_other_settings(whole: tuple[RunRequest, dict[str, Any]]) -> None:
    before = files(whole[0].folder.path)
    with pytest.raises(RunFolderError, match="other settings"):
        run_one(request(Path(whole[0].out), ("wake.lr", 0.2), resume=True))
    assert files(whole[0].folder.path) == before


def test_a_broken_bundle_is_refused(tmp_path: Path) -> None:
    wanted = request(tmp_path, resume=True)
    write_whole(wanted.folder.path / "resume" / "bundle.safetensors", b"no tensors at all")
    with pytest.raises(RunFolderError, match="cannot be read"):
        run_one(wanted)


def test_what_another_process_finished_in_the_meantime_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = request(tmp_path, resume=True)
    first = run_one(wanted)
    # Every look comes before the other process is done, but those that are taken once the folder is this one's.
    held: list[Path] = []
    locked = RunFolder.locked

    @contextmanager
    def then(folder: RunFolder) -> Iterator[None]:
        with locked(folder):
            held.append(folder.path)
            yield

    monkeypatch.setattr(RunFolder, "locked", then)
    monkeypatch.setattr(RunFolder, "finished", property(lambda folder: bool(held)))
    assert run_one(wanted) == first


def test_a_held_lock_is_refused(tmp_path: Path) -> None:
    wanted = request(tmp_path, resume=True)
    wanted.folder.path.mkdir(parents=True)
    with hold_lock(wanted.folder.path / "lock"), pytest.raises(RunFolderError, match="Another process"):
        run_one(wanted)
    assert [path.name for path in wanted.folder.path.iterdir()] == ["lock"]


def test_a_run_that_is_asked_for_no_figures_draws_none(tmp_path: Path) -> None:
    wanted = replace(request(tmp_path, strategy="sequential"), figures=False)
    assert run_one(wanted)["status"] == "done" and (wanted.folder.path / "metrics.json").is_file()
    assert not (wanted.folder.path / "figures").exists()
    assert not request_from(message_of(wanted, "0" * 64), None, str(tmp_path), resume=False).figures


def test_without_its_figures_a_run_is_not_finished_but_goes_on(tmp_path: Path) -> None:
    wanted = request(tmp_path, ("data.tasks", [[0, 1], [2, 3]]), resume=True)
    figures = wanted.folder.path / "figures"
    write_whole(figures, "in the way")
    with pytest.raises(RunFolderError, match=r"accuracy\.png"):
        run_one(wanted)
    assert not wanted.folder.finished
    figures.unlink()
    assert run_one(wanted)["status"] == "done"
    assert (figures / "accuracy.png").is_file()


def _full(patch: pytest.MonkeyPatch, how: str, names: str) -> None:
    """A disk that is full when a file whose name matches is written."""
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if how == "replace":
        replace = Path.replace

        def failing(self: Path, target: Path) -> Path:
            if re.search(names, self.name):
                raise error
            return replace(self, target)

        patch.setattr(Path, "replace", failing)
    else:
        opened = Path.open

        def full(self: Path, mode: str = "r", *arguments: Any, **keywords: Any) -> Any:
            if re.search(names, self.name) and "w" in mode:
                opened(self, mode, *arguments, **keywords).close()
                raise error
            return opened(self, mode, *arguments, **keywords)

        patch.setattr(Path, "open", full)


@pytest.mark.parametrize("how", ["replace", "open"])
@pytest.mark.parametrize(
    "name", ["config.toml", "environment.json", "bundle.safetensors", "firing.csv", "metrics.json"]
)
def test_a_full_disk_is_an_error_of_the_folder_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, name: str
) -> None:
    two = ("data.tasks", [[0, 1], [2, 3]])
    with monkeypatch.context() as patch:
        _full(patch, how, re.escape(name))
        with pytest.raises(RunFolderError, match=re.escape(name)) as caught:
            run_one(request(tmp_path, two))
    assert caught.value.found == os.strerror(errno.ENOSPC)
    left = files(tmp_path)
    assert not [path for path in left if path.endswith((".tmp", name))]
    assert "metrics.json" not in left
    # With space again, it goes on.
    assert run_one(request(tmp_path, two, resume=True))["status"] == "done"


# --- what was learnt --------------------------------------------------------------------------------------------------


def test_answers_by_class_and_weights_around_the_sleep_are_written(
    tmp_path: Path, whole: tuple[RunRequest, dict[str, Any]]
) -> None:
    def rows(path: Path) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(path.read_text())))

    folder, metrics = whole[0].folder.path, whole[1]
    answers = [tuple(int(row[key]) for key in ("class", "answer", "images")) for row in rows(folder / "confusion.csv")]
    total = sum(images for _, _, images in answers)
    right = sum(images for known, answer, images in answers if known == answer)
    assert right / total == pytest.approx(metrics["accuracy_all"], abs=1e-12)
    assert {known for known, _, _ in answers} == set(range(10)) and len(set(answers)) == len(answers)
    weights = rows(folder / "analysis" / "weight_histogram.csv")
    for layer, synapses in (("hidden1", 784 * 40), ("hidden2", 40 * 30), ("output", 300)):
        for quantity in ("before", "after"):
            counts = [int(r["count"]) for r in weights if (r["layer"], r["quantity"]) == (layer, quantity)]
            assert sum(counts) == synapses
    assert {"confusion.png", "training.png", "weights.png"} <= {path.name for path in (folder / "figures").iterdir()}
    # What never slept has no weights before and after.
    awake = request(tmp_path, ("analyse", True), strategy="sequential")
    run_one(awake)
    assert not (awake.folder.path / "analysis" / "weight_histogram.csv").exists()
    assert (awake.folder.path / "confusion.csv").is_file()


# --- diverged ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_run_figures")
def test_a_diverged_sleep_is_said_and_counts_nowhere(tmp_path: Path) -> None:
    wild: list[Change] = [("sleep.rule.factor", "constant"), ("sleep.rule.inc", 1e6), ("sleep.rule.dec", 0.0)]
    wanted = request(tmp_path, *wild)
    metrics = run_one(wanted)
    assert metrics["status"] == "diverged"
    assert metrics["accuracy_all"] is None
    assert metrics["results"] == {"accuracy_all": None}
    assert metrics["bwt"] is None
    assert metrics["sleep"]["divergence"]["step"] == 300
    where = metrics["divergence"]
    assert (where["task"], where["phase"], where["epoch"], where["step"]) == (1, "sleep", None, 300)
    assert where["layer"] == metrics["sleep"]["divergence"]["projection"] and where["quantity"] == "largest weight"
    assert where["value"] is None or where["value"] > 1e4
    assert "sleep.rule.inc" in where["hint"]
    text = (wanted.folder.path / "metrics.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == metrics
    assert not re.search("nan|inf", (wanted.folder.path / "accuracy.csv").read_text())
    row = summarise([metrics])[0]
    assert row["accuracy_all"] == {"mean": None, "sd": None, "n": 0}
    assert row["diverged"] == 1
    # Resuming keeps it as it is.
    assert run_one(request(tmp_path, *wild, resume=True)) == metrics


@pytest.mark.usefixtures("no_run_figures")
def test_a_diverged_wake_phase_says_where_and_what_to_try(tmp_path: Path) -> None:
    metrics = run_one(request(tmp_path, ("wake.lr", 1e30), strategy="sequential"))
    where = metrics["divergence"]
    assert metrics["status"] == "diverged" and where["value"] is None and where["quantity"] == "weights"
    assert (where["task"], where["phase"], where["epoch"]) == (1, "wake", 1) and 1 <= where["step"] <= 4
    assert where["layer"].startswith("layers.") and "wake.lr" in where["hint"]
    assert told_divergence(metrics) == (
        f"Diverged in task 1, wake, epoch 1, step {where['step']}: weights of {where['layer']} not finite. "
        "Try: lower wake.lr, or the strength of the strategy if it adds to the loss."
    )
    # What earlier versions wrote, and what says nothing.
    earlier = {"sleep": {"divergence": {"step": 1000, "projection": "input -> hidden"}}}
    assert told_divergence(earlier) == "It left its bounds within 1000 steps of a sleep: input -> hidden."
    assert told_divergence({"sleep": None}) == told_divergence({}) == ""
    assert told_divergence({"divergence": {"phase": "wake"}}) == "Diverged in wake: a number not finite."


@pytest.mark.usefixtures("no_run_figures")
def test_loss_and_accuracy_of_each_epoch_are_written(tmp_path: Path) -> None:
    wanted = request(tmp_path, ("wake.epochs", 3), strategy="sequential")
    metrics = run_one(wanted)
    assert "divergence" not in metrics
    rows = list(csv.DictReader(io.StringIO((wanted.folder.path / "training.csv").read_text())))
    assert [(row["task"], row["epoch"]) for row in rows] == [(str(t), str(e)) for t in range(1, 6) for e in (1, 2, 3)]
    losses = [float(row["loss"]) for row in rows]
    assert all(math.isfinite(loss) and loss > 0 for loss in losses) and losses[2] < losses[0]
    accuracies = [float(row["accuracy"]) for row in rows]
    assert all(0 <= accuracy <= 1 for accuracy in accuracies) and accuracies[2] > accuracies[0]
    # What is learnt is what is learnt without looking.
    assert same(metrics) == same(run_one(request(tmp_path / "again", ("wake.epochs", 3), strategy="sequential")))


@pytest.mark.usefixtures("no_run_figures")
def test_a_diverged_wake_training_is_said(tmp_path: Path) -> None:
    wanted = request(tmp_path, ("wake.lr", 1e30), ("wake.epochs", 3))
    metrics = run_one(wanted)
    assert metrics["status"] == "diverged"
    assert metrics["accuracy_all"] is None
    json.loads((wanted.folder.path / "metrics.json").read_text(), parse_constant=lambda name: pytest.fail(name))


# --- summaries --------------------------------------------------------------------------------------------------------


def test_summarise_by_hand() -> None:
    def run(strategy: str, accuracy: float | None, variant: str = "default") -> dict[str, Any]:
        status = "done" if accuracy is not None else "diverged"
        return {
            "experiment": "e",
            "variant": variant,
            "strategy": strategy,
            "accuracy_all": accuracy,
            "status": status,
        }

    rows = summarise([run("src", 0.4), run("joint", 0.9), run("src", 0.6), run("src", None), run("src", 0.1, "v")])
    assert [(row["variant"], row["strategy"], row["diverged"]) for row in rows] == [
        ("default", "src", 1),
        ("default", "joint", 0),
        ("v", "src", 0),
    ]
    assert rows[0]["accuracy_all"]["mean"] == pytest.approx(0.5)
    assert rows[0]["accuracy_all"]["sd"] == pytest.approx(math.sqrt(0.02))
    assert rows[0]["accuracy_all"]["n"] == 2
    assert rows[1]["accuracy_all"] == {"mean": 0.9, "sd": None, "n": 1}
    assert summarise([]) == []
