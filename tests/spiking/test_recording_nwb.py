"""Recordings as NWB files: pynwb reads them, finds nothing wrong, and gives back every number."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.errors import DataError, MissingExtraError, NeurosleepError, SettingsError, UnsupportedError
from neurosleep.functional import SlowOscillation, SpikeEvents
from neurosleep.spiking import Record, Recording

HIDDEN = "hid/den:1%"
WEIGHTS = f"input -> {HIDDEN}"
RECORD = {
    "spikes": {"input": "all", HIDDEN: [4, 1]},
    "groups": {HIDDEN: {"class 0": [0, 2], "b:c": [5]}},
    "potentials": {HIDDEN: [3, 0]},
    "potentials_every": 30,
    "rates_every": 300,
    "weights_every": 400,
}


@pytest.fixture(scope="module")
def pynwb() -> Any:
    return pytest.importorskip("pynwb", reason="the extra 'nwb' is not installed")


def sleep_phase(steps: int = 1250, **record: Any) -> Recording:
    draw = torch.Generator().manual_seed(0)
    network = ns.SpikingNetwork(
        (ns.Population("input", "input", (8,)), ns.Population(HIDDEN, "lif", (6,), threshold=0.8, decay=0.9)),
        (ns.Dense("input", HIDDEN, torch.rand(6, 8, generator=draw) - 0.2),),
    )
    drive = ns.MeanDrive(np.full(8, 0.5), 100.0)
    result = ns.sleep(network, drive=drive, rule=ns.SRCRule(0.01, 0.004), steps=steps, record=Record(**record))
    assert result.recording is not None
    return result.recording


def read(pynwb: Any, path: Path, look: Any) -> Any:
    with pynwb.NWBHDF5IO(str(path), "r", load_namespaces=True) as file:
        return look(file.read())


def problems(pynwb: Any, path: Path) -> list[Any]:
    """What pynwb's validator finds, against the schema that the file itself holds."""
    found = pynwb.validate(path=str(path))
    return list(found[0] if isinstance(found, tuple) else found)


@pytest.mark.parametrize("weights", ["statistics", {WEIGHTS: [(0, 7), (5, 0)]}])
def test_every_number_comes_back(pynwb: Any, tmp_path: Path, weights: Any) -> None:
    recording = sleep_phase(**RECORD, weights=weights)
    start = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    path = recording.to_nwb(tmp_path / "new" / "sleep.nwb", description="a sleep", start=start)
    assert problems(pynwb, path) == [] and [p.name for p in path.parent.iterdir()] == ["sleep.nwb"]

    def look(content: Any) -> None:
        about = json.loads(content.notes)
        assert content.session_start_time == start and content.session_description == "a sleep"
        assert (about["steps"], about["dt"], about["window"]) == (recording.steps, recording.dt, recording.window)
        rows = content.units.to_dataframe()
        assert list(zip(rows["population"], rows["neuron"], strict=True)) == [
            *(("input", k) for k in range(8)),
            (HIDDEN, 1),
            (HIDDEN, 4),
        ]
        for _, row in rows.iterrows():
            train = recording.monitor(row["population"]).spike_trains()[row["neuron"]]
            np.testing.assert_array_equal(row["spike_times"], train)
            assert row["obs_intervals"].tolist() == [[0.0, recording.steps * recording.dt]]
        assert content.units.resolution == recording.dt and len(content.units["spike_times"][1]) > 0

        module = content.processing["neurosleep"]
        counts = module["counts"].to_dataframe()
        for name, expected in recording.counts.items():
            mine = counts[counts["population"] == name]
            assert mine["neuron"].tolist() == list(range(len(expected))) and mine["count"].dtype == expected.dtype
            np.testing.assert_array_equal(mine["count"], expected)
            rate, monitor = module[f"rate of {escaped(name)}"], recording.rate_monitor(name)
            np.testing.assert_array_equal(rate.data[:], monitor.rate)
            np.testing.assert_array_equal(rate.timestamps[:], monitor.t)
            assert rate.unit == "Hz"
        for group in ("class 0", "b:c"):
            rate = module[f"rate of group {escaped(group)} of {escaped(HIDDEN)}"]
            np.testing.assert_array_equal(rate.data[:], recording.rate_monitor(HIDDEN, group=group).rate)
        states = module[f"potentials of {escaped(HIDDEN)}"]
        np.testing.assert_array_equal(states.data[:], recording.states[HIDDEN].values)
        np.testing.assert_array_equal(states.timestamps[:], recording.state_monitor(HIDDEN).t)
        assert module[f"neurons of the potentials of {escaped(HIDDEN)}"]["neuron"][:].tolist() == [3, 0]
        samples = module[f"weights of {escaped(WEIGHTS)}"]
        np.testing.assert_array_equal(samples.data[:], recording.weights[WEIGHTS].values)
        np.testing.assert_array_equal(samples.timestamps[:], recording.weight_monitor(WEIGHTS).t)
        if weights != "statistics":
            synapses = module[f"synapses of the weights of {escaped(WEIGHTS)}"]
            assert list(zip(synapses["post"][:], synapses["pre"][:], strict=True)) == weights[WEIGHTS]
        assert repr(HIDDEN) in states.description

    read(pynwb, path, look)


def escaped(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F").replace(":", "%3A")


def test_stages_of_a_sleep_are_intervals(pynwb: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier = ns.MLP([12, 8, 4], init="torch")
    x = torch.rand(40, 12)
    stages = (ns.NREM(form="spikes", oscillation=SlowOscillation(frames=20)), ns.REM(steps=60))
    sleep = ns.Sleep(stages=stages, rates=(0.01, 0.01))
    slept = ns.consolidate(classifier, x.mean(0), calibration=x, sleep=sleep, guard=False, record=Record(spikes="all"))
    nrem, rem = (stage.recording for stage in slept.stages)
    recording = nrem.then(rem)
    assert len(recording.hypnogram) > 2 and len({span.stage for span in recording.hypnogram}) == 2
    path = recording.to_nwb(tmp_path / "sleep.nwb")
    assert problems(pynwb, path) == []
    rows = read(pynwb, path, lambda content: content.intervals["hypnogram"].to_dataframe())
    for row, span in zip(rows.itertuples(), recording.hypnogram, strict=True):
        assert (row.stage, row.state, row.cycle) == (span.stage, span.state, span.cycle)
        assert (row.start_time, row.stop_time) == (span.start * recording.dt, span.stop * recording.dt)


def test_what_was_not_recorded_is_left_out(pynwb: Any, tmp_path: Path) -> None:
    counted = sleep_phase(steps=50)
    path = counted.to_nwb(tmp_path / "counts.nwb")
    assert problems(pynwb, path) == []
    assert read(
        pynwb, path, lambda content: (content.units, "counts" in content.processing["neurosleep"].data_interfaces)
    ) == (
        None,
        True,
    )
    silent = Recording(0, 0.001, {"a": np.zeros(2, np.int64)}, spikes={"a": SpikeEvents.empty(2)})
    path = silent.to_nwb(tmp_path / "silent.nwb")
    assert problems(pynwb, path) == []
    assert read(pynwb, path, lambda content: [len(content.units["spike_times"][k]) for k in range(2)]) == [0, 0]


def test_potentials_that_are_read_and_graded_inputs_are_there(pynwb: Any, tmp_path: Path) -> None:
    network = ns.SpikingNetwork(
        (ns.Population("input", "input", (3,)), ns.Population("read", "li", (2,), decay=0.5)),
        (ns.Dense("input", "read", torch.ones(2, 3)),),
    )
    recording = ns.simulate(network, torch.full((3,), 0.3), 5)
    path = recording.to_nwb(tmp_path / "read.nwb")
    assert problems(pynwb, path) == []

    def look(content: Any) -> None:
        module = content.processing["neurosleep"]
        np.testing.assert_array_equal(module["last potentials of read"]["potential"][:], recording.potentials["read"])
        assert module["counts"]["count"][:][:3].tolist() == recording.counts["input"].tolist()

    read(pynwb, path, look)


def test_two_files_are_two_sessions_that_start_when_they_are_written(pynwb: Any, tmp_path: Path) -> None:
    recording, before = sleep_phase(steps=20), datetime.now(UTC)
    found = [
        read(
            pynwb,
            recording.to_nwb(tmp_path / f"{k}.nwb"),
            lambda content: (content.identifier, content.session_start_time),
        )
        for k in range(2)
    ]
    assert found[0][0] != found[1][0]
    assert all(before <= start <= datetime.now(UTC) + timedelta(seconds=1) for _, start in found)


def test_what_cannot_be_written_is_refused(pynwb: Any, tmp_path: Path) -> None:
    recording = sleep_phase(steps=20)
    batch = ns.simulate(
        ns.SpikingNetwork(
            (ns.Population("input", "input", (3,)), ns.Population("a", "lif", (2,))),
            (ns.Dense("input", "a", torch.ones(2, 3)),),
        ),
        torch.ones(5, 2, 3, dtype=torch.bool),
    )
    path = tmp_path / "a.nwb"
    cases: list[tuple[Recording, dict[str, Any], type[NeurosleepError], str]] = [
        (batch, {}, UnsupportedError, "a batch of 2 samples"),
        (recording, {"description": ""}, SettingsError, "description"),
        (recording, {"start": "now"}, SettingsError, "start of the session"),
        (recording, {"start": datetime(2026, 1, 1)}, SettingsError, "with a time zone"),
    ]
    for one, options, kind, words in cases:
        with pytest.raises(kind, match=words):
            one.to_nwb(path, **options)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError):
        recording.to_nwb(tmp_path / "file" / "a.nwb")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_without_pynwb_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(MissingExtraError, match=r'pip install "neurosleep\[nwb\]"'):
        sleep_phase(steps=20).to_nwb(tmp_path / "a.nwb")
