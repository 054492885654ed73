"""The documentation in a browser, served and from a disk: only its own files, nothing cut off, readable, searched."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.full
pytest.importorskip("mkdocs")

ROOT = Path(__file__).parents[2]
LOOK = """() => ({
    formulas: [...document.querySelectorAll("math")].map(m => m.getBoundingClientRect().height),
    pictures: [...document.images].filter(i => i.loading != "lazy").map(i => i.naturalWidth),
    wide: document.documentElement.scrollWidth - innerWidth,
})"""
# First heading and width of each table that is wider than where it stands.
WIDE_TABLES = """() => [...document.querySelectorAll("article table")].filter(
    t => t.scrollWidth > (t.closest(".md-typeset__scrollwrap") ?? t.parentElement).clientWidth + 1
).map(t => [t.querySelector("th").textContent, t.scrollWidth])"""

# Texts with less contrast to what they stand on than WCAG asks for (4.5 to 1; 3 to 1 of 24 pixels and more).
FAINT = """() => {
    const parts = text => {
        const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
        return text.startsWith("color(srgb") ? [255 * r, 255 * g, 255 * b, a ?? 1] : [r, g, b, a ?? 1];
    };
    const over = (top, below) => [0, 1, 2].map(k => top[3] * top[k] + (1 - top[3]) * below[k]);
    const light = rgb => [0.2126, 0.7152, 0.0722].reduce((sum, weight, k) => {
        const value = rgb[k] / 255;
        return sum + weight * (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    }, 0);
    const ground = element => {
        if (!element) return [255, 255, 255];
        const colour = parts(getComputedStyle(element).backgroundColor);
        return colour[3] === 1 ? colour.slice(0, 3) : over(colour, ground(element.parentElement));
    };
    const faint = new Set();
    const walker = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement, style = getComputedStyle(element);
        const text = walker.currentNode.data.trim(), below = ground(element);
        if (!text || element.closest("svg, math, .headerlink, .md-clipboard, script")) continue;
        if (!element.getClientRects().length || style.visibility === "hidden") continue;
        const both = [light(over(parts(style.color), below)), light(below)].sort((a, b) => b - a);
        if ((both[0] + 0.05) / (both[1] + 0.05) < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5))
            faint.add(`${element.tagName} ${element.className} ${text.slice(0, 30)} ${style.color}`);
    }
    return [...faint];
}"""
# Parts of a page that a screen reader could not tell apart, and links in a sentence that only their colour shows.
UNNAMED = """() => {
    const shown = [...document.querySelectorAll("nav, [role=dialog]")].filter(e => e.checkVisibility());
    const names = shown.map(e => e.getAttribute("aria-label"));
    const links = [...document.querySelectorAll("article p a")].filter(
        a => a.textContent && !a.matches(".headerlink") && getComputedStyle(a).textDecorationLine !== "underline");
    const twice = names.filter((name, k) => !name || names.indexOf(name) !== k);
    return [...twice, ...links.map(a => a.outerHTML.slice(0, 80))];
}"""
PAGES = (
    *("index", "gallery/index", "gallery/forgetting", "concepts/overview", "concepts/sleep", "concepts/equilibrium"),
    *(
        "api/functional",
        "api/cli",
        "results/index",
        "results/src2022",
        "results/chips",
        "profiles/index",
        "profiles/loihi1",
    ),
    *("how-to/consolidate", "how-to/experiment", "which", "faq", "glossary", "limitations", "citing", "changes"),
)


class Handler(SimpleHTTPRequestHandler):
    """Serves the site without a word: the tests' output is not a server's log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the site was built."""
    made = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(made)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]
    return made


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    """The address of the site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_pages_load_their_own_files_only_and_fit(site: str, new_tab: Callable[[int], Any]) -> None:
    formulas = 0
    for width in (360, 900, 1400):
        for page in PAGES:
            tab = new_tab(width)  # another page in the same tab would break off what this one is still loading
            answer = tab.page.goto(f"{site}/{page}.html", wait_until="networkidle")
            assert answer.ok, page
            assert (tab.console, tab.failed) == ([], []), page
            found = tab.page.evaluate(LOOK)
            assert all(height > 5 for height in found["formulas"]), page
            assert all(size > 0 for size in found["pictures"]), page
            assert found["wide"] <= 0, f"{page} is {found['wide']} pixels too wide at {width}"
            assert len(tab.requests) > 1 and all(url.startswith((site, "data:")) for url in tab.requests), page
            formulas += len(found["formulas"])
            tab.page.close()
    assert formulas > 45


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_can_be_read(scheme: str, folder: Path, new_tab: Callable[[int], Any]) -> None:
    for width in (360, 1400):
        tab = new_tab(width)
        tab.page.emulate_media(color_scheme=scheme)
        for page in PAGES:
            tab.page.goto(f"{folder.as_uri()}/{page}.html")
            assert tab.page.locator("body").get_attribute("data-md-color-scheme") == (
                "default" if scheme == "light" else "slate"
            )
            assert tab.page.evaluate(FAINT) == [], (page, width)
            assert tab.page.evaluate(UNNAMED) == [], (page, width)


def test_results_fit_one_screen_and_their_tables_the_column(site: str, new_tab: Callable[[int], Any]) -> None:
    tab = new_tab(1400)
    tab.page.set_viewport_size({"width": 1400, "height": 900})
    tab.page.goto(f"{site}/results/index.html", wait_until="networkidle")
    assert tab.page.evaluate("document.querySelector('article').getBoundingClientRect().bottom") <= 900
    assert tab.page.locator(".ns-panels img").count() >= 6
    for page in sorted((ROOT / "docs" / "results").glob("*.md")):
        tab.page.goto(f"{site}/results/{page.stem}.html", wait_until="networkidle")
        tab.page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        assert tab.page.evaluate(WIDE_TABLES) == [], page.stem


def test_the_search_finds_a_page_and_a_click_opens_it(site: str, new_tab: Callable[[int], Any]) -> None:
    tab = new_tab(1400)
    tab.page.goto(f"{site}/index.html")
    tab.page.locator("input[data-md-component=search-query]").press_sequentially("equilibrium")
    tab.page.locator(".md-search-result__link").first.click()
    tab.page.wait_for_url(lambda url: not url.endswith("index.html"))
    assert "equilibrium" in tab.page.locator("main").inner_text().lower()
    assert (tab.console, tab.failed) == ([], [])
    assert all(url.startswith((site, "data:", "blob:")) for url in tab.requests)


def test_the_search_works_from_a_disk(folder: Path, new_tab: Callable[[int], Any]) -> None:
    tab = new_tab(1400)
    tab.page.goto(f"{folder.as_uri()}/index.html")
    tab.page.locator("input[data-md-component=search-query]").press_sequentially("raster")
    tab.page.locator(".md-search-result__link").first.click()
    tab.page.wait_for_url(lambda url: not url.endswith("index.html"))
    assert "raster" in tab.page.locator("main").inner_text().lower()
    assert (tab.console, tab.failed) == ([], [])
    assert any(url.endswith("search/search_index.js") for url in tab.requests)
    assert all(url.startswith((folder.as_uri(), "data:")) for url in tab.requests)
