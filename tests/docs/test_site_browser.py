"""The documentation in a real browser: it loads nothing but its own files, no script fails, formulas have a size."""

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


class Handler(SimpleHTTPRequestHandler):
    """Serves the site without a word: the tests' output is not a server's log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_pages_load_their_own_files_only_and_fit(site: str, new_tab: Callable[[int], Any]) -> None:
    pages = ["index", "gallery/index", "gallery/forgetting", "concepts/sleep", "concepts/equilibrium", "api/functional"]
    pages += [
        "api/cli",
        "results/index",
        "results/src2022",
        "results/chips",
        "profiles",
        "how-to/experiment",
        "citing",
        "changes",
    ]
    formulas = 0
    for number, page in enumerate(pages):
        # A phone's width and a screen's, in turn.
        tab = new_tab(400 if number % 2 else 1400)
        answer = tab.page.goto(f"{site}/{page}.html", wait_until="networkidle")
        assert answer.ok, page
        assert (tab.console, tab.failed) == ([], []), page
        assert len(tab.requests) > 1 and all(url.startswith((site, "data:")) for url in tab.requests), page
        found = tab.page.evaluate(LOOK)
        assert all(height > 5 for height in found["formulas"]) and all(width > 0 for width in found["pictures"]), page
        assert found["wide"] <= 0, f"{page} is {found['wide']} pixels too wide"
        formulas += len(found["formulas"])
    assert formulas > 15


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
