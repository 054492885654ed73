"""The pages of results: where each table stands, what it says, and figures that are the same bytes each time."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurosleep._reproductions import reproduction_names
from neurosleep.experiments import experiment_names, results_pages
from neurosleep.experiments.reproduction.sections import Section
from neurosleep.experiments.results import rows as rows_module
from neurosleep.experiments.results.layout import known_figures, load_known, load_pages

Add = Callable[..., Path]
ROOT = Path(__file__).parents[3]


def pages(out: Path) -> dict[str, str]:
    """The Markdown of each page, with spaces that break; nobody looks at its pictures, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Section, "picture", lambda section: b"")
        made, _ = results_pages(out)
    return {name: text.replace("\u00a0", " ") for name, text in made.items() if isinstance(text, str)}


def test_a_table_has_the_published_figure_beside_ours_and_the_source_once(add: Add, tmp_path: Path) -> None:
    for seed, accuracy in enumerate((0.40, 0.44)):
        add(tmp_path, "src", seed, accuracy)
        add(tmp_path, "sequential", seed, 0.194)
    add(tmp_path, "src", 2, None, status="diverged")
    add(tmp_path, "src", 12, 0.7)
    add(tmp_path, "ewc", 0, 0.2)
    add(tmp_path, "owm", 0, 0.6)
    page = pages(tmp_path)["src2022.md"]
    table = page.split("## MNIST (Table 1)")[1]
    for line in (
        "| method | published (%) | ours (%) | n | difference (points) | verdict | elsewhere (%) | settings "
        "| stored examples |",
        "| sequential | 19.49 | 19.40 ± 0.00 | 2 | -0.09 | within 1 point | 19.90 | default | no |",
        "| ewc | - | 20.00 | 1 | - | - | 20.01 | default, untuned | yes |",
        "| owm | 77.04 ± 2.91 | 60.00 | 1 | -17.04 | short | not at hand | default, untuned | yes |",
        "| src | 48.47 ± 5.03 (n 5) | 42.00 ± 2.83 | 2; 1 diverged | -6.47 | short | - | default | yes |",
        "| src | default | 0 to 2 | 70.00 (n 1) | 19.4 to ? | 6 |",
    ):
        assert f"\n{line}\n" in table, line
    assert "doi:10.1038/s41467-022-34938-7" not in re.sub(r"(?m)^Data: .*$", "", table)
    assert "[doi:10.1038/s41467-022-34938-7](https://doi.org/10.1038/s41467-022-34938-7)" in table
    assert "[arXiv:1904.07734](https://arxiv.org/abs/1904.07734)" in table
    folded = table.split("<summary>Seeds, times and commands</summary>")[1]
    assert "    neurosleep run src2022/mnist --strategy ewc,owm --seeds 1 --data DIR --out OUT\n" in folded


def test_homeostatic_sleep_of_the_same_data_is_marked_as_ours(add: Add, tmp_path: Path) -> None:
    add(tmp_path, "src", 0, 0.4)
    for strategy in ("rehearsal+sleep", "sleep", "sleep+src", "sequential"):
        add(tmp_path, strategy, 0, 0.7, experiment="homeostatic/mnist")
    add(tmp_path, "sleep", 0, 0.9, experiment="homeostatic/mnist", variant="wide")
    made = pages(tmp_path)
    main = [line for line in made["src2022.md"].splitlines() if "| ours, not the paper's |" in line]
    assert [line.split(" | ")[0] for line in main] == ["| sleep (ours)", "| rehearsal+sleep (ours)"]
    assert all("| of homeostatic/mnist |" in line for line in main)
    assert "not the paper's" not in made["homeostatic.md"]


def test_columns_that_say_nothing_are_left_out(add: Add, tmp_path: Path) -> None:
    for variant in ("plain", "adapted"):
        add(tmp_path, "sequential", 0, 0.9, experiment="adaptation2022/mnist", variant=variant)
    page = pages(tmp_path)["adaptation2022.md"]
    assert "\n| variant | ours (%) | n | settings | stored examples |\n" in page
    add(tmp_path, "joint", 0, 0.9, experiment="adaptation2022/mnist", variant="plain")
    assert "\n| variant | method | ours (%) |" in pages(tmp_path)["adaptation2022.md"]


def test_methods_stand_between_their_bounds_with_default_and_searched_settings_together(
    add: Add, tmp_path: Path
) -> None:
    for strategy in ("joint", "src", "sequential", "owm"):
        add(tmp_path, strategy, 0, 0.5)
    add(tmp_path, "owm", 0, 0.6, variant="tuned")
    add(tmp_path, "src", 0, 0.6, variant="faithful=true")
    page = pages(tmp_path)["src2022.md"]
    rows = re.findall(r"(?m)^\| ([\w=: ]+) \| ([\w=]+) \| [\d.-]+ .*(?:yes|no) \|$", page)
    assert rows == [
        ("default", "sequential"),
        ("default", "owm"),
        ("default", "owm"),
        ("default", "src"),
        ("default", "joint"),
        ("changed: faithful=true", "src"),
    ]


def test_experiments_that_no_table_names_have_a_place(add: Add, tmp_path: Path) -> None:
    add(tmp_path, "src", 0, 0.4, experiment="mine")
    add(tmp_path, "src", 0, 0.4, experiment="src2022/other")
    made = pages(tmp_path)
    assert set(made) == {"index.md", "src2022.md", "extras.md"}
    assert "\n## src2022/other\n" in made["src2022.md"] and "\n## mine\n" in made["extras.md"]
    assert "[Further experiments](extras.md)" in made["index.md"] and "ns-panels" in made["index.md"]


def test_the_first_page_says_it_in_numbers(add: Add, tmp_path: Path) -> None:
    add(tmp_path, "sequential", 0, 0.2)
    add(tmp_path, "joint", 0, 0.9)
    add(tmp_path, "src", 0, 0.5)
    add(tmp_path, "src", 0, 0.6, variant="tuned")
    add(tmp_path, "sleep", 0, 0.7, experiment="homeostatic/mnist")
    made, _ = results_pages(tmp_path)
    # What was changed by hand is in the tables alone.
    for variant in ("sleep.streams=32", "tuned,sleep.streams=32"):
        add(tmp_path, "src", 0, 0.99, variant=variant)
    changed, _ = results_pages(tmp_path)
    assert (changed["index.md"], changed["mnist.svg"]) == (made["index.md"], made["mnist.svg"])
    assert str(changed["src2022.md"]).count("| changed: sleep.streams=32 | src | - | 99.00 | 1 | - | - |") == 2
    first = made["index.md"]
    assert isinstance(first, str)
    assert "With default settings, 3 figures have a published one beside them: 2 agree (within one" in first
    assert "where none is stated, within 1), 0 lie above and 1 short." in first
    assert "Sleep Replay Consolidation after a search: MNIST 60.0 %." in first
    assert "none of these papers: MNIST 70.0 %." in first
    picture = "MNIST, accuracy in percent: src published 48.5, 50.0, searched 60.0; sleep (ours) 70.0"
    assert f"[![{picture}](mnist.svg)](src2022.md#mnist-table-1)" in first
    figure = made["mnist.svg"]
    assert isinstance(figure, bytes) and figure == results_pages(tmp_path)[0]["mnist.svg"]
    assert b"<svg" in figure and b"<dc:date>" not in figure


def test_notes_are_folded(add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "load_notes", lambda experiment: {"tuned": {"src": "What was tried."}})
    add(tmp_path, "src", 0, 0.6, variant="tuned")
    page = pages(tmp_path)["src2022.md"]
    assert "<summary>Notes: what was tried</summary>\n\n*tuned, src*: What was tried.\n\n</details>" in page


def test_what_a_run_is_called_means_nothing_in_markdown(add: Add, tmp_path: Path) -> None:
    add(tmp_path, "src", 0, 0.6, experiment="mine", data="a|<b>")
    assert "Data: a\\|&lt;b&gt;, test split." in pages(tmp_path)["extras.md"]


def test_the_layout_names_experiments_that_exist_and_each_once() -> None:
    tables = [table for page in load_pages() for table in page.tables]
    named = [name for table in tables for name in table.experiments]
    assert len(named) == len(set(named)) and set(named) <= set(experiment_names())
    slept = [table.sleep for table in tables if table.sleep]
    assert slept and set(slept) <= set(experiment_names()) and all(name.startswith("homeostatic/") for name in slept)
    panels = [table.panel for table in tables if table.panel]
    assert len(panels) == len(set(panels)) == 6
    assert len({page.name for page in load_pages()}) == len(load_pages())
    figures = [name for page in load_pages() for name in page.figures]
    assert sorted(figures) == sorted(reproduction_names())


def test_a_figure_stands_on_its_page_with_what_it_comes_to(add: Add, tmp_path: Path) -> None:
    for seed, (alone, slept) in enumerate([(0.60, 0.75), (0.70, 0.81)]):
        add(tmp_path, "icarl", seed, alone, experiment="src2022/mnist-icarl", variant="k-100")
        add(tmp_path, "icarl+src", seed, slept, experiment="src2022/mnist-icarl", variant="k-100")
        add(tmp_path, "icarl", seed, alone / 2, experiment="src2022/mnist-icarl", variant="k-50")
    made, _ = results_pages(tmp_path)
    page = str(made["src2022-figures.md"]).replace("\u00a0", " ")
    section = page.split("## iCaRL with and without sleep, over memory sizes K")[1]
    for line in (
        "- 2 of 2 rows with a published figure agree with it (within one published sd; where none is stated, within "
        "1).",
        "- Not run: Fashion-MNIST; CIFAR-10, our VGG features; MNIST, homeostatic sleep.",
        "| K, stored images in all | icarl (%) | icarl, nearest mean (%) | icarl+src (%) | icarl+src, nearest mean (%) "
        "| n |",
        "| 50 | 32.50 ± 3.54 | - | - | - | 2 / 0 |",
        "    neurosleep reproduce src2022/table2 --data DIR --out OUT",
    ):
        assert f"\n{line}\n" in section, section
    assert "| 100 | 65.00 ± 7.07 (published 65.50 ± 4.66) |" in section
    assert "src2022/mnist-icarl" not in section.split("</details>")[1]
    picture = made["src2022-table2.svg"]
    assert isinstance(picture, bytes) and picture == results_pages(tmp_path)[0]["src2022-table2.svg"]


def test_runs_of_changed_settings_that_a_figure_shows_are_in_no_table(add: Add, tmp_path: Path) -> None:
    for seed in (0, 1):
        for variant in ("analyse=true", "faithful=true"):
            run = add(tmp_path, "src", seed, 0.4, variant=variant)
            (run / "analysis").mkdir()
            (run / "analysis" / "sparseness.csv").write_text(
                f"layer,sparseness_before,sparseness_after\nhidden1,0.{seed + 1},0.{seed + 3}\n"
            )
    made = pages(tmp_path)
    assert "analyse=true" not in made["src2022.md"] and "faithful=true" in made["src2022.md"]
    assert "## How few units answer to an image" in made["src2022-figures.md"]


def test_what_is_known_from_elsewhere_has_a_source() -> None:
    for protocol in load_known():
        assert set(protocol.experiments) <= set(experiment_names()) and protocol.text
        for known in protocol.figures.values():
            assert 0 < known.mean < 100 and known.source
    text, figures = known_figures("src2022/mnist")
    assert "split MNIST" in text and (figures["ewc"].mean, figures["ewc"].sem, figures["ewc"].n) == (20.01, 0.06, 20)
    assert known_figures("src2022/fashion") == ("", {})


def test_the_committed_pages_are_those_of_the_navigation() -> None:
    there: Any = {path.name for path in (ROOT / "docs" / "results").iterdir()}
    assert {f"{page.name}.md" for page in load_pages()} | {"index.md"} == {name for name in there if name[-3:] == ".md"}
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "results").glob("*.md")]
    assert {name for name in there if name.endswith(".svg")} == set(re.findall(r"\(([\w-]+\.svg)\)", "".join(texts)))
