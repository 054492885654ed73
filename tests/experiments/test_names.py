"""Names of experiments, variants and strategies: folders below the output folder, and plain text in Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosleep.errors import NeurosleepError, SettingsError
from neurosleep.experiments import RunRequest, load_settings, results_pages, variant_name
from neurosleep.experiments.files import experiment_names
from neurosleep.experiments.inside import check_tree
from neurosleep.experiments.markdown import plain_text
from neurosleep.experiments.names import folder_name
from neurosleep.experiments.reading import variant_names


@given(st.text(max_size=300))
def test_a_name_that_is_taken_leads_to_one_folder_below(name: str) -> None:
    try:
        folder_name("variant", name)
    except SettingsError:
        return
    assert Path("/out", name).resolve().parent == Path("/out").resolve()
    assert len(name.encode()) <= 255


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../x", "/etc", "a/b", "a\\b", "a\0b", "C:x", "a\nb", "x" * 300, 3, None]
)
def test_names_that_could_lead_elsewhere(name: Any) -> None:
    with pytest.raises(SettingsError, match="cannot name a folder"):
        folder_name("variant", name)


@pytest.mark.parametrize(
    "place", [{"experiment": "../e"}, {"variant": "../v"}, {"strategy": "../s"}, {"seed": "/../../0"}]
)
def test_no_part_of_a_run_s_place_leaves_the_output_folder(tmp_path: Path, place: dict[str, Any]) -> None:
    names: dict[str, Any] = {"experiment": "e", "variant": "v", "strategy": "src", "seed": 0} | place
    with pytest.raises(SettingsError):
        _ = RunRequest(**names, settings={}, data=None, out=str(tmp_path)).folder


@given(st.text(max_size=400))
def test_the_name_made_of_changes_is_always_one(value: str) -> None:
    folder_name("variant", variant_name([("wake.kind", value)]))


def test_every_packaged_variant_names_a_folder() -> None:
    for experiment in experiment_names():
        for variant in variant_names(experiment):
            folder_name("variant", variant)


def test_a_file_s_variant_that_leads_elsewhere_is_refused_when_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text('extends = "demo/mnist-mini"\n[variants."../../evil"]\n"wake.epochs" = 1\n')
    with pytest.raises(SettingsError, match="evil"):
        load_settings(str(file))


@given(st.text())
def test_plain_text_is_one_line_without_cells_and_tags(text: str) -> None:
    shown = plain_text(text)
    assert shown.isprintable()
    assert "<" not in shown and ">" not in shown
    assert all(shown[:at].endswith("\\") for at, c in enumerate(shown) if c == "|")


def metrics(**changes: Any) -> dict[str, Any]:
    return {
        "experiment": "own",
        "variant": "default",
        "strategy": "src",
        "seed": 0,
        "split": "test",
        "status": "done",
        "data": "mnist",
        "results": {"accuracy_all": 0.5},
        "accuracy_all": 0.5,
        "reads_old_data": True,
        "seconds": {"total": 1.0},
    } | changes


def test_markup_in_names_is_text_on_the_page_of_results(tmp_path: Path) -> None:
    path = tmp_path / "own" / "metrics.json"
    path.parent.mkdir()
    path.write_text(json.dumps(metrics(variant="a|b<script>", data="x\n\n# y\0|z")))
    pages, rows = results_pages(tmp_path)
    assert rows == 1
    page = "".join(text for text in pages.values() if isinstance(text, str))
    assert "a\\|b&lt;script&gt;" in page
    assert "<script>" not in page and "\0" not in page and "\n# y" not in page
    rows_of_page = [line for line in page.splitlines() if line.startswith("| a")]
    headers = [line for line in page.splitlines() if line.startswith("| variant")]
    counts = [row.replace(r"\|", "").count("|") for row in rows_of_page]
    assert len(counts) == 2 and counts == [header.count("|") for header in headers]


@pytest.mark.parametrize("name", ["experiment", "variant", "strategy"])
def test_metrics_whose_names_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(metrics(**{name: "../../x"})))
    with pytest.raises(NeurosleepError, match=r"metrics\.json"):
        results_pages(tmp_path)


def test_a_link_out_of_a_folder_is_refused_and_one_within_it_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "runs", tmp_path / "secret"
    inside.mkdir()
    outside.write_text("mine")
    (inside / "real").write_text("ours")
    (inside / "within").symlink_to(inside / "real")
    check_tree(inside)
    (inside / "out").symlink_to(outside)
    with pytest.raises(NeurosleepError, match="leads out"):
        check_tree(inside)
