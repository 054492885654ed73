"""Recordings in files and as Neo objects: everything comes back, damage is said, memory stays bounded."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from neurosleep.errors import DataError, MissingExtraError, RunFolderError, SettingsError
from neurosleep.functional import MeanDrive, SpikeEvents, SRCRule
from neurosleep.replay import sleep
from neurosleep.spiking import Dense, Population, Record, Recording, SpikingNetwork, simulate

RECORD = {
    "spikes": {"input": "all", "hid/den:1": [4, 1]},
    "groups": {"hid/den:1": {"class 0": [0, 2], "b:c": [5]}},
    "potentials": {"hid/den:1": [3]},
    "potentials_every": 30,
    "weights": "statistics",
    "weights_every": 400,
    "rates_every": 300,
}


def sleep_phase(steps=1250, **record):
    draw = torch.Generator().manual_seed(0)
    net = SpikingNetwork(
        (Population("input", "input", (8,)), Population("hid/den:1", "lif", (6,), threshold=0.8, decay=0.9)),
        (Dense("input", "hid/den:1", torch.rand(6, 8, generator=draw) - 0.2),),
    )
    drive = MeanDrive(np.full(8, 0.5), 100.0)
    return sleep(net, drive=drive, rule=SRCRule(0.01, 0.004), steps=steps, record=Record(**record)).recording


def assert_equal(a: Recording, b: Recording) -> None:
    assert (a.steps, a.dt, a.window) == (b.steps, b.dt, b.window)
    for key in ("counts", "windows", "potentials", "kept"):
        first, second = getattr(a, key), getattr(b, key)
        assert set(first) == set(second)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])
    assert set(a.spikes) == set(b.spikes) and all(a.spikes[name].equals(b.spikes[name]) for name in a.spikes)
    for key in ("group_windows", "group_neurons"):
        first, second = getattr(a, key), getattr(b, key)
        assert {k: list(v) for k, v in first.items()} == {k: list(v) for k, v in second.items()}
        for name, groups in first.items():
            for group, values in groups.items():
                np.testing.assert_array_equal(values, second[name][group])
    for key, fields in (("states", ("steps", "neurons", "values")), ("weights", ("steps", "synapses", "values"))):
        first, second = getattr(a, key), getattr(b, key)
        assert set(first) == set(second)
        for name, samples in first.items():
            for part in fields:
                np.testing.assert_array_equal(getattr(samples, part), getattr(second[name], part))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


RECORDS = [RECORD, RECORD | {"weights": {"input -> hid/den:1": [(0, 7), (5, 0)]}}, {}, {"spikes": "all"}]


@pytest.mark.parametrize("record", RECORDS)
def test_a_file_gives_back_everything(tmp_path, record):
    recording = sleep_phase(**record)
    path = recording.to_npz(tmp_path / "new" / "sleep.npz")
    assert_equal(recording, Recording.open(path))
    assert [p.name for p in path.parent.iterdir()] == ["sleep.npz"]


@pytest.mark.parametrize("record", RECORDS)
def test_a_folder_holds_the_same_as_memory(tmp_path, record):
    in_memory = sleep_phase(**record)
    on_disk = sleep_phase(**record, folder=tmp_path / "sleep")
    assert_equal(in_memory, on_disk)
    assert_equal(in_memory, Recording.open(tmp_path / "sleep"))
    for name, events in on_disk.spikes.items():
        assert isinstance(events.indices, np.memmap) or not events.count, name
    assert all(path.parent == tmp_path / "sleep" for path in (tmp_path / "sleep").iterdir())


def test_the_arrays_of_a_folder_are_plain_npy_files(tmp_path):
    recording = sleep_phase(spikes=("input",), folder=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "input.neurons.npy"), recording.spikes["input"].indices)
    np.testing.assert_array_equal(np.load(tmp_path / "input.offsets.npy"), recording.spikes["input"].offsets)


def test_an_empty_recording_comes_back_too(tmp_path):
    empty = Recording(0, 0.001, {"a": np.zeros(2, np.int64)}, spikes={"a": SpikeEvents.empty(2)})
    assert_equal(empty, Recording.open(empty.to_npz(tmp_path / "a.npz")))
    one = Recording(1, 0.001, {"a": np.array([0, 1])}, spikes={"a": SpikeEvents.from_dense(np.array([[0, 1]]))})
    assert_equal(one, Recording.open(one.to_npz(tmp_path / "b.npz")))


def test_potentials_that_are_read_are_in_the_folder_too(tmp_path):
    net = SpikingNetwork(
        (Population("input", "input", (3,)), Population("read", "li", (2,), decay=0.5)),
        (Dense("input", "read", torch.ones(2, 3)),),
    )
    found = simulate(net, torch.ones(5, 3, dtype=torch.bool), record=Record(spikes="all", folder=tmp_path))
    assert found.potentials["read"].tolist() == [5.8125, 5.8125]
    assert_equal(found, Recording.open(tmp_path))


def test_a_folder_that_holds_a_recording_is_left_alone(tmp_path):
    first = sleep_phase(spikes="all", folder=tmp_path)
    with pytest.raises(RunFolderError, match="holds a recording already"):
        sleep_phase(spikes="all", folder=tmp_path)
    assert_equal(first, Recording.open(tmp_path))
    counted = sleep_phase(folder=tmp_path / "counts")
    with pytest.raises(RunFolderError, match="holds a recording already"):
        sleep_phase(steps=3, folder=tmp_path / "counts")
    assert_equal(counted, Recording.open(tmp_path / "counts"))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        sleep_phase(spikes="all", folder=tmp_path / "file" / "sleep")


PROGRAM = """
import sys
import numpy as np, torch
from neurosleep.functional import MeanDrive, SRCRule
from neurosleep.replay import sleep
from neurosleep.spiking import Dense, Population, Record, SpikingNetwork
draw = torch.Generator().manual_seed(0)
net = SpikingNetwork(
    (Population("input", "input", (8,)), Population("hidden1", "lif", (6,), threshold=0.8, decay=0.9)),
    (Dense("input", "hidden1", torch.rand(6, 8, generator=draw) - 0.2),),
)
record = Record(spikes="all", weights="statistics", folder=sys.argv[1])
sleep(net, drive=MeanDrive(np.full(8, 0.5), 100.0), rule=SRCRule(0.01, 0.004), steps=int(sys.argv[2]), record=record)
"""


def test_what_a_killed_process_recorded_can_be_read(tmp_path, wait_until):
    def recorded():
        assert process.poll() is None, "the process ended, though it has hours of steps to do"
        note = tmp_path / "sleep" / "recording.npz"
        return note.is_file() and Recording.open(tmp_path / "sleep").steps >= 3000

    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path / "sleep"), "100000000"])
    try:
        wait_until(recorded)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    found = Recording.open(tmp_path / "sleep")
    assert found.steps >= 3000 and found.steps % 1000 == 0
    names: dict[str, object] = {}
    exec(PROGRAM.replace("sys.argv[1]", repr(str(tmp_path / "whole"))).replace("sys.argv[2]", str(found.steps)), names)
    assert_equal(found, Recording.open(tmp_path / "whole"))


def test_rows_beyond_the_note_are_not_read(tmp_path):
    recording = sleep_phase(spikes="all", folder=tmp_path)
    note = (tmp_path / "recording.npz").read_bytes()
    longer = tmp_path / "longer"
    sleep_phase(2250, spikes="all", folder=longer)
    (longer / "recording.npz").write_bytes(note)
    assert_equal(recording, Recording.open(longer))


def test_damaged_recordings_are_refused(tmp_path):
    sleep_phase(**RECORD, folder=tmp_path / "sleep")
    files = sorted((tmp_path / "sleep").iterdir())
    rng = np.random.default_rng(0)
    refused = 0
    for path in files:
        whole = path.read_bytes()
        damages = [b"", whole[: len(whole) // 2], whole[:40], b"\x00" * len(whole)]
        for _ in range(30):
            noisy = bytearray(whole)
            for place in rng.integers(0, min(len(whole), 400), 4):
                noisy[place] = rng.integers(256)
            damages.append(bytes(noisy))
        for damage in damages:
            path.write_bytes(damage)
            try:
                Recording.open(tmp_path / "sleep")
            except DataError:
                refused += 1
        path.unlink()
        with pytest.raises(DataError):
            Recording.open(tmp_path / "sleep")
        path.write_bytes(whole)
    assert refused > 4 * len(files)
    assert Recording.open(tmp_path / "sleep").steps == 1250


@pytest.mark.filterwarnings("ignore:Not one neuron fired:neurosleep.NeurosleepWarning")
@pytest.mark.parametrize("steps", [1, 500, 1250])
def test_spikes_that_do_not_begin_with_the_first_are_refused(tmp_path, steps):
    recording = sleep_phase(steps, spikes="all")
    path = recording.to_npz(tmp_path / "task1.npz")
    assert_equal(recording, Recording.open(path))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file}
    np.savez_compressed(path, **(arrays | {"offsets@input": arrays["offsets@input"] + 1}))
    with pytest.raises(DataError, match="do not cover"):
        Recording.open(path)


def test_what_is_no_recording_is_refused(tmp_path):
    with pytest.raises(DataError, match="no recording"):
        Recording.open(tmp_path)
    with pytest.raises(DataError, match="no recording"):
        Recording.open(tmp_path / "sleep.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(DataError, match=r"damaged one(.|\n)*about"):
        Recording.open(tmp_path / "other.npz")
    np.save(tmp_path / "code.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "code.npz").write_bytes((tmp_path / "code.npy").read_bytes())
    with pytest.raises(DataError):
        Recording.open(tmp_path / "code.npz")
    with pytest.raises(SettingsError, match=r"ending in \.npz"):
        sleep_phase().to_npz(tmp_path / "a.zip")


def _the_same_as_data_frames(recording, folder):
    """What goes to a file as a table is a DataFrame too, with the same columns and values."""
    pandas = pytest.importorskip("pandas")
    views = {
        "spikes": recording,
        "one": recording.monitor("hid/den:1"),
        "chosen": recording.monitor("hid/den:1", [3, 0]),
        "rates": recording.rate_monitor("input"),
        "v": recording.state_monitor("hid/den:1"),
        "w": recording.weight_monitor("input -> hid/den:1"),
    }
    for name, view in views.items():
        read = pandas.read_csv(view.to_csv(folder / f"{name}.csv"))
        frame = view.to_pandas()
        assert len(frame) > 0
        pandas.testing.assert_frame_equal(frame, read, check_dtype=False, rtol=1e-8)
    with pytest.raises(DataError, match="no single spikes"):
        sleep_phase().to_pandas()


def test_tables_of_spikes_states_and_weights(tmp_path):
    recording = sleep_phase(spikes="all", potentials={"hid/den:1": [3, 0]}, potentials_every=500, weights="statistics")
    rows = table(recording.to_csv(tmp_path / "spikes.csv"))
    assert len(rows) == sum(events.count for events in recording.spikes.values())
    mine = [row for row in rows if row["population"] == "hid/den:1"]
    monitor = recording.monitor("hid/den:1")
    assert [int(row["neuron"]) for row in mine] == monitor.i.tolist()
    np.testing.assert_allclose([float(row["time"]) for row in mine], monitor.t, rtol=1e-8)
    assert [int(row["step"]) for row in mine] == np.round(monitor.t / 0.001).astype(int).tolist()
    of_one = table(monitor.to_csv(tmp_path / "one.csv"))
    assert [float(row["time"]) for row in of_one] == monitor.t.tolist()
    rates = table(recording.rate_monitor("input").to_csv(tmp_path / "rates.csv"))
    assert [int(row["spikes"]) for row in rates] == recording.windows["input"].tolist()
    states = table(recording.state_monitor("hid/den:1").to_csv(tmp_path / "v.csv"))
    assert list(states[0]) == ["time", "neuron 3", "neuron 0"] and len(states) == 3
    weights = table(recording.weight_monitor("input -> hid/den:1").to_csv(tmp_path / "w.csv"))
    assert list(weights[0]) == ["time", "mean", "sd", "smallest", "largest", "change"]
    chosen = sleep_phase(weights={"input -> hid/den:1": [(2, 7)]}).weight_monitor("input -> hid/den:1")
    assert "2 <- 7" in chosen.to_csv(tmp_path / "c.csv").read_text().splitlines()[0]
    _the_same_as_data_frames(recording, tmp_path)
    with pytest.raises(SettingsError, match=r"ending in \.csv"):
        recording.to_csv(tmp_path / "spikes.txt")
    with pytest.raises(DataError, match="no single spikes"):
        sleep_phase().to_csv(tmp_path / "none.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        monitor.to_csv(tmp_path / "file" / "a.csv")


def test_arrays_of_monitors(tmp_path):
    recording = sleep_phase(spikes="all", potentials={"hid/den:1": [3]}, weights="statistics")
    with np.load(recording.monitor("input").to_npz(tmp_path / "a.npz")) as file:
        np.testing.assert_array_equal(file["t"], recording.monitor("input").t)
        assert set(file.files) == {"i", "t", "count", "neurons", "dt", "duration"}
    with np.load(recording.rate_monitor("input").to_npz(tmp_path / "b.npz")) as file:
        np.testing.assert_array_equal(file["rate"], recording.rate_monitor("input").rate)
    with np.load(recording.state_monitor("hid/den:1").to_npz(tmp_path / "c.npz")) as file:
        assert file["v"].shape == (1, 1251)
    with np.load(recording.weight_monitor("input -> hid/den:1").to_npz(tmp_path / "d.npz")) as file:
        assert file["change"].shape == (2,)
    chosen = sleep_phase(weights={"input -> hid/den:1": [(2, 7)]}).weight_monitor("input -> hid/den:1")
    with np.load(chosen.to_npz(tmp_path / "e.npz")) as file:
        assert file["w"].shape == (1, 2)


def test_neo_objects_hold_the_same(tmp_path):
    import quantities as pq

    recording = sleep_phase(spikes="all", potentials={"hid/den:1": [3, 0]}, potentials_every=25)
    monitor = recording.monitor("hid/den:1")
    trains = monitor.to_neo()
    assert len(trains) == 6
    for k, train in enumerate(trains):
        np.testing.assert_array_equal(train.rescale("s").magnitude, monitor.spike_trains()[k])
        assert train.t_stop == 1.25 * pq.s and train.annotations["neuron"] == k
    v = recording.state_monitor("hid/den:1").to_neo()
    np.testing.assert_array_equal(v.magnitude, recording.state_monitor("hid/den:1").values())
    assert v.sampling_period.rescale("ms").item() == pytest.approx(25)
    rate = recording.rate_monitor("input").to_neo()
    np.testing.assert_array_equal(rate.magnitude[:, 0], recording.rate_monitor("input").rate[:2])
    block = recording.to_neo()
    assert len(block.segments[0].spiketrains) == 14 and len(block.segments[0].analogsignals) == 1
    for weights, channel in (("statistics", "change"), ({"input -> hid/den:1": [(2, 7), (0, 0)]}, "0 <- 0")):
        weighed = sleep_phase(weights=weights, weights_every=250)
        (signal,) = weighed.to_neo().segments[0].analogsignals
        np.testing.assert_array_equal(signal.magnitude, weighed.weight_monitor("input -> hid/den:1").values())
        assert signal.array_annotations["channel"][-1] == channel and len(signal.times) > 2
        assert signal.sampling_period.rescale("ms").item() == pytest.approx(250)
    silent = Recording(0, 0.001, {"a": np.zeros(2, np.int64)}, spikes={"a": SpikeEvents.empty(2)}).to_neo()
    assert [len(train) for train in silent.segments[0].spiketrains] == [0, 0]


def test_elephant_reads_what_goes_to_neo():
    from elephant.statistics import isi, mean_firing_rate

    from neurosleep.analysis import firing_rate
    from neurosleep.analysis import isi as ours

    monitor = sleep_phase(spikes="all").monitor("hid/den:1")
    for k, train in enumerate(monitor.to_neo()):
        np.testing.assert_allclose(isi(train).rescale("s").magnitude, ours(monitor)[k], atol=1e-12)
        assert mean_firing_rate(train).rescale("Hz").item() == pytest.approx(firing_rate(monitor)[k], abs=1e-9)


def test_a_missing_neo_says_how_to_install_it(monkeypatch):
    recording = sleep_phase(spikes="all")
    monkeypatch.setitem(sys.modules, "neo", None)
    for make in (recording.to_neo, recording.monitor("input").to_neo, recording.rate_monitor("input").to_neo):
        with pytest.raises(MissingExtraError, match=r'pip install "neurosleep\[neo\]"'):
            make()


MEMORY = """
import json, re, sys
import numpy as np
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Record, Recorder

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])

folder, chunks, per_step, n, steps = sys.argv[1], int(sys.argv[2]), 100, 1200, 1000
rng = np.random.default_rng(0)
neurons = (np.arange(per_step) * 12 + rng.integers(0, 12, (steps, per_step))).astype(np.int32).ravel()
chunk = {"a": SpikeEvents(n, np.arange(steps + 1, dtype=np.int64) * per_step, neurons)}
found = []
for count in (2, chunks):
    recorder = Recorder(Record(spikes="all", folder=f"{folder}/{count}"), {"a": n}, 0.001)
    for _ in range(count):
        recorder.add(chunk)
    recording = recorder.recording()
    found.append([peak(), recording.spikes["a"].count])
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
@pytest.mark.parametrize("chunks", [20, pytest.param(100, marks=pytest.mark.full)])
def test_ten_million_spikes_go_to_disk_and_not_into_memory(tmp_path, chunks):
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path), str(chunks)], capture_output=True, text=True, check=True
    )
    (few, _), (many, count) = json.loads(result.stdout)
    assert count == chunks * 100_000
    size = sum(path.stat().st_size for path in (tmp_path / str(chunks)).iterdir())
    print(f"{count} spikes: peak +{(many - few) / 2**20:.1f} MiB, {size / 2**20:.1f} MiB on disk")
    assert many - few < 4 * 2**20 and size < 5 * count
