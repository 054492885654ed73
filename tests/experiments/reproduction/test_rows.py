"""Our results beside what is published: numbers of a run, verdicts, tests over seeds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurosleep._reproductions import Measure, Part, Quick, Relation, Reproduction
from neurosleep.errors import SettingsError
from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.reading import Published
from neurosleep.experiments.reproduction.exact import fisher_exact
from neurosleep.experiments.reproduction.matrix import matrix_lines
from neurosleep.experiments.reproduction.measures import failed, measured
from neurosleep.experiments.reproduction.page import table_of
from neurosleep.experiments.reproduction.requests import Asked, as_asked, entries_of
from neurosleep.experiments.reproduction.rows import RelationRow, Row, key_of, relation_rows, rows_of, short_labels
from neurosleep.experiments.reproduction.savings import saved_rows
from neurosleep.experiments.reproduction.sentences import sentences

SOURCE = "Somebody (2000)"


def metrics(**more: Any) -> Metrics:
    found: Any = {
        "status": "done",
        "results": {"accuracy_all": 0.4, "loihi1.accuracy": 0.35},
        "accuracy_all": 0.4,
        "accuracy_of_a_guess": 0.1,
        "accuracy_per_task": [0.3, 0.5],
        "accuracy_matrix": [[0.9, 0.0], [0.3, 0.5]],
        "accuracy_before_sleep": [[0.95, 0.0], [0.1, 0.8]],
        "sleep": {"after_task": [1, 2]},
    }
    whole: Metrics = found | more
    return whole


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("accuracy_all", 40.0),
        ("loihi1.accuracy", 35.0),
        ("task 2", 50.0),
        ("task 1 before sleep", 10.0),
        ("task 1 after task 1", 90.0),
        ("task 3", None),
        ("task 1 after task 3", None),
        ("failed", 0.0),
        ("nothing", None),
    ],
)
def test_a_number_of_a_run(result: str, expected: float | None, tmp_path: Path) -> None:
    value = measured(Measure(result=result), metrics(), tmp_path)
    assert value == expected if expected is None else value == pytest.approx(expected)


def test_a_run_fails_that_diverges_or_guesses() -> None:
    assert not failed(metrics())
    assert failed(metrics(status="diverged", accuracy_all=None))
    assert failed(metrics(accuracy_all=0.1))


def test_a_number_of_an_analysis_is_the_mean_of_its_rows(tmp_path: Path) -> None:
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "drive.csv").write_text(
        "layer,before,after\nhidden1,1,2\nhidden1,3,\nhidden1,2,5\noutput,0,9\n"
    )
    measure = Measure("drive", table="drive", where={"layer": "hidden1"}, value=("before", "after"), unit="")
    assert measured(measure, metrics(), tmp_path) == 2.0
    assert measured(replace(measure, table="none"), metrics(), tmp_path) is None
    with pytest.raises(SettingsError, match="'drive' has no column 'late'"):
        measured(replace(measure, value=("late",)), metrics(), tmp_path)


def row(**more: Any) -> Row:
    plain: dict[str, Any] = {
        "part": "P",
        "variant": "",
        "strategy": "src",
        "measure": "",
        "result": "accuracy_all",
        "unit": "%",
        "published": None,
        "values": (40.0, 44.0),
        "seeds": (0, 1),
        "diverged": 0,
        "at_chance": 0,
        "ours_only": False,
        "comparable": True,
        "missing": "",
        "note": "",
    }
    return Row(**plain | more)


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({}, "-"),
        ({"published": Published(48.0, 6.5, 5, SOURCE)}, "within 1 sd"),
        ({"published": Published(48.0, 5.0, 5, SOURCE)}, "short"),
        ({"published": Published(40.5, None, None, SOURCE)}, "above"),
        ({"published": Published(41.5, None, None, SOURCE)}, "within 1 point"),
        ({"published": Published(48.0, 6.5, 5, SOURCE), "comparable": False}, "not comparable"),
        ({"ours_only": True}, "ours, not the paper's"),
        ({"missing": "data not at hand: mnist", "values": ()}, "data not at hand: mnist"),
        ({"values": (None, None), "diverged": 2}, "no number: all diverged"),
        ({"published": "rises", "p": 0.01}, "agrees: rises"),
        ({"published": "falls", "p": 0.01}, "does not agree: rises"),
        ({"published": "falls", "p": 0.2}, "undecided: rises, not significantly"),
        ({"published": "holds or rises", "p": 0.2}, "agrees: no fall"),
        ({"published": "holds or rises", "p": 0.01, "values": (-1.0, -2.0)}, "does not agree: falls"),
        ({"published": "rises"}, "not tested: 2 seeds"),
        ({"published": "rises", "p": 0.01, "comparable": False}, "not comparable"),
    ],
)
def test_a_verdict_says_how_ours_stands(more: dict[str, Any], verdict: str) -> None:
    assert row(**more).verdict == verdict


def made(*parts: Part, seeds: int = 3, **more: Any) -> Reproduction:
    return Reproduction("a", "A", "B", SOURCE, "Table 1", "table", seeds, parts, Quick(1, 1, "small"), **more)


def rows_with(reproduction: Reproduction, values: dict[tuple[str, str], list[float]], out: Path) -> list[Row]:
    """The rows of runs of these accuracies, by variant and strategy."""
    entries = entries_of(reproduction, Asked(None, str(out)))
    runs = {
        key_of(request): metrics(accuracy_all=value, results={"accuracy_all": value})
        for entry in entries
        for request, value in zip(entry.requests, values.get((entry.variant, entry.strategy), []), strict=False)
    }
    return rows_of(reproduction, entries, runs, {}, {})


def test_what_the_experiment_states_is_published_and_its_part_goes_before(tmp_path: Path) -> None:
    part = Part("MNIST", "src2022/mnist", ("src", "owm", "ewc"), published=({"strategy": "owm", "mean": 1.0},))
    rows = rows_with(made(part), {("default", "src"): [0.4, 0.5, 0.6]}, tmp_path)
    assert isinstance(rows[0].published, Published) and rows[0].published.mean == 48.47
    assert rows[0].ours["mean"] == pytest.approx(50.0) and rows[0].verdict == "within 1 sd"
    assert isinstance(rows[1].published, Published) and rows[1].published.source == f"{SOURCE}, Table 1"
    assert rows[1].verdict == "not run"
    assert rows[2].published is None


def test_on_fewer_images_a_published_figure_is_shown_and_not_compared(tmp_path: Path) -> None:
    part = Part("MNIST", "src2022/mnist", ("src",), changes={"data.images_per_task": 100})
    (only,) = rows_with(made(part), {("default", "src"): [0.4, 0.5, 0.6]}, tmp_path)
    assert isinstance(only.published, Published) and only.published.mean == 48.47
    assert only.difference is None and only.verdict == "not comparable"


def test_a_relation_is_tested_over_seeds_and_corrected(tmp_path: Path) -> None:
    part = Part("MNIST", "src2022/mnist", ("sequential", "src"))
    above, below = "MNIST, src", "MNIST, sequential"
    relations = (Relation("Sleep helps.", (above,), (below,), by=10), Relation("It does not.", (below,), (above,)))
    one = made(part, relations=relations)
    rows = rows_with(
        one, {("default", "sequential"): [0.2, 0.21, 0.19], ("default", "src"): [0.5, 0.52, 0.48]}, tmp_path
    )
    first, second = relation_rows(one, rows)
    assert first.difference == pytest.approx(30.0) and first.verdict == "agrees"
    # Two tests: twice the p-value of one.
    assert first.p is not None and 0 < first.p < 0.001 and first.p == second.p
    assert second.verdict == "does not agree: the other way round"
    quick = [replace(row, comparable=False) for row in rows]
    assert [row.verdict for row in relation_rows(one, quick)] == ["not comparable", "not comparable"]
    assert [row.verdict for row in relation_rows(one, rows_with(one, {}, tmp_path))] == ["not run", "not run"]


def test_a_relation_of_rows_that_the_quick_version_leaves_out_says_so(tmp_path: Path) -> None:
    parts = Part("MNIST", "src2022/mnist", ("src",)), Part("Owm", "src2022/mnist", ("owm",), quick=None)
    relations = (Relation("Sleep is above OWM.", ("MNIST, src",), ("Owm, owm",)),)
    one = made(*parts, relations=relations)
    (full,) = relation_rows(one, rows_with(one, {}, tmp_path))
    assert full.verdict == "not run"
    quick = as_asked(one, Asked(None, str(tmp_path), quick=True))
    (left_out,) = relation_rows(quick, rows_with(quick, {("default", "src"): [0.4]}, tmp_path))
    assert left_out.verdict == "not in the quick version"


def share(part: str, strategy: str, failures: int, runs: int) -> Row:
    """How many of some runs fail."""
    values = (100.0,) * failures + (0.0,) * (runs - failures)
    return row(part=part, strategy=strategy, result="failed", values=values, seeds=tuple(range(runs)))


def test_rows_may_be_tested_together_and_a_test_without_an_outcome_does_not_count() -> None:
    shares = [("A", "src", 1, 10), ("A", "owm", 5, 10), ("B", "src", 2, 10), ("B", "owm", 6, 10)]
    rows = [share(*values) for values in (*shares, ("C", "src", 0, 10), ("C", "owm", 0, 10))]
    together = Relation("More fail.", ("A, owm", "B, owm"), ("A, src", "B, src"))
    none_fails = Relation("More fail where none does.", ("C, owm",), ("C, src",))
    first, second = relation_rows(made(relations=(together, none_fails)), rows)
    assert first.difference == pytest.approx(40.0) and first.p == pytest.approx(fisher_exact(11, 20, 3, 20))
    assert first.verdict == "agrees"
    assert (second.difference, second.p, second.verdict) == (0.0, None, "nothing to test: all runs are alike")
    assert sentences([], [first, second]) == ["Ours agree with 1 of 1 published statements."]
    lacking = relation_rows(made(relations=(together,)), [one for one in rows if one.name != "B, src"])
    assert lacking[0].difference is None


def test_many_numbers_of_a_part_stand_side_by_side() -> None:
    published = Published(65.5, 4.66, None, SOURCE, "k-100")
    rows = [
        row(strategy=strategy, variant=f"k-{k}", point=k, published=published if k == 100 else None)
        for k in (50, 100)
        for strategy in ("icarl", "icarl+src")
    ]
    assert matrix_lines(rows, "K") == [
        "Mean ± sd over 2 seeds.",
        "",
        "| K | icarl (%) | icarl+src (%) |",
        "| --- | --- | --- |",
        "| 50 | 42.00 ± 2.83 | 42.00 ± 2.83 |",
        "| 100 | 42.00 ± 2.83 (published 65.50 ± 4.66) | 42.00 ± 2.83 (published 65.50 ± 4.66) |",
    ]
    assert "| n |" in matrix_lines([*rows[:3], replace(rows[3], values=(40.0,), seeds=(0,))], "K")[0]
    measures = [row(strategy=name, measure=f"task {k}") for name in ("sequential", "src") for k in (1, 2)]
    assert matrix_lines(measures, "")[2] == "| method | task 1 (%) | task 2 (%) |"
    # One row says more in a table of the usual kind, which has the verdict too.
    assert "| verdict |" in matrix_lines([row(published=published)], "")[0]


def test_directions_are_tested_against_no_change(tmp_path: Path) -> None:
    measure = Measure("accuracy", expected="rises")
    part = Part("MNIST", "src2022/mnist", ("sequential", "src"))
    rows = rows_with(made(part, measures=(measure,)), {("default", "src"): [0.4, 0.5, 0.6]}, tmp_path)
    # t = 50 / (10 / sqrt 3) = 8.66 with 2 degrees of freedom.
    assert rows[1].p == pytest.approx(0.01307, abs=1e-4) and rows[1].verdict == "agrees: rises"
    assert rows[0].p is None


def test_saved_epochs_are_those_between_the_curves(tmp_path: Path) -> None:
    part = Part(
        "MNIST",
        "src2022/mnist-epochs",
        ("icarl", "icarl+src"),
        ("epochs-1", "epochs-2", "epochs-4"),
        points=(1, 2, 4),
        saved=3.7,
    )
    one = made(part, seeds=1)
    accuracies = {"icarl": (0.5, 0.75, 0.875), "icarl+src": (0.75, 0.875, 0.875)}
    values = {(f"epochs-{e}", s): [v] for s, of in accuracies.items() for e, v in zip((1, 2, 4), of, strict=True)}
    (saved,) = saved_rows(one, rows_with(one, values, tmp_path))
    assert saved.values[0] == pytest.approx(1.5, abs=0.01)
    assert saved.verdict == "short" and saved.difference == pytest.approx(-2.2, abs=0.01)
    assert replace(saved, values=(2.8,)).verdict == "within 1 epoch"


def test_a_chip_that_the_network_is_not_on_says_so(tmp_path: Path) -> None:
    part = Part("MNIST", "src2022/mnist", ("src",), results=("odin.accuracy", "loihi1.accuracy", "loihi2.accuracy"))
    entries = entries_of(made(part, seeds=1), Asked(None, str(tmp_path)))
    chips = [{"profile": "odin", "fits": False}, {"profile": "loihi1", "fits": True}]
    runs = {key_of(entries[0].requests[0]): metrics(hardware=chips)}
    rows = rows_of(made(part, seeds=1), entries, runs, {}, {})
    assert [one.verdict for one in rows] == ["does not fit", "-", "no number"]


def test_sentences_say_where_ours_agrees_and_where_not() -> None:
    rows = [
        row(published=Published(48.0, 6.5, 5, SOURCE)),
        row(published=Published(48.0, 5.0, 5, SOURCE), strategy="owm"),
        row(strategy="ewc"),
        row(part="F", published="rises", p=0.01, measure="drive"),
        row(part="F", published="falls", p=0.01, measure="weights"),
        row(part="F", published="falls", p=0.5, measure="rate"),
        row(part="Q", missing="data not at hand: birds", values=()),
        row(part="Q", ours_only=True),
    ]
    said = sentences(rows, [RelationRow(Relation("Sleep helps.", ("a",), ("b",)), SOURCE, -3.0, 0.01)])
    assert said == [
        "1 of 2 rows with a published figure agree with it (within one published sd; where none is stated, within 1).",
        "Short of it: P, owm by 6.0.",
        "F: ours agree with 1 of 3 published directions; do not agree with: weights; leave undecided: rate.",
        "Ours agree with 0 of 1 published statements; do not agree with: Sleep helps.",
        "Of 2 rows no published value is at hand.",
        "Q is left out: data not at hand: birds.",
    ]


def test_labels_leave_out_what_is_the_same_in_all_rows_of_a_part() -> None:
    rows = [row(variant="a"), row(variant="b"), row(part="Q"), row(part="R"), row(part="R", strategy="owm")]
    assert short_labels(rows) == ["a", "b", "src", "src", "owm"]
    # Of several measures the one without a name is over all tasks; a lone point of a sweep is told all the same.
    assert short_labels([row(), row(measure="task 1")]) == ["all tasks", "task 1"]
    assert short_labels([row(variant="k-50", point=50.0)]) == ["k-50"]


def test_a_share_of_runs_is_shown_as_counts() -> None:
    shares = row(result="failed", values=(100.0, 0.0, 0.0), seeds=(0, 1, 2), diverged=1, variant="x4")
    assert table_of([shares]) == (
        ("result", "published (failed)", "ours (failed)", "n"),
        [("src, x4", "not at hand", "1 of 3", "3; 1 diverged")],
    )


def test_a_table_has_units_in_its_head_and_no_column_without_a_word() -> None:
    ours = row(ours_only=True, strategy="sleep")
    assert table_of([ours]) == (
        ("result", "ours (%)", "n", "verdict"),
        [("sleep (ours)", "42.00 ± 2.83", "2", "ours, not the paper's")],
    )
    published = row(published=Published(48.0, 5.0, 5, SOURCE))
    header, cells = table_of([published])
    assert header == ("result", "published (%)", "ours (%)", "n", "difference", "verdict")
    assert cells == [("src", "48.00 ± 5.00 (n 5)", "42.00 ± 2.83", "2", "-6.00", "short")]
    # Where they differ, each row has its own.
    mixed = [row(measure="rate", unit="Hz", values=(0.5,)), row(measure="share"), row(measure="weight", unit="")]
    assert [cells[0] for cells in table_of(mixed)[1]] == ["rate (Hz)", "share (%)", "weight"]


def test_a_p_value_stands_only_where_the_verdict_goes_by_it() -> None:
    tested = row(published="rises", p=0.01)
    assert tested.verdict_text == "agrees: rises (p = 0.01)"
    assert replace(tested, comparable=False).verdict_text == "not comparable"


def test_settings_that_make_another_protocol_have_nothing_published_beside_them(tmp_path: Path) -> None:
    part = Part("MNIST", "src2022/mnist", ("src",), changes={"sleep.after": [-1]}, stated=False)
    (only,) = rows_with(made(part), {("default", "src"): [0.4]}, tmp_path)
    assert only.published is None and only.verdict == "-"


@pytest.mark.parametrize(
    ("counts", "p"),
    [((8, 10, 1, 10), 0.00548), ((1, 10, 8, 10), 0.00548), ((0, 20, 0, 20), 1.0), ((3, 5, 0, 5), 0.16667)],
)
def test_the_exact_test(counts: tuple[int, int, int, int], p: float) -> None:
    """Against the values of R's fisher.test."""
    assert math.isclose(fisher_exact(*counts), p, abs_tol=1e-5)
