"""Reports of 1 to 12 strategies with short and long names: nothing sticks out of the window or is cut off in it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurosleep.experiments import write_report
from tests.plot.test_room import names_of

# What lies beyond the window, and text whose own box is too narrow for it; what scrolls by itself may be wide.
CUT_OFF = """() => {
    document.querySelectorAll("details").forEach(d => { d.open = true; });
    const wide = document.documentElement.clientWidth;
    const scrolls = (e) => e.closest(".scroll, pre, .skip, script, style") !== null;
    const hides = (e) => getComputedStyle(e).overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1;
    return [...document.body.querySelectorAll("*")]
        .filter(e => !scrolls(e) && (e.getBoundingClientRect().right > wide + 1 || hides(e)))
        .map(e => `${e.tagName} ${e.textContent.slice(0, 60)}`);
}"""


def write_runs(out: Path, draws: random.Random, count: int) -> None:
    """Runs of so many strategies of one experiment, in one or several variants."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789=.,+-_"
    variants = ["default"] + ["".join(draws.choice(letters) for _ in range(draws.choice((6, 70)))) for _ in range(2)]
    for k, name in enumerate(names_of(draws, count)):
        for seed in range(draws.choice((1, 3))):
            matrix = [[draws.random(), 0.0], [draws.random(), draws.random()]]
            metrics: dict[str, Any] = {"experiment": "my/own", "variant": variants[k % draws.choice((1, 3))]}
            metrics |= {"strategy": name, "seed": seed, "split": "test", "results": {}, "seconds": {"total": 1.0}}
            metrics |= {"status": "done", "accuracy_all": sum(matrix[1]) / 2, "accuracy_matrix": matrix}
            if draws.random() < 0.2:
                where = {"task": 2, "phase": "sleep", "epoch": None, "step": 3000, "layer": name, "hint": "less"}
                where |= {"quantity": "largest weight", "value": 1e9}
                metrics |= {"status": "diverged", "accuracy_all": None, "divergence": where}
            folder = out / f"run{k}" / f"seed{seed}"
            folder.mkdir(parents=True)
            (folder / "metrics.json").write_text(json.dumps(metrics))


def look(out: Path, new_tab: Callable[[int], Any], widths: tuple[int, ...]) -> dict[int, list[str]]:
    """What is cut off at each width, and what the console says."""
    page = write_report(out)
    found = {}
    for width in widths:
        tab = new_tab(width)
        tab.page.goto(page.resolve().as_uri())
        found[width] = [*tab.page.evaluate(CUT_OFF), *tab.console]
        tab.page.close()
    return found


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_nothing_is_cut_off(tmp_path: Path, new_tab: Callable[[int], Any], count: int) -> None:
    write_runs(tmp_path, random.Random(count), count)
    assert look(tmp_path, new_tab, (360, 900, 1400)) == {360: [], 900: [], 1400: []}


@pytest.mark.full
@pytest.mark.parametrize("seed", range(50))
def test_nothing_is_cut_off_in_many(tmp_path: Path, new_tab: Callable[[int], Any], seed: int) -> None:
    draws = random.Random(500 + seed)
    write_runs(tmp_path, draws, draws.randint(1, 12))
    width = draws.choice((360, 400, 900, 1400))
    assert look(tmp_path, new_tab, (width,)) == {width: []}


def test_what_is_cut_off_would_be_noticed(tmp_path: Path, new_tab: Callable[[int], Any]) -> None:
    write_runs(tmp_path, random.Random(0), 2)
    page = write_report(tmp_path)
    text = page.read_text(encoding="utf-8")
    wide = '<p style="white-space: nowrap; overflow: hidden">' + 60 * "long " + "</p></main>"
    page.write_text(text.replace("</main>", wide), encoding="utf-8")
    tab = new_tab(400)
    tab.page.goto(page.resolve().as_uri())
    assert any("long" in found for found in tab.page.evaluate(CUT_OFF))
