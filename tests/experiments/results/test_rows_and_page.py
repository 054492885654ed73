"""The results page: every row with its published figure and source, every command with the seeds of its rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neurosleep.errors import RunFolderError
from neurosleep.experiments import apply_changes, load_settings, results_page
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.results import commands as commands_module
from neurosleep.experiments.results import rows as rows_module

SOURCE = "Tadros et al. (2022), Table 1, doi:10.1038/s41467-022-34938-7"


def add(out: Path, strategy: str, seed: int, accuracy: float | None, **change: Any) -> Path:
    metrics: dict[str, Any] = {
        "experiment": "src2022/mnist",
        "variant": "default",
        "strategy": strategy,
        "seed": seed,
        "split": "test",
        "status": "done",
        "data": "mnist",
        "accuracy_all": accuracy,
        "results": {"accuracy_all": accuracy},
        "reads_old_data": strategy != "sequential",
        "seconds": {"total": 2.0 + seed},
    } | change
    folder = out / metrics["experiment"] / metrics["variant"] / strategy / f"seed{seed}"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def commands(page: str) -> list[str]:
    return [line.strip() for line in page.splitlines() if line.startswith("    ")]


def test_rows_say_what_is_published_where_and_how_ours_compares(tmp_path: Path) -> None:
    for seed, (slept, alone) in enumerate([(0.40, 0.194), (0.44, 0.194)]):
        add(tmp_path, "src", seed, slept)
        add(tmp_path, "sequential", seed, alone)
    add(tmp_path, "src", 2, None, status="diverged")
    add(tmp_path, "joint", 0, 0.9902)
    page, rows = results_page(tmp_path)
    assert rows == 3
    end = "19.4 to 99.0 | of the experiment"
    assert f"| joint | mnist | 98.02 | {SOURCE} | 99.02 | 1 | - | 0 | above by 1.00 | {end} | yes | 2 |" in page
    assert (
        f"| sequential | mnist | 19.49 | {SOURCE} | 19.40 ± 0.00 | 2 | - | 0 | short by 0.09 | {end} | no | 2 |" in page
    )
    assert (
        f"| src | mnist | 48.47 ± 5.03 (n = 5) | {SOURCE} | 42.00 ± 2.83 | 2 | - | 1 | short by 6.47 "
        "| 19.4 to 99.0 | of the experiment | yes | 3 |" in page
    )
    add(tmp_path, "src", 3, 0.66)
    assert "within one published sd" in results_page(tmp_path)[0]


def test_runs_no_better_than_a_guess_are_counted(tmp_path: Path) -> None:
    for seed, accuracy in enumerate((0.1135, 0.097, 0.5, None)):
        add(tmp_path, "si", seed, accuracy, accuracy_of_a_guess=0.1135, status="done" if accuracy else "diverged")
    add(tmp_path, "ewc", 0, 0.05)  # metrics of an earlier version: not known
    page = results_page(tmp_path)[0]
    assert "| 23.68 ± 22.81 | 3 | - | 1, 2 at chance |" in page
    assert "| 5.00 | 1 | - | 0 |" in page


def test_further_seeds_and_read_outs_stand_beside_the_reported_figure(tmp_path: Path) -> None:
    for seed, accuracy in ((0, 0.4), (9, 0.5), (10, 0.7), (11, 0.9)):
        results = {"accuracy_all": accuracy, "accuracy_all_nearest_mean": accuracy / 2}
        add(tmp_path, "icarl", seed, accuracy, results=results)
    page, rows = results_page(tmp_path)
    assert rows == 2
    # The paper does not say which of the two read-outs its figure is.
    for row in (
        "icarl | 45.00 ± 7.07 | 2 | 80.00 ± 14.14 (n = 2)",
        "icarl, nearest mean | 22.50 ± 3.54 | 2 | 40.00 ± 7.07 (n = 2)",
    ):
        name, _, ours = row.partition(" | ")
        source = "Tadros et al. (2022), Table 2 (K = 100), doi:10.1038/s41467-022-34938-7"
        assert f"| {name} | mnist | 65.50 ± 4.66 | {source} | {ours} |" in page


def test_commands_have_the_seeds_of_their_rows(tmp_path: Path) -> None:
    for seed in range(4):
        add(tmp_path, "sequential", seed, 0.19)
        add(tmp_path, "src", seed, 0.4 if seed else None, status="done" if seed else "diverged")
    for seed in (0, 5, 6, 9):
        add(tmp_path, "joint", seed, 0.98)
    assert commands(results_page(tmp_path)[0]) == [
        "neurosleep run src2022/mnist --strategy joint --seeds 1 --data DIR --out OUT",
        "neurosleep run src2022/mnist --strategy joint --seed 5 --seeds 2 --data DIR --out OUT",
        "neurosleep run src2022/mnist --strategy joint --seed 9 --seeds 1 --data DIR --out OUT",
        "neurosleep run src2022/mnist --strategy sequential,src --seeds 4 --data DIR --out OUT",
    ]


def test_commands_have_the_changes_of_a_variant(tmp_path: Path) -> None:
    variant = "sleep.process=bernoulli,sleep.thresholds=_1.0_ 2.0_ 3.0_"
    changes = [("sleep.thresholds", [1.0, 2.0, 3.0]), ("sleep.scale_data", "current")]
    folder = add(tmp_path, "src", 0, 0.4, variant=variant)
    start = "neurosleep run src2022/mnist --strategy src --seeds 1 --data DIR --out OUT"
    assert commands(results_page(tmp_path)[0]) == [f"{start}  # and --set as the name of the variant says"]
    (folder / "config.toml").write_text(dump_toml(apply_changes(load_settings("src2022/mnist")[1], changes)))
    page = results_page(tmp_path)[0]
    assert commands(page) == [f"{start} --set sleep.scale_data=current --set 'sleep.thresholds=[1.0, 2.0, 3.0]'"]
    assert "48.47" in page


def test_commands_name_the_tuned_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = apply_changes(load_settings("src2022/mnist")[1], [("sleep.steps", 9000), ("wake.lr", 0.07)])
    monkeypatch.setattr(commands_module, "load_tuned", lambda experiment, strategy, variant: found)
    start = "neurosleep run src2022/mnist --strategy src --seeds 1 --data DIR --out OUT --tuned"
    folder = add(tmp_path, "src", 0, 0.4, variant="tuned")
    (folder / "config.toml").write_text(dump_toml(found))
    assert commands(results_page(tmp_path)[0]) == [start]
    (folder / "config.toml").write_text(dump_toml(apply_changes(found, [("wake.lr", 0.08)])))
    assert commands(results_page(tmp_path)[0]) == [f"{start} --set wake.lr=0.08"]


def test_commands_of_a_variant_without_its_settings_come_from_its_name(tmp_path: Path) -> None:
    start = "neurosleep run src2022/mnist --strategy src --seeds 1 --data DIR --out OUT"
    for variant, options in (
        ("tuned", " --tuned"),
        ("tuned,wake.lr=0.08", " --tuned --set wake.lr=0.08"),
        ("faithful=true,sleep.steps=300", " --set faithful=true --set sleep.steps=300"),
        ("sleep.thresholds=_1.0_ 2.0_ 3.0_", "  # and --set as the name of the variant says"),
    ):
        add(tmp_path / variant, "src", 0, 0.4, variant=variant)
        assert commands(results_page(tmp_path / variant)[0]) == [start + options]


def test_tuned_settings_of_a_variant_are_named_as_such(tmp_path: Path) -> None:
    start = "neurosleep run src2022/mnist-rehearsal --strategy src --seeds 1 --data DIR --out OUT --tuned"
    add(tmp_path, "src", 0, 0.4, experiment="src2022/mnist-rehearsal", variant="tuned,fraction-0.05,wake.lr=0.08")
    assert commands(results_page(tmp_path)[0]) == [f"{start} --variant fraction-0.05 --set wake.lr=0.08"]


def test_other_data_and_experiments_of_ones_own_have_nothing_published_beside_them(tmp_path: Path) -> None:
    add(tmp_path, "src", 0, 0.4, variant="data.split=validation", split="validation")
    add(tmp_path, "src", 0, 0.4, experiment="mine")
    page, rows = results_page(tmp_path)
    assert rows == 2
    assert page.count("| src | mnist | - | - | 40.00 | 1 | - | 0 | - | - | of the ") == 2
    assert "## src2022/mnist (data.split=validation), validation split" in page
    assert "neurosleep run mine.toml --strategy src --seeds 1" in page


def test_the_variants_of_a_file_stand_in_one_table_in_its_order(tmp_path: Path) -> None:
    for number, name in enumerate(("gamma-x4", "gamma-x1", "log-normal-x1", "tuned,gamma-x4", "wake.epochs=2")):
        for seed in range(2):
            add(tmp_path, "sequential", seed, 0.1 * (number + 1), experiment="hts2026/step-sizes", variant=name)
    page, rows = results_page(tmp_path)
    assert rows == 5 and page.count("## hts2026/step-sizes") == 3
    assert "## hts2026/step-sizes (variants), test split" in page
    assert "| variant | strategy | data |" in page
    places = [
        page.index(f"| {name} | sequential | mnist | - | - | {ours} ± 0.00 |")
        for name, ours in (("log-normal-x1", "30.00"), ("gamma-x1", "20.00"), ("gamma-x4", "10.00"))
    ]
    assert places == sorted(places)
    start = "neurosleep run hts2026/step-sizes --strategy sequential --seeds 2 --data DIR --out OUT"
    assert set(commands(page)) == {
        f"{start} --variant log-normal-x1,gamma-x1,gamma-x4",
        f"{start} --tuned --variant gamma-x4",
        f"{start} --set wake.epochs=2",
    }


def test_bounds_are_those_of_the_variant_or_of_the_experiment(tmp_path: Path) -> None:
    add(tmp_path, "src", 0, 0.6, variant="tuned")
    add(tmp_path, "sequential", 0, 0.2)
    add(tmp_path, "joint", 0, 0.9)
    assert "| 20.0 to 90.0 | tuned, " in results_page(tmp_path)[0]
    add(tmp_path, "sequential", 0, 0.3, variant="tuned")
    add(tmp_path, "sequential", 11, 0.9)  # a further seed, which is no reported one
    assert "| 30.0 to 90.0 | tuned, " in results_page(tmp_path)[0]


def test_tuned_rows_say_how_long_was_searched_and_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = {"trials": 26, "validation": {"mean": 0.6629}}
    monkeypatch.setattr(rows_module, "tuned_record", lambda experiment, strategy, variant: record)
    add(tmp_path, "src", 0, 0.6, variant="tuned")
    assert "| tuned, 26 trials, validation 66.29 |" in results_page(tmp_path)[0]


def test_notes_of_an_experiment_stand_below_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = {"default": {"src": "What was tried.", "ewc": "Not run."}, "tuned": {"src": "Nothing more."}}
    monkeypatch.setattr(rows_module, "load_notes", lambda experiment: notes)
    add(tmp_path, "src", 0, 0.6)
    page = results_page(tmp_path)[0]
    assert "\n*src*: What was tried.\n" in page and "Not run" not in page and "Nothing more" not in page


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no finished runs"):
        results_page(tmp_path)
    (add(tmp_path, "src", 0, 0.4) / "metrics.json").write_text("{")
    with pytest.raises(RunFolderError, match="cannot be read"):
        results_page(tmp_path)
    (tmp_path / "src2022" / "mnist" / "default" / "src" / "seed0" / "metrics.json").write_text('{"seed": 0}')
    with pytest.raises(RunFolderError, match="no experiment"):
        results_page(tmp_path)
