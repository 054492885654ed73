"""The report in a real browser: nothing on the console, every picture decoded, no sideways scrolling on a phone."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neurosleep.experiments import RunRequest, apply_changes, load_settings, run_one, write_report

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
        for domain in ("Page", "Log", "Runtime"):
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
        found: dict[str, Any] = self.call("Runtime.evaluate", expression=LOOK, returnByValue=True)["result"]["value"]
        said = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return found | {"console": [event["params"] for event in self.events if event["method"] in said]}

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
    return write_report(out)


def complaints(found: dict[str, Any], width: int) -> list[str]:
    """What is wrong with an opened page."""
    wrong = [f"console: {said}" for said in found["console"]]
    wrong += [f"broken picture {k}" for k, (ready, wide, _) in enumerate(found["pictures"]) if not ready or not wide]
    wrong += [f"picture {k} sticks out" for k, (_, _, right) in enumerate(found["pictures"]) if right > width]
    return wrong + (["wider than the window"] if found["width"] > width else [])


@pytest.mark.parametrize("width", [400, 1400])
def test_the_report_opens_without_a_complaint(browser: Browser, report: Path, width: int) -> None:
    found = browser.open(report, width)
    assert found["title"].startswith("neurosleep report")
    # The comparison; accuracy of four runs; raster and rates of the two that slept.
    assert len(found["pictures"]) == 1 + 4 + 2 * 2
    assert complaints(found, width) == []


def _damaged(text: str) -> str:
    return text.replace("base64,iVBOR", "base64,AAAAA", 1)


def _elsewhere(text: str) -> str:
    return text.replace('<img src="data:image/png', '<img src="elsewhere.png" title="', 1)


def _script(text: str) -> str:
    return text.replace("</body>", "<script>console.error('said')</script></body>")


def _allowed_script(text: str) -> str:
    # Without the policy that keeps a script from running at all.
    return _script(text.replace("default-src 'none'", "script-src 'unsafe-inline'"))


def _wide(text: str) -> str:
    return text.replace("</main>", '<p style="width: 2000px">wide</p></main>')


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_damaged, "broken picture 0"),
        (_elsewhere, "broken picture 0"),
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
