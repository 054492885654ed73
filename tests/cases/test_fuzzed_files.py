"""Files with bytes set, turned, cut out, doubled or made huge: each is read rightly or refused, and nothing worse.

What is promised of a file that is read although it was changed depends on its format:

- ``equal``: every number is under a checksum (ours in ``.safetensors``, CRC-32 in ``.npz`` and ``.gz``, Adler-32 in
  packed MATLAB files), so the numbers are those of the undamaged file.
- ``sound``: the format has no checksum, so a changed byte of a number is another number that nobody can tell. What is
  read is whole and finite; for idx files a warning says that the file is not the published one.

For all: no crash, no exception but ours, at most 10 s of processor time and 2 GB of memory.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import resource
import struct
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.data import load_dataset
from neurosleep.errors import NeurosleepError
from neurosleep.exchange import read_calibration
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Conv, Dense, Population, Record, Recorder, SpikingNetwork

Numbers = list[np.ndarray[Any, Any]]

DRAW = np.random.default_rng(0)
FEATURES = {
    "train_x": DRAW.random((20, 3)),
    "train_y": np.arange(20) % 4,
    "test_x": DRAW.random((8, 3)),
    "test_y": np.arange(8) % 4,
}
MATLAB = {name: values + 1 if name.endswith("y") else values for name, values in FEATURES.items()}


# --- how each file is made --------------------------------------------------------------------------------------------


def saved(make: Callable[[], Any], name: str, **options: Any) -> Callable[[Path], bytes]:
    return lambda folder: ns.save(make(), folder / name, **options).read_bytes()


def spiking() -> SpikingNetwork:
    populations = (Population("in", "input", (4,)), Population("a", "lif", (3,), threshold=torch.ones(3), decay=0.5))
    return SpikingNetwork(populations, (Dense("in", "a", torch.rand(3, 4)),))


def graph() -> SpikingNetwork:
    populations = (
        Population("in", "input", (1, 4, 4)),
        Population("a", "lif", (2, 4, 4), decay=0.9),
        Population("b", "cuba_lif", (3,), decay=0.5, synaptic_decay=0.25),
        Population("c", "li", (2,), decay=0.5),
    )
    conv = Conv("in", "a", torch.rand(2, 1, 3, 3), padding=(1, 1))
    loop = Dense("b", "b", torch.rand(3, 3), delay=1)
    rest = (Dense("a", "b", torch.rand(3, 32)), loop, Dense("b", "c", torch.rand(2, 3)))
    return SpikingNetwork(populations, (conv, *rest))


def layers() -> nn.Module:
    head = (nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.AvgPool2d(2))
    return nn.Sequential(*head, nn.Flatten(), nn.Linear(8, 3))


def pt(folder: Path) -> bytes:
    stream = io.BytesIO()
    torch.save(nn.Linear(3, 2).state_dict(), stream)
    return stream.getvalue()


def npz(packed: bool) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        stream = io.BytesIO()
        (np.savez_compressed if packed else np.savez)(stream, allow_pickle=False, **FEATURES)
        return stream.getvalue()

    return make


def recording(folder: Path) -> bytes:
    steps, neurons = np.array([0, 3, 3, 9]), np.array([1, 0, 2, 1])
    events = {name: SpikeEvents.from_times(steps, neurons, steps=20, n=3) for name in ("in", "a")}
    recorder = Recorder(Record(spikes="all"), {"in": 3, "a": 3}, 0.001)
    recorder.add(events)
    return recorder.recording().to_npz(folder / "r.npz").read_bytes()


def npy(folder: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, FEATURES["train_x"])
    return stream.getvalue()


def mat(level: str, packed: bool) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        stream = io.BytesIO()
        scipy = pytest.importorskip("scipy.io")
        scipy.savemat(stream, MATLAB | ({} if level == "4" else {"s": {"a": 1}}), format=level, do_compression=packed)
        return stream.getvalue()

    return make


def mat73(folder: Path) -> bytes:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "made.mat", "w", userblock_size=512) as file:
        for name, values in MATLAB.items():
            file.create_dataset(name, data=values.T, compression="gzip" if name.endswith("x") else None)
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
        file.create_group("#refs#")
    return (folder / "made.mat").read_bytes()


def idx(name: str, count: int, seed: int) -> bytes:
    if "labels" in name:
        return struct.pack(">II", 2049, count) + bytes(k % 10 for k in range(count))
    values = np.random.default_rng(seed).integers(0, 256, (count, 3, 4), np.uint8)
    return struct.pack(">4I", 2051, *values.shape) + values.tobytes()


def idx_set(ending: str) -> Callable[[Path], bytes]:
    """Writes the whole set; the bytes are those of the training images."""

    def make(folder: Path) -> bytes:
        content = b""
        (folder / "MNIST").mkdir(exist_ok=True)
        for k, name in enumerate(("train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1", "train-images-idx3")):
            raw = idx(name, 30 if "train" in name else 20, k)
            content = gzip.compress(raw, mtime=0) if ending else raw
            (folder / "MNIST" / f"{name}-ubyte{ending}").write_bytes(content)
        return content

    return make


# --- and read ---------------------------------------------------------------------------------------------------------


def numbers(found: Any) -> Numbers:
    """All numbers of what was read."""
    if isinstance(found, nn.Module):
        return [values.numpy() for values in found.state_dict().values()]
    if isinstance(found, SpikingNetwork):
        parameters = [
            torch.as_tensor(value).numpy()
            for p in found.populations
            for value in (p.threshold, p.decay, p.leak, p.reset_value, p.bias, p.synaptic_decay, p.refractory)
        ]
        rest = [np.array([q.scale, q.delay]) for q in found.projections]
        return [*(w.numpy() for w in found.weights), *parameters, *rest, np.array(found.dt)]
    if isinstance(found, Tensor):
        return [found.numpy()]
    if isinstance(found, ns.Recording):
        return [
            np.array([found.steps, found.dt, found.window]),
            *(part for events in found.spikes.values() for part in (events.offsets, events.indices)),
            *found.counts.values(),
            *found.windows.values(),
        ]
    return [found.images, found.labels, found.test_images, found.test_labels]


@dataclass(frozen=True)
class Kind:
    make: Callable[[Path], bytes]
    name: str
    read: Callable[[Path], Any]
    promise: str
    repack: Callable[[bytes, random.Random], bytes] | None = None


def features(path: Path) -> Any:
    return load_dataset(f"features:{path}")


def published(path: Path) -> Any:
    root = path.parent.parent
    return load_dataset("mnist", root, download=False, cache=root / "cache")


def inside_npz(content: bytes, draw: random.Random) -> bytes:
    """One member changed, and packed again with a checksum that is right."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        chosen = draw.choice(old.namelist())
        for name in old.namelist():
            new.writestr(name, mutated(old.read(name), draw) if name == chosen else old.read(name))
    return stream.getvalue()


def inside_gzip(content: bytes, draw: random.Random) -> bytes:
    return gzip.compress(mutated(gzip.decompress(content), draw), mtime=0)


IMAGES = "MNIST/train-images-idx3-ubyte"
KINDS = {
    "safetensors": Kind(saved(spiking, "n.safetensors"), "f.safetensors", ns.load, "equal"),
    "mlp": Kind(saved(lambda: ns.MLP([5, 4, 3], dropout=0.2), "m.safetensors"), "f.safetensors", ns.load, "equal"),
    "onnx": Kind(saved(layers, "n.onnx", input_shape=(1, 4, 4)), "f.onnx", ns.load, "sound"),
    "nir": Kind(saved(spiking, "n.nir"), "f.nir", ns.load, "sound"),
    "nir-graph": Kind(saved(graph, "n.nir"), "f.nir", ns.load, "sound"),
    "pt": Kind(pt, "f.pt", lambda path: ns.load(path, nn.Linear(3, 2)), "sound"),
    "npz": Kind(npz(True), "f.npz", features, "equal"),
    "npz-stored": Kind(npz(False), "f.npz", features, "equal"),
    "npz-inside": Kind(npz(True), "f.npz", features, "sound", inside_npz),
    "recording": Kind(recording, "f.npz", ns.Recording.open, "equal"),
    "recording-inside": Kind(recording, "f.npz", ns.Recording.open, "sound", inside_npz),
    "npy": Kind(npy, "f.npy", read_calibration, "sound"),
    "mat5": Kind(mat("5", False), "f.mat", features, "sound"),
    "mat5-packed": Kind(mat("5", True), "f.mat", features, "equal"),
    "mat4": Kind(mat("4", False), "f.mat", features, "sound"),
    "mat73": Kind(mat73, "f.mat", features, "sound"),
    "idx": Kind(idx_set(""), IMAGES, published, "sound"),
    "idx-gz": Kind(idx_set(".gz"), f"{IMAGES}.gz", published, "equal"),
    "idx-gz-inside": Kind(idx_set(".gz"), f"{IMAGES}.gz", published, "sound", inside_gzip),
}


# --- changing them ----------------------------------------------------------------------------------------------------

HUGE = (
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0" * 8,
    b"9" * 12,
    b"-1",
    b"NaN",
    b"\x80" * 9,
    b"[[[[",
)


def mutated(content: bytes, draw: random.Random) -> bytes:
    """One to four changes; often at the start, where most files say what they are."""
    data = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        at = draw.randrange(min(len(data), draw.choice([200, len(data) or 1]))) if data else 0
        end = min(len(data), at + draw.choice([1, 2, 4, 8, 16]))
        kind = draw.randrange(8)
        if kind == 0 and data:
            data[at] = draw.randrange(256)
        elif kind in (1, 2) and data:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 3:
            del data[at:end]
        elif kind == 4:
            data[at:at] = data[at:end] * draw.choice([1, 2, 50])
        elif kind == 5:
            data[at:end] = draw.randbytes(end - at)
        elif kind == 6:
            value = draw.choice(HUGE)
            data[at : at + len(value)] = value
        elif draw.random() < 0.5:
            other = draw.randrange(len(data) or 1)
            data[at:end] = data[other : other + end - at]
        elif draw.random() < 0.3:
            del data[at:]
    return bytes(data)


def fuzz(kind: Kind, label: str, count: int, folder: Path) -> dict[str, Any]:
    """What became of ``count`` changed files; runs in a child of its own."""
    path = folder / kind.name
    whole = kind.make(folder)
    path.write_bytes(whole)
    expected = numbers(kind.read(path))
    result: dict[str, Any] = {"read": 0, "refused": 0, "wrong": [], "longest": 0.0}
    for number in range(count):
        draw = random.Random(f"{label} {number}")
        path.write_bytes((kind.repack or mutated)(whole, draw))
        start = time.process_time()
        try:
            found = numbers(kind.read(path))
        except NeurosleepError as error:
            result["refused"] += 1
            if len(str(error)) > 5000:
                result["wrong"].append([number, "a message of more than 5000 characters"])
        except BaseException:
            result["wrong"].append([number, traceback.format_exc()[-1500:]])
        else:
            result["read"] += 1
            same = len(found) == len(expected) and all(map(np.array_equal, found, expected))
            if kind.promise == "equal" and not same:
                result["wrong"].append([number, "other numbers without a word"])
            elif not all(np.isfinite(values).all() for values in found):
                result["wrong"].append([number, "numbers that are not finite"])
        result["longest"] = max(result["longest"], time.process_time() - start)
    result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # kilobytes to GB
    return result


def in_child(kind: Kind, label: str, count: int, folder: Path) -> dict[str, Any]:
    """:func:`fuzz` in a fork, so that a crash is a finding and the memory is its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads of others, which the child does not need
        child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", UserWarning)  # ours, of graphs that were changed and files not published
            torch.set_num_threads(1)
            (folder / "result.json").write_text(json.dumps(fuzz(kind, label, count, folder)))
        except BaseException:
            (folder / "error.txt").write_text(traceback.format_exc())
        finally:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the reader died by signal {status & 127}"
    assert not (folder / "error.txt").exists(), (folder / "error.txt").read_text()
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def check(label: str, count: int, folder: Path) -> None:
    kind = KINDS[label]
    for module in ("onnx", "nir", "h5py", "scipy"):
        if label.startswith({"h5py": "mat73", "scipy": "mat"}.get(module, module)):
            pytest.importorskip(module)
    result = in_child(kind, label, count, folder)
    print(label, {key: value for key, value in result.items() if key != "wrong"})
    assert not result["wrong"], result["wrong"][:3]
    assert result["read"] + result["refused"] == count
    assert result["refused"] > count // 10  # the changes do damage
    assert result["longest"] < 10 and result["memory"] < 2


@pytest.mark.parametrize("label", KINDS)
def test_a_hundred_changed_files(label: str, tmp_path: Path) -> None:
    check(label, 100, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("label", KINDS)
def test_three_thousand_changed_files(label: str, tmp_path: Path) -> None:
    check(label, 3000, tmp_path)
