"""The report in a real browser: nothing on the console, no request, every picture decoded, no sideways scrolling on a
phone; tables sort and the raster zooms by clicks, keys and the mouse; axe-core finds nothing serious."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neurosleep.experiments import RunRequest, apply_changes, load_settings, run_one, write_animations, write_report

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=f"no browser found: none of {', '.join(NAMES)} is on the PATH")

# A picture that cannot be decoded has the width 0 once it has been tried. What is folded away counts too.
LOOK = """document.querySelectorAll("details").forEach(d => { d.open = true; }), ({
    pictures: [...document.images].map(i => [i.complete, i.naturalWidth, i.getBoundingClientRect().right]),
    width: document.documentElement.scrollWidth,
    title: document.title,
})"""


class Browser:
    """Headless Chromium, spoken to in its DevTools protocol: JSON messages that end in a zero byte, on fds 3 and 4."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        options = [
            "--headless",
            "--no-sandbox",  # in a container nobody but root may be there
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={profile}",
            "--remote-debugging-pipe",
        ]
        self.process = subprocess.Popen(
            # The shell moves the two pipes that Popen can make to where Chromium looks for them.
            ["sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null', CHROMIUM, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        # A browser that hangs ends the tests instead of holding them up.
        self.timer = threading.Timer(120, self.process.kill)
        self.timer.start()
        self.waiting = b""
        self.sent = 0
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def _receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        while b"\0" not in self.waiting:
            part = self.process.stdout.read1()  # type: ignore[attr-defined]
            assert part, "the browser ended"
            self.waiting += part
        message, _, self.waiting = self.waiting.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        if "method" in found:
            self.events.append(found)
        return found

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": parameters}
        if not method.startswith("Target."):
            message["sessionId"] = self.session
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        self.process.stdin.flush()
        while (answer := self._receive()).get("id") != self.sent:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, page: Path, width: int) -> dict[str, Any]:
        """What LOOK sees of the page in a window of this width, and what came onto its console, as ``console``."""
        self.events.clear()
        window = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **window)
        assert "errorText" not in self.call("Page.navigate", url=page.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._receive()
        found: dict[str, Any] = self.evaluate(LOOK)
        said = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        asked = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return found | {
            "console": [event["params"] for event in self.events if event["method"] in said],
            "requests": [url for url in asked if not url.startswith("data:") and url != page.resolve().as_uri()],
        }

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, or of the promise that it is, in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def place(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height in the window of the first such element, once it has been scrolled into sight."""
        found = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'});"
            " const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()"
        )
        return found[0], found[1], found[2], found[3]

    def mouse(self, kind: str, x: float, y: float, **parameters: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **parameters)

    def click(self, selector: str) -> None:
        left, top, width, height = self.place(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, left + width / 2, top + height / 2, button="left", clickCount=1)

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag over an element, from one point in it to another, both as fractions of its size."""
        left, top, width, height = self.place(selector)
        (ax, ay), (bx, by) = ((left + x * width, top + y * height) for x, y in (start, end))
        self.mouse("mousePressed", ax, ay, button="left", clickCount=1)
        self.mouse("mouseMoved", bx, by, button="left", buttons=1)
        self.mouse("mouseReleased", bx, by, button="left", clickCount=1)

    def key(self, key: str) -> None:
        code = {"Tab": 9, "Enter": 13, "ArrowRight": 39, "ArrowLeft": 37}.get(key, ord(key[0]))
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            more = text if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    def close(self) -> None:
        self.timer.cancel()
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


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


def complaints(found: dict[str, Any], width: int) -> list[str]:
    """What is wrong with an opened page."""
    wrong = [f"console: {said}" for said in found["console"]] + [f"request: {url}" for url in found["requests"]]
    wrong += [f"broken picture {k}" for k, (ready, wide, _) in enumerate(found["pictures"]) if not ready or not wide]
    wrong += [f"picture {k} sticks out" for k, (_, _, right) in enumerate(found["pictures"]) if right > width]
    return wrong + (["wider than the window"] if found["width"] > width else [])


@pytest.mark.parametrize("width", [400, 1400])
def test_the_report_opens_without_a_complaint(browser: Browser, report: Path, width: int) -> None:
    found = browser.open(report, width)
    assert found["title"].startswith("neurosleep report")
    # Three of the group; accuracy in two figures of four runs; six and an animation of those that slept and were drawn.
    assert len(found["pictures"]) == 3 + 2 * 4 + 6 * 2 + 1
    assert complaints(found, width) == []


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
    tmp_path: Path, browser: Browser, report: Path, damage: Callable[[str], str], complaint: str
) -> None:
    text = report.read_text(encoding="utf-8")
    page = tmp_path / "damaged.html"
    page.write_text(damage(text), encoding="utf-8")
    assert complaint in " ".join(complaints(browser.open(page, 400), 400))


# --- by mouse, keyboard and buttons -----------------------------------------------------------------------------------

SHOWN = "document.querySelector('.zoom output').value"


def shown(browser: Browser) -> tuple[float, float, int]:
    """From when to when the raster is shown, in seconds, and how many spikes."""
    found = re.match(r"Shown: ([\d.]+) s to ([\d.]+) s, ([\d,]+) spikes?\.", browser.evaluate(SHOWN))
    assert found
    return float(found[1]), float(found[2]), int(found[3].replace(",", ""))


def ink(browser: Browser) -> int:
    """Points of the raster's picture that are not nearly white."""
    return int(
        browser.evaluate(
            "(() => { const c = document.querySelector('.zoom canvas');"
            " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
            " for (let k = 0; k < d.length; k += 4) n += Math.min(d[k], d[k + 1], d[k + 2]) < 200; return n; })()"
        )
    )


def button(text: str) -> str:
    """The place of a button of the raster in its row."""
    names = ["Zoom in", "Zoom out", "Earlier", "Later", "Whole"]
    return f".zoom button:nth-of-type({names.index(text) + 1})"


@pytest.mark.parametrize("width", [400, 1400])
def test_the_raster_zooms_by_buttons(browser: Browser, report: Path, width: int) -> None:
    browser.open(report, width)
    browser.place(".zoom canvas")
    begin, end, spikes = shown(browser)
    assert begin == 0 and end > 0.1 and spikes > 100 and ink(browser) > 3000
    browser.click(button("Zoom in"))
    assert shown(browser)[:2] == pytest.approx((end / 4, 3 * end / 4), abs=1e-3) and 0 < shown(browser)[2] < spikes
    browser.click(button("Later"))
    assert shown(browser)[:2] == pytest.approx((end / 2, end), abs=1e-3)
    browser.click(button("Earlier"))
    assert shown(browser)[:2] == pytest.approx((end / 4, 3 * end / 4), abs=1e-3)
    browser.click(button("Zoom out"))
    browser.click(button("Zoom out"))
    assert shown(browser) == (begin, end, spikes)
    for _ in range(9):
        browser.click(button("Zoom in"))
    assert shown(browser)[1] - shown(browser)[0] == pytest.approx(0.01, abs=2e-3)
    browser.click(button("Whole"))
    assert shown(browser) == (begin, end, spikes)


def test_the_raster_zooms_by_mouse_and_by_population(browser: Browser, report: Path) -> None:
    browser.open(report, 1400)
    whole = shown(browser)
    browser.drag(".zoom canvas", (0.4, 0.9), (0.6, 0.5))
    begin, end, spikes = shown(browser)
    assert 0 < begin < end < whole[1] and 0 < spikes < whole[2]
    # Too small a box is a click, which changes nothing.
    browser.drag(".zoom canvas", (0.4, 0.5), (0.401, 0.5))
    assert shown(browser) == (begin, end, spikes)
    left, top, wide, high = browser.place(".zoom canvas")
    browser.mouse("mouseWheel", left + wide / 2, top + high / 2, deltaX=0, deltaY=-100)
    assert shown(browser)[1] - shown(browser)[0] < end - begin
    browser.click(button("Whole"))
    counts = [
        browser.evaluate(
            f"(() => {{ const s = document.querySelector('.zoom select'); s.value = '{k}';"
            " s.dispatchEvent(new Event('change')); return document.querySelector('.zoom output').value; })()"
        )
        for k in ("0", "1", "2")
    ]
    found = [int(re.sub(r".*s, ([\d,]+) spikes?\..*", r"\1", text).replace(",", "")) for text in counts]
    assert sum(found) == whole[2]


def test_the_raster_zooms_by_keys(browser: Browser, report: Path) -> None:
    browser.open(report, 1400)
    browser.evaluate("document.querySelector('.zoom canvas').focus()")
    whole = shown(browser)
    browser.key("+")
    zoomed = shown(browser)
    assert zoomed[1] - zoomed[0] == pytest.approx(whole[1] / 2, abs=2e-3)
    browser.key("ArrowRight")
    assert shown(browser)[0] == pytest.approx(zoomed[0] + whole[1] / 8, abs=2e-3)
    browser.key("ArrowLeft")
    browser.key("-")
    assert shown(browser) == whole
    browser.key("+")
    browser.key("0")
    assert shown(browser) == whole


def test_tables_sort_by_their_headings_with_mouse_and_keys(browser: Browser, report: Path) -> None:
    browser.open(report, 1400)
    # The table that compares the strategies, by its column of seconds.
    pick = "[...document.querySelectorAll('table.sortable')].find(t => t.caption.textContent.startsWith('Strategies'))"
    browser.evaluate(f"{pick}.id = 'compared'")
    column = browser.evaluate(
        "[...document.querySelectorAll('#compared thead th')].findIndex(h => h.textContent.includes('Time')) + 1"
    )
    head = f"#compared thead th:nth-child({column})"

    def keys() -> list[float]:
        cells = f"[...document.querySelectorAll('#compared tbody td:nth-child({column})')]"
        return [float(key) for key in browser.evaluate(f"{cells}.map(c => c.dataset.key)")]

    for order, sign in (("ascending", 1), ("descending", -1), ("ascending", 1)):
        browser.click(f"{head} button")
        assert browser.evaluate(f"document.querySelector({head!r}).getAttribute('aria-sort')") == order
        assert keys() == sorted(keys(), reverse=sign < 0) and len(keys()) == 2
    browser.evaluate(f"document.querySelector('{head} button').focus()")
    browser.key("Enter")
    assert browser.evaluate(f"document.querySelector({head!r}).getAttribute('aria-sort')") == "descending"
    assert browser.evaluate("document.querySelectorAll('#compared [aria-sort]').length") == 1


def test_paper_shows_what_is_folded_away_and_the_drawn_raster(browser: Browser, report: Path) -> None:
    browser.open(report, 1000)
    browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = false; })")
    browser.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    browser.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate("document.querySelectorAll('details[open]').length") == 0
    style = "getComputedStyle(document.querySelector({!r})).display"
    assert (
        browser.evaluate(style.format(".zoom")) == "block"
        and browser.evaluate(style.format(".zoomable > img")) == "none"
    )
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert (
        browser.evaluate(style.format(".zoom")) == "none"
        and browser.evaluate(style.format(".zoomable > img")) == "block"
    )
    browser.call("Emulation.setEmulatedMedia", media="")


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
            subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=folder)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"axe-core is not at hand: npm cannot get it ({type(error).__name__})")
    found = sorted(folder.rglob("axe.min.js"))
    if not found:
        pytest.skip(f"axe-core is not at hand: no axe.min.js in the folder {folder.name!r}")
    return found[0].read_text(encoding="utf-8")


def violations(browser: Browser, axe: str) -> list[str]:
    """What axe-core finds serious or critical in the opened page, everything unfolded."""
    browser.evaluate(axe + "; 0")
    found = browser.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found if v["impact"] in ("serious", "critical", "moderate")
    ]


@pytest.mark.parametrize("width", [360, 1400])
def test_axe_finds_nothing(browser: Browser, report: Path, axe: str, width: int) -> None:
    assert complaints(browser.open(report, width), width) == []
    assert violations(browser, axe) == []


def test_axe_would_find_something(tmp_path: Path, browser: Browser, report: Path, axe: str) -> None:
    page = tmp_path / "bad.html"
    text = report.read_text(encoding="utf-8")
    page.write_text(re.sub(r' alt="[^"]*"', "", text).replace(' lang="en"', ""), encoding="utf-8")
    browser.open(page, 1400)
    found = " ".join(violations(browser, axe))
    assert "image-alt" in found and "html-has-lang" in found
