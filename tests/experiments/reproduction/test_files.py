"""The files that say what a table or figure is made of: all of them can be made, in full and quickly."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurosleep._reproductions import Reproduction, load_reproduction, reproduction_names
from neurosleep.experiments.reproduction.requests import Asked, as_asked, command_of, data_of, entries_of
from neurosleep.experiments.run.check import check_request
from neurosleep.experiments.run.scenario import tasks_of

NAMES = reproduction_names()


def versions(name: str, out: Path) -> list[tuple[Reproduction, Asked]]:
    one = load_reproduction(name)
    return [(as_asked(one, asked), asked) for quick in (False, True) for asked in [Asked(None, str(out), quick=quick)]]


def test_what_is_asked_for_is_there() -> None:
    src = ("table1", "table2", "representation", "sparseness", "task-neurons", "drive", "histograms", "patches")
    assert {f"src2022/{name}" for name in (*src, "epochs-saved", "undertrained", "task2-length", "cross-modal")} <= set(
        NAMES
    )
    assert {"ep2025/forgetting", "ep2025/comparison", "after-several", "limited-data", "noise", "on-chips"} <= set(
        NAMES
    )
    assert {name.split("/")[0] for name in NAMES} >= {"adaptation2022", "hts2026", "dendritic2026"}


@pytest.mark.parametrize("name", NAMES)
def test_its_runs_can_be_made(name: str, tmp_path: Path) -> None:
    """One of each part and strategy, checked as the runner does before it writes anything."""
    for reproduction, asked in versions(name, tmp_path):
        labels = [part.label for part in reproduction.parts]
        assert len(labels) == len(set(labels))
        entries = entries_of(reproduction, asked)
        for part in reproduction.parts:
            assert not part.points or len(part.points) == len(part.variants)
            members = [entry for entry in entries if entry.part.label == part.label]
            for entry in members[: len(part.strategies)]:
                check_request(entry.requests[0])
            request = members[0].requests[0]
            if set(data_of(request)) <= {"mnist-mini"}:
                assert tasks_of(request.settings, None, 0), "there are as many images as are asked for"
            assert command_of(members).startswith(f"neurosleep run {part.experiment} --strategy ")


@pytest.mark.parametrize("name", NAMES)
def test_it_says_which_data_it_needs(name: str, tmp_path: Path) -> None:
    reproduction, asked = versions(name, tmp_path)[0]
    entries = entries_of(reproduction, asked)
    for part in reproduction.parts:
        needed = {data for entry in entries if entry.part.label == part.label for data in data_of(entry.requests[0])}
        assert needed == set(part.data), part.label


@pytest.mark.parametrize("name", NAMES)
def test_relations_name_rows_that_there_are(name: str, tmp_path: Path) -> None:
    reproduction, asked = versions(name, tmp_path)[0]
    entries = entries_of(reproduction, asked)
    names = {
        ", ".join(text for text in (entry.label, measure) if text)
        for entry in entries
        for measure in ("", "before last sleep", *(one.label for one in reproduction.measures))
    }
    for relation in reproduction.relations:
        assert {*relation.above, *relation.below} <= names, relation.text


@pytest.mark.parametrize("name", NAMES)
def test_sleep_of_our_own_stands_apart(name: str) -> None:
    """Rows of homeostatic sleep are marked as none of the paper's."""
    for part in load_reproduction(name).parts:
        sleeps = any("sleep" in strategy.split("+") for strategy in part.strategies)
        assert part.ours or not sleeps, part.label
        assert not (part.ours and part.published), part.label


@pytest.mark.parametrize("name", NAMES)
def test_changed_settings_are_not_beside_the_figures_of_the_experiment(name: str) -> None:
    """The released code, other data and what is written down aside, they make runs that the figures are not of."""
    for part in load_reproduction(name).parts:
        same = all(key in ("faithful", "analyse") or key.startswith("data.") for key in part.changes)
        assert same != (not part.stated), part.label


@pytest.mark.parametrize("name", [name for name in NAMES if any(part.points for part in load_reproduction(name).parts)])
def test_the_points_of_a_sweep_differ_in_their_settings(name: str, tmp_path: Path) -> None:
    """What a variant sets is not set back by what its strategy has in every variant."""
    reproduction, asked = versions(name, tmp_path)[0]
    entries = entries_of(reproduction, asked)
    for part in reproduction.parts:
        for strategy in part.strategies:
            alike = [entry for entry in entries if (entry.part.label, entry.strategy) == (part.label, strategy)]
            settings = [repr(entry.requests[0].settings) for entry in alike]
            assert len(set(settings)) == len(alike), (part.label, strategy)
