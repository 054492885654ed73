"""Runs that are followed while they go on."""

from __future__ import annotations

import contextlib
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurosleep as ns
from neurosleep.data import class_incremental
from neurosleep.errors import RunFolderError
from neurosleep.experiments import (
    Follow,
    Listeners,
    RunRequest,
    TensorBoard,
    apply_changes,
    load_settings,
    run_experiment,
)
from neurosleep.experiments.run.live import Watcher

SMALL = [
    ("network.sizes", [784, 40, 30, 10]),
    ("network.init", 0.05),
    ("data.images_per_task", 200),
    ("wake.epochs", 1),
    ("sleep.steps", 1500),
    ("sleep.growth", 0.0),
    ("sleep.thresholds", [0.5, 0.5, 0.5]),
    ("sleep.alpha_scale", 1.0),
    ("record", "counts"),
]


def request(out: Path, *changes: tuple[str, Any], strategy: str = "src", seed: int = 0) -> RunRequest:
    settings = apply_changes(load_settings("demo/mnist-mini")[1], [*SMALL, *changes])
    return RunRequest("demo/mnist-mini", "small", strategy, seed, settings, None, str(out))


def same(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key not in ("seconds", "growth")}


@pytest.mark.parametrize("chip", [[], [("sleep.profile", "generic_int8")]])
def test_events_tell_the_run_and_change_nothing(tmp_path: Path, chip: list[tuple[str, Any]]) -> None:
    events: list[dict[str, Any]] = []
    followed = run_experiment([request(tmp_path / "a", *chip)], listener=lambda event: events.append(dict(event)))[0]
    assert same(followed) == same(run_experiment([request(tmp_path / "b", *chip)])[0])
    kinds = [event["event"] for event in events]
    assert kinds[0] == "start" and kinds[-1] == "end" and events[-1]["accuracy_all"] == followed["accuracy_all"]
    one = ["epoch", "phase", "sleep", "sleep", "phase"]
    assert kinds[1:-1] == one * 5
    assert all((e["experiment"], e["variant"], e["seed"]) == ("demo/mnist-mini", "small", 0) for e in events)
    asleep = [event for event in events if event["event"] == "sleep"]
    assert [(e["task"], e["step"]) for e in asleep[:3]] == [(1, 1000), (1, 1500), (2, 1000)]
    for event in asleep:
        assert set(event["rates"]) == {"input", "hidden1", "hidden2", "output"} and event["rates"]["input"] > 0
        assert set(event["weight_change"]) == {"input -> hidden1", "hidden1 -> hidden2", "hidden2 -> output"}
        assert 0 <= event["accuracy_all"] <= 1
    # Rates are means over neurons and seconds: together they are the sleep's spikes.
    first = sum(e["rates"]["hidden1"] * 40 * window for e, window in zip(asleep[:2], (1.0, 0.5), strict=True))
    assert first == pytest.approx(followed["sleep"]["spikes_per_step"][0][1] * 1500)
    assert asleep[1]["weight_change"]["input -> hidden1"] > 0
    after = [event for event in events if event["event"] == "phase" and event["phase"] == "sleep"]
    assert [event["accuracy"] for event in after] == followed["accuracy_matrix"]


def test_the_network_of_a_moment_is_that_of_a_shorter_sleep() -> None:
    drive = ns.MeanDrive([0.5] * 6, 300.0)
    network = ns.spiking.SpikingNetwork(
        (ns.spiking.Population("input", "input", (6,)), ns.spiking.Population("output", "lif", (4,), threshold=0.5)),
        (ns.spiking.Dense("input", "output", 0.2 * ns_ones(4, 6)),),
    )
    seen: list[Any] = []
    result = ns.sleep(
        network,
        drive=drive,
        rule=ns.SRCRule(0.01, 0.002, "constant"),
        steps=2500,
        watch=lambda moment: seen.append((moment.step, moment.window, moment.network().weights[0])),
    )
    assert [entry[:2] for entry in seen] == [(1000, 1000), (2000, 1000), (2500, 500)]
    short = ns.sleep(network, drive=drive, rule=ns.SRCRule(0.01, 0.002, "constant"), steps=1000)
    assert (seen[0][2] == short.network.weights[0]).all() and (seen[2][2] == result.network.weights[0]).all()
    assert (seen[0][2] != seen[2][2]).any()


def ns_ones(rows: int, columns: int) -> Any:
    import torch

    return torch.ones(rows, columns)


def test_a_file_of_lines_that_several_processes_share(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    listener = Listeners(Follow(file))
    assert isinstance(pickle.loads(pickle.dumps(listener)), Listeners)
    run_experiment([request(tmp_path / "out", seed=seed) for seed in (0, 1)], jobs=2, listener=listener)
    events = [json.loads(line) for line in file.read_text().splitlines()]
    for seed in (0, 1):
        own = [event["event"] for event in events if event["seed"] == seed]
        assert own[0] == "start" and own[-1] == "end" and own.count("sleep") == 10


def test_without_sleep_there_are_no_sleeps(tmp_path: Path) -> None:
    events: list[Any] = []
    run_experiment([request(tmp_path, strategy="sequential")], listener=events.append)
    assert [e["event"] for e in events] == ["start", *["epoch", "phase"] * 5, "end"]


def test_a_file_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="cannot be written"):
        Follow(tmp_path / "missing" / "events.jsonl")
    with pytest.raises(RunFolderError, match="cannot be written"):
        Follow(tmp_path)
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="is a file"):
        TensorBoard(tmp_path / "file" / "board")


def test_tensorboard_has_the_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_experiment([request(tmp_path / "out")], listener=TensorBoard(tmp_path / "board"))
    found = EventAccumulator(str(tmp_path / "board/demo/mnist-mini/small/src/seed0"))
    found.Reload()
    tags = found.Tags()["scalars"]
    assert "asleep/rates/hidden1" in tags and "asleep/weight_change/input -> hidden1" in tags
    # Steps asleep, sleep after sleep.
    assert [e.step for e in found.Scalars("asleep/accuracy_all")] == [
        1500 * number + step for number in range(5) for step in (1000, 1500)
    ]
    assert [e.step for e in found.Scalars("after each phase/accuracy_all")] == list(range(1, 11))


WANDB = """
import json, struct, sys
from pathlib import Path
from neurosleep.experiments import WandB
listener = WandB("sleep")
for line in Path(sys.argv[1]).read_text().splitlines():
    listener(json.loads(line))
assert not listener._runs
import wandb
# What writes the files is a process of its own, which may not be through with them before it ends.
wandb.teardown()
from wandb.proto import wandb_internal_pb2

def records(data):
    # Blocks of 32 KB after a head of 7 bytes, as LevelDB's logs: sum, length and kind before each piece of a record.
    at, whole = 7, b""
    while at + 7 <= len(data):
        if 2**15 - at % 2**15 < 7:
            at += 2**15 - at % 2**15
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole, at = whole + data[at + 7 : at + 7 + length], at + 7 + length
        if kind in (1, 4):
            record, whole = wandb_internal_pb2.Record.FromString(whole), b""
            yield record.WhichOneof("record_type"), record

def plain(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}

runs = []
for path in sorted(Path(sys.argv[2]).rglob("*.wandb")):
    run = {"rows": []}
    for kind, record in records(path.read_bytes()):
        if kind == "run":
            run |= {"project": record.run.project, "group": record.run.run_group, "name": record.run.display_name}
        elif kind == "history":
            run["rows"].append(plain(record.history.item))
        elif kind == "summary":
            run |= plain(record.summary.update)
    runs.append(run)
print(json.dumps(runs))
"""


def test_weights_and_biases_has_the_curves(tmp_path: Path, run_python: Callable[..., Any]) -> None:
    pytest.importorskip("wandb", reason="the extra 'wandb' is not installed")
    events = tmp_path / "events.jsonl"
    run_experiment([request(tmp_path / "out")], listener=Follow(events))
    # Two at the same time, as runs on a cluster are.
    lines = [line for line in events.read_text().splitlines() for _ in range(2)]
    events.write_text("\n".join(json.dumps(json.loads(line) | {"seed": n % 2}) for n, line in enumerate(lines)))
    env = {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "HOME": str(tmp_path), "WANDB_SILENT": "true"}
    child = run_python(WANDB, events, tmp_path, imports=(), env=env)
    assert child.code == 0, child.err
    found = sorted(json.loads(child.out.splitlines()[-1]), key=lambda run: run["name"])
    assert [run["name"] for run in found] == ["src seed 0", "src seed 1"]
    for run in found:
        assert (run["project"], run["group"], run["status"]) == ("sleep", "demo/mnist-mini small", "done")
        rows = [row for row in run["rows"] if "asleep/accuracy_all" in row]
        assert [row["asleep/step"] for row in rows] == [1500 * n + step for n in range(5) for step in (1000, 1500)]
        assert all("asleep/rates/hidden1" in row for row in rows)
        steps = [row["after each phase/step"] for row in run["rows"] if "after each phase/accuracy_all" in row]
        assert steps == list(range(1, 11))


def test_weights_and_biases_without_a_login_is_one_message(tmp_path: Path, run_python: Callable[..., Any]) -> None:
    pytest.importorskip("wandb", reason="the extra 'wandb' is not installed")
    program = "import sys; from neurosleep.cli import main; sys.argv = ['neurosleep', *sys.argv[1:]]; main()"
    arguments = ["run", "demo/mnist-mini", "--strategy", "sequential", "--wandb", "sleep", "--out", tmp_path / "o"]
    env = {"WANDB_MODE": None, "WANDB_API_KEY": None, "HOME": str(tmp_path), "WANDB_DIR": str(tmp_path)}
    child = run_python(program, *arguments, imports=(), env=env)
    assert child.code == 2 and "WANDB_MODE=offline" in child.err and "Traceback" not in child.err, child.err
    assert not (tmp_path / "o").exists()


MLFLOW = """
import json, sys
from pathlib import Path
from mlflow import MlflowClient
from neurosleep.experiments import MLflow

# None of these tests looks at a figure.
pytestmark = pytest.mark.usefixtures("no_run_figures")
listener = MLflow("sleep")
for line in Path(sys.argv[1]).read_text().splitlines():
    listener(json.loads(line))
client = MlflowClient()
(place,) = [e for e in client.search_experiments() if e.name == "sleep"]
runs = []
for run in client.search_runs([place.experiment_id]):
    def steps(key):
        return [m.step for m in client.get_metric_history(run.info.run_id, key)]
    def files(path=None):
        for file in client.list_artifacts(run.info.run_id, path):
            yield from files(file.path) if file.is_dir else [file.path]
    names = ("asleep/accuracy_all", "asleep/rates/hidden1", "asleep/weight_change/input to hidden1",
             "after each phase/accuracy_all", "after each phase/task 1")
    runs.append({
        "name": run.info.run_name, "status": run.info.status, "params": run.data.params, "tags": run.data.tags,
        "steps": {key: steps(key) for key in names}, "accuracy_all": run.data.metrics.get("accuracy_all"),
        "files": sorted(files()), "open": len(listener._runs),
    })
print(json.dumps(runs))
"""


@pytest.mark.parametrize("store", ["file", "sqlite"])
def test_mlflow_has_the_curves_the_files_and_the_end(
    tmp_path: Path, run_python: Callable[..., Any], store: str
) -> None:
    pytest.importorskip("mlflow", reason="the extra 'mlflow' is not installed, which lowers importlib_metadata")
    if store == "sqlite":
        pytest.importorskip("cryptography", reason="SQL stores want the whole package 'mlflow'")
    events = tmp_path / "events.jsonl"
    metrics = run_experiment([request(tmp_path / "out")], listener=Follow(events))[0]

    def stop(event: Any) -> None:
        if event["event"] == "phase":
            raise (RuntimeError if event["seed"] == 1 else KeyboardInterrupt)("here")

    for seed, error in ((1, RuntimeError), (2, KeyboardInterrupt)):
        with pytest.raises(error):
            run_experiment([request(tmp_path / "out", seed=seed)], listener=Listeners(Follow(events), stop))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    uri = {"file": f"file:{tmp_path / 'store'}", "sqlite": f"sqlite:///{tmp_path / 'store.db'}"}[store]
    env = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_ALLOW_FILE_STORE": "true", "HOME": str(tmp_path)}
    child = run_python(MLFLOW, events, imports=(), env=env, cwd=tmp_path)
    assert child.code == 0, child.err
    done, failed, stopped = sorted(json.loads(child.out.splitlines()[-1]), key=lambda run: run["name"])
    assert [run["name"] for run in (done, failed, stopped)] == [f"src seed {seed}" for seed in range(3)]
    assert [run["status"] for run in (done, failed, stopped)] == ["FINISHED", "FAILED", "KILLED"]
    assert all(run["open"] == 0 for run in (done, failed, stopped))
    assert done["params"].items() >= {"strategy": "src", "seed": "0", "settings.data.images_per_task": "200"}.items()
    assert done["tags"]["status"] == "done" and done["accuracy_all"] == metrics["accuracy_all"]
    asleep = [1500 * n + step for n in range(5) for step in (1000, 1500)]
    awake = list(range(1, 11))
    assert list(map(sorted, done["steps"].values())) == [asleep, asleep, asleep, awake, awake]
    assert {"metrics.json", "config.toml", "accuracy.csv", "report.html"} <= set(done["files"])
    assert not any("resume" in file for file in done["files"])
    assert "config.toml" in failed["files"] and "metrics.json" not in failed["files"]
    # What is logged changes no run folder.
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_mlflow_without_a_server_is_one_message(tmp_path: Path, run_python: Callable[..., Any]) -> None:
    pytest.importorskip("mlflow", reason="the extra 'mlflow' is not installed, which lowers importlib_metadata")
    program = "import sys; from neurosleep.cli import main; sys.argv = ['neurosleep', *sys.argv[1:]]; main()"
    arguments = ["run", "demo/mnist-mini", "--strategy", "sequential", "--mlflow", "sleep", "--out", tmp_path / "o"]
    env = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "HOME": str(tmp_path)}
    child = run_python(program, *arguments, imports=(), env=env)
    assert child.code == 2 and "MLFLOW_TRACKING_URI" in child.err and "Traceback" not in child.err, child.err
    assert not (tmp_path / "o").exists()


def test_the_end_says_how_a_run_ended_and_where_its_files_are(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []

    def listen(event: Any) -> None:
        events.append(dict(event))
        if event["event"] == "phase" and event["seed"]:
            raise (RuntimeError if event["seed"] == 1 else KeyboardInterrupt)("here")

    for seed, status in enumerate(("done", "failed", "stopped")):
        asked = request(tmp_path, strategy="sequential", seed=seed)
        with contextlib.suppress(RuntimeError, KeyboardInterrupt):
            run_experiment([asked], listener=listen)
        assert (events[-1]["event"], events[-1]["status"]) == ("end", status)
        assert events[-1]["folder"] == str(asked.folder.path)


def test_every_class_is_looked_at_where_a_file_is_sorted_by_them() -> None:
    (task,) = class_incremental(ns.load_dataset("mnist-mini"), [[0, 1, 2]])
    order = np.argsort(task.test_labels, kind="stable")
    sorted_task = replace(task, test_images=task.test_images[order], test_labels=task.test_labels[order])
    watcher = Watcher(lambda event: None, {}, [sorted_task] * 5)
    assert np.bincount(watcher._labels[:100].numpy()).min() > 30 and len(watcher._labels) == 500


def test_steps_asleep_go_on_after_a_run_was_stopped(tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    events: list[dict[str, Any]] = []

    def listen(event: Mapping[str, Any]) -> None:
        events.append(dict(event))
        if event.get("phase") == "sleep" and event["task"] == 2 and len(events) < 15:
            raise StoppedError

    with pytest.raises(StoppedError):
        run_experiment([request(tmp_path)], listener=listen)
    run_experiment([replace(request(tmp_path), resume=True)], listener=listen)
    asleep = [event["asleep"] for event in events if event["event"] == "sleep"]
    assert asleep == [1500 * number + step for number in range(5) for step in (1000, 1500)]


def test_a_full_disk_behind_tensorboard_is_named(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    board = TensorBoard(tmp_path / "board")
    event = {"event": "phase", "experiment": "e", "variant": "v", "strategy": "s", "seed": 0, "time": 1.0}
    event |= {"task": 1, "phase": "wake", "accuracy": [0.5], "accuracy_all": 0.5}
    board(event)
    ((run, _),) = board._files.items()
    board._files[run] = full
    with pytest.raises(RunFolderError, match="No space left"):
        board(event)
