"""Streams of noise as settings of the strategy ``src``: read, written only where they are given, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurosleep.errors import NeurosleepError
from neurosleep.experiments import RunRequest, apply_changes, load_settings, run_one
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.run.check import check_request

# None of these tests looks at a figure.
pytestmark = pytest.mark.usefixtures("no_run_figures")

NAME, SETTINGS = load_settings("demo/mnist-mini", strategy="src")


def request(out: Path, *changes: tuple[str, object]) -> RunRequest:
    return RunRequest(NAME, "default", "src", 0, apply_changes(SETTINGS, list(changes)), None, str(out))


def test_files_name_streams_only_where_they_are_given() -> None:
    several = apply_changes(SETTINGS, [("sleep.streams", 32), ("sleep.stream_updates", "mean")])
    written = dump_toml(several)
    assert "stream" not in dump_toml(SETTINGS)
    assert "streams = 32" in written and 'stream_updates = "mean"' in written
    assert (several.sleep.rem.streams, several.sleep.rem.stream_updates) == (32, "mean")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ([("sleep.streams", 0)], "streams"),
        ([("sleep.streams", 2.5)], "streams"),
        ([("sleep.stream_updates", "mean")], "stream_updates"),
        ([("sleep.streams", 2), ("sleep.stream_updates", "median")], "median"),
        ([("sleep.streams", 2), ("sleep.profile", "loihi1")], "sleep.profile"),
        ([("sleep.streams", 2), ("engine", "snntorch")], "one stream of noise"),
        ([("sleep.streams", 10**8)], "streams=50000000 needs about half"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_learnt(
    changes: list[tuple[str, object]], named: str, tmp_path: Path
) -> None:
    with pytest.raises(NeurosleepError) as caught:
        check_request(request(tmp_path / "out", *changes))
    assert named in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_run_sleeps_with_them(tmp_path: Path) -> None:
    small = [("data.images_per_task", 100), ("sleep.steps", 100), ("sleep.growth", 0.0), ("wake.epochs", 1)]
    one, eight = (
        run_one(request(tmp_path / name, *small, *more))["sleep"]
        for name, more in (("one", []), ("eight", [("sleep.streams", 8)]))
    )
    assert one["steps"] == eight["steps"]
    # The first stream is recorded; it has noise of its own.
    assert one["spikes_per_step"] != eight["spikes_per_step"]
