"""A run's folder: files are written whole or not at all, one process at a time, and a stored phase can be resumed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from neurosleep import _files
from neurosleep._checks import check_count
from neurosleep.continual import Progress
from neurosleep.errors import RunFolderError, SettingsError
from neurosleep.experiments.inside import check_inside, check_tree, is_there, read_text
from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.metrics_file import read_json, read_metrics
from neurosleep.experiments.plain import PlainTable
from neurosleep.experiments.sums import SUMS, sums_of
from neurosleep.experiments.typed import as_typed

__all__ = ["Origin", "RunFolder", "write_whole"]

# What reading a damaged bundle raises: its header may name types that this torch does not have, and shapes larger than
# the memory.
_DAMAGED = (SafetensorError, ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
# Files that are read or written by name.
_FILES = ("metrics.json", "config.toml", "environment.json", "accuracy.csv", "lock", "resume/bundle.safetensors", SUMS)
# What bundles call the list of sleep phases.
_SLEEPS = "nights"
# What WeightSamples hold of a whole weight matrix, in this order.
_STATISTICS = ("mean", "sd", "smallest", "largest", "change")


def write_whole(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file of a run, whole or not at all; missing folders are made.

    Raises
    ------
    RunFolderError
        If it cannot be written: a file in the way, no permission, a full disk.

    See Also
    --------
    RunFolder : the folder of a run

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from neurosleep.experiments import write_whole
    >>> with tempfile.TemporaryDirectory() as out:
    ...     write_whole(f"{out}/notes/first.txt", "forgets")
    ...     print(Path(out, "notes", "first.txt").read_text())
    forgets
    """
    _files.write_whole(path, content, hint="choose another folder with --out, or free some space")


class Origin(TypedDict, total=False):
    """What a run is made with: versions of packages, the data's content, and what was other when it was resumed."""

    versions: dict[str, str | None]
    data: str
    changed: list[str]


class RunFolder:
    """One run's folder and the files in it.

    Parameters
    ----------
    path:
        The folder.
    root:
        What links must not lead out of, such as the output folder; else the folder itself.

    Attributes
    ----------
    origin:
        What the run goes on with, as JSON holds it, and what was other when it was resumed (``versions``, ``data``,
        ``changed``); it is stored with every phase, and read with the stored one.

    See Also
    --------
    run_one : writes one
    collect_metrics : the metrics of several

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from neurosleep.experiments import RunFolder
    >>> with tempfile.TemporaryDirectory() as out:
    ...     print(RunFolder(Path(out, "src2022", "mnist", "src", "seed0")).finished)
    False
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        self.path = path
        self.root = path if root is None else root
        self.origin: Origin = {}

    @property
    def finished(self) -> bool:
        """Whether the run has its metrics."""
        return self.has("metrics.json")

    def has(self, name: str) -> bool:
        """Whether a file is there; anything else in its place is refused."""
        return is_there(self.path / name)

    def check(self) -> None:
        """Refuse a folder that leads out of its root, or holds a pipe, a device or the like."""
        check_inside(self.path, self.root)
        if self.path.is_dir():
            check_tree(self.path, self.root)
            for name in _FILES:
                is_there(self.path / name)

    @contextmanager
    def locked(self, patience: float = 0.0) -> Iterator[None]:
        """Keep other processes out of the folder, which is made if need be; wait so many seconds for one in it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = _files.take_lock(self.path / "lock", wait=patience)
        except OSError as error:
            raise RunFolderError(
                f"The run folder {str(self.path)!r} cannot be made.",
                found=error.strerror or str(error),
                hint="choose another folder with --out",
            ) from error
        if lock is None:
            raise RunFolderError(
                f"Another process is writing to the run folder {str(self.path)!r}.",
                hint="wait for it to end, or choose another folder with --out",
            )
        try:
            yield
        finally:
            lock.release()

    def write_json(self, name: str, content: Mapping[str, object]) -> None:
        """Write one JSON file; numbers that are not finite are refused, as they are not JSON."""
        write_whole(self.path / name, _json_text(content))

    def metrics(self) -> Metrics:
        """The metrics of a finished run."""
        return read_metrics(self.path / "metrics.json", self.root)

    def environment(self) -> PlainTable:
        """Where and with what the run was started."""
        return read_json(self.path / "environment.json", self.root)

    def write_metrics(self, metrics: Metrics) -> None:
        """Write what says that the folder is complete, after the sums of all that the run wrote."""
        content = _json_text(metrics)
        write_whole(self.path / SUMS, sums_of(self.path, content.encode()))
        write_whole(self.path / "metrics.json", content)

    def save_bundle(self, tensors: Mapping[str, Tensor], progress: Progress, config: str) -> None:
        """Store everything that the next phase needs, in one file."""
        metadata = {
            "progress": json.dumps(_renamed(dataclasses.asdict(progress), {"sleeps": _SLEEPS})),
            "config": config,
            "origin": json.dumps(self.origin),
        }
        metadata["checksum"] = _checksum(tensors, metadata)
        content = save_tensors({key: value.contiguous() for key, value in tensors.items()}, metadata)
        write_whole(self.path / "resume" / "bundle.safetensors", content)

    def load_bundle(self, config: str, *, unchecked: bool = False) -> tuple[dict[str, Tensor], Progress] | None:
        """What :meth:`save_bundle` stored last, or None; refuses what was damaged since, and other settings.

        A stored state without a checksum, as earlier versions left them, is read only if ``unchecked`` allows it.
        """
        path = self.path / "resume" / "bundle.safetensors"
        if not is_there(path):
            return None
        try:
            with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call, unused-ignore]
                metadata = file.metadata() or {}
                # Copies lie in memory as new tensors do; at another alignment matrix products round differently.
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            stored = metadata.get("checksum")
            if stored is not None and stored != _checksum(tensors, metadata):
                raise ValueError("its checksum is not that of its content")
            if stored is None and not unchecked:
                raise RunFolderError(
                    f"The stored state in {str(path)!r} has no checksum, so that damage could not be seen.",
                    found="a file of an earlier version, or a damaged one",
                    hint="--force goes on with it all the same; else start the run anew",
                )
            progress = _progress(json.loads(metadata["progress"]))
            origin: Origin = json.loads(metadata.get("origin", "{}"))
            if not isinstance(origin, dict):
                raise ValueError("its origin is no table")
            other = metadata["config"] != config
        except RunFolderError:
            raise
        except (*_DAMAGED, SettingsError) as error:
            reason = error.message if isinstance(error, SettingsError) else f"{error}"
            raise RunFolderError(
                f"The stored state in {str(path)!r} cannot be read.", found=reason[:200], hint="start the run anew"
            ) from error
        if other:
            raise self._other_settings()
        self.origin = origin
        return tensors, progress

    def check_config(self, config: str) -> None:
        """Refuse a run of other settings, where the folder says which it had."""
        path = self.path / "config.toml"
        if is_there(path) and read_text(path) != config:
            raise self._other_settings()

    def _other_settings(self) -> RunFolderError:
        return RunFolderError(
            f"The run in {str(self.path)!r} was started with other settings.",
            hint="give the same settings to --resume, or choose another folder with --out",
        )

    def write_accuracy(self, progress: Progress) -> None:
        """accuracy.csv: one row per phase and task, tasks counted from 1."""
        rows = ["after_task,phase,on_task,accuracy"]
        slept = {phase["task"] for phase in progress.sleeps}
        for k, before in enumerate(progress.before_sleep):
            rows += [f"{k + 1},wake,{j + 1},{value!r}" for j, value in enumerate(before)]
            if k in slept:
                rows += [f"{k + 1},sleep,{j + 1},{value!r}" for j, value in enumerate(progress.after[k])]
        write_whole(self.path / "accuracy.csv", "\n".join(rows) + "\n")

    def write_training(self, progress: Progress) -> None:
        """training.csv: mean loss and accuracy on the training batches of each epoch, tasks counted from 1."""
        rows = ["task,epoch,loss,accuracy"]
        for epoch in progress.epochs:
            known = ["" if epoch[key] is None else repr(epoch[key]) for key in ("loss", "accuracy")]
            rows.append(",".join((str(epoch["task"] + 1), str(epoch["epoch"]), *known)))
        if len(rows) > 1:
            write_whole(self.path / "training.csv", "\n".join(rows) + "\n")

    def write_confusion(self, progress: Progress) -> None:
        """confusion.csv: number of test images of each class by answer, as the run left the network."""
        rows = ["class,answer,images", *(",".join(map(str, row)) for row in progress.answers)]
        if len(rows) > 1:
            write_whole(self.path / "confusion.csv", "\n".join(rows) + "\n")

    def write_firing(self, progress: Progress) -> None:
        """firing.csv: spikes of each population in windows of the sleeps, if any were counted."""
        rows = ["after_task,population,neurons,start_step,steps,spikes"]
        for phase in progress.sleeps:
            for name, counts in phase["windows"].items():
                for w, spikes in enumerate(counts):
                    start = w * phase["window"]
                    length = min(phase["window"], phase["steps"] - start)
                    rows.append(f"{phase['task'] + 1},{name},{phase['sizes'][name]},{start},{length},{spikes}")
        if len(rows) > 1 or any(phase["windows"] for phase in progress.sleeps):
            write_whole(self.path / "firing.csv", "\n".join(rows) + "\n")

    def write_weights(self, progress: Progress, dt: float) -> None:
        """weights.csv: statistics of the weights of each projection through the sleeps, if they were recorded."""
        rows = ["after_task,projection,time_s," + ",".join(_STATISTICS)]
        for phase in progress.sleeps:
            for name, samples in phase.get("weights", {}).items():
                for step, values in zip(samples["steps"], samples["values"], strict=True):
                    # A sleep phase that diverged may have left the finite numbers; those are not JSON, and here empty.
                    known = ["" if value is None or not math.isfinite(value) else repr(value) for value in values]
                    rows.append(f"{phase['task'] + 1},{name},{round(step * dt, 9)}," + ",".join(known))
        if len(rows) > 1:
            write_whole(self.path / "weights.csv", "\n".join(rows) + "\n")


def tensors_of(weights: list[Tensor], velocity: list[Tensor]) -> dict[str, Tensor]:
    """Weights and momentum by name, as the bundle stores them."""
    named = {f"weight{k}": w.detach().clone() for k, w in enumerate(weights)}
    return named | {f"velocity{k}": v.clone() for k, v in enumerate(velocity)}


def restore(tensors: Mapping[str, Tensor], weights: list[Tensor], velocity: list[Tensor]) -> None:
    """Put stored weights and momentum back in place; refuses those of another network."""
    with torch.no_grad():
        for name, places in (("weight", weights), ("velocity", velocity)):
            for k, place in enumerate(places):
                stored = tensors.get(f"{name}{k}")
                if stored is None or stored.shape != place.shape or stored.dtype != place.dtype:
                    raise RunFolderError(
                        "The stored state is that of another network.",
                        found=f"{name}{k}: {None if stored is None else tuple(stored.shape)}",
                        expected=f"{tuple(place.shape)}, {place.dtype}",
                        hint="start the run anew",
                    )
                place.copy_(stored)


def _json_text(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of everything in a stored state but the checksum itself."""
    digest = hashlib.sha256()
    for key, text in sorted(metadata.items()):
        if key != "checksum":
            digest.update(json.dumps([key, text]).encode())
    for key, tensor in sorted(tensors.items()):
        digest.update(json.dumps([key, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _renamed(table: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    return {names.get(key, key): value for key, value in table.items()}


def _progress(stored: object) -> Progress:
    """The progress that JSON holds, with types and numbers of rows that it can go on with; else an error."""
    if not isinstance(stored, dict):
        raise ValueError("its progress is no table")
    progress = as_typed("progress", Progress, _renamed(stored, {_SLEEPS: "sleeps"}))
    ended = check_count("progress.task", progress.task, 0) + (progress.phase == "sleep"), progress.task
    if (len(progress.before_sleep), len(progress.after)) != ended:
        raise ValueError(f"it has {len(progress.before_sleep)} and {len(progress.after)} rows, not {ended}")
    return progress
