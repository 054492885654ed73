"""Kinds of networks and learning in the settings: what belongs to which, what changes with them, what is refused."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.continual import SI, Learner
from neurosleep.errors import SettingsError, UnknownNameError, UnsupportedError
from neurosleep.experiments import (
    RunFolder,
    RunRequest,
    apply_changes,
    experiment_names,
    load_settings,
    parse_change,
    run_experiment,
    run_one,
    variant_names,
)
from neurosleep.experiments.changes import change_text, changes_between, dump_toml
from neurosleep.experiments.experiment import Experiment
from neurosleep.experiments.reading import default_strategy, default_variants
from neurosleep.experiments.run import one as _run
from neurosleep.experiments.run.check import check_request
from neurosleep.learning import Backprop, Batch, EquilibriumPropagation, PhasedLearning
from neurosleep.networks import EquilibriumMLP

Change = tuple[str, Any]
EP: list[Change] = [("network.kind", "equilibrium")]
SMALL: list[Change] = [
    ("data.name", "mnist-mini"),
    ("data.tasks", [[1, 0], [7, 3]]),
    ("data.images_per_task", 60),
    *EP,
    ("network.sizes", [784, 12, 10]),
    ("wake.batch", 20),
    ("wake.free_steps", 15),
    ("wake.nudged_steps", 4),
    ("wake.residual_limit", 10.0),
    ("wake.epochs", 1),
    ("joint.epochs", 1),
    ("sleep.steps", 60),
    ("sleep.rates", [0.02, 0.02]),
    ("sleep.alpha_scale", 1.0),
    ("sleep.scale_data", "current"),
]


@pytest.fixture
def mnist() -> Experiment:
    return load_settings("src2022/mnist")[1]


class StopError(Exception):
    """Stands for whatever ends a run from outside."""


def stop(text: str) -> None:
    if re.search(r"^task \d of \d, (wake|sleep): ", text):
        raise StopError


def request(out: Path, strategy: str, *changes: Change) -> RunRequest:
    settings = apply_changes(apply_changes(load_settings("src2022/mnist")[1], SMALL), changes)
    return RunRequest("src2022/mnist", "ep", strategy, 3, settings, None, str(out))


def test_the_plain_kinds_leave_no_trace_in_a_resolved_file(mnist: Experiment) -> None:
    named = apply_changes(mnist, [("network.kind", "mlp"), ("wake.kind", "backprop")])
    assert named == mnist
    for word in ("kind", "beta", "activation", "feedback", "rates", "note"):
        assert f"\n{word} =" not in dump_toml(mnist)


def test_another_kind_brings_its_own_settings_and_drops_those_it_lacks(mnist: Experiment) -> None:
    found = apply_changes(mnist, EP)
    assert (found.network.kind, found.wake.kind) == ("equilibrium", "ep")
    assert found.network.init == 1.0 and "dropout" not in found.table()["network"]
    assert found.wake.beta == 0.1 and "loss" not in found.table()["wake"]
    assert found.table()["sleep"]["feedback"] == "none" and "feedback" not in mnist.table()["sleep"]
    # What was not at its default is the user's: momentum 0.5 was, the number of images was not.
    assert found.wake.momentum == 0.9
    assert found.data.images_per_task == 5000
    assert apply_changes(found, [("network.kind", "mlp")]) == mnist
    kept = apply_changes(apply_changes(mnist, [("wake.batch", 7)]), EP)
    assert kept.wake.batch == 7


def test_settings_of_another_kind_are_refused_by_name(mnist: Experiment) -> None:
    with pytest.raises(SettingsError, match=r"wake\.beta") as caught:
        apply_changes(mnist, [("wake.beta", 0.2)])
    assert "ep" in str(caught.value.expected)
    with pytest.raises(SettingsError, match=r"network\.dropout"):
        apply_changes(mnist, [*EP, ("network.dropout", 0.5)])
    with pytest.raises(SettingsError, match=r"wake\.beta is not given"):
        apply_changes(mnist, [*EP, ("wake.beta", None)])
    with pytest.raises(UnknownNameError, match=r"wake\.betta"):
        apply_changes(mnist, [*EP, ("wake.betta", 0.2)])
    # The kinds come first, wherever they stand.
    assert apply_changes(mnist, [("wake.beta", 0.2), *EP]).wake.beta == 0.2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("network.kind", "equilibrum")], r"equilibrum"),
        ([*EP, ("wake.kind", "hebb")], r"hebb"),
        ([("wake.kind", "ep")], r"cannot learn"),
        ([*EP, ("wake.kind", "backprop")], r"cannot learn"),
    ],
)
def test_kinds_that_do_not_exist_or_do_not_fit(mnist: Experiment, changes: list[Change], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        apply_changes(mnist, changes)


def test_a_file_may_set_the_kind_and_a_variant_another(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'strategy = "sequential"\ndefault_variants = ["default"]\n'
        '[wake]\nbeta = 0.3\nbatch = 32\n[network]\nkind = "equilibrium"\nsizes = [784, 8, 10]\nbias = false\n'
        '[variants.ff]\n"network.kind" = "mlp"\n"wake.lr" = 0.05\n'
    )
    found = load_settings(str(path))[1]
    assert (found.wake.beta, found.network.bias) == (0.3, False)
    assert load_settings(str(path), variant="default")[1] == found
    plain = load_settings(str(path), variant="ff")[1]
    assert (plain.network.kind, plain.network.dropout) == ("mlp", 0.25) and "beta" not in plain.table()["wake"]
    assert plain.table()["network"]["kind"] is None
    assert (plain.wake.batch, plain.wake.lr) == (32, 0.05)
    assert isinstance(plain.trainings("sequential")[0], Backprop)
    assert isinstance(found.trainings("sequential")[0], EquilibriumPropagation)
    assert (default_strategy(str(path)), default_variants(str(path))) == ("sequential", ("default",))
    assert variant_names(str(path)) == ("ff",)
    # Without these two keys every variant is run, or the experiment itself.
    assert default_variants("src2022/task2-length") == variant_names("src2022/task2-length")
    assert (default_variants("src2022/mnist"), default_strategy("src2022/mnist")) == (("default",), "src")


def test_a_file_can_take_back_an_option_of_the_one_it_extends(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "src2022/mnist"\n[data]\nimages_per_task = "none"\n[sleep]\nwindow = "none"\n')
    found = load_settings(str(path))[1]
    assert (found.data.images_per_task, found.sleep.rem.window) == (None, None)
    with pytest.raises(SettingsError, match=r"network\.sizes"):
        apply_changes(found, [("network.sizes", "none")])


@pytest.mark.parametrize("row", ["strategy = 3", 'default_variants = ["none"]', "default_variants = 3"])
def test_wrong_defaults_of_a_file_are_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(row + "\n")
    with pytest.raises(SettingsError, match=row.split(" ", maxsplit=1)[0]):
        load_settings(str(path))


def test_settings_of_other_kinds_survive_being_written(tmp_path: Path, mnist: Experiment) -> None:
    settings = apply_changes(
        mnist, [*EP, ("wake.beta", 0.25), ("wake.lr_per_layer", [0.1, 0.01]), ("network.dt", 0.5), ("note", "ours")]
    )
    path = tmp_path / "again.toml"
    path.write_text(dump_toml(settings))
    assert load_settings(str(path))[1] == settings
    changes = changes_between(mnist, settings)
    assert apply_changes(mnist, [parse_change(change_text(key, value)) for key, value in changes]) == settings
    back = changes_between(settings, mnist)
    assert apply_changes(settings, [parse_change(change_text(key, value)) for key, value in back]) == mnist


def test_a_learning_rate_for_all_layers_takes_the_place_of_those_of_each(mnist: Experiment) -> None:
    each = apply_changes(mnist, [*EP, ("wake.lr_per_layer", [0.1, 0.01])])
    both = apply_changes(each, [("wake.lr", 0.2)])
    assert both.trainings("sequential")[0] == apply_changes(mnist, [*EP, ("wake.lr", 0.2)]).trainings("sequential")[0]
    assert changes_between(each, both) == [("wake.lr", 0.2), ("wake.lr_per_layer", None)]


NEW = [name for name in experiment_names() if name.split("/")[0] not in ("src2022", "demo", "on-chips")]


@pytest.mark.parametrize("name", NEW)
def test_every_variant_of_the_new_experiments_passes_all_checks(name: str, tmp_path: Path) -> None:
    for variant in ("default", *variant_names(name)):
        names = default_strategy(name).split(",")
        for strategy in [*names, "sequential", *(["src", "rehearsal+src"] if name.startswith("ep2025") else [])]:
            settings = load_settings(name, strategy=strategy, variant=variant)[1]
            check_request(RunRequest(name, variant, strategy, 0, settings, None, str(tmp_path / "out")))
            # Whatever could not be read is said in every output.
            assert settings.note
    assert all(variant in ("default", *variant_names(name)) for variant in default_variants(name))
    assert not any(variant.startswith("full") for variant in default_variants(name))


def test_epochs_is_short_for_the_epochs_of_the_wake_training() -> None:
    assert parse_change("epochs=2") == ("wake.epochs", 2)


def test_the_learning_is_what_the_settings_say(mnist: Experiment) -> None:
    changes: list[Change] = [
        *EP,
        ("wake.beta", 0.3),
        ("wake.estimator", "one-sided"),
        ("wake.free_steps", 20),
        ("wake.nudged_steps", 5),
        ("wake.lr_per_layer", [0.1, 1]),
        ("wake.optimiser", "adam"),
        ("wake.epochs_per_task", [1, 3]),
    ]
    first, second = apply_changes(mnist, changes).trainings("sequential", 2)
    assert isinstance(first, EquilibriumPropagation) and isinstance(second, EquilibriumPropagation)
    assert (first.beta, first.estimator, first.free_steps, first.nudged_steps) == (0.3, "one-sided", 20, 5)
    assert (first.lr, first.optimiser, first.epochs, second.epochs) == ((0.1, 1.0), "adam", 1, 3)


KINDS: list[list[Change]] = [
    [],
    [
        ("wake.optimiser", "adam"),
        ("wake.lr", 0.001),
        ("wake.estimator", "random-sign"),
        ("network.read_out", "cross-entropy"),
    ],
    [("network.dt_distribution", "log-normal"), ("network.dt_spread", 0.3)],
    [
        ("network.sizes", [784, 9, 8, 10]),
        ("sleep.rates", [0.02] * 3),
        ("sleep.feedback", "delayed"),
        ("sleep.gamma", 0.5),
    ],
    [("sleep.feedback", "delayed"), ("sleep.symmetric_rule", True), ("sleep.bias_drive", True)],
    [("wake.adaptation_steps", 2), ("wake.predictive", True), ("wake.cosine_epochs", 3)],
    [("wake.kind", "bptt"), ("wake.gradient_steps", 5), ("wake.straight_through", True)],
    [("wake.kind", "chl"), ("wake.clamped_steps", 15), ("wake.delay", 3), ("network.activation", "sigmoid")],
    [("network.kind", "dendritic"), ("network.basal_branches", 3), ("network.sizes", [784, 9, 8, 10])],
    [
        ("network.kind", "equilibrium-conv"),
        ("network.sizes", [784, 10]),
        ("network.image", [28, 28, 1]),
        ("network.channels", [3]),
        ("network.kernel", [5]),
        ("network.padding", [0]),
        ("network.pool", [4]),
        ("network.full", [7]),
    ],
]


@pytest.mark.filterwarnings("ignore::neurosleep.learning.ConvergenceWarning")
@pytest.mark.parametrize("changes", KINDS)
def test_every_kind_runs_and_resumes_after_every_phase_as_if_unbroken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: list[Change]
) -> None:
    monkeypatch.setattr(_run, "write_run_figures", lambda folder: None)
    # Those that can sleep do.
    strategy = "rehearsal" if any(key == "network.kind" for key, _ in changes) else "rehearsal+src"
    changes = [*changes, ("rehearsal.fraction", 0.1), ("sleep.thresholds", None)]
    whole = run_one(request(tmp_path / "whole", strategy, *changes))
    assert (whole["status"], whole["kind"]) == ("done", "class-incremental")
    assert [rates[0] > 0 for rates in whole["sleep"]["spikes_per_step"]] == ([True] * 2 if "src" in strategy else [])
    wanted = request(tmp_path / "stopped", strategy, *changes)
    stops = 0
    while True:
        try:
            found = run_one(wanted, stop)
        except StopError:
            stops += 1
            wanted = replace(wanted, resume=True)
        else:
            break
    assert stops == 4
    clocks: dict[str, Any] = {"seconds": None, "growth": None}
    assert {**found, **clocks} == {**whole, **clocks}
    bundles = [
        folder.load_bundle((folder.path / "config.toml").read_text(encoding="utf-8"))
        for folder in (
            RunFolder(tmp_path / name / "src2022/mnist/ep" / strategy / "seed3") for name in ("whole", "stopped")
        )
    ]
    assert bundles[0] is not None and bundles[1] is not None
    one, other = bundles[0][0], bundles[1][0]
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert any(float(one[key].abs().max()) > 0 for key in one if key.startswith("velocity"))


@pytest.mark.parametrize(
    ("strategy", "changes", "said"),
    [
        ("sequential", [("wake.beta", 0.0)], "beta"),
        ("sequential", [("wake.nudged_steps", 16)], r"T2, 16"),
        ("sequential", [("network.dt", 0.0)], "time step"),
        ("sequential", [("network.dt", 1.5)], "time step"),
        ("sequential", [("network.dt_spread", 0.5)], "dt_spread"),
        ("sequential", [("network.dt_control", True)], "dt_control"),
        ("sequential", [("network.dt", 1.5), ("network.dt_distribution", "gamma")], r"centre of the time steps"),
        ("sequential", [("network.dt_distribution", "poisson")], "poisson"),
        ("sequential", [("network.activation", "mysigg")], "mysigg"),
        ("sequential", [("network.read_out", "mse")], "mse"),
        ("sequential", [("network.dynamics", "hopfield"), ("network.read_out", "cross-entropy")], "Hopfield"),
        ("sequential", [("wake.lr_per_layer", [0.1])], "1 learning rates"),
        ("sequential", [("wake.lr_per_layer", ["fast", 0.1])], "lr_per_layer"),
        ("sequential", [("wake.lr_per_layer", [0.1, 0.1]), ("wake.lr_per_task", [0.1])], "lr_per_task"),
        ("sequential", [("data.deviations", 3.0)], r"data\.deviations"),
        ("sequential", [("data.scale", "standard"), ("data.deviations", 0.0)], r"data\.deviations"),
        ("sequential", [("wake.kind", "bptt"), ("wake.gradient_steps", 16)], r"T2, 16"),
        ("sequential", [("wake.kind", "chl"), ("wake.delay", 120)], r"clamped from step 120"),
        ("sequential", [("network.kind", "dendritic"), ("network.branch_sparsity", 0.0)], "sparsity"),
        ("sequential", [("network.kind", "equilibrium-conv")], r"network\.image"),
        ("src", [("network.kind", "dendritic")], "cannot sleep"),
        ("sleep", [("network.kind", "dendritic")], "cannot regulate a DendriticMLP"),
        ("sleep", [("nrem.form", "spikes")], r"nrem\.form is 'spikes'"),
        ("src", [("sleep.thresholds", None), ("sleep.feedback", "instant")], r"sleep\.feedback"),
        ("src", [("sleep.thresholds", None), ("sleep.gamma", 1.5)], r"sleep\.gamma"),
        ("src", [("sleep.thresholds", None), ("sleep.symmetric_rule", True)], r"sleep\.symmetric_rule"),
        ("ewc", [("wake.kind", "bptt")], "'ewc' does not work with wake.kind 'bptt'"),
        ("sequential", [("network.sizes", [783, 12, 10])], "784 inputs"),
        ("ewc", [], "'ewc' does not work with wake.kind 'ep'"),
        ("owm", [], "'owm' does not work"),
        ("lwf", [], "'lwf' does not work"),
        ("icarl", [("icarl.faithful", True)], r"icarl\.faithful"),
        ("src", [("network.kind", "mlp"), ("sleep.thresholds", None), ("sleep.rates", [0.1])], r"sleep\.rates has 1"),
        (
            "src",
            [("network.kind", "mlp"), ("sleep.rates", [0.1, 1.5])],
            r"sleep\.rates, per neuron and step, cannot be 1\.5",
        ),
    ],
)
def test_bad_values_are_refused_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, changes: list[Change], said: str
) -> None:
    monkeypatch.setattr(PhasedLearning, "fit", lambda *arguments, **more: pytest.fail("training started"))
    with pytest.raises((SettingsError, UnsupportedError), match=said):
        run_experiment([request(tmp_path / "out", strategy, *changes)])
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore::neurosleep.learning.ConvergenceWarning")
@pytest.mark.parametrize(
    ("kind", "strategy"),
    [
        ("ep", "joint"),
        ("ep", "joint-matched+src"),
        ("ep", "si+src"),
        ("ep", "icarl"),
        ("bptt", "si"),
        ("bptt", "lwf"),
        ("bptt", "icarl+src"),
        ("chl", "si"),
        ("ep", "rehearsal+sleep"),
        ("bptt", "sleep"),
        ("chl", "sleep"),
    ],
)
def test_the_other_strategies_work_where_they_are_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, strategy: str
) -> None:
    monkeypatch.setattr(_run, "write_run_figures", lambda folder: None)
    own: list[Change] = [("wake.kind", kind), ("sleep.thresholds", None), ("icarl.k", 20), ("icarl.distillation", True)]
    own += [("wake.gradient_steps", 5)] if kind == "bptt" else []
    own += [("wake.clamped_steps", 15), ("wake.delay", 3)] if kind == "chl" else []
    metrics = run_one(request(tmp_path, strategy, *own))
    assert metrics["status"] == "done"
    assert metrics["reads_old_data"] is (strategy[:2] in ("jo", "ic", "re"))
    assert ("accuracy_all_nearest_mean" in metrics["results"]) is ("icarl" in strategy)


def test_the_command_line_takes_the_usual_strategy_and_variants_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'strategy = "sequential"\ndefault_variants = ["a", "default"]\n[data]\nname = "mnist-mini"\n'
        "classes_per_task = 10\nimages_per_task = 100\n"
        '[network]\nkind = "equilibrium"\nsizes = [784, 8, 10]\n'
        '[variants.a]\n"network.kind" = "dendritic"\n"network.basal_branches" = 2\n'
        '[variants.full]\n"wake.epochs" = 999\n'
    )
    arguments = ["run", str(path), "--set", "epochs=1", "--out", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    runs = json.loads(result.stdout)["runs"]
    assert [(r["variant"], r["strategy"], r["kind"]) for r in runs] == [
        ("a,v1", "sequential", "single"),
        ("v1", "sequential", "single"),
    ]
    assert not any(r["reads_old_data"] for r in runs)
    config = tomllib.loads((tmp_path / "out/mine/a,v1/sequential/seed0/config.toml").read_text())
    assert (config["network"]["kind"], config["network"]["basal_branches"]) == ("dendritic", 2)
    assert (config["wake"]["kind"], config["wake"]["epochs"]) == ("ep", 1)
    refused = CliRunner().invoke(app, [*arguments, "--strategy", "ewc", "--variant", "a"])
    assert refused.exit_code == 2
    assert "'ewc' does not work with wake.kind 'ep'" in json.loads(refused.stdout)["error"]["message"]


def test_si_measures_the_step_that_was_taken() -> None:
    settings = apply_changes(load_settings("src2022/mnist")[1], [*SMALL, ("wake.optimiser", "adam"), ("wake.lr", 0.01)])
    network = settings.network.make(settings.wake, torch.Generator().manual_seed(0))
    (learning,) = settings.trainings("si")
    assert isinstance(learning, PhasedLearning) and isinstance(network, EquilibriumMLP)
    learner = Learner(network, learning.state(network), [], 0)
    strategy = SI(strength=0.0)
    path = [torch.zeros_like(p) for p in network.trained]
    start = [p.detach().clone() for p in network.trained]
    before: list[torch.Tensor] = []

    def after_backward(batch: Batch) -> None:
        before[:] = [p.detach().clone() for p in network.trained]
        strategy.after_backward(learner, batch)

    def after_step(batch: Batch) -> None:
        strategy.after_step(learner, batch)
        for total, p, old in zip(path, network.trained, before, strict=True):
            assert p.grad is not None
            total += p.grad * (old - p.detach())

    strategy.before_training_exp(learner)
    images = torch.rand(40, 784, generator=torch.Generator().manual_seed(1))
    for _ in learning.fit(
        network,
        images,
        torch.arange(40) % 10,
        learner.velocity,
        lambda name, epoch: torch.Generator().manual_seed(epoch),
        after_backward=after_backward,
        after_step=after_step,
    ):
        pass
    strategy.after_training_exp(learner)
    stored = strategy.state_dict()
    for k, (total, p, old) in enumerate(zip(path, network.trained, start, strict=True)):
        expected = total / ((p.detach() - old) ** 2 + 0.1)
        torch.testing.assert_close(stored[f"importance{k}"], expected)
        assert float(expected.abs().max()) > 0


def test_a_note_of_the_experiment_stands_in_its_metrics(tmp_path: Path) -> None:
    metrics = run_one(request(tmp_path, "sequential", ("note", "defaults are ours")))
    assert metrics["note"] == "defaults are ours"
    assert (metrics["status"], metrics["kind"], metrics["reads_old_data"]) == ("done", "class-incremental", False)
