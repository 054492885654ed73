"""The table of what single changes move."""

from __future__ import annotations

from typing import Any

import pytest

from neurosleep.experiments.results.changes_table import changes_lines
from neurosleep.experiments.results.intervals import interval_text
from neurosleep.experiments.results.layout import Table, load_pages

TABLE = Table(
    "Changes", ("own/changes",), against="own/base", text="Why?", changes={"a": "One.", "b": "Two.", "c": "No."}
)


def run(experiment: str, variant: str, seed: int, accuracy: float | None, strategy: str = "src") -> Any:
    results = {"accuracy_all": accuracy}
    return {"experiment": experiment, "variant": variant, "strategy": strategy, "seed": seed, "results": results}


def rows(runs: list[Any]) -> list[list[str]]:
    lines = [line for line in changes_lines(TABLE, runs) if line.startswith("|")][2:]
    return [[cell.strip().replace("\u00a0", " ") for cell in line.strip("|").split("|")] for line in lines]


def test_rows_are_paired_by_seed_and_corrected_for_their_number() -> None:
    base = [run("own/base", "default", seed, 0.01 * (40 + seed)) for seed in range(5)]
    a = [run("own/changes", "a", seed, 0.01 * (41 + seed)) for seed in range(1, 3)]
    b = [run("own/changes", "b", seed, 0.01 * (50 + 2 * seed)) for seed in range(5)]
    others = [
        run("own/base", "tuned", 1, 0.9),
        run("own/base", "default", 2, 0.9, "sequential"),
        run("own/changes", "a", 9, 0.9),  # no counterpart
        run("own/changes", "a", 3, None),  # diverged
        run("own/other", "c", 0, 0.9),
    ]
    first, second = rows([*base, *a, *b, *others])
    assert first[:5] == ["b", "Two.", "5", "42.00 ± 1.58", "54.00 ± 3.16"]
    # Differences of 10 to 14: half the interval is 2.776 times their standard error of sqrt(2.5 / 5).
    assert first[5] == "+12.00 (+10.04 to +13.96)"
    assert first[6] == "&lt; 0.001"
    assert second[:3] == ["a", "One.", "2"]
    assert second[3:5] == ["41.50 ± 0.71", "42.50 ± 0.71"]


def test_p_is_multiplied_by_the_number_of_rows() -> None:
    base = [run("own/base", "default", seed, 0.4) for seed in range(3)]
    a = [run("own/changes", "a", seed, accuracy) for seed, accuracy in enumerate((0.42, 0.44, 0.46))]
    b = [run("own/changes", "b", seed, accuracy) for seed, accuracy in enumerate((0.39, 0.42, 0.41))]
    alone, both = rows([*base, *a])[0], rows([*base, *a, *b])[0]
    assert alone[6] == alone[7] == both[6] == "0.074"
    assert both[7] == "0.148"


def test_a_single_pair_has_no_test() -> None:
    ((*_, difference, p, corrected),) = rows([run("own/base", "default", 0, 0.4), run("own/changes", "a", 0, 0.5)])
    assert (difference, p, corrected) == ("+10.00", "-", "-")


def test_nothing_run_is_no_table() -> None:
    assert changes_lines(TABLE, [run("own/base", "default", 0, 0.4)]) == []


@pytest.mark.parametrize(("n", "t"), [(2, 12.706), (5, 2.776), (10, 2.262), (20, 2.093), (31, 2.042)])
def test_the_interval_is_students(n: int, t: float) -> None:
    values = [float(k) for k in range(n)]
    spread = (sum((k - (n - 1) / 2) ** 2 for k in range(n)) / (n - 1) / n) ** 0.5
    low, high = interval_text(values).partition("(")[2].rstrip(")").split(" to ")
    assert (float(high) - float(low)) / 2 == pytest.approx(t * spread, abs=0.01)


def test_changes_on_the_pages_are_variants_that_can_be_run() -> None:
    from neurosleep.experiments.reading import variant_names

    tables = [table for page in load_pages() for table in page.tables if table.against]
    assert tables
    for table in tables:
        (experiment,) = table.experiments
        assert set(table.changes) == set(variant_names(experiment))
