"""A run's folder: files are written whole or not at all, one process at a time, and a stored phase can be resumed."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from neurosleep._files import discard, temporary_beside
from neurosleep.continual import Progress
from neurosleep.errors import RunFolderError

__all__ = ["RunFolder", "write_whole"]

# What WeightSamples hold of a whole weight matrix, in this order.
_STATISTICS = ("mean", "sd", "smallest", "largest", "change")


def write_whole(path: Path, content: bytes | str) -> None:
    """Write ``content`` to a temporary name and rename it, so that ``path`` never holds half of it.

    Raises
    ------
    RunFolderError
        If it cannot be written: a file in the way, no permission, a full disk.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        discard(temporary)
        raise RunFolderError(
            f"{path.name} cannot be written in {str(path.parent)!r}.",
            found=error.strerror or str(error),
            hint="choose another folder with --out, or free some space",
        ) from error


class RunFolder:
    """One run's folder and the files in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def finished(self) -> bool:
        """Whether the run has its metrics."""
        return (self.path / "metrics.json").is_file()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder, which is made if need be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("w")
        except OSError as error:
            raise RunFolderError(
                f"The run folder {str(self.path)!r} cannot be made.",
                found=error.strerror or str(error),
                hint="choose another folder with --out",
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunFolderError(
                    f"Another process is writing to the run folder {str(self.path)!r}.",
                    hint="wait for it to end, or choose another folder with --out",
                ) from error
            yield

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write one JSON file; numbers that are not finite are refused, as they are not JSON."""
        write_whole(self.path / name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def metrics(self) -> dict[str, Any]:
        """The metrics of a finished run."""
        found: dict[str, Any] = json.loads((self.path / "metrics.json").read_text(encoding="utf-8"))
        return found

    def save_bundle(self, tensors: Mapping[str, Tensor], progress: Progress, config: str) -> None:
        """Store everything that the next phase needs, in one file."""
        metadata = {"progress": json.dumps(dataclasses.asdict(progress)), "config": config}
        content = save_tensors({key: value.contiguous() for key, value in tensors.items()}, metadata)
        write_whole(self.path / "resume" / "bundle.safetensors", content)

    def load_bundle(self, config: str) -> tuple[dict[str, Tensor], Progress] | None:
        """What :meth:`save_bundle` stored last, or None; refuses a bundle of other settings."""
        path = self.path / "resume" / "bundle.safetensors"
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call, unused-ignore]
                metadata = file.metadata()
                # Copies lie in memory as new tensors do; at another alignment matrix products round differently.
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            progress = Progress(**json.loads(metadata["progress"]))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise RunFolderError(
                f"The stored state in {str(path)!r} cannot be read.", found=str(error), hint="start the run anew"
            ) from error
        if metadata["config"] != config:
            raise self._other_settings()
        return tensors, progress

    def check_config(self, config: str) -> None:
        """Refuse a finished run of other settings, where the folder says which it had."""
        path = self.path / "config.toml"
        if path.is_file() and path.read_text(encoding="utf-8") != config:
            raise self._other_settings()

    def _other_settings(self) -> RunFolderError:
        return RunFolderError(
            f"The run in {str(self.path)!r} was started with other settings.",
            hint="give the same settings to --resume, or choose another folder with --out",
        )

    def write_accuracy(self, progress: Progress) -> None:
        """accuracy.csv: one row per phase and task, tasks counted from 1."""
        rows = ["after_task,phase,on_task,accuracy"]
        slept = {night["task"] for night in progress.nights}
        for k, before in enumerate(progress.before_sleep):
            rows += [f"{k + 1},wake,{j + 1},{value!r}" for j, value in enumerate(before)]
            if k in slept:
                rows += [f"{k + 1},sleep,{j + 1},{value!r}" for j, value in enumerate(progress.after[k])]
        write_whole(self.path / "accuracy.csv", "\n".join(rows) + "\n")

    def write_firing(self, progress: Progress) -> None:
        """firing.csv: spikes of each population in windows of the sleeps."""
        rows = ["after_task,population,neurons,start_step,steps,spikes"]
        for night in progress.nights:
            for name, counts in night["windows"].items():
                for w, spikes in enumerate(counts):
                    start = w * night["window"]
                    length = min(night["window"], night["steps"] - start)
                    rows.append(f"{night['task'] + 1},{name},{night['sizes'][name]},{start},{length},{spikes}")
        write_whole(self.path / "firing.csv", "\n".join(rows) + "\n")

    def write_weights(self, progress: Progress, dt: float) -> None:
        """weights.csv: statistics of the weights of each projection through the sleeps, if they were recorded."""
        rows = ["after_task,projection,time_s," + ",".join(_STATISTICS)]
        for night in progress.nights:
            for name, samples in night.get("weights", {}).items():
                for step, values in zip(samples["steps"], samples["values"], strict=True):
                    # A night that diverged may have left the finite numbers; those are not JSON, and here empty.
                    known = ["" if value is None or not math.isfinite(value) else repr(value) for value in values]
                    rows.append(f"{night['task'] + 1},{name},{round(step * dt, 9)}," + ",".join(known))
        if len(rows) > 1:
            write_whole(self.path / "weights.csv", "\n".join(rows) + "\n")

    def write_spikes(self, task: int, arrays: Mapping[str, Any]) -> None:
        """spikes/task<k>.npz: the recorded spikes of one sleep as sparse events; ``Recording.open`` reads them."""
        import io

        buffer = io.BytesIO()
        np.savez_compressed(buffer, **dict(arrays))
        write_whole(self.path / "spikes" / f"task{task + 1}.npz", buffer.getvalue())


def tensors_of(weights: list[Tensor], velocity: list[Tensor]) -> dict[str, Tensor]:
    """Weights and momentum by name, as the bundle stores them."""
    named = {f"weight{k}": w.detach().clone() for k, w in enumerate(weights)}
    return named | {f"velocity{k}": v.clone() for k, v in enumerate(velocity)}


def restore(tensors: Mapping[str, Tensor], weights: list[Tensor], velocity: list[Tensor]) -> None:
    """Put stored weights and momentum back in place."""
    with torch.no_grad():
        for name, places in (("weight", weights), ("velocity", velocity)):
            for k, place in enumerate(places):
                place.copy_(tensors[f"{name}{k}"])
