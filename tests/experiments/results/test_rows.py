"""The rows of results: every one with its published figure and source, and commands with the seeds of the rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from neurosleep.errors import RunFolderError
from neurosleep.experiments import apply_changes, load_settings
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.results import ResultRow, result_rows
from neurosleep.experiments.results import commands as commands_module
from neurosleep.experiments.results import rows as rows_module
from neurosleep.experiments.results.commands import together

Add = Callable[..., Path]
SOURCE = "Tadros et al. (2022), Table 1, doi:10.1038/s41467-022-34938-7"


def by_label(out: Path) -> dict[str, ResultRow]:
    return {row.label: row for row in result_rows(out)}


def commands(out: Path) -> list[str]:
    return [str(command) for command in together(dict.fromkeys(c for row in result_rows(out) for c in row.commands))]


def test_rows_say_what_is_published_where_and_how_ours_compares(add: Add, tmp_path: Path) -> None:
    for seed, (slept, alone) in enumerate([(0.40, 0.194), (0.44, 0.194)]):
        add(tmp_path, "src", seed, slept)
        add(tmp_path, "sequential", seed, alone)
    add(tmp_path, "src", 2, None, status="diverged")
    add(tmp_path, "joint", 0, 0.9904)
    rows = by_label(tmp_path)
    assert list(rows) == ["joint", "sequential", "src"]
    joint, sequential, src = rows.values()
    for row, mean, verdict, difference in (
        (joint, 98.02, "above", 1.02),
        (sequential, 19.49, "within 1 point", -0.09),
        (src, 48.47, "short", -6.47),
    ):
        assert row.published is not None and (row.published.mean, row.published.source) == (mean, SOURCE)
        assert row.verdict == verdict and row.difference == pytest.approx(difference)
        assert row.bounds == pytest.approx((19.4, 99.04))
        assert str(row.settings) == "default"
    assert (src.published.sd, src.published.n) == (5.03, 5)  # type: ignore[union-attr]
    assert src.ours == {"mean": pytest.approx(42.0), "sd": pytest.approx(2.8284271), "n": 2}
    assert (src.seeds, src.diverged, src.at_chance) == ((0, 1, 2), 1, 0)
    assert (src.stored_examples, sequential.stored_examples, src.seconds) == (True, False, 3.0)
    add(tmp_path, "src", 3, 0.66)
    assert by_label(tmp_path)["src"].verdict == "within 1 sd"


def test_runs_no_better_than_a_guess_are_counted(add: Add, tmp_path: Path) -> None:
    for seed, accuracy in enumerate((0.1135, 0.097, 0.5, None)):
        add(tmp_path, "si", seed, accuracy, accuracy_of_a_guess=0.1135, status="done" if accuracy else "diverged")
    add(tmp_path, "ewc", 0, 0.05)  # metrics of an earlier version: not known
    rows = by_label(tmp_path)
    assert (rows["si"].diverged, rows["si"].at_chance, rows["si"].ours["n"]) == (1, 2, 3)
    assert (rows["ewc"].diverged, rows["ewc"].at_chance) == (0, 0)


def test_further_seeds_and_read_outs_stand_beside_the_reported_figure(add: Add, tmp_path: Path) -> None:
    for seed, accuracy in ((0, 0.4), (9, 0.5), (10, 0.7), (11, 0.9)):
        results = {"accuracy_all": accuracy, "accuracy_all_nearest_mean": accuracy / 2}
        results["accuracy_all_before_last_sleep"] = 0.1
        add(tmp_path, "icarl", seed, accuracy, results=results)
    rows = by_label(tmp_path)
    # The paper does not say which of the two read-outs its figure is.
    assert list(rows) == ["icarl", "icarl, nearest mean"]
    for row, half in zip(rows.values(), (1, 2), strict=True):
        assert row.published is not None and (row.published.mean, row.published.sd) == (65.5, 4.66)
        assert row.ours["mean"] == pytest.approx(45 / half) and row.further["mean"] == pytest.approx(80 / half)
        assert (row.ours["n"], row.further["n"], row.seeds) == (2, 2, (0, 9))


def test_who_is_a_baseline(add: Add, tmp_path: Path) -> None:
    for strategy in ("sequential", "joint", "src", "sleep", "sleep+src", "ewc", "rehearsal+src"):
        add(tmp_path, strategy, 0, 0.5)
    assert [row.strategy for row in result_rows(tmp_path) if row.baseline] == ["ewc", "rehearsal+src"]


def test_commands_have_the_seeds_of_their_rows(add: Add, tmp_path: Path) -> None:
    for seed in range(4):
        add(tmp_path, "sequential", seed, 0.19)
        add(tmp_path, "src", seed, 0.4 if seed else None, status="done" if seed else "diverged")
    for seed in (0, 5, 6, 9):
        add(tmp_path, "joint", seed, 0.98)
    assert commands(tmp_path) == [
        "neurosleep run src2022/mnist --strategy joint --seeds 1 --data DIR --out OUT",
        "neurosleep run src2022/mnist --strategy joint --seed 5 --seeds 2 --data DIR --out OUT",
        "neurosleep run src2022/mnist --strategy joint --seed 9 --seeds 1 --data DIR --out OUT",
        "neurosleep run src2022/mnist --strategy sequential,src --seeds 4 --data DIR --out OUT",
    ]


def test_commands_have_the_changes_of_a_variant(add: Add, tmp_path: Path) -> None:
    variant = "sleep.process=bernoulli,sleep.thresholds=_1.0_ 2.0_ 3.0_"
    changes = [("sleep.thresholds", [1.0, 2.0, 3.0]), ("sleep.scale_data", "current")]
    folder = add(tmp_path, "src", 0, 0.4, variant=variant)
    start = "neurosleep run src2022/mnist --strategy src --seeds 1 --data DIR --out OUT"
    assert commands(tmp_path) == [f"{start}  # and --set as the name of the variant says"]
    (folder / "config.toml").write_text(dump_toml(apply_changes(load_settings("src2022/mnist")[1], changes)))
    assert commands(tmp_path) == [f"{start} --set sleep.scale_data=current --set 'sleep.thresholds=[1.0, 2.0, 3.0]'"]


def test_commands_name_the_tuned_settings(add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = apply_changes(load_settings("src2022/mnist")[1], [("sleep.steps", 9000), ("wake.lr", 0.07)])
    monkeypatch.setattr(commands_module, "load_tuned", lambda experiment, strategy, variant: searched)
    start = "neurosleep run src2022/mnist --strategy src --seeds 1 --data DIR --out OUT --tuned"
    folder = add(tmp_path, "src", 0, 0.4, variant="tuned")
    (folder / "config.toml").write_text(dump_toml(searched))
    assert commands(tmp_path) == [start]
    (folder / "config.toml").write_text(dump_toml(apply_changes(searched, [("wake.lr", 0.08)])))
    assert commands(tmp_path) == [f"{start} --set wake.lr=0.08"]


def test_commands_of_a_variant_without_its_settings_come_from_its_name(add: Add, tmp_path: Path) -> None:
    start = "neurosleep run src2022/mnist --strategy src --seeds 1 --data DIR --out OUT"
    for variant, options in (
        ("tuned", " --tuned"),
        ("tuned,wake.lr=0.08", " --tuned --set wake.lr=0.08"),
        ("faithful=true,sleep.steps=300", " --set faithful=true --set sleep.steps=300"),
        ("sleep.thresholds=_1.0_ 2.0_ 3.0_", "  # and --set as the name of the variant says"),
    ):
        add(tmp_path / variant, "src", 0, 0.4, variant=variant)
        assert commands(tmp_path / variant) == [start + options]


def test_tuned_settings_of_a_variant_are_named_as_such(add: Add, tmp_path: Path) -> None:
    start = "neurosleep run src2022/mnist-rehearsal --strategy src --seeds 1 --data DIR --out OUT --tuned"
    add(tmp_path, "src", 0, 0.4, experiment="src2022/mnist-rehearsal", variant="tuned,fraction-0.05,wake.lr=0.08")
    assert commands(tmp_path) == [f"{start} --variant fraction-0.05 --set wake.lr=0.08"]


def test_variants_come_in_the_order_of_their_file(add: Add, tmp_path: Path) -> None:
    names = ("gamma-x4", "gamma-x1", "log-normal-x1", "tuned,gamma-x4", "wake.epochs=2", "default")
    for number, name in enumerate(names):
        for seed in range(2):
            add(tmp_path, "sequential", seed, 0.1 * (number + 1), experiment="hts2026/step-sizes", variant=name)
    assert [row.variant for row in result_rows(tmp_path)] == [
        "default",
        "log-normal-x1",
        "gamma-x1",
        "gamma-x4",
        "tuned,gamma-x4",
        "wake.epochs=2",
    ]
    start = "neurosleep run hts2026/step-sizes --strategy sequential --seeds 2 --data DIR --out OUT"
    # The experiment as it is stays apart from its variants, which share a command.
    assert commands(tmp_path) == [
        start,
        f"{start} --variant log-normal-x1,gamma-x1,gamma-x4",
        f"{start} --tuned --variant gamma-x4",
        f"{start} --set wake.epochs=2",
    ]


def test_other_data_and_experiments_of_ones_own_have_nothing_published_beside_them(add: Add, tmp_path: Path) -> None:
    add(tmp_path, "src", 0, 0.4, variant="data.split=validation", split="validation")
    add(tmp_path, "src", 0, 0.4, experiment="mine")
    rows = result_rows(tmp_path)
    assert [(row.experiment, row.published, row.split, row.verdict, row.bounds) for row in rows] == [
        ("mine", None, "test", "-", (None, None)),
        ("src2022/mnist", None, "validation", "-", (None, None)),
    ]
    assert commands(tmp_path)[0].startswith("neurosleep run mine.toml --strategy src --seeds 1")


@pytest.mark.parametrize(
    ("variant", "text", "origin", "published"),
    [
        ("default", "default", "default", 48.47),
        ("tuned", "default", "tuned", 48.47),
        ("sleep.streams=32,sleep.steps=9", "changed: sleep.streams=32, sleep.steps=9", "changed", None),
        ("tuned,wake.lr=0.08", "changed: wake.lr=0.08", "changed", None),
        ("faster", "changed (faster)", "changed", None),
    ],
)
def test_changed_settings_are_no_default_ones_and_have_nothing_published_beside_them(
    variant: str, text: str, origin: str, published: float | None, add: Add, tmp_path: Path
) -> None:
    add(tmp_path, "src", 0, 0.48, variant=variant)
    (row,) = result_rows(tmp_path)
    assert (row.variant_name.text, row.settings.origin) == (text, origin)
    assert (None if row.figure is None else row.figure.mean) == published
    assert row.verdict == ("within 1 sd" if published else "-")


def test_variants_of_a_file_are_known_by_name(add: Add, tmp_path: Path) -> None:
    """Each has the figures of its own, not those of the experiment as it is."""
    names = ("fraction-0.05", "tuned,fraction-0.05", "fraction-0.05,wake.lr=0.08")
    for variant in names:
        add(tmp_path, "src", 0, 0.4, experiment="src2022/mnist-rehearsal", variant=variant)
    rows = {row.variant: row.variant_name for row in result_rows(tmp_path)}
    assert [rows[name].text for name in names] == [
        "fraction-0.05",
        "fraction-0.05",
        "fraction-0.05, changed: wake.lr=0.08",
    ]
    assert [rows[name].figures_of for name in names] == ["fraction-0.05", "fraction-0.05", None]


def test_bounds_are_those_of_the_variant_or_of_the_experiment(add: Add, tmp_path: Path) -> None:
    add(tmp_path, "src", 0, 0.6, variant="tuned")
    add(tmp_path, "sequential", 0, 0.2)
    add(tmp_path, "joint", 0, 0.9)
    assert by_label(tmp_path)["src"].bounds == pytest.approx((20.0, 90.0))
    add(tmp_path, "sequential", 0, 0.3, variant="tuned")
    add(tmp_path, "sequential", 11, 0.9)  # a further seed, which is no reported one
    assert by_label(tmp_path)["src"].bounds == pytest.approx((30.0, 90.0))


def test_tuned_rows_say_how_long_was_searched_and_what_was_reached(
    add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = {"trials": 26, "validation": {"mean": 0.6629}}
    monkeypatch.setattr(rows_module, "tuned_record", lambda experiment, strategy, variant: record)
    add(tmp_path, "src", 0, 0.6, variant="tuned")
    (row,) = result_rows(tmp_path)
    assert str(row.settings) == "tuned, 26 trials" and row.settings.validation == pytest.approx(66.29)


def test_notes_of_an_experiment_stand_with_its_figures(
    add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = {"default": {"src": "What was tried.", "ewc": "Not run."}, "tuned": {"src": "Nothing more."}}
    monkeypatch.setattr(rows_module, "load_notes", lambda experiment: notes)
    add(tmp_path, "src", 0, 0.6)
    assert [row.note for row in result_rows(tmp_path)] == ["What was tried."]


def test_what_cannot_be_read_is_refused(add: Add, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no finished runs"):
        result_rows(tmp_path)
    (add(tmp_path, "src", 0, 0.4) / "metrics.json").write_text("{")
    with pytest.raises(RunFolderError, match="cannot be read"):
        result_rows(tmp_path)
    (tmp_path / "src2022" / "mnist" / "default" / "src" / "seed0" / "metrics.json").write_text('{"seed": 0}')
    with pytest.raises(RunFolderError, match="no experiment"):
        result_rows(tmp_path)
