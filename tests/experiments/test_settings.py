"""Settings: what exists, what is refused, and that they survive being written and read."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import pytest

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.experiments import apply_changes, experiment_names, load_settings, parse_change, variant_name
from neurosleep.experiments.changes import change_text, changes_between, dump_toml
from neurosleep.experiments.experiment import Experiment
from neurosleep.experiments.reading import Published, load_published
from neurosleep.experiments.strategy_names import check_strategies
from neurosleep.functional import RULES, SRCRule


@pytest.fixture
def mnist() -> Experiment:
    return load_settings("src2022/mnist")[1]


@pytest.mark.parametrize("name", experiment_names())
def test_every_packaged_experiment_can_be_loaded_and_made(name: str) -> None:
    found, settings = load_settings(name)
    assert found == name
    settings.trainings("joint")
    assert len(settings.sleep.for_layers(settings.layers).thresholds) == len(settings.network.sizes) - 1


def test_the_published_mnist_settings_are_those_of_the_reference(mnist: Experiment) -> None:
    sleep = mnist.sleep.for_layers(mnist.layers)
    assert [sleep.rem.steps_after(task) for task in range(5)] == [15000, 20000, 25000, 30000, 35000]
    assert list(sleep.thresholds) == [14.548273, 44.560317, 38.046326]
    assert (sleep.alpha_scale, sleep.rem.max_rate, sleep.rem.window) == (55.882454, 239.515363, 11)
    assert mnist.trainings("src")[0].epochs == 2
    assert mnist.trainings("joint")[0].epochs == 10


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("sleep.stpes", "sleep.steps"),
        ("wake.epoch", "wake.epochs"),
        ("engin", "engine"),
        ("network.size", "network.sizes"),
        ("sleep.steps.more", "sleep.steps"),
    ],
)
def test_an_unknown_key_names_the_nearest(mnist: Experiment, key: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        apply_changes(mnist, [(key, 1)])
    assert key in caught.value.message
    assert repr(nearest) in str(caught.value.hint)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sleep.steps", 1.5),
        ("sleep.steps", True),
        ("sleep.steps", None),
        ("sleep.max_rate", "fast"),
        ("sleep.max_rate", float("nan")),
        ("sleep.max_rate", float("inf")),
        ("network.sizes", 784),
        ("data.tasks", "all"),
        ("sleep", 3),
        ("engine", 3),
    ],
)
def test_a_wrong_type_is_refused(mnist: Experiment, key: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=key):
        apply_changes(mnist, [(key, value)])


@pytest.mark.parametrize(
    ("change", "written"),
    [
        ("network.sizes=784,120,10", "'network.sizes=[784,120,10]'"),
        ("network.sizes=(784, 120, 10)", "'network.sizes=[784,120,10]'"),
        ("wake.lr_per_layer=0.1,0.2", "'wake.lr_per_layer=[0.1,0.2]'"),
        ("sleep.thresholds=14.5,44", "'sleep.thresholds=[14.5,44]'"),
        ("data.sequence=mnist,fashion-mnist", """'data.sequence=["mnist","fashion-mnist"]'"""),
        ("data.tasks=0,1", "'data.tasks=[[0,1]]'"),
    ],
)
def test_a_list_without_brackets_is_shown_as_it_is_written(mnist: Experiment, change: str, written: str) -> None:
    with pytest.raises(SettingsError) as refused:
        apply_changes(mnist, [parse_change(change)])
    assert refused.value.expected == f"a list, written {written}"
    apply_changes(mnist, [parse_change(written.strip("'"))]).table()


@pytest.mark.parametrize(
    "change", ["network.sizes=784", "network.sizes=a,b", "network.sizes=", "network.sizes=true", "data.tasks=all"]
)
def test_what_no_brackets_make_a_list_of_is_shown_as_none(mnist: Experiment, change: str) -> None:
    with pytest.raises(SettingsError) as refused:
        apply_changes(mnist, [parse_change(change)])
    assert refused.value.expected == "a list"


def test_changes_are_made_in_a_copy(mnist: Experiment) -> None:
    changed = apply_changes(mnist, [("sleep.rule.inc", 0.5), ("sleep.max_rate", 3), ("sleep.window", None)])
    assert changed.table()["sleep"]["rule"] == {**mnist.table()["sleep"]["rule"], "inc": 0.5}
    assert changed.sleep.rem.rule == replace(mnist.sleep.rem.rule, inc=0.5)
    assert changed.sleep.rem.max_rate == 3.0
    assert isinstance(changed.sleep.rem.max_rate, float)
    assert changed.sleep.rem.window is None
    assert mnist == load_settings("src2022/mnist")[1]
    tables = apply_changes(mnist, [("wake", {"lr": 0.5}), ("sleep.rule", {"name": "src", "inc": 1.0, "dec": 0.0})])
    assert tables.wake == replace(mnist.wake, lr=0.5)
    assert tables.table()["sleep"]["rule"] == {"name": "src", "inc": 1.0, "dec": 0.0}
    assert tables.sleep.rem.rule == SRCRule(1.0, 0.0)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("sleep.steps=300", ("sleep.steps", 300)),
        (" sleep.max_rate = 1e2", ("sleep.max_rate", 100.0)),
        ("network.sizes=[784, 10]", ("network.sizes", [784, 10])),
        ("engine=reference", ("engine", "reference")),
        ('engine="reference"', ("engine", "reference")),
        ("sleep.compare=>=", ("sleep.compare", ">=")),
        ("sleep.window=none", ("sleep.window", None)),
        ("flag=true", ("flag", True)),
    ],
)
def test_changes_on_the_command_line_are_toml_or_bare_words(text: str, parsed: tuple[str, Any]) -> None:
    assert parse_change(text) == parsed


@pytest.mark.parametrize("text", ["sleep.steps", "=3", " =3", ""])
def test_a_change_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--set"):
        parse_change(text)


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_file_may_ask_for_any_rule(name: str, tmp_path: Path) -> None:
    kind: Any = RULES[name]
    required = [field.name for field in fields(kind) if field.default is MISSING]
    lines = "".join(f"{key} = 0.125\n" for key in required)
    path = tmp_path / "mine.toml"
    path.write_text(f'engine = "reference"\n[sleep.rule]\nname = "{name}"\n{lines}')
    rule: Any = load_settings(str(path))[1].sleep.rem.rule
    assert type(rule) is kind and all(getattr(rule, key) == 0.125 for key in required)
    path.write_text(f'[sleep.rule]\nname = "{name}"\n{lines}nothing = 1\n')
    with pytest.raises(SettingsError, match=f"rule '{name}' cannot be made"):
        load_settings(str(path))


def test_a_file_of_ones_own_is_filled_up_with_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('engine = "reference"\n[sleep]\nsteps = 20\n[sleep.rule]\nname = "src"\ninc = 0.1\ndec = 0.1\n')
    name, settings = load_settings(str(path))
    assert name == "mine"
    assert settings.engine == "reference"
    assert settings.sleep.rem.steps == 20
    assert settings.wake.lr == 0.1
    assert list(settings.sleep.for_layers(settings.layers).thresholds) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [("[sleep]\nstpes = 3\n", "sleep.stpes"), ("sleep = \n", "not TOML"), ("[wake]\nlr = 'x'\n", "wake.lr")],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_settings(str(path))


def test_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no experiment file"):
        load_settings(str(tmp_path / "none.toml"))
    with pytest.raises(UnknownNameError) as caught:
        load_settings("src2022/mnits")
    assert "'src2022/mnist'" in str(caught.value.hint)
    with pytest.raises(UnknownNameError):
        check_strategies(["src", "scr"])
    with pytest.raises(SettingsError, match="No strategy"):
        check_strategies([])


@pytest.mark.parametrize("name", experiment_names())
def test_settings_survive_being_written_as_toml(tmp_path: Path, name: str) -> None:
    changes = [("data.tasks", [[0, 1], [2]]), ("sleep.rule.inc", 1e-7), ("wake.lr", 1.0), ("sleep.window", None)]
    settings = apply_changes(load_settings(name)[1], changes)
    text = dump_toml(settings)

    def without_none(table: dict[str, Any]) -> dict[str, Any]:
        return {
            key: without_none(value) if isinstance(value, dict) else value
            for key, value in table.items()
            if value is not None
        }

    expected = without_none(settings.table())
    # A table that came later is left out where nothing in it is set, so that files stay what they were.
    assert tomllib.loads(text) == {
        key: value for key, value in expected.items() if key not in ("nrem", "hardware") or value
    }
    (tmp_path / "again.toml").write_text(text)
    assert load_settings(str(tmp_path / "again.toml"))[1] == settings


def test_published_figures_are_no_settings() -> None:
    name, settings = load_settings("src2022/mnist")
    assert "published" not in settings.table()
    with pytest.raises(UnknownNameError):
        apply_changes(settings, [("published.src", {"mean": 99.0})])
    source = "Tadros et al. (2022), Table 1, doi:10.1038/s41467-022-34938-7"
    found = load_published(name)
    assert {key: found[key] for key in ("sequential", "src", "owm", "joint")} == {
        "sequential": Published(19.49, None, None, source),
        "src": Published(48.47, 5.03, 5, source),
        "owm": Published(77.04, 2.91, None, source),
        "joint": Published(98.02, None, None, source),
    }
    assert found["rehearsal+src"] == Published(86.47, 1.06, None, source)
    # Table 2 does not say which of the two read-outs it means.
    assert found["icarl"] == found["icarl, nearest mean"] == Published(65.5, 4.66, None, found["icarl"].source)
    assert load_published("src2022/fashion")["src"] == Published(41.68, 5.04, 5, source)
    assert load_published("demo/mnist-mini") == {}


@pytest.mark.parametrize(
    "text",
    [
        "published = 3",
        "[published]\nsrc = 0.5\nsource = 'x'",
        "[published]\nsrc = {sd = 1.0}\nsource = 'x'",
        "[published]\nsrc = {mean = 'half'}\nsource = 'x'",
        "[published]\nsrc = {mean = 1.0, n = 2.5}\nsource = 'x'",
        "[published]\nsrc = {mean = 1.0, sem = 0.1}\nsource = 'x'",
        "[published]\nsrc = {mean = 1.0}",
        "[published]\nsource = 3\nsrc = {mean = 1.0}",
    ],
)
def test_published_figures_that_make_no_sense_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="published"):
        load_settings(str(path))


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [("engine", "reference"), ("sleep.steps", 20), ("sleep.window", None), ("data.tasks", [[0, 1], [2]])],
        [("sleep.rule.inc", 1e-7), ("sleep.compare", ">"), ("wake.lr", 1.0)],
        [("sleep.rule", {"name": "src", "inc": 0.5, "dec": 0.1})],
    ],
)
def test_what_was_changed_is_found_again_and_can_be_given_to_set(
    mnist: Experiment, changes: list[tuple[str, Any]]
) -> None:
    changed = apply_changes(mnist, changes)
    found = changes_between(mnist, changed)
    assert found == sorted(changes)
    assert apply_changes(mnist, [parse_change(change_text(key, value)) for key, value in found]) == changed


def test_text_that_looks_like_a_number_stays_text() -> None:
    assert change_text("engine", "3") == 'engine="3"'
    assert change_text("engine", "none") == 'engine="none"'
    assert change_text("engine", "event") == "engine=event"


def test_the_name_of_a_variant_is_a_safe_folder_name() -> None:
    assert variant_name([]) == "default"
    assert variant_name([("wake.lr", 0.2), ("engine", "event")]) == "engine=event,wake.lr=0.2"
    assert variant_name([("a", 1), ("b", 2)]) == variant_name([("b", 2), ("a", 1)])
    name = variant_name([("data.name", "../../x"), ("network.sizes", list(range(200)))])
    assert "/" not in name
    assert len(name) <= 150


def test_long_names_of_variants_differ_where_their_settings_do() -> None:
    keys = [(f"sleep.key{k}", 1.23456789) for k in range(12)]
    names = [variant_name([*keys, ("wake.lr", lr)]) for lr in (0.05, 0.025)]
    assert names[0] != names[1]
    assert all(len(name) == 150 for name in names)
    assert variant_name([*keys, ("wake.lr", 0.05)]) == names[0]
