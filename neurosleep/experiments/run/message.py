"""Requests of runs, and errors of them, as JSON: what client and workers of a cluster say to each other."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any, TypedDict

from neurosleep import errors
from neurosleep.errors import NeurosleepError, SettingsError
from neurosleep.experiments.experiment import Table
from neurosleep.experiments.plain import PlainTable
from neurosleep.experiments.reading import experiment_from
from neurosleep.experiments.run.commit import own_commit
from neurosleep.experiments.run.origin import COUNTED, versions
from neurosleep.experiments.run.request import RunRequest

__all__ = ["Message", "Side", "differing", "error_message", "message_of", "own_side", "read_error", "request_from"]


class Side(TypedDict):
    """What client and worker must agree on: versions of Python and packages, and the commit, where one is known."""

    versions: dict[str, str | None]
    commit: str | None


class Message(TypedDict):
    """A request as JSON, and beside it the SHA-256 of the data that it is for."""

    experiment: str
    variant: str
    strategy: str
    seed: int
    settings: Table
    folder: str | None
    command: str
    force: bool
    figures: bool
    data: str


def own_side() -> Side:
    """What this process runs with."""
    return {"versions": versions(), "commit": own_commit()}


def differing(client: Side, worker: Side) -> list[str]:
    """What a worker has otherwise than its client, as far as it may change numbers.

    >>> client = {"versions": {"torch": "2.6.0"}, "commit": None}
    >>> differing(client, {"versions": {"torch": "2.5.1"}, "commit": None})
    ['torch 2.5.1, not 2.6.0']
    """
    theirs, ours = worker["versions"], client["versions"]
    found = [
        f"{name} {theirs.get(name) or 'missing'}, not {ours.get(name) or 'missing'}"
        for name in COUNTED
        if theirs.get(name) != ours.get(name)
    ]
    # Not whether files were changed since: that may be a note beside the code.
    commits = [side["commit"].removesuffix("-dirty") for side in (worker, client) if side["commit"] is not None]
    if len(set(commits)) == 2:
        found.append(f"neurosleep at commit {commits[0]}, not {commits[1]}")
    return found


def message_of(request: RunRequest, data: str) -> Message:
    """The request as JSON; the command without the client's data folder.

    Raises
    ------
    SettingsError
        If the settings are more than a file of settings can hold.
    """
    table = request.settings.table()
    if experiment_from(table) != request.settings:
        raise SettingsError(
            "The settings cannot be sent to other machines.",
            expected="such as a file can hold, as load_settings and apply_changes give them",
        )
    command = request.command.replace(request.data, "DATA") if request.data else request.command
    return {
        **request.name,
        "settings": table,
        "folder": request.data,
        "command": command,
        "force": request.force,
        "figures": request.figures,
        "data": data,
    }


def request_from(message: Mapping[str, Any], folder: str | None, out: str, *, resume: bool) -> RunRequest:
    """The request that a message holds, with data and output folders of this machine."""
    experiment, variant, strategy = (str(message[key]) for key in ("experiment", "variant", "strategy"))
    settings, command = experiment_from(message["settings"]), str(message["command"])
    force, figures = bool(message["force"]), bool(message["figures"])
    return RunRequest(
        experiment, variant, strategy, int(message["seed"]), settings, folder, out, resume, command, force, figures
    )


def error_message(error: Exception) -> PlainTable:
    """An error as JSON: of a usage error all that it says, of an internal one where it was."""
    if isinstance(error, NeurosleepError):
        said: PlainTable = {key: getattr(error, key) for key in ("message", "found", "expected", "hint")}
        # The nearest class that the other side can be expected to have.
        kind = next(one.__name__ for one in type(error).__mro__ if one.__name__ in errors.__all__)
        return {"type": kind, **said}
    return {"type": None, "message": "".join(traceback.format_exception(error))}


def read_error(message: Mapping[str, Any]) -> Exception:
    """The error that a worker sent; a usage error is of the class that it was of there."""
    kind = getattr(errors, str(message.get("type")), None) if message.get("type") in errors.__all__ else None
    if not (isinstance(kind, type) and issubclass(kind, NeurosleepError)):
        return RuntimeError(f"A worker of the cluster ended with an internal error:\n{message.get('message')}")
    return kind(str(message["message"]), **{key: message.get(key) for key in ("found", "expected", "hint")})
