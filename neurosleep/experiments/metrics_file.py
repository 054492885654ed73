"""Reading the metrics of a finished run: all that they must hold, or an error that names the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from neurosleep.errors import NeurosleepError, RunFolderError
from neurosleep.experiments.inside import check_inside, read_bytes
from neurosleep.experiments.names import folder_name
from neurosleep.experiments.plain import Plain, PlainTable, number
from neurosleep.experiments.sums import check_sum

if TYPE_CHECKING:
    from neurosleep.experiments.metrics import Metrics

__all__ = ["read_json", "read_metrics"]


def read_json(path: Path, root: Path | None = None) -> PlainTable:
    """The one object that a JSON file of a run holds, as the run wrote it.

    ``root``, else its folder, is what a link must not lead out of.

    Raises
    ------
    RunFolderError
        If it cannot be read, is damaged, or holds anything else.
    """
    check_inside(path, path.parent if root is None else root)
    content = read_bytes(path)
    try:
        read = json.loads(content.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise RunFolderError(
            f"{str(path)!r} cannot be read.", found=f"{error}"[:200], hint="remove it, or bring it back"
        ) from error
    check_sum(path.parent, path.name, content)
    if not isinstance(read, dict):
        raise RunFolderError(f"{str(path)!r} holds {type(read).__name__}.", expected="one JSON object")
    return read


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _text(value: Plain) -> bool:
    return isinstance(value, str)


def _number(value: Plain) -> bool:
    return number(value) is not None


def _fraction(value: Plain) -> bool:
    return value is None or ((fraction := number(value)) is not None and 0 <= fraction <= 1)


def _numbers(value: Plain) -> bool:
    return isinstance(value, dict) and all(entry is None or _number(entry) for entry in value.values())


def _rows(value: Plain) -> bool:
    return isinstance(value, list) and all(isinstance(row, list) and all(map(_fraction, row)) for row in value)


# What every run says of itself, and what each of these must be.
_NEEDED: Mapping[str, tuple[Callable[[Plain], bool], str]] = {
    **{key: (_text, "a text") for key in ("experiment", "variant", "strategy", "split", "status", "data")},
    "seed": (lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0, "a seed"),
    "reads_old_data": (lambda value: isinstance(value, bool), "true or false"),
    "results": (_numbers, "named numbers"),
    "accuracy_all": (_fraction, "a fraction or null"),
    "seconds": (
        lambda value: isinstance(value, dict) and _numbers(value) and _number(value.get("total")),
        "numbers with a total",
    ),
}
_OPTIONAL: Mapping[str, tuple[Callable[[Plain], bool], str]] = {
    "accuracy_of_a_guess": (_fraction, "a fraction"),
    "accuracy_matrix": (_rows, "rows of fractions"),
    "accuracy_before_sleep": (lambda value: value is None or _rows(value), "rows of fractions, or null"),
    "hardware": (
        lambda value: isinstance(value, list) and all(isinstance(row, dict) for row in value),
        "a list of tables",
    ),
}


def read_metrics(path: Path, root: Path | None = None) -> Metrics:
    """The metrics of a finished run; ``root`` as in :func:`read_json`.

    Raises
    ------
    RunFolderError
        If the file cannot be read, is damaged, or is not the metrics of a run of this version.
    """
    table = read_json(path, root)
    missing = [key for key in _NEEDED if key not in table]
    if missing:
        raise _foreign(path, f"no {', '.join(missing)}")
    for key, (sound, expected) in (*_NEEDED.items(), *_OPTIONAL.items()):
        if key in table and not sound(table[key]):
            raise _foreign(path, f"{key} is {table[key]!r:.60}", expected=f"{key}: {expected}")
    try:
        for key in ("experiment", "variant", "strategy"):
            folder_name(key, table[key], levels=key == "experiment")
    except NeurosleepError as error:
        raise _foreign(path, error.message) from error
    metrics = cast("Metrics", table)
    if metrics["results"].get("accuracy_all") != metrics["accuracy_all"]:
        raise _foreign(path, "two accuracies over all classes that differ")
    return metrics


def _foreign(path: Path, found: str, expected: str | None = None) -> RunFolderError:
    return RunFolderError(
        f"{str(path)!r} is not the metrics of a run of this version.",
        found=found,
        expected=expected,
        hint="run it again, or leave the folder out",
    )
