"""What all tests share: how hypothesis searches, a child process whose memory and processor time are limited, and a
browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No example has a limit of its own, since a machine beside other work is slower by any factor, and every run draws the
# same examples, so that a failure is one of the change at hand. HYPOTHESIS_PROFILE=search draws others.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# Seconds after which a child that waits for something that never comes is killed: a guard, never a measure.
HANG = 1800

# Sets the limits once the imports are done, which cost memory and, with cold caches, seconds of their own.
_LIMITED = """\
import importlib, math, resource, runpy, sys, time
program, note, names, seconds, memory, *sys.argv[1:] = sys.argv[1:]
for name in filter(None, names.split(",")):
    importlib.import_module(name)
start = time.process_time()
with open(note, "w") as file:
    file.write(str(start))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
if seconds:
    most = math.ceil(start + float(seconds))
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 2))
if memory:
    with open("/proc/self/statm") as file:
        most = int(file.read().split()[0]) * resource.getpagesize() + int(float(memory) * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
sys.argv[0] = program
runpy.run_path(program, run_name="__main__")
"""


@dataclass(frozen=True)
class Child:
    """What became of a child process.

    ``code`` is its exit code, or minus the signal that ended it. ``seconds`` is its processor time after the imports,
    with that of the processes it waited for.
    """

    code: int
    out: str
    err: str
    seconds: float

    @property
    def out_of_time(self) -> bool:
        """Whether it used up its processor time."""
        return self.code in (-signal.SIGXCPU, -signal.SIGKILL)


@pytest.fixture
def run_python(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Child]:
    """Run Python in a child whose processor time and memory are limited, for what may hang, take all memory or crash.

    ``run_python(program, *arguments, seconds=10, memory=500)`` writes the text ``program`` into a file and runs it with
    the arguments in ``sys.argv[1:]``. ``seconds`` of processor time (rounded up, for each process) and ``memory`` in
    MiB of address space are counted from the end of importing ``imports`` on; without them there is no limit. The
    folder is a new one unless ``cwd`` is given; ``env`` is added to the environment (None takes a variable away).
    """
    if sys.platform != "linux":
        pytest.skip("limits of memory and processor time need Linux")

    def run(
        program: str,
        *arguments: object,
        seconds: float | None = None,
        memory: float | None = None,
        imports: Sequence[str] = ("torch", "numba", "neurosleep"),
        cwd: Path | None = None,
        env: dict[str, str | None] | None = None,
        input: str = "",
    ) -> Child:
        folder = tmp_path_factory.mktemp("child")
        file, note = folder / "program.py", folder / "start"
        file.write_text(program, encoding="utf-8")
        (folder / "in").write_text(input, encoding="utf-8")
        limits = ["" if limit is None else str(limit) for limit in (seconds, memory)]
        command = [sys.executable, "-c", _LIMITED, str(file), str(note), ",".join(imports), *limits]
        surroundings = {key: text for key, text in {**os.environ, **(env or {})}.items() if text is not None}
        with (folder / "in").open() as given, (folder / "out").open("w") as out, (folder / "err").open("w") as err:
            process = subprocess.Popen(
                [*command, *map(str, arguments)],
                stdin=given,
                stdout=out,
                stderr=err,
                cwd=folder if cwd is None else cwd,
                env=surroundings,
                start_new_session=True,
            )
            timer = threading.Timer(HANG, os.killpg, (process.pid, signal.SIGKILL))
            timer.start()
            try:
                # Not Popen.wait, which would not tell this child's own use of the processor.
                _, status, used = os.wait4(process.pid, 0)
            finally:
                timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        start = float(note.read_text() or 0) if note.exists() else 0.0
        texts = [(folder / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err")]
        return Child(process.returncode, *texts, used.ru_utime + used.ru_stime - start)

    return run


@pytest.fixture
def no_run_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process draw no figures, which take longer than all the rest of a small run."""
    monkeypatch.setattr("neurosleep.experiments.run.one.write_run_figures", lambda folder: [])


@pytest.fixture
def wait_until() -> Callable[[Callable[[], Any]], Any]:
    """Ask again and again, until the answer of a function is true, and return it; fail only after ``HANG`` seconds."""

    def wait(answer: Callable[[], Any]) -> Any:
        end = time.monotonic() + HANG
        while not (found := answer()):
            assert time.monotonic() < end, "what the test waits for does not come"
            time.sleep(0.02)
        return found

    return wait


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The installed Chromium, headless, driven by Playwright: a ``playwright.sync_api.Browser``.

    It lives as long as a module, since the event loop that Playwright keeps in the thread would be in others' way.
    """
    api = pytest.importorskip("playwright.sync_api", reason="the extra 'dev' is not installed: no Playwright")
    path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser found: none of {', '.join(BROWSERS)} is on the PATH")
    options = ["--disable-gpu", "--disable-quic", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with api.sync_playwright() as playwright:
        # Without its sandbox, in which in a container nobody but root may be.
        browser = playwright.chromium.launch(
            executable_path=path, args=options, chromium_sandbox=False, timeout=1000 * HANG
        )
        yield browser
        browser.close()


@dataclass
class Tab:
    """A page of a browser and what came up in it: messages and uncaught errors, requests made, requests that failed."""

    page: Any  # playwright.sync_api.Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.failed.append(f"{request.url}: {request.failure}"))


@pytest.fixture
def new_tab(chromium: Any) -> Iterator[Callable[[int], Tab]]:
    """An empty tab, with no memory of others, in a window of the given width: a phone's below 500."""
    contexts = []

    def new(width: int) -> Tab:
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}, is_mobile=width < 500))
        contexts[-1].set_default_timeout(600_000)  # milliseconds: ends what hangs, and nothing else
        return Tab(contexts[-1].new_page())

    yield new
    for context in contexts:
        context.close()
