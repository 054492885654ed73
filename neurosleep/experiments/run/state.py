"""What a run goes on from, and what it is written with: the bundle of the last phase, versions, data and command."""

from __future__ import annotations

import platform

import torch

from neurosleep.continual import Progress
from neurosleep.data import Task
from neurosleep.errors import RunFolderError
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.run.commit import own_commit
from neurosleep.experiments.run.origin import differences, fingerprint, versions
from neurosleep.experiments.run.request import RunRequest
from neurosleep.experiments.run_folder import Origin, RunFolder

__all__ = ["DT", "environment_of", "stored_state"]

#: Length in seconds of a step of every experiment.
DT = 0.001


def environment_of(request: RunRequest, origin: Origin) -> dict[str, object]:
    """Where and with what a run is made."""
    command = request.command
    if request.data:
        command = command.replace(request.data, "DATA")
    return {
        "versions": origin["versions"],
        "data": origin["data"],
        "device": request.settings.device,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "commit": own_commit(),
        "command": command,
        "dt": DT,
        **({"resumed_with": origin["changed"]} if origin["changed"] else {}),
    }


def stored_state(
    request: RunRequest, folder: RunFolder, tasks: list[Task]
) -> tuple[dict[str, torch.Tensor], Progress] | None:
    """What the run goes on from, if anything, and in ``folder.origin`` what it goes on with.

    Raises
    ------
    RunFolderError
        If the state is damaged, or the data or the packages are others than it was started with, without ``force``.
    """
    config = dump_toml(request.settings)
    present: Origin = {"versions": versions(), "data": fingerprint(tasks)}
    finished = request.resume and folder.finished
    stored = folder.load_bundle(config, unchecked=request.force) if request.resume and not finished else None
    environment = folder.environment() if (stored or finished) and folder.has("environment.json") else {}
    if finished:
        # It is not gone on with, so that it may be of another version; its numbers are of its own data.
        differing = differences({**environment, "versions": present["versions"]}, present)
        if differing and not request.force:
            raise _other_origin(folder, differing)
        return None
    changed: list[str] = []
    if stored is not None:
        folder.check_config(config)
        started = folder.origin
        if not started:
            differing = ["the stored state has no checksum"]
        else:
            differing = [*differences(started, present), *differences(environment, present)]
        differing = list(dict.fromkeys(differing))
        if differing and not request.force:
            raise _other_origin(folder, differing)
        changed = [*started.get("changed", []), *differing]
    folder.origin = {**present, "changed": changed}
    return stored


def _other_origin(folder: RunFolder, found: list[str]) -> RunFolderError:
    return RunFolderError(
        f"The run in {str(folder.path)!r} was started with other data or packages.",
        found="; ".join(found),
        hint="bring them back, choose another folder with --out, or go on all the same with --force",
    )
