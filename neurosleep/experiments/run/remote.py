"""A run on a worker of a cluster: a parcel comes in, a parcel goes out, and nothing stays on the worker's disk."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurosleep._files import write_whole
from neurosleep.data import Task
from neurosleep.data._shelves import ENVIRONMENT
from neurosleep.errors import DataError, NeurosleepError
from neurosleep.experiments.run.check import check_data, check_request
from neurosleep.experiments.run.message import Message, differing, error_message, own_side, request_from
from neurosleep.experiments.run.one import run_plan
from neurosleep.experiments.run.origin import fingerprint
from neurosleep.experiments.run.request import RunRequest
from neurosleep.experiments.schedule.on_worker import NobodyWaitsError, desk
from neurosleep.experiments.schedule.parcel import files_in, pack, unpack

__all__ = ["describe", "run_parcel"]


def describe(content: bytes) -> str:
    """What stands in the way of requests on this machine, as JSON."""
    asked: dict[str, Any] = json.loads(content)
    with tempfile.TemporaryDirectory(prefix="neurosleep-") as out:
        refusals = (_refusal(asked["client"], message, out)[0] for message in asked["requests"])
        return json.dumps(next(filter(None, refusals), None))


def run_parcel(content: bytes) -> bytes:
    """Run the request in a parcel, from the files in it if it is resumed; the files of its folder come back."""
    asked, files = unpack(content)
    with desk() as place, tempfile.TemporaryDirectory(prefix="neurosleep-", dir=place.folder) as out:
        message = asked["request"]
        refusal, tasks = _refusal(asked["client"], message, out)
        if refusal:
            return pack({"worker": place.name, "refusal": refusal}, {})
        request = request_from(message, _data_folder(message), out, resume=bool(files))
        for name, file in files.items():
            write_whole(request.folder.path / name, file)
        place.tell({"text": "started"})
        listener = (lambda event: place.tell({"event": event})) if asked["watched"] else None
        try:
            run_plan(check_request(request), tasks, place.say, listener)
        except NobodyWaitsError:
            raise
        except Exception as error:
            return pack({"worker": place.name, "error": _without(out, error_message(error))}, {})
        return pack({"worker": place.name}, files_in(request.folder.path))


def _refusal(client: Any, message: Message, out: str) -> tuple[dict[str, Any] | None, list[Task]]:
    """Why this machine cannot run a request as its client would, as JSON: its versions, or an error. Else the tasks."""
    if others := differing(client, own_side()):
        return {"versions": others}, []
    request = request_from(message, _data_folder(message), str(Path(out, "-check")), resume=False)
    try:
        tasks = check_data([check_request(request)])
        found = fingerprint(tasks)
        if found != message["data"]:
            raise DataError(
                f"The data of {_data_name(request)} are not those of the client.",
                found=f"SHA-256 {found}",
                expected=f"SHA-256 {message['data']}",
            )
    except NeurosleepError as error:
        return {"error": _without(out, error_message(error)), "data": _data_name(request)}, []
    return None, tasks


def _data_name(request: RunRequest) -> str:
    data = request.settings.data
    return ", ".join(map(repr, data.sequence or (data.name,)))


def _data_folder(message: Message) -> str | None:
    """The folder of the data on this machine: its own, else the client's, if it is there too."""
    given = message["folder"]
    return os.environ.get(ENVIRONMENT) or (given if given and os.path.isdir(os.path.expanduser(given)) else None)


def _without(out: str, error: Mapping[str, Any]) -> dict[str, Any]:
    """The error without the temporary folder, which nobody will find."""
    return {
        key: value.replace(out, "the worker's folder") if isinstance(value, str) else value
        for key, value in error.items()
    }
