"""The report in a real browser: nothing on the console, no request, every picture decoded, no sideways scrolling on a
phone; tables sort and the raster zooms by clicks, keys and the mouse; axe-core finds nothing serious."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurosleep.experiments import RunRequest, apply_changes, load_settings, run_one, write_animations, write_report

# A picture that cannot be decoded has the width 0 once it has been tried. What is folded away counts too.
LOOK = """() => {
    document.querySelectorAll("details").forEach(d => { d.open = true; });
    return {
        pictures: [...document.images].map(i => [i.complete, i.naturalWidth, i.getBoundingClientRect().right]),
        width: document.documentElement.scrollWidth,
        title: document.title,
    };
}"""


class Report:
    """A report in a tab of a real browser."""

    def __init__(self, tab: Any, page: Path) -> None:
        self.page = tab.page
        self.page.goto(page.resolve().as_uri())
        self.found: dict[str, Any] = self.page.evaluate(LOOK)
        self.canvas = self.page.locator(".zoom canvas").first
        self.console = tab.console
        self.requests = [url for url in tab.requests if not url.startswith("data:") and url != page.resolve().as_uri()]

    def complaints(self) -> list[str]:
        """What is wrong with it."""
        pictures, width = self.found["pictures"], self.page.viewport_size["width"]
        wrong = [f"console: {said}" for said in self.console] + [f"request: {url}" for url in self.requests]
        wrong += [f"broken picture {k}" for k, (ready, wide, _) in enumerate(pictures) if not ready or not wide]
        wrong += [f"picture {k} sticks out" for k, (_, _, right) in enumerate(pictures) if right > width]
        return wrong + (["wider than the window"] if self.found["width"] > width else [])

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag over the raster, from one point in it to another, both as fractions of its size."""
        self.canvas.evaluate("canvas => canvas.scrollIntoView({block: 'center'})")
        box = self.canvas.bounding_box()
        (ax, ay), (bx, by) = ((box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end))
        self.page.mouse.move(ax, ay)
        self.page.mouse.down()
        self.page.mouse.move(bx, by)
        self.page.mouse.up()

    def shown(self) -> tuple[float, float, int]:
        """From when to when the raster is shown, in seconds, and how many spikes."""
        found = re.match(r"Shown: ([\d.]+) s to ([\d.]+) s, ([\d,]+) spikes?\.", self.page.text_content(".zoom output"))
        assert found
        return float(found[1]), float(found[2]), int(found[3].replace(",", ""))

    def ink(self) -> int:
        """Points of the raster's picture that are not nearly white."""
        return int(
            self.canvas.evaluate(
                "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
                " for (let k = 0; k < d.length; k += 4) n += Math.min(d[k], d[k + 1], d[k + 2]) < 200; return n; }"
            )
        )


@pytest.fixture
def open_report(new_tab: Callable[[int], Any]) -> Callable[[Path, int], Report]:
    """Open a report in a new window of that width."""
    return lambda page, width: Report(new_tab(width), page)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two strategies with two seeds each, everything recorded."""
    out = tmp_path_factory.mktemp("runs")
    changes: list[tuple[str, Any]] = [
        ("data.images_per_task", 100),
        ("network.sizes", [784, 20, 10]),
        ("wake.epochs", 1),
        ("sleep.steps", 100),
        ("sleep.thresholds", [5.0, 5.0]),
    ]
    settings = apply_changes(load_settings("demo/mnist-mini")[1], changes)
    for strategy in ("sequential", "src"):
        for seed in (0, 1):
            run_one(RunRequest("demo/mnist-mini", "small", strategy, seed, settings, None, str(out)))
    write_animations(out)
    return write_report(out)


@pytest.mark.parametrize("width", [400, 1400])
def test_the_report_opens_without_a_complaint(
    open_report: Callable[[Path, int], Report], report: Path, width: int
) -> None:
    opened = open_report(report, width)
    assert opened.found["title"].startswith("neurosleep report")
    # Three or four of the group; those of accuracy, answers and training of four runs; and of those that slept.
    assert len(opened.found["pictures"]) >= 4 + 4 * 4 + 6 * 2 + 1
    assert opened.complaints() == []


def _damaged(text: str) -> str:
    return re.sub("base64,.{20}", "base64," + 20 * "A", text, count=1)


def _elsewhere(text: str) -> str:
    return text.replace('<img src="data:image', '<img src="elsewhere.png" title="', 1)


def _script(text: str) -> str:
    return text.replace("</body>", "<script>console.error('said')</script></body>")


def _asking(text: str) -> str:
    return text.replace("</head>", '<link rel="stylesheet" href="other.css"></head>').replace(
        "style-src", "style-src *"
    )


def _allowed_script(text: str) -> str:
    # Without the policy that keeps a script from running at all.
    return _script(re.sub(r"script-src 'sha256-[^']*'", "script-src 'unsafe-inline'", text))


def _wide(text: str) -> str:
    return text.replace("</main>", '<p style="width: 2000px">wide</p></main>')


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_damaged, "broken picture 0"),
        (_elsewhere, "broken picture 0"),
        (_asking, "request: "),
        (_elsewhere, "Content Security Policy"),
        (_script, "Content Security Policy"),
        (_allowed_script, "said"),
        (_wide, "wider than the window"),
    ],
)
def test_a_damaged_page_would_be_noticed(
    tmp_path: Path,
    open_report: Callable[[Path, int], Report],
    report: Path,
    damage: Callable[[str], str],
    complaint: str,
) -> None:
    text = report.read_text(encoding="utf-8")
    page = tmp_path / "damaged.html"
    page.write_text(damage(text), encoding="utf-8")
    assert complaint in " ".join(open_report(page, 400).complaints())


# --- by mouse, keyboard and buttons -----------------------------------------------------------------------------------


def button(text: str) -> str:
    """The place of a button of the raster in its row."""
    names = ["Zoom in", "Zoom out", "Earlier", "Later", "Whole"]
    return f".zoom button:nth-of-type({names.index(text) + 1})"


@pytest.mark.parametrize("width", [400, 1400])
def test_the_raster_zooms_by_buttons(open_report: Callable[[Path, int], Report], report: Path, width: int) -> None:
    opened = open_report(report, width)
    opened.canvas.scroll_into_view_if_needed()
    start, end, spikes = opened.shown()
    assert start == 0 and end > 0.1 and spikes > 100 and opened.ink() > 3000
    opened.page.click(button("Zoom in"))
    assert opened.shown()[:2] == pytest.approx((end / 4, 3 * end / 4), abs=1e-3) and 0 < opened.shown()[2] < spikes
    opened.page.click(button("Later"))
    assert opened.shown()[:2] == pytest.approx((end / 2, end), abs=1e-3)
    opened.page.click(button("Earlier"))
    assert opened.shown()[:2] == pytest.approx((end / 4, 3 * end / 4), abs=1e-3)
    opened.page.click(button("Zoom out"))
    opened.page.click(button("Zoom out"))
    assert opened.shown() == (start, end, spikes)
    for _ in range(9):
        opened.page.click(button("Zoom in"))
    assert opened.shown()[1] - opened.shown()[0] == pytest.approx(0.01, abs=2e-3)
    opened.page.click(button("Whole"))
    assert opened.shown() == (start, end, spikes)
    assert opened.complaints() == []


def test_the_raster_zooms_by_mouse_and_by_population(open_report: Callable[[Path, int], Report], report: Path) -> None:
    opened = open_report(report, 1400)
    whole = opened.shown()
    opened.drag((0.4, 0.9), (0.6, 0.5))
    start, end, spikes = opened.shown()
    assert 0 < start < end < whole[1] and 0 < spikes < whole[2]
    # Too small a box is a click, which changes nothing.
    opened.drag((0.4, 0.5), (0.401, 0.5))
    assert opened.shown() == (start, end, spikes)
    before = opened.page.text_content(".zoom output")
    opened.canvas.hover()
    opened.page.mouse.wheel(0, -100)
    # The browser may take up a turn of the wheel a little later than the call returns.
    opened.page.wait_for_function("before => document.querySelector('.zoom output').value != before", arg=before)
    assert opened.shown()[1] - opened.shown()[0] < end - start
    opened.page.click(button("Whole"))
    counts = []
    for k in ("0", "1", "2"):
        opened.page.select_option(".zoom select", k)
        counts.append(opened.shown()[2])
    assert sum(counts) == whole[2]
    assert opened.complaints() == []


def test_the_raster_zooms_by_keys(open_report: Callable[[Path, int], Report], report: Path) -> None:
    opened = open_report(report, 1400)
    opened.canvas.focus()
    whole = opened.shown()
    opened.page.keyboard.press("+")
    zoomed = opened.shown()
    assert zoomed[1] - zoomed[0] == pytest.approx(whole[1] / 2, abs=2e-3)
    opened.page.keyboard.press("ArrowRight")
    assert opened.shown()[0] == pytest.approx(zoomed[0] + whole[1] / 8, abs=2e-3)
    opened.page.keyboard.press("ArrowLeft")
    opened.page.keyboard.press("-")
    assert opened.shown() == whole
    opened.page.keyboard.press("+")
    opened.page.keyboard.press("0")
    assert opened.shown() == whole
    assert opened.complaints() == []


def test_tables_sort_by_their_headings_with_mouse_and_keys(
    open_report: Callable[[Path, int], Report], report: Path
) -> None:
    opened = open_report(report, 1400)
    # The table that compares the strategies, by its column of seconds.
    table = opened.page.locator(
        "table.sortable", has=opened.page.locator("caption", has_text=re.compile("^Strategies"))
    )
    head = table.locator("thead th", has_text="Time")
    column = head.evaluate("h => h.cellIndex + 1")

    def keys() -> list[float]:
        cells = table.locator(f"tbody td:nth-child({column})")
        return [float(key) for key in cells.evaluate_all("cells => cells.map(c => c.dataset.key)")]

    for order, sign in (("ascending", 1), ("descending", -1), ("ascending", 1)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        assert keys() == sorted(keys(), reverse=sign < 0) and len(keys()) == 2
    head.locator("button").focus()
    opened.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert table.locator("[aria-sort]").count() == 1
    assert opened.complaints() == []


def test_paper_shows_what_is_folded_away_and_the_drawn_raster(
    open_report: Callable[[Path, int], Report], report: Path
) -> None:
    page = open_report(report, 1000).page
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = false; })")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details").count() > 0 and page.locator("details:not([open])").count() == 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0

    def styles() -> list[str]:
        style = "s => getComputedStyle(document.querySelector(s)).display"
        return [page.evaluate(style, selector) for selector in (".zoom", ".zoomable > img")]

    assert styles() == ["block", "none"]
    page.emulate_media(media="print")
    assert styles() == ["none", "block"]


# --- values on hover, dark mode ---------------------------------------------------------------------------------------


def test_values_are_shown_on_hover(open_report: Callable[[Path, int], Report], report: Path) -> None:
    opened = open_report(report, 1400)
    figure = opened.page.locator("figure.comparison").first
    picture, tip = figure.locator("img"), figure.locator(".tip")
    places = json.loads(figure.locator("script.points").text_content())
    assert not tip.is_visible() and len(places) == 2
    for x, y, text in places:
        picture.scroll_into_view_if_needed()
        box = picture.bounding_box()
        opened.page.mouse.move(box["x"] + x * box["width"] + 3, box["y"] + y * box["height"] - 3)
        assert tip.is_visible() and tip.text_content() == text
        shown = tip.bounding_box()
        assert shown["x"] >= 0 and shown["x"] + shown["width"] <= 1400
    opened.page.mouse.move(2, 2)
    assert not tip.is_visible()
    assert opened.complaints() == []


def test_the_page_is_dark_where_the_reader_wants_it(open_report: Callable[[Path, int], Report], report: Path) -> None:
    page = open_report(report, 1400).page

    def brightness() -> float:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3

    assert brightness() > 250
    page.emulate_media(color_scheme="dark")
    assert brightness() < 40
    # The raster is drawn anew.
    page.wait_for_function(
        "() => { const c = document.querySelector('.zoom canvas');"
        " return c.getContext('2d').getImageData(1, 1, 1, 1).data[0] < 60; }"
    )


# --- for all ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of axe-core: from the folder that NEUROSLEEP_AXE names, or got by npm for these tests alone."""
    given = os.environ.get("NEUROSLEEP_AXE")
    folder = Path(given) if given else tmp_path_factory.mktemp("axe")
    if not given:
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("axe-core is not at hand: NEUROSLEEP_AXE names no folder of it, and there is no npm")
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), "axe-core@4"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=600, cwd=folder)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"axe-core is not at hand: npm cannot get it ({type(error).__name__})")
    found = sorted(folder.rglob("axe.min.js"))
    if not found:
        pytest.skip(f"axe-core is not at hand: no axe.min.js in the folder {folder.name!r}")
    return found[0].read_text(encoding="utf-8")


def violations(opened: Report, axe: str) -> list[str]:
    """What axe-core finds in the opened page, everything unfolded."""
    opened.page.evaluate(axe + "; 0")
    found = opened.page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1400])
def test_axe_finds_nothing(
    open_report: Callable[[Path, int], Report], report: Path, axe: str, width: int, scheme: str
) -> None:
    opened = open_report(report, width)
    opened.page.emulate_media(color_scheme=scheme)
    assert opened.complaints() == []
    assert violations(opened, axe) == []


def test_axe_would_find_something(
    tmp_path: Path, open_report: Callable[[Path, int], Report], report: Path, axe: str
) -> None:
    page = tmp_path / "bad.html"
    text = report.read_text(encoding="utf-8")
    page.write_text(re.sub(r' alt="[^"]*"', "", text).replace(' lang="en"', ""), encoding="utf-8")
    found = " ".join(violations(open_report(page, 1400), axe))
    assert "image-alt" in found and "html-has-lang" in found
