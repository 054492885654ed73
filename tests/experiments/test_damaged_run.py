"""Files of a run that were damaged, are something else, or belong to other data: named, and never other numbers."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from neurosleep.errors import NeurosleepError, RunFolderError
from neurosleep.experiments import RunFolder, RunRequest, apply_changes, cite, load_settings, results_pages, run_one
from neurosleep.experiments.sums import SUMS

SETTINGS = apply_changes(
    load_settings("demo/mnist-mini")[1],
    [
        ("data.tasks", [[0, 1], [2, 3]]),
        ("data.images_per_task", 20),
        ("network.sizes", [784, 6, 10]),
        ("sleep.thresholds", [1.0, 1.0]),
        ("sleep.steps", 20),
        ("wake.epochs", 1),
    ],
)


class StoppedError(Exception):
    pass


def whole_and_stopped(home: Path) -> tuple[RunRequest, RunRequest]:
    """One run that has ended, and the same stopped after its first sleep."""
    made = [RunRequest("e", "v", "src", 0, SETTINGS, None, str(home / name)) for name in ("whole", "stopped")]
    run_one(made[0])
    save = RunFolder.save_bundle

    def stop(self: RunFolder, tensors: Any, progress: Any, config: str) -> None:
        save(self, tensors, progress, config)
        if progress.task == 1:
            raise StoppedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "save_bundle", stop)
        with pytest.raises(StoppedError):
            run_one(made[1])
    return replace(made[0], resume=True), replace(made[1], resume=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRequest, RunRequest]:
    return whole_and_stopped(tmp_path_factory.mktemp("runs"))


def copied(request: RunRequest, to: Path) -> RunRequest:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(request.out, to)
    return replace(request, out=str(to))


def numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key not in ("seconds", "growth", "resumed_with")}


def damaged(content: bytes, at: int, how: str, byte: int) -> bytes:
    at %= len(content)
    if how == "flip":
        return content[:at] + bytes([content[at] ^ (1 << byte % 8)]) + content[at + 1 :]
    if how == "cut":
        return content[:at]
    if how == "set":
        return content[:at] + bytes([byte]) + content[at + 1 :]
    return content[:at] + bytes([byte]) * 5 + content[at:]


DAMAGE = st.tuples(st.integers(0, 1 << 30), st.sampled_from(["flip", "cut", "set", "insert"]), st.integers(0, 255))


def check_bundle(runs: tuple[RunRequest, RunRequest], damage: tuple[int, str, int], home: Path) -> None:
    request = copied(runs[1], home / "o")
    path = request.folder.path / "resume" / "bundle.safetensors"
    content = path.read_bytes()
    config = (request.folder.path / "config.toml").read_text()
    folder = RunFolder(request.folder.path)
    good = folder.load_bundle(config)
    path.write_bytes(damaged(content, *damage))
    try:
        found = folder.load_bundle(config)
    except RunFolderError:
        return
    assert good is not None and found is not None
    assert found[1] == good[1]
    assert all(np.array_equal(found[0][key].numpy(), good[0][key].numpy()) for key in good[0])


def check_metrics(runs: tuple[RunRequest, RunRequest], damage: tuple[int, str, int], home: Path) -> None:
    request = copied(runs[0], home / "o")
    path = request.folder.path / "metrics.json"
    path.write_bytes(damaged(path.read_bytes(), *damage))
    good = runs[0].folder.metrics()
    for read in (request.folder.metrics, lambda: results_pages(Path(request.out)), lambda: cite(Path(request.out))):
        try:
            found = read()
        except NeurosleepError:
            continue
        assert read != request.folder.metrics or found == good


def test_a_bundle_keeps_the_names_of_its_table(runs: tuple[RunRequest, RunRequest]) -> None:
    """So that runs stopped under an earlier version go on."""
    with safe_open(runs[1].folder.path / "resume" / "bundle.safetensors", "pt") as bundle:
        stored = json.loads(bundle.metadata()["progress"])
    assert len(stored["nights"]) == 1 and "sleeps" not in stored


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(damage=DAMAGE)
def test_a_damaged_stored_state_is_refused_or_the_same(
    runs: tuple[RunRequest, RunRequest], tmp_path: Path, damage: tuple[int, str, int]
) -> None:
    check_bundle(runs, damage, tmp_path)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(damage=DAMAGE)
def test_damaged_metrics_are_refused_or_the_same(
    runs: tuple[RunRequest, RunRequest], tmp_path: Path, damage: tuple[int, str, int]
) -> None:
    check_metrics(runs, damage, tmp_path)


@pytest.mark.full
@settings(max_examples=3000, suppress_health_check=list(HealthCheck), deadline=None)
@given(damage=DAMAGE)
def test_three_thousand_damaged_stored_states(
    runs: tuple[RunRequest, RunRequest], tmp_path: Path, damage: tuple[int, str, int]
) -> None:
    check_bundle(runs, damage, tmp_path)


@pytest.mark.full
@settings(max_examples=3000, suppress_health_check=list(HealthCheck), deadline=None)
@given(damage=DAMAGE)
def test_three_thousand_damaged_metrics(
    runs: tuple[RunRequest, RunRequest], tmp_path: Path, damage: tuple[int, str, int]
) -> None:
    check_metrics(runs, damage, tmp_path)


def test_a_stopped_run_ends_with_the_numbers_of_a_whole_one(
    runs: tuple[RunRequest, RunRequest], tmp_path: Path
) -> None:
    assert numbers(run_one(copied(runs[1], tmp_path / "o"))) == numbers(run_one(runs[0]))


@pytest.mark.parametrize("name", ["metrics.json", "config.toml", "environment.json", "accuracy.csv"])
def test_the_sums_of_a_run_name_its_files(runs: tuple[RunRequest, RunRequest], name: str) -> None:
    assert f"  {name}\n" in (runs[0].folder.path / SUMS).read_text()


def test_metrics_that_are_gone_are_made_anew_from_the_stored_state(
    runs: tuple[RunRequest, RunRequest], tmp_path: Path
) -> None:
    request = copied(runs[0], tmp_path / "o")
    (request.folder.path / "metrics.json").unlink()
    assert numbers(run_one(request)) == numbers(runs[0].folder.metrics())


def test_other_packages_are_refused_or_forced_and_written_down(
    runs: tuple[RunRequest, RunRequest], tmp_path: Path
) -> None:
    request = copied(runs[1], tmp_path / "o")
    path = request.folder.path / "environment.json"
    environment = json.loads(path.read_text())
    for key in ("torch", "python", "neurosleep"):
        environment["versions"][key] = "0.1"
    path.write_text(json.dumps(environment))
    with pytest.raises(RunFolderError, match=r"python was 0\.1.*neurosleep was 0\.1.*torch was 0\.1"):
        run_one(request)
    forced = run_one(replace(request, force=True))
    assert [text.split(" was ")[0] for text in forced["resumed_with"]] == ["python", "neurosleep", "torch"]
    assert json.loads(path.read_text())["versions"]["torch"] != "0.1"


def test_other_images_of_the_same_shape_are_refused(tmp_path: Path) -> None:
    def write(seed: int) -> None:
        rng = np.random.default_rng(seed)
        y = np.repeat(np.arange(4), 6)
        x = rng.random((24, 5)).astype(np.float32)
        np.savez(tmp_path / "f.npz", train_x=x, train_y=y, test_x=x, test_y=y)

    write(0)
    changes = [("data.name", f"features:{tmp_path}/f.npz"), ("network.sizes", [5, 6, 4])]
    own = apply_changes(SETTINGS, [*changes, ("data.images_per_task", None)])
    request = RunRequest("e", "v", "sequential", 0, own, None, str(tmp_path / "o"))
    run_one(request)
    (request.folder.path / "metrics.json").unlink()
    write(1)
    with pytest.raises(RunFolderError, match="data"):
        run_one(replace(request, resume=True))
    forced = run_one(replace(request, resume=True, force=True))
    assert forced["resumed_with"] == ["the data are not those that it started with"]


@pytest.mark.parametrize(
    "name", ["metrics.json", "config.toml", "environment.json", "lock", "resume/bundle.safetensors"]
)
@pytest.mark.parametrize("what", ["pipe", "folder", "link"])
def test_what_is_no_file_in_a_file_s_place(
    runs: tuple[RunRequest, RunRequest], tmp_path: Path, name: str, what: str
) -> None:
    request = copied(runs[1], tmp_path / "o")
    path, outside = request.folder.path / name, tmp_path / "outside"
    outside.write_text("mine")
    path.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(outside)
    with pytest.raises(RunFolderError, match=path.name):
        run_one(request)
    assert outside.read_text() == "mine"


def test_a_folder_of_a_run_that_is_a_link_elsewhere_is_not_written_to(
    runs: tuple[RunRequest, RunRequest], tmp_path: Path
) -> None:
    request = copied(runs[1], tmp_path / "o")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (request.folder.path / "figures").symlink_to(elsewhere)
    with pytest.raises(RunFolderError, match="leads out"):
        run_one(request)
    assert not list(elsewhere.iterdir())
