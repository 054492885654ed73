"""Searches on the embedded digits: repeatable, shared by processes, taken over after a kill, refused where need be.

The network is tiny and sleeps a hundred steps: what is tested is the search, not what it finds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.continual import STRATEGIES
from neurosleep.errors import ConversionError, NeurosleepError, RunFolderError, SettingsError, UnknownNameError
from neurosleep.experiments import (
    RunRequest,
    TuneRequest,
    apply_changes,
    experiment_names,
    load_settings,
    load_tuned,
    run_one,
    search_space,
    tune,
    with_tuned,
)
from neurosleep.experiments.reading import variant_names
from neurosleep.experiments.tuning import search as _tune
from neurosleep.experiments.tuning.search import SAMPLERS
from neurosleep.experiments.tuning.space import Space
from neurosleep.experiments.tuning.tuned import command_with_data, tuned_names, tuned_record

SMALL: list[tuple[str, Any]] = [
    ("data.name", "mnist-mini"),
    ("data.images_per_task", 100),
    ("data.tasks", [[0, 1], [2, 3]]),
    ("network.sizes", [784, 20, 10]),
    ("sleep.thresholds", [5.0, 5.0]),
    ("sleep.steps", 100),
    ("wake.epochs", 1),
]


def request(out: Path, trials: int = 3, **options: Any) -> TuneRequest:
    """A search in seconds; options of the run or of the search."""
    strategy, experiment = options.pop("strategy", "src"), options.pop("experiment", "src2022/mnist")
    changes = [*SMALL, *options.pop("changes", [])]
    name, settings = load_settings(experiment)
    settings = apply_changes(settings, changes)
    run = RunRequest(name, "default", strategy, 0, settings, None, str(out), options.pop("resume", False), "neurosleep")
    space = options.pop("space", None) or search_space(experiment, strategy, settings, [key for key, _ in changes])
    return TuneRequest(run, space, trials, **{"seeds": 1, **options})


def points(wanted: TuneRequest) -> list[tuple[dict[str, Any], float | None]]:
    """Parameters and value of every trial, by number."""
    return [(trial.params, trial.value) for trial in _tune._open(wanted).finished()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[TuneRequest, dict[str, Any]]:
    """An uninterrupted search by one process."""
    wanted = request(tmp_path_factory.mktemp("whole"), trials=5)
    return wanted, tune(wanted)


# --- what a search gives ----------------------------------------------------------------------------------------------


def test_the_best_trial_is_what_a_run_with_its_settings_gives(
    tmp_path: Path, whole: tuple[TuneRequest, dict[str, Any]]
) -> None:
    wanted, found = whole
    values = [value for _, value in points(wanted)]
    assert found["trials"] == len(values) == 5
    assert found["validation"] == {"mean": max(v for v in values if v is not None), "sd": None, "n": 1}
    _, settings = load_settings(found["file"])
    assert settings.data.split == "test"
    assert not wanted.trial_run(settings, 0, 100).figures
    validation = apply_changes(settings, [("data.split", "validation")])
    again = run_one(RunRequest("again", "default", "src", 100, validation, None, str(tmp_path)))
    assert again["accuracy_all"] == found["validation"]["mean"]
    assert apply_changes(wanted.space.base, list(found["best"].items())) == settings


def test_the_first_trial_is_the_start_of_the_space(whole: tuple[TuneRequest, dict[str, Any]]) -> None:
    wanted, _ = whole
    first, _ = points(wanted)[0]
    assert first["sleep.rule.inc"] == 0.0128
    # The output layer has a rate of its own, whatever the number of layers.
    assert (first["wake.lr_per_layer.:-1"], first["wake.lr_per_layer.-1"]) == (0.1, 0.01)


def test_without_a_start_the_first_trial_is_the_experiment_itself(tmp_path: Path) -> None:
    settings = apply_changes(load_settings("src2022/mnist")[1], SMALL)
    table = {
        "wake.lr": {"low": 0.01, "high": 0.3, "log": True},
        "sleep.rule.factor": {"choices": ["constant", "steep"]},
    }
    wanted = request(tmp_path, trials=1, space=_space(settings, table))
    tune(wanted)
    ((first, _),) = points(wanted)
    assert first["wake.lr"] == 0.1 and json.loads(first["sleep.rule.factor"]) == "steep"


def test_the_file_says_how_its_settings_were_found(whole: tuple[TuneRequest, dict[str, Any]]) -> None:
    wanted, found = whole
    assert found["file"] == str(Path(wanted.run.out, "src2022", "mnist", "src.toml"))
    header = tomllib.loads(Path(found["file"]).read_text(encoding="utf-8"))["tuned"]
    assert header["experiment"] == "src2022/mnist"
    assert (header["strategy"], header["sampler"], header["trials"]) == ("src", "tpe", 5)
    assert (header["split"], header["tuning_seeds"]) == ("validation", [100])
    assert header["validation"] == {"mean": found["validation"]["mean"], "n": 1}
    assert header["space"]["sleep.rule.inc"] == {"low": 0.004, "high": 0.06, "log": True, "start": 0.0128}
    # What --set fixed was not searched, so it is not in the search space.
    assert not [key for key in header["space"] if key.startswith(("sleep.thresholds", "wake.epochs", "network.sizes"))]
    assert header["command"] == "neurosleep"


def test_no_weights_are_left_of_the_trials(whole: tuple[TuneRequest, dict[str, Any]]) -> None:
    wanted, _ = whole
    assert not list(wanted.folder.rglob("*.safetensors"))
    assert not list((wanted.folder / "runs").iterdir())


def test_the_same_seed_gives_the_same_trials_and_another_seed_others(
    tmp_path: Path, whole: tuple[TuneRequest, dict[str, Any]]
) -> None:
    again = request(tmp_path / "again", trials=3)
    tune(again)
    assert points(again) == points(whole[0])[:3]
    other = request(tmp_path / "other", trials=3, seed=1)
    tune(other)
    assert points(other)[0] == points(again)[0]
    assert points(other)[1:] != points(again)[1:]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_repeats_itself_and_stays_in_the_space(
    tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scripted(run: RunRequest, report: Any) -> dict[str, Any]:
        return {"accuracy_all": 0.5 + 0.1 * run.settings.wake.momentum - run.settings.wake.lr}

    monkeypatch.setattr(_tune, "run_one", scripted)
    found = []
    for name in ("once", "again"):
        # More than one generation, and more than the trials that start TPE.
        wanted = request(tmp_path / name, trials=30, sampler=sampler, strategy="sequential")
        wanted = _with_space(wanted, {"wake.lr": {"low": 0.01, "high": 0.5, "log": True}, "wake.momentum": _MOMENTUM})
        tune(wanted)
        found.append(points(wanted))
    assert found[0] == found[1]
    # NSGA-II may hand a parent on as it is; otherwise no point comes twice.
    assert len({params["wake.lr"] for params, _ in found[0]}) > (10 if sampler == "nsga2" else 25)
    for params, _ in found[0]:
        assert 0.01 <= params["wake.lr"] <= 0.5
        assert 0 <= params["wake.momentum"] <= 0.9


_MOMENTUM = {"low": 0.0, "high": 0.9}


def _with_space(wanted: TuneRequest, table: dict[str, Any]) -> TuneRequest:
    space = _space(wanted.run.settings, table, strategy=wanted.run.strategy)
    return TuneRequest(wanted.run, space, wanted.trials, wanted.sampler, wanted.seed, wanted.seeds, wanted.prune)


def test_cma_es_moves_towards_the_better_half(tmp_path: Path) -> None:
    from neurosleep.experiments.tuning.study import Study

    space = _space(
        load_settings("src2022/mnist")[1], {"wake.lr": {"low": 0.0, "high": 1.0}, "wake.momentum": _MOMENTUM}
    )
    study = Study(tmp_path, space, "cma-es", 0)
    drawn = []
    for _ in range(90):
        with study.reserve(90) as trial:
            assert trial is not None
            values = study.values(trial)
            drawn.append(values)
            study.tell(trial, -((values["wake.lr"] - 0.8) ** 2) - (values["wake.momentum"] - 0.2) ** 2)
    # The start is the experiment's own point; the last generation is near the optimum.
    assert drawn[0] == {"wake.lr": 0.1, "wake.momentum": 0.5}
    for values in drawn[-6:]:
        assert abs(values["wake.lr"] - 0.8) < 0.15
        assert abs(values["wake.momentum"] - 0.2) < 0.15


def test_a_run_that_diverges_or_falls_silent_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diverging = request(tmp_path / "diverging", trials=1, strategy="sequential", changes=[("wake.momentum", 0.99)])
    diverging = _with_space(diverging, {"wake.lr": {"low": 1e18, "high": 1e19}})
    assert tune(diverging)["validation"]["mean"] == 0.0

    def silent(*arguments: Any) -> dict[str, Any]:
        raise ConversionError("Layer 1 cannot be scaled.")

    monkeypatch.setattr(_tune, "run_one", silent)
    assert tune(request(tmp_path / "silent", trials=1))["validation"]["mean"] == 0.0


def test_a_trial_below_the_median_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sixth trial is the first that can be: its first seed is worse than those of the five before it."""
    ran: list[tuple[str, int]] = []

    def scripted(run: RunRequest, report: Any) -> dict[str, Any]:
        trial = Path(run.out).name
        ran.append((trial, run.seed))
        return {"accuracy_all": 0.1 if trial == "trial5" else 0.5}

    monkeypatch.setattr(_tune, "run_one", scripted)
    wanted = request(tmp_path, trials=7, seeds=3, prune=True)
    found = tune(wanted)
    assert [seed for trial, seed in ran if trial == "trial5"] == [100]
    assert [seed for trial, seed in ran if trial == "trial6"] == [100, 101, 102]
    assert found["trials"] == 7
    assert found["validation"] == {"mean": 0.5, "sd": 0.0, "n": 3}
    header = tomllib.loads(Path(found["file"]).read_text(encoding="utf-8"))["tuned"]
    assert (header["trials"], header["pruned"]) == (7, 1)


# --- several processes, and dead ones ---------------------------------------------------------------------------------


def test_two_processes_share_one_search_and_finish_exactly_its_trials(tmp_path: Path) -> None:
    wanted = request(tmp_path, trials=5)
    reported = []
    found = tune(wanted, jobs=2, report=lambda number, text: reported.append((number, text)))
    assert found["trials"] == 5
    trials = _tune._open(wanted).trials()
    assert [trial.number for trial in trials] == list(range(5))
    assert all(trial.state.is_finished() for trial in trials)
    done = [(number, text) for number, text in reported if text == "done"]
    assert sorted(done) == [(number, "done") for number in range(5)]


def test_two_commands_share_one_search(tmp_path: Path, wait_until: Callable[..., Any]) -> None:
    def start(*more: str) -> subprocess.Popen[str]:
        changes = [part for key, value in SMALL for part in ("--set", f"{key}={json.dumps(value)}")]
        program = [sys.executable, "-m", "neurosleep", "tune", "src2022/mnist", *changes, "--out", str(tmp_path)]
        options = ["--trials", "8", "--seeds", "1", "--json", *more]
        return subprocess.Popen([*program, *options], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    first = start()
    journal = tmp_path / "src2022" / "mnist" / "src.study" / "journal.log"
    wait_until(lambda: journal.is_file() or first.poll() is not None)
    second = start("--resume")
    found = []
    for process in (first, second):
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        found.append(json.loads(output))
    assert found[0] == found[1]
    assert found[0]["trials"] == 8
    trials = _tune._open(request(tmp_path, trials=8)).trials()
    assert [trial.number for trial in trials] == list(range(8))


# The process kills itself in the middle of its third trial, where a run of that trial is half done.
_KILLED = """
import os, pickle, signal, sys
from neurosleep.experiments import tune

def report(number, text):
    if number == 2 and "task 2" in text:
        os.kill(os.getpid(), signal.SIGKILL)

tune(pickle.load(sys.stdin.buffer), report=report)
"""


def test_a_killed_search_resumes_and_ends_with_the_trials_of_an_unbroken_one(
    tmp_path: Path, whole: tuple[TuneRequest, dict[str, Any]]
) -> None:
    import pickle

    killed = request(tmp_path, trials=4)
    result = subprocess.run([sys.executable, "-c", _KILLED], input=pickle.dumps(killed), capture_output=True)
    assert result.returncode == -signal.SIGKILL, result.stderr
    states = [trial.state.name for trial in _tune._open(killed).trials()]
    assert states == ["COMPLETE", "COMPLETE", "RUNNING"]
    (kept,) = (killed.folder / "runs").rglob("bundle.safetensors")
    # A process may also die while it writes: the half line is not a trial.
    with (killed.folder / "journal.log").open("a") as journal:
        journal.write('{"op_code": 4, "worker')
    with pytest.raises(RunFolderError, match="already"):
        tune(killed)
    resumed = request(tmp_path, trials=4, resume=True)
    reported: list[int] = []
    found = tune(resumed, report=lambda number, text: reported.append(number) if text == "done" else None)
    assert reported == [0, 1, 2, 3]
    assert found["trials"] == 4
    assert points(resumed) == points(whole[0])[:4]
    assert not kept.exists()


def test_a_worker_that_is_killed_loses_no_trial(tmp_path: Path) -> None:
    """The first worker to take a trial is killed; the parent says so, and the search resumes."""
    script = """
import os, pickle, signal, sys, threading, time
from pathlib import Path
from neurosleep.errors import RunFolderError
from neurosleep.experiments import tune

def kill(folder):
    while True:
        for child in Path(f"/proc/self/task").iterdir():
            for pid in (child / "children").read_text().split():
                command = Path(f"/proc/{pid}/cmdline").read_text()
                if "spawn_main" in command and list(folder.glob("locks/*")):
                    os.kill(int(pid), signal.SIGKILL)
                    return
        time.sleep(0.01)

if __name__ == "__main__":
    request = pickle.load(open(sys.argv[1], "rb"))
    threading.Thread(target=kill, args=(request.folder,), daemon=True).start()
    try:
        tune(request, jobs=2)
    except RunFolderError as error:
        sys.exit(3)
"""
    import pickle

    (tmp_path / "kill.py").write_text(script)
    (tmp_path / "request").write_bytes(pickle.dumps(request(tmp_path, trials=4)))
    result = subprocess.run([sys.executable, str(tmp_path / "kill.py"), str(tmp_path / "request")], capture_output=True)
    assert result.returncode == 3, result.stderr
    resumed = request(tmp_path, trials=4, resume=True)
    assert tune(resumed)["trials"] == 4
    assert [trial.number for trial in _tune._open(resumed).trials()] == [0, 1, 2, 3]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends the workers on Linux only")
def test_workers_die_with_their_parent(tmp_path: Path, wait_until: Callable[..., Any]) -> None:
    script = (
        "import pickle, sys\nfrom neurosleep.experiments import tune\n"
        "if __name__ == '__main__':\n    tune(pickle.load(open(sys.argv[1], 'rb')), jobs=2)\n"
    )
    import pickle

    wanted = request(tmp_path, trials=1000)
    (tmp_path / "script.py").write_text(script)
    (tmp_path / "request").write_bytes(pickle.dumps(wanted))
    process = subprocess.Popen([sys.executable, str(tmp_path / "script.py"), str(tmp_path / "request")])
    wait_until(lambda: list(wanted.folder.glob("locks/trial1")) or process.poll() is not None)
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    workers = [pid for task in tasks for pid in (task / "children").read_text().split()]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    def alive(pid: str) -> bool:
        try:
            # Its state comes after its name, which is in brackets; a dead process that nobody waited for is a zombie.
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False

    assert len(workers) >= 2
    wait_until(lambda: not any(map(alive, workers)))
    # The locks are free as soon as their holders are dead.
    running = [trial.number for trial in _tune._open(wanted).trials() if trial.state.name == "RUNNING"]
    with _tune._open(wanted).reserve(1000) as trial:
        assert trial is not None and (trial.number in running or not running)


def test_a_finished_search_resumes_at_once_and_may_have_more_trials(tmp_path: Path) -> None:
    first = tune(request(tmp_path, trials=2))
    content = Path(first["file"]).read_bytes()
    assert tune(request(tmp_path, trials=2, resume=True)) == first
    assert Path(first["file"]).read_bytes() == content
    assert tune(request(tmp_path, trials=3, resume=True))["trials"] == 3
    # Fewer than there are: those that are finished stay.
    assert tune(request(tmp_path, trials=1, resume=True))["trials"] == 3


@pytest.mark.parametrize("other", [{"seed": 1}, {"sampler": "nsga2"}, {"seeds": 2}, {"changes": [("wake.batch", 50)]}])
def test_a_search_with_other_settings_is_not_resumed(tmp_path: Path, other: dict[str, Any]) -> None:
    tune(request(tmp_path, trials=1))
    with pytest.raises(RunFolderError, match="other settings"):
        tune(request(tmp_path, trials=1, resume=True, **other))


def test_a_broken_journal_is_the_users_to_mend(tmp_path: Path) -> None:
    wanted = request(tmp_path, trials=1, resume=True)
    tune(wanted)
    (wanted.folder / "journal.log").write_text("no journal\n{}\n")
    with pytest.raises(RunFolderError, match="cannot be read"):
        tune(wanted)


# --- search spaces ----------------------------------------------------------------------------------------------------


def _own(path: Path, text: str) -> str:
    path.write_text(f'[data]\nname = "mnist-mini"\n[sleep]\nthresholds = [1.0, 2.0, 3.0]\n{text}', encoding="utf-8")
    return str(path)


def _space(settings: dict[str, Any], table: dict[str, Any], strategy: str = "src", kept: tuple[str, ...] = ()) -> Space:
    """The search space that a file with this table would have."""
    import tempfile

    from neurosleep.experiments.tuning.tuned import tuned_file

    text = tuned_file({}, {"experiment": "x", "strategy": strategy}, table).replace("tuned.space", f"tune.{strategy}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "own.toml")
        file.write_text(text.replace("[tuned]", "[tuned.how]"), encoding="utf-8")
        return search_space(str(file), strategy, settings, kept)


def test_the_own_file_comes_before_the_group(tmp_path: Path) -> None:
    own = _own(tmp_path / "own.toml", '[tune.src]\n"wake.lr" = { low = 0.1, high = 0.2 }\n')
    _, settings = load_settings(own)
    assert [p.name for p in search_space(own, "src", settings).parameters] == ["wake.lr"]
    # It says nothing of this strategy, so the shared search space holds.
    assert "wake.epochs" in [p.name for p in search_space(own, "sequential", settings).parameters]


def test_common_settings_are_varied_by_every_strategy_and_a_dotted_key_needs_no_quotes(tmp_path: Path) -> None:
    table = (
        "[tune.common]\nwake.lr = { low = 0.1, high = 0.2 }\n[tune.src]\nsleep.rule.inc = { low = 0.1, high = 0.2 }\n"
    )
    own = _own(tmp_path / "own.toml", table)
    _, settings = load_settings(own)
    assert [p.name for p in search_space(own, "src", settings).parameters] == ["wake.lr", "sleep.rule.inc"]


def test_entries_of_lists_are_varied_each_together_or_alone() -> None:
    _, settings = load_settings("src2022/mnist")
    ends = {"low": 1.0, "high": 90.0}
    space = _space(settings, {"sleep.thresholds.*": ends, "network.sizes.1:-1": {"low": 10, "high": 2000}})
    values = {"sleep.thresholds.0": 2.5, "sleep.thresholds.1": 3.5, "sleep.thresholds.2": 4.5, "network.sizes.1:-1": 50}
    assert {p.name for p in space.parameters} == values.keys()
    found = space.settings(values)
    assert found.sleep.thresholds == (2.5, 3.5, 4.5)
    assert found.network.sizes == (784, 50, 50, 10)
    assert space.start() == {
        "sleep.thresholds.0": 14.548273,
        "sleep.thresholds.1": 44.560317,
        "sleep.thresholds.2": 38.046326,
        "network.sizes.1:-1": 1200,
    }
    last = _space(settings, {"sleep.thresholds.-1": ends, "sleep.thresholds.0": ends})
    assert last.settings({"sleep.thresholds.-1": 7, "sleep.thresholds.0": 8}).sleep.thresholds == (8, 44.560317, 7)


def test_a_search_begins_where_its_space_says() -> None:
    _, settings = load_settings("src2022/mnist")
    ends = {"low": 0.1, "high": 3.0}
    space = _space(
        settings,
        {
            "sleep.thresholds.*": ends | {"start": [0.5, 1.0, 2.0]},
            "network.sizes.1:-1": {"low": 10, "high": 2000, "start": 50},
            "wake.loss": {"choices": ["straight-through-mse", "cross-entropy"], "start": "cross-entropy"},
            "wake.lr": {"low": 0.01, "high": 1.0},
        },
    )
    assert space.start() == {
        "sleep.thresholds.0": 0.5,
        "sleep.thresholds.1": 1.0,
        "sleep.thresholds.2": 2.0,
        "network.sizes.1:-1": 50,
        "wake.loss": "cross-entropy",
        "wake.lr": 0.1,
    }
    one_for_all = _space(settings, {"sleep.thresholds.*": ends | {"start": 0.7}})
    assert set(one_for_all.start().values()) == {0.7}


def test_without_hidden_layers_there_is_no_width_to_vary() -> None:
    settings = apply_changes(load_settings("src2022/mnist")[1], [("network.sizes", [784, 10])])
    space = _space(settings, {"network.sizes.1:-1": {"low": 1, "high": 9}, "wake.lr": {"low": 0.1, "high": 1.0}})
    assert [p.name for p in space.parameters] == ["wake.lr"]


def test_thresholds_follow_a_fixed_scale_so_that_the_network_stays_the_same() -> None:
    _, settings = load_settings("src2022/mnist")
    space = _space(settings, {"sleep.alpha_scale": {"value": 1.0}, "wake.lr": {"low": 0.1, "high": 1.0}})
    found = space.settings({"wake.lr": 0.5})
    assert found.sleep.alpha_scale == 1.0
    ratios = [t / settings.sleep.alpha_scale for t in settings.sleep.thresholds]
    assert found.sleep.thresholds == pytest.approx(ratios, rel=1e-5)
    assert space.changes({"wake.lr": 0.5})["sleep.thresholds"] == [*found.sleep.thresholds]


def test_numbers_are_whole_where_the_setting_is_and_short_where_not() -> None:
    _, settings = load_settings("src2022/mnist")
    table = {
        "sleep.steps": {"low": 10, "high": 99},
        "wake.lr": {"low": 1, "high": 2},
        "joint.epochs": {"low": 1, "high": 9},
    }
    space = _space(settings, table)
    assert [p.whole for p in space.parameters] == [True, False, True]
    found = space.changes({"sleep.steps": 50, "wake.lr": 1.23456789, "joint.epochs": 3})
    assert found == {"sleep.steps": 50, "wake.lr": 1.23457, "joint.epochs": 3}
    forced = _space(settings, {"sleep.max_rate": {"low": 1, "high": 9, "int": True}})
    assert forced.parameters[0].whole


def test_choices_may_be_lists(tmp_path: Path) -> None:
    sizes = [[784, 10, 10], [784, 20, 10]]
    wanted = _with_space(request(tmp_path, trials=3, strategy="sequential"), {"network.sizes": {"choices": sizes}})
    assert tune(wanted)["best"]["network.sizes"] in sizes


def test_pairs_take_the_spaces_of_their_parts() -> None:
    _, settings = load_settings("src2022/cifar10")
    pair = {p.name for p in search_space("src2022/cifar10", "ewc+src", settings).parameters}
    for part in ("ewc", "src"):
        assert {p.name for p in search_space("src2022/cifar10", part, settings).parameters} <= pair


def _has_space(experiment: str, strategy: str, settings: dict[str, Any]) -> bool:
    try:
        search_space(experiment, strategy, settings)
    except SettingsError as error:
        assert f"no search space for the strategy {strategy!r}" in str(error)
        return False
    return True


@pytest.mark.parametrize("experiment", experiment_names())
def test_the_packaged_spaces_fit_every_experiment_and_hold_its_settings(experiment: str) -> None:
    for strategy in STRATEGIES:
        if strategy.startswith("joint"):  # a bound, not a competitor
            continue
        _, settings = load_settings(experiment)
        if settings.network.kind != "mlp" and not _has_space(experiment, strategy, settings):
            continue  # its group offers no search for this strategy, and says so
        space = search_space(experiment, strategy, settings)
        start = space.start()
        for corner in space.corners():
            space.settings(corner).sleep.for_layers(space.settings(corner).layers)
        if experiment == "src2022/mnist":
            assert start.keys() == {p.name for p in space.parameters}


@pytest.mark.parametrize(
    ("table", "kind", "said"),
    [
        ('"sleep.stpes" = { low = 1, high = 2 }', UnknownNameError, "sleep.stpes"),
        ('"sleep.steps.0" = { low = 1, high = 2 }', UnknownNameError, "sleep.steps.0"),
        ('"sleep.thresholds.3" = { low = 1.0, high = 2.0 }', SettingsError, "sleep.thresholds.3"),
        ('"data.images_per_task" = { low = 1, high = 2 }', SettingsError, "data"),
        ('"sleep.steps" = 3', SettingsError, "sleep.steps"),
        ('"sleep.steps" = { low = 3 }', SettingsError, "low"),
        ('"sleep.steps" = { low = 3, high = 5, step = 1 }', SettingsError, "step"),
        ('"sleep.steps" = { low = 3, high = 5, choices = [3] }', SettingsError, "choices"),
        ('"sleep.steps" = { choices = [] }', SettingsError, "choices"),
        ('"sleep.steps" = { choices = 3 }', SettingsError, "choices"),
        ('"sleep.steps" = { choices = ["many"] }', SettingsError, "many"),
        ('"sleep.steps" = { low = 5, high = 3 }', SettingsError, "5 to 3"),
        ('"sleep.steps" = { low = 0.5, high = 3 }', SettingsError, "not whole"),
        ('"wake.lr" = { low = 0.0, high = 1.0, log = true }', SettingsError, "low > 0"),
        ('"wake.lr" = { low = 0.1, high = 1.0, log = 1 }', SettingsError, "log"),
        ('"wake.lr" = { low = 0.1, high = inf }', SettingsError, "inf"),
        ('"wake.lr" = { low = "a", high = 1.0 }', SettingsError, "'a'"),
        ('"wake.lr" = { low = true, high = 2.0 }', SettingsError, "True"),
        ('"sleep.alpha_scale" = { value = 0.0 }\n"wake.lr" = { low = 0.1, high = 0.2 }', SettingsError, "alpha_scale"),
        ('"sleep.alpha_scale" = { value = 1.0 }', SettingsError, "Nothing is left"),
        ('"wake.lr" = { low = 0.1, high = 0.2, start = 0.3 }', SettingsError, "starts at 0.3"),
        ('"wake.lr" = { choices = [0.1, 0.2], start = 0.3 }', SettingsError, "starts at 0.3"),
        ('"wake.lr" = { value = 0.1, start = 0.1 }', SettingsError, "start"),
        ('"sleep.thresholds.*" = { low = 0.1, high = 2.0, start = [1.0] }', SettingsError, "starts at [1.0]"),
        ('[tune.scr]\n"wake.lr" = { low = 0.1, high = 0.2 }', UnknownNameError, "'scr'"),
    ],
)
def test_a_bad_space_is_refused(tmp_path: Path, table: str, kind: type[NeurosleepError], said: str) -> None:
    own = _own(tmp_path / "own.toml", f"[tune.src]\n{table}\n")
    with pytest.raises(kind) as caught:
        search_space(own, "src", load_settings(own)[1])
    assert said in str(caught.value)


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("tune = 3\n")
    with pytest.raises(SettingsError, match="no table of strategies"):
        search_space(str(file), "src", load_settings("src2022/mnist")[1])


def test_a_strategy_without_a_space_is_told_so() -> None:
    with pytest.raises(SettingsError, match="no search space for the strategy 'joint'"):
        search_space("src2022/mnist", "joint", load_settings("src2022/mnist")[1])


def test_everything_is_checked_before_the_first_trial(tmp_path: Path) -> None:
    """An extreme of the search space that no run accepts, and what makes no sense of the search itself."""
    refused = _with_space(request(tmp_path), {"wake.lr": {"low": -1.0, "high": 0.2}})
    with pytest.raises(SettingsError, match="learning rate"):
        tune(refused)
    one_number = _with_space(request(tmp_path, sampler="cma-es"), {"wake.lr": {"low": 0.1, "high": 0.2}})
    with pytest.raises(SettingsError, match="1 numbers"):
        tune(one_number)
    with pytest.raises(UnknownNameError, match="bayes"):
        tune(request(tmp_path, sampler="bayes"))
    for option in ({"trials": 0}, {"seeds": 0}, {"seeds": 21}, {"seed": -1}):
        with pytest.raises(SettingsError):
            tune(request(tmp_path, **option))
    with pytest.raises(SettingsError, match="--jobs"):
        tune(request(tmp_path), jobs=0)
    assert not list(tmp_path.iterdir())


# --- tuned settings ---------------------------------------------------------------------------------------------------


def test_tuned_settings_beside_an_experiment_are_picked_up(
    tmp_path: Path, whole: tuple[TuneRequest, dict[str, Any]]
) -> None:
    own = tmp_path / "mine.toml"
    own.write_text('[data]\nname = "mnist-mini"\n')
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "mine.src.toml").write_bytes(Path(whole[1]["file"]).read_bytes())
    assert tuned_names(str(own)) == ("src",)
    assert load_tuned(str(own), "src") == load_settings(whole[1]["file"])[1]
    run = RunRequest("mine", "default", "src", 0, load_settings(str(own))[1], None, str(tmp_path))
    found = with_tuned(run, str(own), [("sleep.steps", 7)])
    assert (found.variant, found.settings.sleep.rem.steps) == ("tuned", 7)
    assert found.settings.wake == load_settings(whole[1]["file"])[1].wake
    with pytest.raises(SettingsError, match="no tuned settings for 'sequential'"):
        load_tuned(str(own), "sequential")


def test_a_variant_has_tuned_settings_of_its_own(tmp_path: Path) -> None:
    """Named on the command line, kept apart from those of the experiment and run with ``--tuned --variant``."""
    own = tmp_path / "mine.toml"
    small = "\n".join(f'"{key}" = {json.dumps(value)}' for key, value in SMALL if key != "data.name")
    own.write_text(
        f'default_variants = ["v-0.5", "w"]\n[data]\nname = "mnist-mini"\n[variants."v-0.5"]\n{small}\n[variants.w]\n'
        '[tune.sequential]\n"wake.lr" = { low = 0.01, high = 0.02 }\n'
    )
    search = [
        "tune",
        str(own),
        "--strategy",
        "sequential",
        "--trials",
        "2",
        "--seeds",
        "1",
        "--out",
        str(tmp_path / "o"),
    ]
    refused = CliRunner().invoke(app, search)
    assert refused.exit_code == 2 and "v-0.5" in refused.output
    done = CliRunner().invoke(app, [*search, "--variant", "v-0.5", "--json"])
    assert done.exit_code == 0, done.output
    file = Path(json.loads(done.stdout)["file"])
    assert file.name == "v-0.5.sequential.toml"
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "mine.v-0.5.sequential.toml").write_bytes(file.read_bytes())
    assert (tuned_names(str(own)), tuned_names(str(own), "v-0.5")) == ((), ("sequential",))
    assert tuned_record(str(own), "sequential", "v-0.5")["variant"] == "v-0.5"

    run = ["run", str(own), "--strategy", "sequential", "--tuned", "--out", str(tmp_path / "r"), "--json"]
    missing = CliRunner().invoke(app, run)
    assert missing.exit_code == 2 and "--variant w" in missing.output
    done = CliRunner().invoke(app, [*run, "--variant", "v-0.5", "--set", "wake.epochs=1"])
    assert done.exit_code == 0, done.output
    (summary,) = json.loads(done.stdout)["summary"]
    assert summary["variant"].startswith("tuned,v-0.5")
    assert load_settings(str(next((tmp_path / "r").rglob("config.toml"))))[1].wake.lr == pytest.approx(
        load_tuned(str(own), "sequential", "v-0.5").wake.lr
    )


@pytest.mark.parametrize("experiment", experiment_names())
def test_the_committed_tuned_settings_say_what_they_are_for(experiment: str) -> None:
    found = [(v, s) for v in ("default", *variant_names(experiment)) for s in tuned_names(experiment, v)]
    for variant, strategy in found:
        settings = load_tuned(experiment, strategy, variant)
        assert settings.data.split == "test"
        group, _, name = experiment.rpartition("/")
        middle = "" if variant == "default" else f".{variant}"
        file = Path(_tune.__file__).parents[1] / "published" / group / "tuned" / f"{name}{middle}.{strategy}.toml"
        header = tomllib.loads(file.read_text(encoding="utf-8"))["tuned"]
        assert (header["experiment"], header["strategy"]) == (experiment, strategy)
        assert header.get("variant", "default") == variant
        assert header["split"] == "validation"
        assert min(header["tuning_seeds"]) >= 100


def test_the_folder_of_the_data_is_no_part_of_the_record() -> None:
    command = "neurosleep tune src2022/mnist --data /home/me/d --out d"
    assert command_with_data(command, "/home/me/d") == "neurosleep tune src2022/mnist --data DATA --out d"
    assert command_with_data("neurosleep tune x --data=d --out d2", "d") == "neurosleep tune x --data=DATA --out d2"
    assert command_with_data(command, None) == command


def test_the_output_folder_is_not_written_down_either() -> None:
    command = "neurosleep tune x --data /home/me/d --out /home/me/o"
    assert command_with_data(command, "/home/me/d", "/home/me/o") == "neurosleep tune x --data DATA --out OUT"
    assert command_with_data("neurosleep tune x --out=/home/me/o", None, "/home/me/o") == "neurosleep tune x --out=OUT"
