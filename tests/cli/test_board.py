"""What is shown of runs while they go on: a line for each, whole at 80 columns; where there is no terminal, lines now
and then."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from neurosleep.cli import _board
from neurosleep.cli._board import Board, show_progress, span
from neurosleep.experiments import RunRequest, load_settings, run_experiment
from neurosleep.experiments.run.position import Position

LONG = "network.sizes=_784,_100,_100,_10_,sleep.thresholds=_0.5,_0.5,_0.5_,wake.epochs=3,sleep.steps=3000"


@pytest.mark.parametrize(
    "position",
    [
        Position(1, 5, "wake, epoch 3"),
        Position(2, 5, "sleep", 1200, 3000),
        Position(5, 5, "sleep: 61.2 %"),
        Position(2, 10, "homeostasis, NREM", 5, 80),
    ],
)
def test_a_position_is_read_from_its_text(position: Position) -> None:
    assert Position.read(str(position)) == position
    assert Position.read(f"seed 100, {position}") == position
    assert Position.read("analysing the last sleep") is None and 0 <= position.share <= 1


def test_times() -> None:
    assert [span(one) for one in (0.4, 67, 3600, 11040, 183600)] == ["0:00", "1:07", "1:00:00", "3:04:00", "2 d 3 h"]


@pytest.mark.parametrize("width", [80, 120])
def test_strategy_seed_task_phase_rate_and_time_left_come_first(width: int) -> None:
    now = [0.0]
    board = Board([("src, seed 0", LONG), ("ewc, seed 0", LONG), ("joint, seed 0", "")], lambda: now[0])
    board.told(0, str(Position(1, 5, "wake, epoch 1")))
    now[0] = 50.0
    board.told(0, str(Position(2, 5, "sleep", 1000, 30000)))
    board.told(1, "on loihi1")
    now[0] = 60.0
    board.told(0, str(Position(2, 5, "sleep", 13000, 30000)))
    lines = board.lines(width)
    assert lines[0].startswith("0 of 3 done; 1:00 so far, about ") and lines[0].endswith(" left")
    # 12,000 steps in 10 s; (1 + 0.5 + 0.5 * 13/30) of 5 tasks in 60 s.
    share = (1.5 + 0.5 * 13 / 30) / 5
    left = span(60 * (1 - share) / share)
    assert lines[1].startswith(
        f"src, seed 0  task 2/5  sleep  13,000/30,000  1,200 steps/s  about {left} left  netw"[:width]
    )
    assert lines[2].startswith("ewc, seed 0  on loihi1") and len(lines) == 3 and max(map(len, lines)) <= width
    board.told(0, "done")
    board.told(1, "failed")
    assert board.lines(width) == ["2 of 3 done, 1 of them failed; 1:00 so far, about 0:30 left"]
    board.told(2, "done")
    assert board.summary() == "3 of 3 done, 1 of them failed; 1:00 so far"


def test_the_rate_starts_anew_with_each_phase() -> None:
    now = [0.0]
    board = Board([("src, seed 0", "")], lambda: now[0])
    for time, task, step in ((0, 1, 100), (1, 1, 600), (2, 2, 100), (4, 2, 300)):
        now[0] = float(time)
        board.told(0, str(Position(task, 2, "sleep", step, 1000)))
        rates = re.findall(r"([\d,]+) steps/s", board.lines(80)[1])
        assert rates == {0: [], 1: ["500"], 2: [], 4: ["100"]}[time]


def test_without_a_terminal_there_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for every, silent, lines in ((1e9, False, 0), (0.0, False, 2), (0.0, True, 0)):
        monkeypatch.setattr(_board, "_EVERY", every)
        with show_progress([("src, seed 0", "v1")], silent=silent) as report:
            report(0, str(Position(1, 2, "sleep", 5, 10)))
            report(0, "done")
        printed = capsys.readouterr()
        assert printed.out == "" and len(printed.err.splitlines()) == lines
        if lines:
            assert printed.err.splitlines()[0].endswith("left; src, seed 0, v1, task 1 of 2, sleep, step 5 of 10")


def test_workers_tell_how_far_they_are(tmp_path: Path) -> None:
    name, settings = load_settings("src2022/patches", strategy="src", variant="overlap-01")
    requests = [RunRequest(name, "default", "src", k, settings, None, str(tmp_path), figures=False) for k in (0, 1)]
    told: dict[int, list[str]] = {0: [], 1: []}
    run_experiment(requests, jobs=2, report=lambda number, text: told[number].append(text))
    for texts in told.values():
        assert texts[-1] == "done" and any(Position.read(text) for text in texts[:-1])


@pytest.mark.parametrize("columns", [80, pytest.param(120, marks=pytest.mark.full)])
def test_with_long_settings_nothing_is_swallowed(on_terminal: Callable[..., str], tmp_path: Path, columns: int) -> None:
    changes = ("network.sizes=[784,100,100,10]", "sleep.thresholds=[0.5,0.5,0.5]", "sleep.steps=20000", "wake.epochs=1")
    few = ("data.images_per_task=50", "data.tasks=[[0,1],[2,3]]")
    given = [part for change in (*changes, *few) for part in ("--set", change)]
    command = [sys.executable, "-m", "neurosleep", "run", "demo/mnist-mini", *given, "--out", str(tmp_path / "out")]
    seen = on_terminal([*command, "--jobs", "2", "--strategy", "src,sequential"], columns=columns)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= columns
    # Steps a second and the time left stand there once there was time to count them: tests of the board have them.
    running = r"src, seed 0  task \d/2  (wake|sleep).*  v1"
    assert any(re.fullmatch(running, line.strip()) for line in lines), lines[-20:]
    assert any(re.match(r"sequential, seed 0  task \d/2  (wake|sleep)", line) for line in lines)
