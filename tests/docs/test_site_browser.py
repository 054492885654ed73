"""The documentation in a real browser: it loads nothing but its own files, no script fails, formulas have a size."""

from __future__ import annotations

import functools
import html
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(CHROMIUM is None, reason=f"no browser found: none of {', '.join(NAMES)} is on the PATH"),
]
pytest.importorskip("mkdocs")

# Put into each page as it is served: what fails, and, when all is loaded, what the page asked for and how large it is.
FIRST = """<script>
    window.failed = [];
    addEventListener("error", e => failed.push(String(e.message || e.target.src)), true);
</script>"""
LAST = """<script>addEventListener("load", () => setTimeout(() => {
    const found = {
        asked: performance.getEntriesByType("resource").map(e => e.name),
        failed: failed,
        formulas: [...document.querySelectorAll("math")].map(m => m.getBoundingClientRect().height),
        pictures: [...document.images].filter(i => i.loading != "lazy").map(i => i.naturalWidth),
        wide: document.documentElement.scrollWidth - innerWidth,
    };
    document.body.setAttribute("data-found", JSON.stringify(found));
}, 500))</script>"""


class Handler(SimpleHTTPRequestHandler):
    """Serves the site, with the scripts above in each page."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.suffix != ".html" or not path.is_file():
            super().do_GET()
            return
        text = (
            path.read_text(encoding="utf-8").replace("<head>", "<head>" + FIRST, 1).replace("</body>", LAST + "</body>")
        )
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests' output is not a server's log."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert built.returncode == 0, built.stderr[-3000:]
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def look(url: str, width: int, profile: Path) -> dict[str, Any]:
    """What a page did in a window of that width."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += [
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        f"--window-size={width},900",
    ]
    options += ["--virtual-time-budget=6000", "--dump-dom", url]
    shown = subprocess.run([CHROMIUM, *options], capture_output=True, text=True, timeout=120)
    match = re.search(r'data-found="([^"]*)"', shown.stdout)
    assert match, f"{url} did not load\n{shown.stderr[-1000:]}"
    found: dict[str, Any] = json.loads(html.unescape(match[1]))
    return found


def test_pages_load_their_own_files_only_and_fit(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, root = site
    pages = ["index", "gallery/index", "gallery/forgetting", "concepts/sleep", "concepts/equilibrium", "api/functional"]
    pages += ["api/cli", "results", "profiles", "how-to/experiment", "citing", "changes"]
    formulas = 0
    for number, page in enumerate(pages):
        # A phone's width and a screen's, in turn; Chromium's windows are no narrower than 500.
        found = look(f"{root}/{page}.html", 500 if number % 2 else 1400, tmp_path / "profile")
        assert found["failed"] == [], page
        assert found["asked"] and all(url.startswith(root) for url in found["asked"]), page
        assert all(height > 5 for height in found["formulas"]) and all(width > 0 for width in found["pictures"]), page
        assert found["wide"] <= 0, f"{page} is {found['wide']} pixels too wide"
        formulas += len(found["formulas"])
    assert formulas > 15
    assert any("search_index" in path.name for path in folder.rglob("*.json"))
